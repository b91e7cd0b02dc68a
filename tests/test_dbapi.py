"""PEP 249 over apsw."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path

import numpy as np
import pandas as pd
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


def test_what_another_connection_did_to_the_columns(tmp_path: Path) -> None:
    """SQLite is not told of it; the statement is tried again, and no statement twice that did something."""
    first, second = (dbapi.connect(tmp_path / "base.db") for _ in range(2))
    first.execute("CREATE VIRTUAL TABLE t USING audiomem('t.flac', id INTEGER PRIMARY KEY, a TEXT)")
    first.execute("INSERT INTO t VALUES (1, 'x')")
    first.commit()
    assert second.execute("SELECT * FROM t").fetchall() == [(1, "x")]
    first.autocommit = True
    first.execute("INSERT INTO t(t, rank) VALUES ('add column', 'b INTEGER')")
    second.execute("INSERT INTO t(a, b) VALUES ('y', 2)")
    second.commit()
    first.execute("INSERT INTO t(t, rank) VALUES ('rename column', 'a TO c')")
    assert second.execute("SELECT c FROM t WHERE b = 2").fetchall() == [("y",)]
    first.execute("INSERT INTO t(t, rank) VALUES ('drop column', 'b')")
    second.cursor().executemany("INSERT INTO t VALUES (?, ?)", iter([(7, "z"), (8, "z")]))
    second.commit()
    assert [row[0] for row in first.execute("SELECT id FROM t ORDER BY id")] == [1, 2, 7, 8]
    first.execute("INSERT INTO t(t, rank) VALUES ('add column', 'd INTEGER')")
    second.execute("DELETE FROM t WHERE id = 8")
    second.commit()
    first.execute("INSERT INTO t(t, rank) VALUES ('drop column', 'd')")
    second.execute("INSERT INTO t(id, c) VALUES (8, 'again')")
    second.execute("UPDATE t SET c = 'z' WHERE id = 8")
    second.commit()
    assert first.execute("SELECT c FROM t WHERE id = 8").fetchall() == [("z",)]
    with pytest.raises(dbapi.ProgrammingError, match="no such column: b"):
        second.execute("INSERT INTO t VALUES (9, 'once'); SELECT b FROM t")
    second.commit()
    assert first.execute("SELECT count(*) FROM t WHERE c = 'once'").fetchall() == [(1,)]
    with pytest.raises(dbapi.DataError, match="type object"):
        second.execute("INSERT INTO t VALUES (?, ?)", (10, object()))
    first.close()
    second.close()


@pytest.mark.parametrize("kind", ["TABLE t({})", "VIRTUAL TABLE t USING audiomem('{n}.flac', {})"])
@pytest.mark.parametrize("rows", [0, 1])
def test_a_table_that_another_connection_made_anew_is_described(tmp_path: Path, kind: str, rows: int) -> None:
    """The columns are those of the rows, also of statements prepared for older tables, and empty."""
    first, second = (dbapi.connect(tmp_path / "base.db") for _ in range(2))
    queries = ("SELECT * FROM t", "SELECT *, 1 FROM t WHERE 1 = ?", "SELECT c FROM t")
    for number, columns in enumerate(["a, b, c", "c, d, e, f", "c", "b, c"]):
        names = columns.split(", ")
        first.execute(f"CREATE {kind}".format(", ".join(f"{name} TEXT" for name in names), n=number))
        if rows:
            first.execute(f"INSERT INTO t VALUES ({', '.join('?' * len(names))})", names)
        first.commit()
        for query, expected in zip(queries, (names, [*names, "1"], ["c"]), strict=True):
            cursor = second.execute(query, (1,) if "?" in query else ())
            assert [column[0] for column in cursor.description or ()] == expected
            assert [len(row) for row in cursor.fetchall()] == [len(expected)] * rows
        second.rollback()
        first.execute("DROP TABLE t")
        first.commit()
    first.close()
    second.close()


def test_parameters_may_be_dates_times_and_numbers_of_numpy(tmp_path: Path) -> None:
    Table.create(tmp_path / "t.flac", ["id INTEGER PRIMARY KEY", "seen TIMESTAMP", "word TEXT"]).close()
    connection = dbapi.connect(tmp_path / "t.flac")
    zone = timezone(timedelta(hours=2))
    moments = [datetime(2024, 3, 1, 12, tzinfo=zone), np.datetime64("2024-03-01T11"), pd.NaT]
    connection.cursor().executemany(
        "INSERT INTO t(id, seen, word) VALUES (?, ?, ?)",
        [(np.int64(number), moment, date(2024, 3, 1 + number)) for number, moment in enumerate(moments)],
    )
    expected = [
        (0, "2024-03-01 10:00:00", "2024-03-01"),
        (1, "2024-03-01 11:00:00", "2024-03-02"),
        (2, None, "2024-03-03"),
    ]
    assert connection.execute("SELECT * FROM t").fetchall() == expected
    for query, value, found in (
        ("seen = ?", datetime(2024, 3, 1, 10), [0]),
        ("seen > ?", pd.Timestamp("2024-03-01 10:00", tz="UTC"), [1]),
        ("seen >= ?", date(2024, 3, 1), [0, 1]),
        ("word = ?", date(2024, 3, 2), [1]),
        ("word < ?", time(10, 30, 0, 5), []),
        ("id = ?", np.float64(2), [2]),
    ):
        rows = connection.execute(f"SELECT id FROM t WHERE {query}", (value,)).fetchall()
        assert [row[0] for row in rows] == found
        named = connection.execute(f"SELECT id FROM t WHERE {query.replace('?', ':v')}", {"v": value})
        assert [row[0] for row in named] == found
    assert connection.execute("SELECT ?, ?", (time(10, 30), time(10, 30, 0, 5))).fetchall() == [
        ("10:30:00", "10:30:00.000005")
    ]
    with pytest.raises(dbapi.DataError, match=r"parameter 2: .*finer than a microsecond"):
        connection.execute("SELECT ?, ?", (1, pd.Timestamp("2024-03-01 10:00:00.000000001")))
    with pytest.raises(dbapi.DataError, match=r"parameter :at: .*time of day with a zone"):
        connection.execute("SELECT :at", {"at": time(10, tzinfo=zone)})
    with pytest.raises(dbapi.DataError, match="parameter 1: a value of type timedelta"):
        connection.execute("SELECT ?", (timedelta(1),))
    with pytest.raises(dbapi.DataError, match="column seen: 'soon' is no timestamp"):
        connection.execute("SELECT * FROM t WHERE seen = ?", ("soon",))
    connection.close()
