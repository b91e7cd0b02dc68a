"""A file that was moved or deleted: every use of its table says so, and DROP TABLE drops it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import apsw
import pysqlite3
import pytest

import audiomem_sql as am
from audiomem_sql.connections import register
from audiomem_sql.errors import AudioMemError, NotAudioMemoryError, SchemaError, StorageError

SETUP = """
    CREATE VIRTUAL TABLE named USING audiomem('notes.flac', id INTEGER PRIMARY KEY, title TEXT);
    INSERT INTO named VALUES (1, 'one');
    CREATE VIRTUAL TABLE bare USING audiomem('notes.flac');
    CREATE TABLE native(n INTEGER);
    INSERT INTO native VALUES (7);
"""


def connect(folder: Path) -> apsw.Connection:
    connection = apsw.Connection(str(folder / "main.db"))
    register(connection)
    return connection


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The folder of a closed database with two tables of one file, which is gone, and a native table."""
    connection = connect(tmp_path)
    connection.execute(SETUP)
    connection.close()
    (tmp_path / "notes.flac").rename(tmp_path / "away.flac")
    return tmp_path


USES = (
    "SELECT * FROM named",
    "SELECT title FROM named WHERE id = 1",
    "SELECT count(*) FROM bare",
    "SELECT * FROM bare",
    "SELECT 1 FROM native JOIN bare",
    "INSERT INTO named VALUES (2, 'two')",
    "INSERT INTO bare VALUES (2)",
    "UPDATE named SET title = 'x'",
    "DELETE FROM bare",
    "SELECT * FROM audiomem_snapshots('bare')",
    "SELECT * FROM audiomem_verify('named')",
)


def test_every_use_names_the_file(database: Path, door: str) -> None:
    connection = connect(database)
    for use in USES:
        with pytest.raises(StorageError, match=r"notes\.flac: there is no such file"):
            connection.execute(use).fetchall()
    assert not (database / "notes.flac").exists()
    connection.close()


def test_the_rest_of_the_database_can_be_used(database: Path, door: str) -> None:
    connection = connect(database)
    columns = connection.execute(
        "SELECT m.name, i.name FROM sqlite_schema m JOIN pragma_table_info(m.name) i ORDER BY m.rowid, i.cid"
    ).fetchall()
    assert [column for table, column in columns if table in ("named", "native")] == ["id", "title", "n"]
    (told,) = {row[0] for row in connection.execute("PRAGMA integrity_check")}
    assert "there is no such file" in told
    connection.execute("ALTER TABLE native RENAME TO other")
    connection.execute("BEGIN; SAVEPOINT s; INSERT INTO other VALUES (8); ROLLBACK TO s; COMMIT; VACUUM")
    assert connection.execute("SELECT n FROM other").fetchall() == [(7,)]
    connection.execute("ALTER TABLE bare RENAME TO renamed")
    with pytest.raises(StorageError, match="there is no such file"):
        connection.execute("SELECT * FROM renamed")
    connection.close()


def test_drop_table(database: Path, door: str) -> None:
    connection = connect(database)
    connection.execute("BEGIN; DROP TABLE named; ROLLBACK")
    with pytest.raises(StorageError, match="there is no such file"):
        connection.execute("SELECT * FROM named")
    connection.execute("DROP TABLE named; DROP TABLE bare")
    assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("native",)]
    connection.close()
    assert am.read_flac(database / "away.flac")["title"].tolist() == ["one"]


@pytest.mark.parametrize("query", ["SELECT title FROM named", "SELECT count(*) FROM bare"])
def test_the_file_comes_back(database: Path, door: str, query: str) -> None:
    """The connection that missed it says so once, and knows it from then on."""
    connection = connect(database)
    with pytest.raises(StorageError):
        connection.execute(query)
    (database / "away.flac").rename(database / "notes.flac")
    with pytest.raises(SchemaError, match="run the statement again"):
        connection.execute(query)
    assert len(connection.execute(query).fetchall()) == 1
    connection.execute("INSERT INTO named VALUES (2, 'two')")
    assert connection.execute("SELECT title FROM bare ORDER BY id").fetchall() == [("one",), ("two",)]
    connection.close()


def _folder_is_gone(folder: Path) -> None:
    (folder / "elsewhere").rmdir()


def _link_leads_nowhere(folder: Path) -> None:
    (folder / "elsewhere" / "notes.flac").symlink_to(folder / "nowhere.flac")


@pytest.mark.parametrize("how", [_folder_is_gone, _link_leads_nowhere])
def test_other_ways_to_be_missing(tmp_path: Path, door: str, how: Callable[[Path], None]) -> None:
    (tmp_path / "elsewhere").mkdir()
    connection = connect(tmp_path)
    connection.execute("CREATE VIRTUAL TABLE t USING audiomem('elsewhere/notes.flac', a TEXT)")
    connection.close()
    (tmp_path / "elsewhere" / "notes.flac").unlink()
    how(tmp_path)
    connection = connect(tmp_path)
    with pytest.raises(StorageError):
        connection.execute("SELECT a FROM t")
    connection.execute("DROP TABLE t")
    assert connection.execute("SELECT count(*) FROM sqlite_schema").get == 0
    connection.close()


def test_what_is_there_and_no_table_keeps_its_own_error(database: Path, door: str) -> None:
    (database / "notes.flac").write_bytes(b"no table" * 1000)
    connection = connect(database)
    for statement in ("SELECT title FROM bare", "DROP TABLE named"):
        with pytest.raises(NotAudioMemoryError):
            connection.execute(statement)
    os.remove(database / "notes.flac")
    with pytest.raises(StorageError):
        connection.execute("SELECT title FROM named")
    connection.execute("DROP TABLE named")
    connection.close()


def test_create_still_needs_columns(tmp_path: Path, door: str) -> None:
    connection = connect(tmp_path)
    with pytest.raises(AudioMemError, match="no columns are given"):
        connection.execute("CREATE VIRTUAL TABLE t USING audiomem('new.flac')")
    connection.close()


DOORS = ("extension", "python")


def test_sqlite3_with_the_extension(database: Path) -> None:
    connection = pysqlite3.connect(database / "main.db")
    am.load(connection)
    with pytest.raises(pysqlite3.OperationalError, match=r"notes\.flac: there is no such file"):
        connection.execute("SELECT title FROM named")
    with pytest.raises(pysqlite3.OperationalError, match="there is no such file"):
        connection.execute("DELETE FROM bare")
    connection.execute("DROP TABLE named")
    connection.execute("DROP TABLE bare")
    assert connection.execute("SELECT n FROM native").fetchall() == [(7,)]
    connection.close()
