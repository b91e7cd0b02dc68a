"""Databases that are closed and opened again, several connections, and the clients around."""

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
    QueryError,
    StorageError,
)

from .notes_table import create

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


def test_table_functions_find_a_table_as_sql_does(tmp_path: Path, door: str) -> None:
    """Of tables of one name: that of temp, of main, of what is attached; or the one of a database."""
    connection = apsw.Connection(str(tmp_path / "main.db"))
    register(connection)
    connection.execute(f"ATTACH '{tmp_path}/other.db' AS other")
    count = "SELECT max(snapshot_id) FROM audiomem_snapshots('{}')"
    for database, commits in (("other", 3), ("main", 2), ("temp", 1)):
        path = tmp_path / f"{database}.flac"
        connection.execute(f"CREATE VIRTUAL TABLE {database}.t USING audiomem('{path}', a INTEGER)")
        for _ in range(commits):
            connection.execute(f"INSERT INTO {database}.t VALUES (1)")
        assert connection.execute(count.format("T")).get == commits + 1
    for database, commits in (("other", 3), ("main", 2), ("temp", 1)):
        assert connection.execute(count.format(f"{database}.t")).get == commits + 1
    connection.execute("DROP TABLE temp.t")
    assert connection.execute(count.format("t")).get == 3
    connection.close()
    connection = apsw.Connection(str(tmp_path / "main.db"))
    register(connection)
    connection.execute(f"ATTACH '{tmp_path}/other.db' AS other")
    assert connection.execute(count.format("Other.T")).get == 4
    assert connection.execute(count.format("t")).get == 3  # that of main is connected first by this
    with pytest.raises(QueryError, match=r"no audiomem table nowhere\.t"):
        connection.execute(count.format("nowhere.t")).fetchall()
    connection.close()
