"""CREATE VIRTUAL TABLE in all its forms, databases that are closed and opened again, and the clients around."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

import audiomem_sql
from audiomem_sql.connections import connect, install_hook, register
from audiomem_sql.errors import (
    AudioMemError,
    NotAudioMemoryError,
    OptionError,
    QueryError,
    SchemaError,
    StorageError,
)

COLUMNS = "id INTEGER PRIMARY KEY, title TEXT NOT NULL, year INTEGER"


@pytest.fixture
def con() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    register(connection)
    yield connection
    connection.close()


def create(connection: apsw.Connection, path: Path | str, rest: str = COLUMNS, name: str = "notes") -> None:
    literal = str(path).replace("'", "''")
    connection.execute(
        f"CREATE VIRTUAL TABLE \"{name}\" USING audiomem('{literal}'{', ' if rest else ''}{rest})"
    )


@pytest.fixture
def notes(con: apsw.Connection, tmp_path: Path) -> Path:
    """A file with two rows, whose table was dropped again."""
    path = tmp_path / "notes.flac"
    create(con, path)
    con.execute("INSERT INTO notes VALUES (1, 'one', 2020), (2, 'two', NULL); DROP TABLE notes")
    return path


# -- files
# ----------------------------------------------------------------------------------------------------------


def test_a_new_file(con: apsw.Connection, tmp_path: Path) -> None:
    create(con, tmp_path / "notes.flac")
    assert con.execute("SELECT count(*) FROM notes").get == 0
    assert (tmp_path / "notes.flac").read_bytes()[:4] == b"fLaC"


def test_an_existing_file_knows_its_columns(con: apsw.Connection, notes: Path) -> None:
    create(con, notes, "")
    assert con.execute("SELECT * FROM notes").fetchall() == [(1, "one", 2020), (2, "two", None)]
    assert [row[1] for row in con.execute("PRAGMA table_info(notes)")] == ["id", "title", "year"]


def test_an_existing_file_with_its_own_columns(con: apsw.Connection, notes: Path) -> None:
    create(con, notes, "id integer primary key, title text not null, year integer")
    assert con.execute("SELECT count(*) FROM notes").get == 2


@pytest.mark.parametrize(
    "columns",
    [
        "id INTEGER PRIMARY KEY, title TEXT, year INTEGER",
        "id INTEGER PRIMARY KEY",
        f"{COLUMNS}, more TEXT",
        "a, b, c",
    ],
)
def test_an_existing_file_with_other_columns(con: apsw.Connection, notes: Path, columns: str) -> None:
    with pytest.raises(SchemaError):
        create(con, notes, columns)
    create(con, notes, "")
    assert con.execute("SELECT count(*) FROM notes").get == 2


def test_a_missing_file_without_columns(con: apsw.Connection, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no columns are given"):
        create(con, tmp_path / "notes.flac", "")
    assert not list(tmp_path.iterdir())


def test_music(con: apsw.Connection, tmp_path: Path) -> None:
    import numpy as np
    import soundfile

    path = tmp_path / "music.flac"
    tone = np.sin(np.arange(96_000) / 20) * 0.3
    soundfile.write(path, np.stack([tone, tone], axis=1), 48_000, subtype="PCM_24")
    before = path.read_bytes()
    for columns in ("", COLUMNS):
        with pytest.raises(NotAudioMemoryError):
            create(con, path, columns)
    assert path.read_bytes() == before


@pytest.mark.damages
@pytest.mark.parametrize("content", [b"", b"id,title\n1,one\n", b"fLaC", b"\0" * 100_000])
def test_no_flac_at_all(con: apsw.Connection, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.flac"
    path.write_bytes(content)
    for columns in ("", COLUMNS):
        with pytest.raises(AudioMemError):
            create(con, path, columns)
    assert path.read_bytes() == content


def test_a_folder(con: apsw.Connection, tmp_path: Path) -> None:
    for columns in ("", COLUMNS):
        with pytest.raises(AudioMemError):
            create(con, tmp_path, columns)


def test_a_missing_folder(con: apsw.Connection, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no such folder"):
        create(con, tmp_path / "nowhere" / "notes.flac")


@pytest.mark.parametrize("where", ["a file", "/proc"])
def test_a_folder_that_nobody_can_write_to(con: apsw.Connection, tmp_path: Path, where: str) -> None:
    folder = Path(where)
    if where == "a file":
        folder = tmp_path / "file"
        folder.write_text("not a folder")
    with pytest.raises(StorageError):
        create(con, folder / "notes.flac")


def test_a_dangling_link(con: apsw.Connection, tmp_path: Path) -> None:
    (tmp_path / "link.flac").symlink_to(tmp_path / "nowhere.flac")
    with pytest.raises(StorageError):
        create(con, tmp_path / "link.flac")


# -- arguments
# ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", ["", "()", "('')", "(' ')"])
def test_no_path(con: apsw.Connection, arguments: str) -> None:
    with pytest.raises(AudioMemError):
        con.execute(f"CREATE VIRTUAL TABLE notes USING audiomem{arguments}")


@pytest.mark.parametrize(
    "options",
    [
        "colour=blue",
        "profile=server, profile=mobile",
        "profile=palace",
        "protection=7",
        "compression_level=99",
        "modulation=laser",
        "profile=",
    ],
)
def test_bad_options(con: apsw.Connection, tmp_path: Path, options: str) -> None:
    with pytest.raises(AudioMemError):
        create(con, tmp_path / "notes.flac", f"{COLUMNS}, {options}")
    assert not list(tmp_path.iterdir())


def test_options_of_an_existing_file(con: apsw.Connection, tmp_path: Path) -> None:
    create(con, tmp_path / "notes.flac", f"{COLUMNS}, profile=mobile")
    con.execute("DROP TABLE notes")
    create(con, tmp_path / "notes.flac", "profile='mobile'")
    con.execute("DROP TABLE notes")
    create(con, tmp_path / "notes.flac", "profile=auto")
    con.execute("DROP TABLE notes")
    with pytest.raises(OptionError, match="profile=mobile"):
        create(con, tmp_path / "notes.flac", "profile=server")


@pytest.mark.parametrize(
    "columns",
    ["a TEXT, a TEXT", "a TEXT, A INTEGER", '"é" TEXT, "é" TEXT', "a TEXT, rank REAL, distance REAL"],
)
def test_duplicate_columns(con: apsw.Connection, tmp_path: Path, columns: str) -> None:
    with pytest.raises(SchemaError):
        create(con, tmp_path / "notes.flac", columns)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "columns",
    [
        "a",
        "a VECTOR",
        "a INTEGER DEFAULT 'x'",
        "a TEXT DEFAULT (nowhere())",
        "a TEXT CHECK (nowhere(a))",
        "a TEXT CHECK (a IN (SELECT 1))",
        "a TEXT CHECK (a < datetime('now'))",
        "a TEXT, b TEXT, UNIQUE (a, c)",
        "a TEXT, b TEXT, FOREIGN KEY (a) REFERENCES b(c)",
        "a TEXT REFERENCES b(c)",
        "a INTEGER, b INTEGER AS (a + 1)",
        "a INTEGER PRIMARY KEY AUTOINCREMENT",
        "a TEXT PRIMARY KEY, b TEXT PRIMARY KEY",
    ],
)
def test_definitions_that_are_not_supported(con: apsw.Connection, tmp_path: Path, columns: str) -> None:
    with pytest.raises(SchemaError):
        create(con, tmp_path / "notes.flac", columns)
    assert not list(tmp_path.iterdir())


def test_a_table_named_like_a_column(con: apsw.Connection, tmp_path: Path) -> None:
    create(con, tmp_path / "title.flac", COLUMNS, "title")
    con.execute("INSERT INTO title VALUES (1, 'one', 2020)")
    assert con.execute("SELECT title, title.title FROM title WHERE title = 'one'").get == ("one", "one")


@pytest.mark.parametrize(
    "name",
    [
        "two words",
        'quo"te',
        "it's",
        "select",
        "Ünïcode",
        "日本",
        "a.b",
        "1",
        "%s",
        "rowid",
        "rank",
        "x" * 200,
    ],
)
def test_weird_names(con: apsw.Connection, tmp_path: Path, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    column = '"' + (name + "_" if name in ("rowid", "rank") else name).replace('"', '""') + '"'
    path = str(tmp_path / "t.flac").replace("'", "''")
    con.execute(
        f"CREATE VIRTUAL TABLE {quoted} USING audiomem('{path}', {column} TEXT UNIQUE, \"other one\" INTEGER)"
    )
    con.execute(f"INSERT INTO {quoted} VALUES ('a', 1), ('b', 2)")
    assert con.execute(f"SELECT {column} FROM {quoted} WHERE {column} = 'b' AND \"other one\" > 1").get == "b"
    con.execute(f"UPDATE {quoted} SET {column} = 'c' WHERE {column} >= 'b'")
    with pytest.raises(apsw.ConstraintError):
        con.execute(f"INSERT INTO {quoted} VALUES ('a', 1)")
    con.execute(f"DROP TABLE {quoted}")
    con.execute(f"CREATE VIRTUAL TABLE {quoted} USING audiomem('{path}')")
    assert con.execute(f"SELECT * FROM {quoted} ORDER BY 1").fetchall() == [("a", 1), ("c", 2)]


@pytest.mark.parametrize(
    "name", ["it's.flac", "two words.flac", "a,b=c.flac", "日本.flac", "x.FLAC", "noextension", "(1).flac"]
)
def test_weird_file_names(con: apsw.Connection, tmp_path: Path, name: str) -> None:
    create(con, tmp_path / name)
    con.execute("INSERT INTO notes VALUES (1, 'one', 2020)")
    assert (tmp_path / name).exists()
    again = connect(tmp_path / name, "again")
    assert again.execute("SELECT title FROM again").get == "one"
    again.close()


def test_seventy_columns(con: apsw.Connection, tmp_path: Path) -> None:
    """SQLite tells which of the first 63 columns are used, and of the others only whether any is."""
    names = [f"c{number}" for number in range(70)]
    create(con, tmp_path / "wide.flac", ", ".join(f"{name} INTEGER" for name in names), "wide")
    con.execute(f"INSERT INTO wide VALUES ({', '.join(map(str, range(70)))})")
    con.execute(f"INSERT INTO wide VALUES ({', '.join(map(str, range(100, 170)))})")
    assert con.execute("SELECT * FROM wide").fetchall() == [tuple(range(70)), tuple(range(100, 170))]
    for number in (0, 61, 62, 63, 64, 69):
        assert (
            con.execute(f"SELECT c{number} FROM wide WHERE c{number} = ?", (100 + number,)).get
            == 100 + number
        )
        assert con.execute(f"SELECT c0, c{number} FROM wide ORDER BY c{number} DESC LIMIT 1").get == (
            100,
            100 + number,
        )
    con.execute("UPDATE wide SET c69 = c1 + c63, c3 = NULL WHERE c62 = 62")
    assert con.execute("SELECT c69, c3, c68 FROM wide WHERE c0 = 0").get == (64, None, 68)


def test_hidden_columns(con: apsw.Connection, tmp_path: Path) -> None:
    create(con, tmp_path / "notes.flac")
    con.execute("INSERT INTO notes VALUES (1, 'one', 2020)")
    assert [row[1] for row in con.execute("PRAGMA table_xinfo(notes)") if row[6]] == [
        "notes",
        "rank",
        "distance",
        "k",
        "version",
        "as_of",
    ]
    with pytest.raises(QueryError, match="searched by meaning"):
        con.execute("SELECT * FROM notes WHERE notes MATCH 'one'")
    with pytest.raises(OptionError):
        con.execute("INSERT INTO notes(notes) VALUES ('sing')")


# -- life of a table
# ------------------------------------------------------------------------------------------------


def test_drop_table_keeps_the_file(con: apsw.Connection, notes: Path) -> None:
    create(con, notes, "")
    con.execute("DROP TABLE notes")
    assert notes.exists()
    with pytest.raises(apsw.SQLError, match="no such table"):
        con.execute("SELECT * FROM notes")


def test_rename(con: apsw.Connection, notes: Path) -> None:
    create(con, notes, "")
    con.execute("ALTER TABLE notes RENAME TO papers; INSERT INTO papers VALUES (3, 'three', 1999)")
    assert con.execute("SELECT count(*) FROM papers").get == 3
    assert con.execute("SELECT count(*) FROM audiomem_verify('papers')").get == 0
    with pytest.raises(apsw.ConstraintError, match=r"UNIQUE constraint failed: papers\.id"):
        con.execute("INSERT INTO papers VALUES (3, 'three', 1999)")
    with pytest.raises(QueryError):
        con.execute("SELECT * FROM audiomem_verify('notes')").fetchall()
    assert notes.exists()


def test_a_database_is_closed_and_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path starts at the folder of the database, wherever the process is, and the two can be moved together."""
    (tmp_path / "data").mkdir()
    database = tmp_path / "data" / "main.db"
    con = apsw.Connection(str(database))
    register(con)
    create(con, "notes.flac")
    con.execute(
        "INSERT INTO notes VALUES (1, 'one', 2020); CREATE TABLE other(n INTEGER); INSERT INTO other VALUES (1)"
    )
    con.close()
    assert (tmp_path / "data" / "notes.flac").exists()
    os.rename(tmp_path / "data", tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    con = apsw.Connection("moved/main.db")
    with pytest.raises(apsw.SQLError, match="no such module: audiomem"):
        con.execute("SELECT * FROM notes")
    register(con)
    assert con.execute("SELECT title FROM notes JOIN other ON id = n").get == "one"
    assert con.execute("PRAGMA integrity_check").get == "ok"
    con.execute("INSERT INTO notes VALUES (2, 'two', NULL)")
    con.close()
    con = apsw.Connection(str(tmp_path / "moved" / "main.db"))
    register(con)
    assert con.execute("SELECT count(*) FROM notes").get == 2
    os.rename(tmp_path / "moved" / "notes.flac", tmp_path / "away.flac")
    con.close()
    con = apsw.Connection(str(tmp_path / "moved" / "main.db"))
    register(con)
    with pytest.raises(StorageError):
        con.execute("SELECT * FROM notes")
    assert con.execute("SELECT n FROM other").get == 1
    with pytest.raises(StorageError):  # SQLite connects to a virtual table before it drops it
        con.execute("DROP TABLE notes")
    con.close()


def test_create_is_rolled_back_with_its_transaction(con: apsw.Connection, tmp_path: Path) -> None:
    """The schema forgets the table; the file, once made, stays, as with DROP TABLE."""
    con.execute("BEGIN")
    create(con, tmp_path / "notes.flac")
    con.execute("INSERT INTO notes VALUES (1, 'one', 2020); ROLLBACK")
    with pytest.raises(apsw.SQLError, match="no such table"):
        con.execute("SELECT * FROM notes")
    create(con, tmp_path / "notes.flac", "")
    assert con.execute("SELECT count(*) FROM notes").get == 0


def test_if_not_exists_and_temp(con: apsw.Connection, notes: Path) -> None:
    for _ in range(2):
        con.execute(f"CREATE VIRTUAL TABLE IF NOT EXISTS notes USING audiomem('{notes}')")
    con.execute(f"CREATE VIRTUAL TABLE temp.other USING audiomem('{notes}')")
    assert con.execute("SELECT count(*) FROM notes JOIN temp.other USING (id)").get == 2


def test_two_connections_see_each_other(con: apsw.Connection, notes: Path) -> None:
    other = connect(notes)
    create(con, notes, "")
    con.execute("INSERT INTO notes VALUES (3, 'three', 3)")
    assert other.execute("SELECT count(*) FROM notes").get == 3
    con.execute("BEGIN; INSERT INTO notes VALUES (4, 'four', 4)")
    assert other.execute("SELECT count(*) FROM notes").get == 3
    con.execute("COMMIT")
    assert other.execute("SELECT count(*) FROM notes").get == 4
    other.close()


# -- many connections, and other clients
# ------------------------------------------------------------------------------


def test_more_connections_than_apsw_has_places_for_modules(notes: Path) -> None:
    connections = [connect(notes) for _ in range(40)]
    for connection in connections:
        connection.execute("SAVEPOINT s; INSERT INTO notes VALUES (3, 'three', 3); ROLLBACK TO s; RELEASE s")
        assert connection.execute("SELECT count(*) FROM notes").get == 2
        connection.close()


@pytest.fixture
def hook() -> Iterator[None]:
    """Every apsw connection knows the module, until the test ends."""
    install_hook()
    install_hook()
    assert apsw.connection_hooks.count(register) == 1
    yield
    apsw.connection_hooks.remove(register)


def test_install_hook(hook: None, notes: Path) -> None:
    connection = apsw.Connection(":memory:")
    create(connection, notes, "")
    assert connection.execute("SELECT count(*) FROM notes").get == 2
    assert connection.execute("SELECT audiomem_version()").get == audiomem_sql.__version__
    connection.close()
    connection = connect(notes)
    assert connection.execute("SELECT count(*) FROM notes").get == 2
    connection.close()


class DescribingCursor(apsw.Cursor):
    """What pandas expects of a cursor and apsw's lacks: a description where there are no rows, and ``fetchmany``."""

    columns: tuple[tuple[str, str], ...] = ()

    def execute(self, statements: str, bindings: Any = None, **options: Any) -> apsw.Cursor:
        def remember(cursor: apsw.Cursor, sql: str, bindings: Any) -> bool:
            self.columns = cursor.get_description()
            return True

        self.exec_trace = remember
        return super().execute(statements, bindings, **options)

    @property
    def description(self) -> Any:
        return [(name, kind, None, None, None, None, None) for name, kind in self.columns]

    def fetchmany(self, size: int) -> list[Any]:
        return list(itertools.islice(self, size))


@pytest.mark.filterwarnings("ignore:pandas only supports SQLAlchemy:UserWarning")
def test_pandas_read_sql(notes: Path) -> None:
    """``pandas.read_sql`` takes the connection, with two conditions.

    It warns of every connection that is neither SQLAlchemy's nor of the module sqlite3: that warning has to
    be silenced. And it reads chunks, and results without rows, only if ``cursor_factory`` is a class such as
    the one above. (SQLAlchemy's dialects for SQLite cannot use an apsw connection: they call
    ``create_function`` of sqlite3.)
    """
    pandas = pytest.importorskip("pandas")
    connection = connect(notes)
    frame = pandas.read_sql("SELECT * FROM notes ORDER BY id", connection)
    assert list(frame.columns) == ["id", "title", "year"]
    assert frame["title"].tolist() == ["one", "two"]
    frame = pandas.read_sql("SELECT title FROM notes WHERE id >= ?", connection, params=(2,))
    assert frame["title"].tolist() == ["two"]
    connection.cursor_factory = DescribingCursor
    frame = pandas.read_sql("SELECT id, title FROM notes WHERE id > 7", connection)
    assert list(frame.columns) == ["id", "title"]
    assert len(frame) == 0
    frames = list(pandas.read_sql("SELECT * FROM notes ORDER BY id", connection, chunksize=1, index_col="id"))
    assert [frame["title"].tolist() for frame in frames] == [["one"], ["two"]]
    connection.close()


def test_a_process_that_imports_nothing_else(notes: Path) -> None:
    """The module alone is enough: no test fixture, no hook."""
    code = f"import audiomem_sql; print(audiomem_sql.connect({str(notes)!r}).execute('SELECT count(*) FROM notes').get)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "2\n"
