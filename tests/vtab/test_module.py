"""CREATE VIRTUAL TABLE in all its forms: files, options, definitions and names."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from audiomem_sql.connections import connect, register
from audiomem_sql.errors import (
    AudioMemError,
    NotAudioMemoryError,
    OptionError,
    QueryError,
    SchemaError,
    StorageError,
)

from .notes_table import COLUMNS, create

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
    """A table that is created by it is where it leads to; without columns there is nothing to create."""
    (tmp_path / "link.flac").symlink_to(tmp_path / "nowhere.flac")
    with pytest.raises(StorageError, match="no columns are given"):
        con.execute(f"CREATE VIRTUAL TABLE notes USING audiomem('{tmp_path / 'link.flac'}')")
    create(con, tmp_path / "link.flac")
    assert (tmp_path / "link.flac").is_symlink()
    assert (tmp_path / "nowhere.flac").is_file()


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
    [
        "a TEXT, a TEXT",
        "a TEXT, A INTEGER",
        '"é" TEXT, "é" TEXT',
        "a TEXT, audiomem_rank REAL, distance REAL",
    ],
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
        "a TEXT PRIMARY KEY AUTOINCREMENT",
        "a TEXT UNIQUE ON CONFLICT ROLLBACK",
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
    column = '"' + (name + "_" if name == "rank" else name).replace('"', '""') + '"'
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
        "version",
        "as_of",
        "audiomem_table",
        "audiomem_rank",
        "audiomem_version",
        "audiomem_as_of",
    ]
    with pytest.raises(QueryError, match="searched by meaning"):
        con.execute("SELECT * FROM notes WHERE notes MATCH 'one'")
    with pytest.raises(OptionError):
        con.execute("INSERT INTO notes(notes) VALUES ('sing')")


def test_table_info_shows_the_words_of_the_user(con: apsw.Connection, tmp_path: Path) -> None:
    columns = (
        "id INTEGER PRIMARY KEY, a VARCHAR(20) NOT NULL, b double precision, c bool, d DATETIME, e Float[2]"
    )
    create(con, tmp_path / "t.flac", columns, "t")
    con.execute("INSERT INTO t VALUES (1, 'x', 1.5, 1, '2024-03-01', '[1, 2]')")
    con.execute("INSERT INTO t(t, rank) VALUES ('add column', 'f varchar(3)')")
    con.execute("INSERT INTO t(t) VALUES ('vacuum')")
    for _ in range(2):
        assert [row[2] for row in con.execute("PRAGMA table_info(t)")] == [
            "INTEGER",
            "VARCHAR(20)",
            "double precision",
            "bool",
            "DATETIME TEXT",
            "FLOAT[2] BLOB",
            "varchar(3)",
        ]
        assert (
            con.execute("SELECT count(*) FROM t WHERE c = '1' AND d < '2025-01-01' AND e > '9' AND a > 7").get
            == 1
        )
        con.execute("DROP TABLE t")
        create(con, tmp_path / "t.flac", "", "t")
    con.execute("DROP TABLE t")
    create(con, tmp_path / "t.flac", f"{columns.replace('bool', 'BOOLEAN')}, f TEXT", "t")


def test_errors_name_the_file(tmp_path: Path, door: str) -> None:
    path = tmp_path / "t.flac"
    connection = apsw.Connection(":memory:")
    register(connection)
    create = "CREATE VIRTUAL TABLE t USING audiomem('{}', {})"
    for columns in (
        "a FOO",
        "a TEXT, A TEXT",
        "a TEXT, profil=auto",
        "a TEXT, hidden=no",
        "a TEXT, on_damage=no",
    ):
        with pytest.raises(AudioMemError) as caught:
            connection.execute(create.format(path, columns))
        assert str(caught.value).startswith(f"{path}: "), columns
    with pytest.raises(AudioMemError, match=r"no option hiden.*Did you mean hidden\?"):
        connection.execute(create.format(path, "a TEXT, hiden=prefixed"))
    connection.execute(create.format(path, "a INTEGER, at TIMESTAMP, w TEXT INDEXED, v FLOAT[2]"))
    connection.execute("INSERT INTO t(a) VALUES (1)")
    for statement in (
        "INSERT INTO t(a) VALUES ('x')",
        "UPDATE t SET at = 'soon'",
        "UPDATE t SET rowid = 'x'",
        "SELECT * FROM t WHERE at = 'soon'",
        "SELECT * FROM t WHERE as_of = 'soon'",
        "SELECT * FROM t WHERE version = 1.5",
        "SELECT * FROM t WHERE filter = 5",
        "SELECT * FROM t WHERE v MATCH '[1'",
        "SELECT * FROM t WHERE t MATCH '\"'",
        "INSERT INTO t(a) VALUES (7) RETURNING a",
    ):
        with pytest.raises(AudioMemError) as caught:
            connection.execute(statement).fetchall()
        assert str(caught.value).startswith(f"{path}: "), statement
    connection.close()
