"""DEFAULT, CHECK and keys of several columns, as SQL shows them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from audiomem_sql.connections import register
from audiomem_sql.errors import SchemaError

COLUMNS = """id INTEGER PRIMARY KEY, a TEXT NOT NULL, b INTEGER DEFAULT 7 CONSTRAINT positive CHECK (b > 0),
    c TEXT NOT NULL DEFAULT 'none', made TIMESTAMP DEFAULT CURRENT_TIMESTAMP, UNIQUE (a, b), CHECK (a <> c)"""


@pytest.fixture
def con(tmp_path: Path) -> Iterator[apsw.Connection]:
    with closing(apsw.Connection(":memory:")) as connection:
        register(connection)
        create(connection, tmp_path)
        yield connection


def create(connection: apsw.Connection, folder: Path, name: str = "t", columns: str = COLUMNS) -> None:
    connection.execute(
        f"CREATE VIRTUAL TABLE {name} USING audiomem('{folder}/{name}.flac', {columns}, profile=embedded)"
    )


def failure(con: apsw.Connection, sql: str) -> tuple[str, int]:
    with pytest.raises(apsw.ConstraintError) as caught:
        con.execute(sql)
    error: Any = caught.value
    return str(error), error.extendedresult


def test_messages_and_codes(con: apsw.Connection) -> None:
    con.execute("INSERT INTO t(a, b) VALUES ('x', 1)")
    unique = ("UNIQUE constraint failed: t.a, t.b", apsw.SQLITE_CONSTRAINT_UNIQUE)
    check = ("CHECK constraint failed: positive", apsw.SQLITE_CONSTRAINT_CHECK)
    assert failure(con, "INSERT INTO t(a, b) VALUES ('x', 1)") == unique
    assert failure(con, "INSERT OR REPLACE INTO t(a, b) VALUES ('x', 0)") == check
    assert failure(con, "UPDATE t SET b = -1") == check
    assert failure(con, "INSERT INTO t(a, b, c) VALUES ('x', 2, 'x')")[0] == "CHECK constraint failed: a <> c"
    null = ("NOT NULL constraint failed: t.c", apsw.SQLITE_CONSTRAINT_NOTNULL)
    assert failure(con, "UPDATE t SET c = NULL") == null
    con.execute("INSERT OR IGNORE INTO t(a, b) VALUES ('x', 1), ('y', 0), ('y', 1)")
    assert con.execute("SELECT a, b FROM t ORDER BY id").fetchall() == [("x", 1), ("y", 1)]


def test_null_stays_and_what_is_left_out_takes_the_default(con: apsw.Connection) -> None:
    con.execute("INSERT INTO t(a) VALUES ('x'), ('y')")
    con.execute("INSERT INTO t(a, b, made) VALUES ('z', NULL, NULL)")
    con.execute("INSERT INTO t(a, b, made) SELECT 'w', NULL, '2001-02-03'")
    assert failure(con, "INSERT INTO t(a, c) VALUES ('v', NULL)")[0] == "NOT NULL constraint failed: t.c"
    assert con.execute("SELECT a, b, c, made IS NULL FROM t").fetchall() == [
        ("x", 7, "none", 0),
        ("y", 7, "none", 0),
        ("z", None, "none", 1),
        ("w", None, "none", 0),
    ]
    assert con.execute("SELECT count(*) FROM t WHERE abs(unixepoch(made) - unixepoch('now')) < 60").get == 2
    con.execute("DELETE FROM t WHERE b IS NULL")
    con.execute("UPDATE t SET b = NULL, made = NULL WHERE a = 'x'")
    con.execute("UPDATE OR REPLACE t SET c = NULL, b = NULL WHERE a = 'y'")
    assert con.execute("SELECT a, b, c FROM t WHERE b IS NULL").fetchall() == [
        ("x", None, "none"),
        ("y", None, "none"),
    ]
    con.execute("INSERT INTO t(a, b) VALUES ('x', 7)")


def test_replace_removes_every_row_in_the_way(con: apsw.Connection, tmp_path: Path) -> None:
    create(
        con,
        tmp_path,
        "k",
        "a INTEGER, b INTEGER, c INTEGER, PRIMARY KEY (a, b), UNIQUE (b, c), UNIQUE (c, a)",
    )
    con.execute("INSERT INTO k VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3), (4, 4, 4)")
    con.execute("INSERT INTO k VALUES (1, 2, 9), (9, 2, 3), (1, 9, 3)")
    con.execute("INSERT OR REPLACE INTO k VALUES (1, 2, 3)")
    assert con.execute("SELECT a, b, c FROM k ORDER BY a").fetchall() == [
        (1, 1, 1),
        (1, 2, 3),
        (2, 2, 2),
        (3, 3, 3),
        (4, 4, 4),
    ]
    assert failure(con, "INSERT INTO k VALUES (NULL, 1, 1)")[0] == "NOT NULL constraint failed: k.a"
    con.execute("INSERT INTO k VALUES (5, 5, NULL), (6, 5, NULL)")
    con.execute("UPDATE OR REPLACE k SET b = 2, c = 3 WHERE a = 4")
    assert con.execute("SELECT a, b, c FROM k WHERE c = 3 ORDER BY a").fetchall() == [(3, 3, 3), (4, 2, 3)]


def test_a_statement_that_fails_at_a_later_row_leaves_nothing(con: apsw.Connection) -> None:
    with con:
        con.execute("INSERT INTO t(a, b) VALUES ('x', 1)")
        failure(con, "INSERT INTO t(a, b) VALUES ('y', 1), ('z', 0)")
        failure(con, "INSERT OR FAIL INTO t(a, b) VALUES ('kept', 1), ('z', 0)")
    assert con.execute("SELECT a FROM t").fetchall() == [("x",), ("kept",)]
    con.execute("BEGIN; INSERT INTO t(a) VALUES ('gone')")
    failure(con, "INSERT OR ROLLBACK INTO t(a, b) VALUES ('z', 0)")
    assert not con.in_transaction
    assert con.execute("SELECT count(*) FROM t").get == 2


def test_they_are_there_when_the_table_is_opened_again(con: apsw.Connection, tmp_path: Path) -> None:
    con.execute("INSERT INTO t(a, b) VALUES ('x', 1)")
    con.execute("INSERT INTO t(t) VALUES ('vacuum')")
    con.execute("DROP TABLE t")
    con.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path}/t.flac')")
    assert failure(con, "INSERT INTO t(a, b) VALUES ('x', 1)")[0] == "UNIQUE constraint failed: t.a, t.b"
    assert failure(con, "INSERT INTO t(a, b) VALUES ('x', 0)")[0] == "CHECK constraint failed: positive"
    con.execute("DROP TABLE t")
    con.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path}/t.flac', {COLUMNS})")
    con.execute("DROP TABLE t")
    with pytest.raises(SchemaError, match="the columns given are not those of the file"):
        create(con, tmp_path, columns=COLUMNS.replace("b > 0", "b > 1"))


def test_names_with_everything_in_them(con: apsw.Connection, tmp_path: Path) -> None:
    columns = '"a, b" TEXT, "c "" d" INTEGER CHECK ("c "" d" > 0), CONSTRAINT "one "" two" UNIQUE ("a, b", "c "" d")'
    create(con, tmp_path, "odd", columns)
    con.execute("INSERT INTO odd VALUES ('x', 1)")
    with pytest.raises(apsw.ConstraintError, match="CHECK constraint failed: "):
        con.execute("INSERT INTO odd VALUES ('x', 0)")
    with pytest.raises(apsw.ConstraintError, match="UNIQUE constraint failed: "):
        con.execute("INSERT INTO odd VALUES ('x', 1)")


def test_integrity_check_is_silent(con: apsw.Connection) -> None:
    con.execute("INSERT INTO t(a, b) VALUES ('x', 1), ('y', 1)")
    con.execute("INSERT INTO t(t) VALUES ('checkpoint')")
    assert con.execute("PRAGMA integrity_check").get == "ok"
