"""ALTER in SQL: commands that change the columns, and connections that learn of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from audiomem_sql.connections import register
from audiomem_sql.errors import OptionError, SchemaError, UnsupportedError


def connect(folder: Path) -> apsw.Connection:
    connection = apsw.Connection(str(folder / "t.sqlite"))
    register(connection)
    return connection


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[apsw.Connection]:
    connection = connect(tmp_path)
    connection.execute("CREATE VIRTUAL TABLE t USING audiomem('t.flac', id INTEGER PRIMARY KEY, title TEXT)")
    connection.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    yield connection
    connection.close()


def alter(sql: apsw.Connection, command: str, argument: str) -> None:
    sql.execute("INSERT INTO t(t, rank) VALUES (?, ?)", (command, argument))


def rows(sql: apsw.Connection, query: str) -> list[tuple[object, ...]]:
    return sql.execute(query).fetchall()


def test_the_same_connection_knows_at_once(sql: apsw.Connection) -> None:
    assert rows(sql, "SELECT * FROM t") == [(1, "a"), (2, "b")]
    alter(sql, "add column", "year INTEGER NOT NULL DEFAULT 2000")
    assert rows(sql, "SELECT * FROM t") == [(1, "a", 2000), (2, "b", 2000)]
    sql.execute("INSERT INTO t VALUES (3, 'c', 1999)")
    assert rows(sql, "SELECT id FROM t WHERE year = 2000") == [(1,), (2,)]
    assert rows(sql, "SELECT id FROM t WHERE year < 2000") == [(3,)]
    alter(sql, "rename column", "title TO name")
    assert rows(sql, "SELECT name FROM t WHERE id = 3") == [("c",)]
    with pytest.raises(apsw.SQLError, match="no such column: title"):
        sql.execute("SELECT title FROM t")
    alter(sql, "drop column", "name")
    assert rows(sql, "SELECT * FROM t") == [(1, 2000), (2, 2000), (3, 1999)]
    assert [column[0] for column in sql.execute("SELECT * FROM t").description] == ["id", "year"]


def test_old_versions_through_new_columns_and_through_their_own(sql: apsw.Connection) -> None:
    alter(sql, "add column", "year INTEGER DEFAULT 5")
    alter(sql, "drop column", "title")
    sql.execute("UPDATE t SET year = 6 WHERE id = 1")
    assert rows(sql, "SELECT * FROM t WHERE version = 2") == [(1, 5), (2, 5)]
    sql.execute("CREATE VIRTUAL TABLE old USING audiomem('t.flac', version=2)")
    assert rows(sql, "SELECT * FROM old") == [(1, "a"), (2, "b")]
    assert rows(sql, "SELECT title, year FROM old JOIN t USING (id)") == [("a", 6), ("b", 5)]
    with pytest.raises(UnsupportedError, match="version 2"):
        sql.execute("INSERT INTO old VALUES (3, 'c')")
    assert rows(
        sql, "SELECT snapshot_id, commit_message FROM audiomem_snapshots('t') WHERE commit_message > ''"
    ) == [
        (3, "add column year INTEGER DEFAULT 5"),
        (4, 'drop column "title"'),
    ]
    assert rows(
        sql, "SELECT \"row\" FROM audiomem_changes('t', 2, 5) WHERE change_type LIKE 'update%' OR row_id = 1"
    ) == [
        ('{"id": 1, "title": "a"}',),
        ('{"id": 1, "year": 5}',),
        ('{"id": 1, "year": 6}',),
    ]


def test_another_connection_learns(sql: apsw.Connection, tmp_path: Path) -> None:
    other = connect(tmp_path)
    assert rows(other, "SELECT * FROM t") == [(1, "a"), (2, "b")]
    alter(sql, "add column", "year INTEGER")
    assert rows(other, "SELECT * FROM t") == [
        (1, "a"),
        (2, "b"),
    ]  # prepared before; it lacks nothing that it knew
    assert rows(other, "SELECT * FROM t") == [(1, "a", None), (2, "b", None)]
    alter(sql, "rename column", "title to name")
    with pytest.raises(apsw.SchemaChangeError, match="run the statement again"):
        other.execute("SELECT title FROM t")
    assert rows(other, "SELECT name FROM t") == [("a",), ("b",)]
    alter(sql, "drop column", "year")
    with pytest.raises(SchemaError, match="changed by another connection"):
        other.execute("INSERT INTO t VALUES (3, 'c', 1)")
    other.execute("INSERT INTO t VALUES (3, 'c')")
    assert rows(sql, "SELECT * FROM t") == [(1, "a"), (2, "b"), (3, "c")]
    other.close()


def test_a_statement_that_runs_keeps_its_columns(sql: apsw.Connection, tmp_path: Path) -> None:
    other = apsw.Connection(":memory:")
    register(other)
    other.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path / 't.flac'}')")
    running = other.execute("SELECT title FROM t")
    assert next(running) == ("a",)
    alter(sql, "drop column", "title")
    assert list(running) == [("b",)]
    other.close()


def test_the_database_is_opened_again(sql: apsw.Connection, tmp_path: Path) -> None:
    alter(sql, "add column", "year INTEGER")
    sql.close()
    again = connect(tmp_path)
    assert rows(again, "SELECT * FROM t") == [(1, "a", None), (2, "b", None)]
    again.close()


def test_a_transaction_cannot_hold_it(sql: apsw.Connection) -> None:
    sql.execute("BEGIN")
    with pytest.raises(OptionError, match="cannot be undone"):
        alter(sql, "drop column", "title")
    sql.execute("COMMIT")
    assert rows(sql, "SELECT * FROM t") == [(1, "a"), (2, "b")]
    with pytest.raises(OptionError, match="no command"):
        sql.execute("INSERT INTO t(t) VALUES ('add column')")
