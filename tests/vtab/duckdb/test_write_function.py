"""``audiomem_write(path, row)``, which writes files in every DuckDB, and what COPY does where it cannot."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

import audiomem_sql as am
from audiomem_sql.vtab.duckdb.write_function import _state_of_each

from .conftest import HAS_COPY, HAS_SECOND_INTERFACE

#: SQLite has no part in this.
DOORS = ("extension",)


@pytest.fixture
def con(loaded: Any) -> Any:
    loaded.execute(
        "CREATE TABLE t AS SELECT i AS id, 'a text longer than twelve bytes ' || (i % 7) AS title, "
        "CASE WHEN i % 3 > 0 THEN i / 4.0 END AS x, 'w' || (i % 3) AS w FROM range(9_000) AS r(i)"
    )
    return loaded


def test_rows_become_a_file(con: Any) -> None:
    assert con.execute("SELECT audiomem_write('x.flac', t ORDER BY id) FROM t").fetchone() == (9_000,)
    assert con.execute("FROM 'x.flac'").fetchall() == con.execute("FROM t ORDER BY id").fetchall()
    con.execute("SELECT audiomem_write('y.flac', t) FROM t")  # in any order
    assert con.execute("SELECT count(*), sum(id), sum(x) FROM 'y.flac'").fetchone() == (
        con.execute("SELECT count(*), sum(id), sum(x) FROM t").fetchone()
    )
    assert sorted(os.listdir()) == ["x.flac", "y.flac"]


def test_a_file_for_each_group(con: Any) -> None:
    query = "SELECT w, audiomem_write(w || '.flac', t, {'primary_key': 'id'}) FROM t GROUP BY w ORDER BY w"
    assert con.execute(query).fetchall() == [("w0", 3_000), ("w1", 3_000), ("w2", 3_000)]
    assert con.execute("SELECT list(DISTINCT w), min(id) FROM 'w1.flac'").fetchall() == [(["w1"], 1)]
    with am.open("w1.flac") as table:
        assert [column.name for column in table.schema.columns if column.primary_key] == ["id"]


def test_an_order_in_every_group(con: Any) -> None:
    query = "SELECT id // 3 AS g, audiomem_write('g' || (id // 3) || '.flac', t ORDER BY id DESC) AS n FROM t WHERE id < 90 GROUP BY g"
    assert con.execute(f"SELECT DISTINCT n FROM ({query})").fetchall() == [(3,)]
    for group in (0, 7, 29):
        found = con.execute(f"SELECT id FROM 'g{group}.flac'").fetchall()
        assert found == [(3 * group + 2,), (3 * group + 1,), (3 * group,)]


def test_an_order_in_many_small_groups_at_once(con: Any) -> None:
    """DuckDB 1.x tells the states of such rows wrongly, and what lies beside them is that of other threads."""
    con.execute("SET threads = 8")
    con.execute("CREATE TABLE many AS SELECT i AS id, i // 2 AS g FROM range(100_000) AS r(i)")
    query = """
        SELECT g, audiomem_write('a' || (g % 24) || '.flac', m ORDER BY id DESC) FILTER (g < 24) AS a,
          audiomem_write('b' || (g % 24) || '.flac', m ORDER BY id) FILTER (g < 24) AS b FROM many m GROUP BY g
    """
    counted = con.execute(
        f"SELECT count(*), count(a), min(a), max(a), min(b), max(b) FROM ({query})"
    ).fetchone()
    assert counted == (50_000, 24, 2, 2, 2, 2)
    for g in (0, 11, 23):
        assert con.execute(f"FROM 'a{g}.flac'").fetchall() == [(2 * g + 1, g), (2 * g, g)]
        assert con.execute(f"FROM 'b{g}.flac'").fetchall() == [(2 * g, g), (2 * g + 1, g)]


def test_groups_that_name_the_same_file(con: Any) -> None:
    for order in ("", " ORDER BY id"):
        with pytest.raises(duckdb.Error, match=r"same\.flac: .*exists"):
            con.execute(f"SELECT audiomem_write('same.flac', t{order}) FROM t GROUP BY w")
        for name in os.listdir():
            os.unlink(name)


def test_windows(con: Any) -> None:
    query = "SELECT DISTINCT w, audiomem_write(w || '.flac', t) OVER (PARTITION BY w) FROM t ORDER BY w"
    assert con.execute(query).fetchall() == [("w0", 3_000), ("w1", 3_000), ("w2", 3_000)]
    assert con.execute("SELECT count(*), min(w), max(w) FROM 'w1.flac'").fetchone() == (3_000, "w1", "w1")


@pytest.mark.parametrize(
    ("may_be_of_all", "numbers", "paths", "states"),
    [
        (0, [7, 8, 7], "aba", [7, 8, 7]),
        (0, [7, 8, 9], "aaa", [7, 8, 9]),
        (1, [7, 8, 9], "aaa", [7, 7, 7]),
        (1, [7, 8, 7], "aba", [7, 8, 7]),
        (1, None, "aba", [7, 7, 7]),
        (0, None, "aba", [7, 7, 7]),
    ],
)
def test_the_state_of_each_row(
    may_be_of_all: int, numbers: list[int] | None, paths: str, states: list[int]
) -> None:
    def stored(values: list[int]) -> bytes:
        return np.array(values, "<u8").tobytes()

    told = stored([7]), may_be_of_all, None if numbers is None else stored(numbers)
    assert _state_of_each(told, pa.array(list(paths))).tolist() == states


def test_a_query_and_a_path(con: Any) -> None:
    con.execute(
        "CREATE TEMP TABLE mine AS SELECT 9 - i AS id, i % 3 AS path, 1 AS query, 2 AS options FROM range(9) r(i)"
    )
    assert con.execute("CALL audiomem_write('FROM mine ORDER BY id', 'x.flac')").fetchall() == [(9,)]
    assert con.execute("FROM 'x.flac'").fetchall() == con.execute("FROM mine ORDER BY id").fetchall()
    with pytest.raises(duckdb.Error, match=r"x\.flac: the file exists already"):
        con.execute("CALL audiomem_write('FROM mine', 'x.flac')")
    con.execute("BEGIN")
    con.execute("INSERT INTO mine VALUES (77, 77, 7, 7)")
    query = "SELECT rows FROM audiomem_write('SELECT id FROM mine WHERE path = 77', 'x.flac', options := {'overwrite': true, 'primary_key': 'id'})"
    assert con.execute(query).fetchall() == [(1,)]
    con.execute("ROLLBACK")
    assert con.execute("FROM 'x.flac'").fetchall() == [(77,)]
    with am.open("x.flac") as table:
        assert [column.name for column in table.schema.columns if column.primary_key] == ["id"]
    assert con.execute("CALL audiomem_write('FROM mine WHERE id < 0', 'none.flac', NULL)").fetchall() == [
        (None,)
    ]
    with pytest.raises(duckdb.Error, match="single SELECT"):
        con.execute("CALL audiomem_write('DROP TABLE mine', 'y.flac')")
    with pytest.raises(duckdb.Error, match="options of audiomem_write are a STRUCT"):
        con.execute("CALL audiomem_write('FROM mine', 'y.flac', 'overwrite')")
    assert os.listdir() == ["x.flac"]


def test_who_knows_the_macro(con: Any) -> None:
    """Where DuckDB lets an extension make a macro, every connection; else the one that was given to load."""
    with duckdb.connect(config={"allow_unsigned_extensions": "true"}) as fresh:
        am.load(fresh)
        fresh.create_function("plus_one", lambda n: n + 1, ["BIGINT"], "BIGINT")  # no result is left open
    with con.cursor() as cursor:
        if HAS_SECOND_INTERFACE:
            assert cursor.execute("CALL audiomem_write('SELECT 1 AS a', 'x.flac')").fetchall() == [(1,)]
        else:
            with pytest.raises(duckdb.CatalogException, match="audiomem_write"):
                cursor.execute("CALL audiomem_write('SELECT 1 AS a', 'x.flac')")
            am.load(cursor)
            assert cursor.execute("CALL audiomem_write('SELECT 1 AS a', 'x.flac')").fetchall() == [(1,)]
    count = "SELECT count(*) FROM duckdb_functions() WHERE function_name = 'audiomem_write' AND function_type = 'table_macro'"
    assert con.execute(count).fetchone() == (1,)


def test_temporary_tables_and_the_open_transaction(con: Any) -> None:
    con.execute("CREATE TEMP TABLE mine (a INTEGER, b VARCHAR[])")
    con.execute("BEGIN")
    con.execute("INSERT INTO mine VALUES (1, NULL), (NULL, NULL)")
    con.execute("SELECT audiomem_write('x.flac', m) FROM (SELECT a FROM mine) AS m")
    con.execute("ROLLBACK")
    assert con.execute("FROM 'x.flac'").fetchall() == [(1,), (None,)]


def test_rows_that_are_null_and_no_rows(con: Any) -> None:
    query = "SELECT audiomem_write('x.flac', CASE WHEN id > 5 THEN NULL ELSE t END) FROM t"
    assert con.execute(query).fetchone() == (6,)
    assert con.execute("SELECT count(*) FROM 'x.flac'").fetchone() == (6,)
    assert con.execute("SELECT audiomem_write('y.flac', t) FROM t WHERE id < 0").fetchone() == (None,)
    assert os.listdir() == ["x.flac"]


def test_a_file_that_is_there(con: Any) -> None:
    con.execute("SELECT audiomem_write('x.flac', t) FROM t WHERE id < 10")
    before = Path("x.flac").read_bytes()
    with pytest.raises(duckdb.Error, match=r"x\.flac: the file exists already"):
        con.execute("SELECT audiomem_write('x.flac', t) FROM t")
    with pytest.raises(duckdb.Error, match="exists already"):
        con.execute("SELECT audiomem_write('x.flac', t, {'overwrite': false}) FROM t")
    assert Path("x.flac").read_bytes() == before
    con.execute("SELECT audiomem_write('x.flac', t, {'overwrite': true}) FROM t WHERE id < 3")
    assert con.execute("SELECT count(*) FROM 'x.flac'").fetchone() == (3,)
    assert os.listdir() == ["x.flac"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("'x.flac', id", "takes a path and a row"),
        ("w || '.flac', t", "go to one file"),
        ("w || '.flac', t ORDER BY id", "go to one file"),
        ("NULL, t", "go to one file"),
        ("'x.flac', t, 'primary_key'", "the options of audiomem_write are a STRUCT"),
        ("'x.flac', t, {'profil': 'server'}", "there is no option profil"),
        ("'x.flac', t, {'overwrit': true}", "Did you mean overwrite"),
        ("'x.flac', t, {'primary_key': 'nix'}", "there is no column nix"),
        ("'x.flac', t, {'primary_key': 'w'}", "UNIQUE constraint failed: w"),
        ("'nowhere/x.flac', t", "there is no such folder"),
        ("'x.flac', {'a': union_value(b := 1)}", "no column type holds DuckDB's UNION"),
    ],
)
def test_what_is_refused(con: Any, arguments: str, message: str) -> None:
    with pytest.raises(duckdb.Error, match=message):
        con.execute(f"SELECT audiomem_write({arguments}) FROM t")
    assert os.listdir() == []


def test_copy_before_duckdb_knows_formats_of_extensions(con: Any) -> None:
    """Then DuckDB writes CSV to every name that it does not know, and no extension can prevent it."""
    con.execute("COPY (SELECT 1 AS a) TO 'csv.out.flac'")
    is_csv = Path("csv.out.flac").read_bytes() == b"a\n1\n"
    Path("csv.out.flac").unlink()
    assert is_csv == (not HAS_COPY)
