"""PEP 249 over apsw."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from audiomem_sql import dbapi, errors
from audiomem_sql.table.table import Table


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[dbapi.Connection]:
    """A connection to a table of two rows."""
    with Table.create(tmp_path / "t.flac", ["id INTEGER PRIMARY KEY", "a TEXT", "b BOOLEAN"]) as table:
        table.append([{"a": "x", "b": True}, {"a": "y"}])
    made = dbapi.connect(tmp_path / "t.flac")
    yield made
    made.close()


def test_the_names_of_the_standard() -> None:
    assert (dbapi.apilevel, dbapi.paramstyle) == ("2.0", "qmark")
    for name in ("InterfaceError", "DatabaseError"):
        assert issubclass(getattr(dbapi, name), dbapi.Error)
    for name in (
        "DataError",
        "OperationalError",
        "IntegrityError",
        "InternalError",
        "ProgrammingError",
        "NotSupportedError",
    ):
        assert issubclass(getattr(dbapi, name), dbapi.DatabaseError)
    assert issubclass(dbapi.Error, errors.AudioMemError)
    assert dbapi.Timestamp(2024, 3, 1, 10, 0, 0) == "2024-03-01 10:00:00"
    assert (dbapi.Date(2024, 3, 1), dbapi.Time(1, 2, 3)) == ("2024-03-01", "01:02:03")
    assert dbapi.TimestampFromTicks(0) == "1970-01-01 00:00:00"
    assert (dbapi.DateFromTicks(0), dbapi.TimeFromTicks(1)) == ("1970-01-01", "00:00:01")


def test_rows(connection: dbapi.Connection) -> None:
    cursor = connection.cursor()
    assert cursor.execute("SELECT id, a FROM t ORDER BY id") is cursor
    assert cursor.description is not None
    assert [column[:2] for column in cursor.description] == [("id", "INTEGER"), ("a", "TEXT")]
    assert cursor.rowcount == -1
    assert cursor.fetchone() == (1, "x")
    assert cursor.fetchmany(5) == [(2, "y")]
    assert (cursor.fetchone(), cursor.fetchall(), cursor.fetchmany()) == (None, [], [])
    assert list(cursor.execute("SELECT a FROM t WHERE id = ?", (2,))) == [("y",)]
    assert cursor.execute("SELECT :k + 1", {"k": 1}).fetchall() == [(2,)]
    nothing = cursor.execute("SELECT a FROM t WHERE id > 5")
    assert nothing.description is not None
    assert nothing.fetchall() == []
    cursor.close()


def test_a_transaction_begins_by_itself(connection: dbapi.Connection, tmp_path: Path) -> None:
    cursor = connection.cursor()
    cursor.execute("-- a remark\nSELECT 1")
    assert not connection.apsw.in_transaction
    cursor.execute("/* add */ INSERT INTO t(a) VALUES ('z')")
    assert connection.apsw.in_transaction
    assert (cursor.rowcount, cursor.lastrowid, cursor.description) == (1, 3, None)
    connection.rollback()
    cursor.executemany("INSERT INTO t(a) VALUES (?)", [("p",), ("q",)])
    assert cursor.rowcount == 2
    connection.commit()
    assert not connection.apsw.in_transaction
    assert cursor.execute("SELECT group_concat(a, '') FROM t").fetchall() == [("xypq",)]
    cursor.execute("SAVEPOINT one")
    cursor.execute("DELETE FROM t")
    cursor.execute("ROLLBACK TO one")
    cursor.execute("RELEASE one")
    assert connection.apsw.in_transaction
    connection.commit()
    connection.autocommit = True
    cursor.execute("INSERT INTO t(t) VALUES ('vacuum')")
    assert not connection.apsw.in_transaction
    assert cursor.execute("SELECT count(*) FROM t").fetchone() == (4,)
    connection.create_function("twice", 1, lambda value: value * 2, deterministic=True)
    assert connection.execute("SELECT twice(4)").fetchall() == [(8,)]


def test_errors_have_their_names_and_say_all_that_they_know(
    connection: dbapi.Connection, tmp_path: Path
) -> None:
    cursor = connection.cursor()
    for query, kind in (
        ("SELECT missing FROM t", dbapi.ProgrammingError),
        ("SELEC", dbapi.ProgrammingError),
        ("INSERT INTO t(id, a) VALUES (1, 'x')", dbapi.IntegrityError),
        ("INSERT INTO t(id, b) VALUES (9, 'maybe')", dbapi.DataError),
        ("SELECT * FROM t WHERE version = 99", dbapi.ProgrammingError),
        ("INSERT INTO t(t) VALUES ('dance')", dbapi.ProgrammingError),
    ):
        with pytest.raises(kind):
            cursor.execute(query).fetchall()
        connection.rollback()
    with pytest.raises(dbapi.ProgrammingError) as caught:
        cursor.execute("SELECT * FROM t WHERE version = 99").fetchall()
    assert caught.value.remedy
    with pytest.raises(dbapi.ProgrammingError):
        cursor.execute("SELECT ?", (1, 2))
    with pytest.raises(dbapi.OperationalError, match="there is no such file"):
        dbapi.connect(tmp_path / "missing.flac")
    connection.close()
    with pytest.raises(dbapi.ProgrammingError):
        connection.cursor()


def test_a_database_is_told_by_its_first_bytes(tmp_path: Path) -> None:
    path = tmp_path / "new.sqlite"
    assert dbapi.is_database(path)
    made = dbapi.connect(path)
    made.execute("CREATE TABLE a(b)")
    made.close()
    path.rename(tmp_path / "named.flac")
    assert dbapi.is_database(tmp_path / "named.flac")
    assert dbapi.connect(tmp_path / "named.flac").execute("SELECT * FROM a").fetchall() == []
    assert dbapi.is_database(":memory:")
    Table.create(tmp_path / "x.db", ["a TEXT"]).close()
    assert not dbapi.is_database(tmp_path / "x.db")
