"""The hidden column that is called like its table holds a row for ``highlight``; to SQL it is NULL, wherever it goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import pytest

from audiomem_sql.errors import DataTypeError

from .notes_table import create

COLUMNS = "id INTEGER PRIMARY KEY, s TEXT UNIQUE, seen TIMESTAMP, b BLOB, j JSON, ok BOOLEAN, v FLOAT[2], body TEXT INDEXED"


@pytest.fixture
def tables(con: apsw.Connection, tmp_path: Path) -> apsw.Connection:
    """Table t of two rows, and u of two."""
    create(con, tmp_path / "t.flac", COLUMNS, "t")
    create(con, tmp_path / "u.flac", "a INTEGER, s TEXT NOT NULL DEFAULT 'd'", "u")
    con.execute("INSERT INTO t(id, s, body) VALUES (1, 'x', 'one'), (2, 'y', 'two')")
    con.execute("INSERT INTO u VALUES (1, 'x'), (2, 'y')")
    return con


def count(con: apsw.Connection, condition: str) -> Any:
    return con.execute(f"SELECT count(*) FROM u CROSS JOIN t ON {condition}").get


@pytest.mark.parametrize("column", ["id", "rowid", "s", "seen", "b", "j", "ok", "v"])
def test_a_row_is_compared_with_it_as_with_null(tables: apsw.Connection, column: str) -> None:
    for op in ("=", "<", "<=", ">", ">=", "<>", "IS", "IS NOT", "LIKE", "GLOB"):
        expected = count(tables, f"t.{column} {op} nullif(u.a, u.a)")
        for name in ("u.audiomem_table", "u.u"):
            assert count(tables, f"t.{column} {op} {name}") == expected
    assert count(tables, f"t.{column} BETWEEN u.u AND u.u") == 0
    assert count(tables, f"t.{column} IN (u.u, u.u)") == 0
    assert count(tables, f"(t.{column}, t.id) = (u.u, u.a)") == 0


@pytest.mark.parametrize("condition", ["t.version = u.u", "t.as_of = u.u", "t MATCH u.u", "t.filter = u.u"])
def test_what_asks_for_something_finds_nothing_by_null(tables: apsw.Connection, condition: str) -> None:
    assert count(tables, condition) == 0


def test_it_is_stored_as_null(tables: apsw.Connection) -> None:
    tables.execute("INSERT INTO t(s, seen, b, j, ok, v) SELECT u, u, u, u, u, u FROM u WHERE a = 1")
    tables.execute("INSERT INTO t(id, s) SELECT u, 'z' FROM u WHERE a = 1")
    tables.execute("UPDATE t SET s = t, b = audiomem_table WHERE id = 1")
    rows = tables.execute("SELECT id, s, seen, b, j, ok, v FROM t WHERE id <> 2").fetchall()
    assert rows == [(1, *[None] * 6), (3, *[None] * 6), (4, "z", *[None] * 5)]
    tables.execute("INSERT INTO u(u) SELECT t FROM t WHERE id = 1")  # as with NULL: a row like any other
    assert tables.execute("SELECT a, s FROM u").fetchall() == [(1, "x"), (2, "y"), (None, "d")]


def test_constraints_and_rowids_take_it_for_null(tables: apsw.Connection) -> None:
    with pytest.raises(apsw.ConstraintError, match=r"NOT NULL constraint failed: u\.s"):
        tables.execute("INSERT INTO u(s) SELECT u FROM u")
    with pytest.raises(apsw.ConstraintError, match=r"NOT NULL constraint failed: u\.s"):
        tables.execute("UPDATE u SET s = u")
    for change in ("UPDATE u SET rowid = u", "UPDATE t SET rowid = t", "UPDATE t SET id = t"):
        for rows in ("", " WHERE rowid = 1"):
            with pytest.raises(DataTypeError, match="cannot store NULL value in"):
                tables.execute(change + rows)
    tables.execute("UPDATE OR IGNORE u SET s = u")
    assert tables.execute("SELECT rowid, * FROM u").fetchall() == [(1, 1, "x"), (2, 2, "y")]
    assert tables.execute("SELECT id, s FROM t").fetchall() == [(1, "x"), (2, "y")]


@pytest.mark.parametrize(
    "call",
    [
        *("vec_to_json({})", "vec_from_json({})", "embed({})", "cosine_distance({}, t.v)"),
        *("cosine_distance(t.v, {})", "l2_distance({0}, {0})", "l2_distance(t.v, {})"),
        *("highlight('a b', {})", "snippet('a b', {})"),
    ],
)
def test_functions_take_it_for_null(tables: apsw.Connection, call: str) -> None:
    tables.execute("UPDATE t SET v = vec_from_json('[1, 2]')")
    for name in ("u.u", "u.audiomem_table", "t.t", "NULL"):
        assert (
            tables.execute(f"SELECT {call.format(name)} FROM t JOIN u ON id = a").fetchall() == [(None,)] * 2
        )
    distances = tables.execute("SELECT l2_distance(v, v), vec_to_json(v) FROM t").fetchall()
    assert distances == [(0.0, "[1.0, 2.0]")] * 2


@pytest.mark.parametrize("call", ["embed(1)", "embed('a', t)", "vec_to_json('x')", "l2_distance('x', 'y')"])
def test_functions_refuse_what_is_no_vector_beside_it(tables: apsw.Connection, call: str) -> None:
    with pytest.raises(DataTypeError, match=r"no JSON array|embed takes") as refused:
        tables.execute(f"SELECT {call} FROM t").fetchall()
    assert "FoundRow" not in str(refused.value)
