"""NaN, infinities and -0.0 in columns of reals: what comes back by every door, keys, updates and versions."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import apsw
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from reals import NANS, ROWS, SPECIALS, bits, make
from samples import verify

import audiomem_sql as am
from audiomem_sql.errors import ConstraintError
from audiomem_sql.importing.importing import Order, import_files
from audiomem_sql.storage.segment.catalog_features import FEATURES, NAN
from audiomem_sql.table.row_diff import differences
from audiomem_sql.table.table import Table

# -- what comes back -----------------------------------------------------------------------------------------


def check_values(path: Path, memory: pa.Table) -> None:
    wanted = bits(memory["x"].to_pylist())
    with Table(path) as table:
        assert bits(table.to_arrow()["x"].to_pylist()) == wanted
        assert bits(table.dataset().to_table()["x"].to_pylist()) == wanted
        for row in (0, 7, 50, ROWS - 1):
            found = table.get(row)
            assert found is not None
            assert bits([found["x"]]) == [wanted[row]]
    assert bits(am.scan_flac(path).collect()["x"].to_list()) == wanted
    assert bits(am.read_flac(path, dtype_backend="pyarrow")["x"].array._pa_array.to_pylist()) == wanted
    with duckdb.connect(config={"allow_unsigned_extensions": "true"}) as con:
        am.register_duckdb(con)
        am.load(con)
        for source in (f"'{path}'", f"audiomem_scan('{path}')"):
            found = con.execute(f"SELECT x FROM {source} ORDER BY id").fetchall()
            assert bits(x for (x,) in found) == wanted


def test_every_bit_comes_back(tmp_path: Path) -> None:
    for seed in range(3):
        made = make(tmp_path / f"{seed}.flac", random.Random(seed))
        check_values(made.path, made.memory)
        with Table(made.path) as table:
            table.vacuum()
        check_values(made.path, made.memory)
        verify(made.path)


def test_every_door_takes_them_in(tmp_path: Path) -> None:
    values = [*SPECIALS, None, 1.5]
    wanted = bits(values)
    array = pa.array(values)
    given: dict[str, Any] = {
        "arrow": pa.table({"x": array}),
        "polars": pl.DataFrame({"x": pl.Series(array)}),
        "rows": [{"x": value} for value in values],
        "columns": {"x": values},
        "pandas": pd.DataFrame({"x": pd.Series(array, dtype=pd.ArrowDtype(pa.float64()))}),
    }
    for name, data in given.items():
        with Table.create(tmp_path / f"{name}.flac", ["x REAL"]) as table:
            table.append(data)
            assert bits(table.to_arrow()["x"].to_pylist()) == wanted, name
    numpy = np.array(values[:-2])
    with Table.create(tmp_path / "numpy.flac", ["x REAL"]) as table:
        table.append({"x": numpy})
        assert bits(table.to_arrow()["x"].to_pylist()) == wanted[:-2]


def test_pandas_takes_nan_for_missing(tmp_path: Path) -> None:
    """As Parquet has it: NumPy's doubles of a frame are NULL where they are NaN, and NaN again."""
    frame = pd.DataFrame({"x": [math.nan, -0.0, math.inf]})
    with am.write_flac(frame, tmp_path / "t.flac") as table:
        assert repr(table.to_arrow()["x"].to_pylist()) == "[None, -0.0, inf]"
        assert repr(table.to_pandas()["x"].tolist()) == "[nan, -0.0, inf]"


def test_float32_comes_back(tmp_path: Path) -> None:
    frame = pl.DataFrame({"x": pl.Series([math.nan, None, -0.0, math.inf], dtype=pl.Float32)})
    am.write_flac(frame, tmp_path / "t.flac").close()
    assert repr(am.scan_flac(tmp_path / "t.flac").collect()["x"].to_list()) == "[nan, None, -0.0, inf]"


def test_a_column_that_must_not_be_null_may_be_nan(tmp_path: Path) -> None:
    with Table.create(tmp_path / "t.flac", ["x REAL NOT NULL"]) as table:
        table.append([{"x": math.nan}])
        assert repr(table.to_arrow()["x"].to_pylist()) == "[nan]"
        with pytest.raises(ConstraintError):
            table.append([{"x": None}])


# -- writing through SQLite ----------------------------------------------------------------------------------

UPDATES = [
    "UPDATE t SET g = 'new' WHERE id = 1",
    "UPDATE t SET g = g || '!' WHERE x IS NULL",
    "UPDATE t SET g = 'all'",
    "UPDATE t SET id = id + 1000 WHERE id < 3",
    "UPDATE t SET g = s.b FROM (SELECT 1001 AS i, 'joined' AS b) AS s WHERE s.i = t.id",
    "UPDATE OR REPLACE t SET g = 'r' WHERE id = (SELECT max(id) FROM t)",
]


@pytest.mark.parametrize("door", ["apsw", "extension"])
def test_an_update_keeps_the_nan_of_other_columns(tmp_path: Path, door: str) -> None:
    path = tmp_path / "t.flac"
    values = [*NANS, None, -0.0, 1.0]
    with Table.create(path, ["id INTEGER PRIMARY KEY", "g TEXT", "x REAL"]) as table:
        table.append([{"id": row, "g": "a", "x": value} for row, value in enumerate(values)])
    if door == "apsw":
        con = am.connect(path)
    else:
        con = apsw.Connection(":memory:")
        con.enable_load_extension(True)
        con.load_extension(am.loadable_path())
        con.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{path}')")
    for statement in UPDATES:
        con.execute(statement)
    con.execute("BEGIN; UPDATE t SET g = 'one'; UPDATE t SET g = 'two'; COMMIT")
    with Table(path) as table:
        found = table.to_arrow().sort_by("id")
        assert found["id"].to_pylist() == [3, 4, 5, 6, 1000, 1001, 1002]
        assert set(found["g"].to_pylist()) == {"two"}
        assert bits(found["x"].to_pylist()) == bits([*values[3:], *values[:3]])
    con.execute("UPDATE t SET x = x WHERE id = 3")  # SQLite knows no NaN to set it to
    con.execute("UPDATE t SET x = -x WHERE id = 5")
    con.execute("INSERT INTO t (id, x) SELECT 50, x FROM t WHERE id = 1001")
    con.execute("INSERT INTO t (id, x) VALUES (51, -0.0)")
    con.close()
    with Table(path) as table:
        found = {row["id"]: row["x"] for row in table.to_arrow().to_pylist()}
        assert repr([found[row] for row in (3, 5, 50, 51)]) == "[None, 0.0, None, 0.0]"
        assert bits([found[1001]]) == bits([NANS[1]])


# -- keys, order, versions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shards", [None, 3])
def test_nan_is_a_key_as_null_is_and_zeros_are_one(tmp_path: Path, shards: int | None) -> None:
    path = tmp_path / ("t.flac" if shards is None else "t")
    options = {} if shards is None else {"shards": shards, "shard_key": "x"}
    with Table.create(path, ["x REAL UNIQUE", "n INTEGER"], options) as table:
        table.append(
            [{"x": value, "n": row} for row, value in enumerate([math.nan, math.nan, None, None, 0.0])]
        )
        table.append(pa.table({"x": pa.array([math.nan, None, *NANS]), "n": pa.array(range(6))}))
        for again in ([{"x": -0.0}], pa.table({"x": pa.array([-0.0])}), [{"x": 5.0}, {"x": 5.0}]):
            with pytest.raises(ConstraintError):
                table.append(again)
        table.append([{"x": -5.0, "n": 9}])
        assert table.to_arrow(where="x = -0.0")["n"].to_pylist() == [4]
        assert table.to_arrow(where="x = 0")["n"].to_pylist() == [4]
        assert sorted(table.to_arrow(where="x IS NULL")["n"].to_pylist()) == sorted([0, 1, 2, 3, *range(6)])
        table.vacuum()
        assert table.to_arrow(where="x = -0.0")["n"].to_pylist() == [4]
        with pytest.raises(ConstraintError):
            table.append([{"x": -0.0}])


def _frame_of_duckdb(rows: list[dict[str, Any]]) -> duckdb.DuckDBPyRelation:
    con = duckdb.connect()
    con.execute("CREATE TABLE s(id INTEGER, x DOUBLE)")
    con.executemany("INSERT INTO s VALUES (?, ?)", [tuple(row.values()) for row in rows])
    return con.sql("FROM s")


ADDED: dict[str, Any] = {
    "rows": lambda table, rows: table.append(rows),
    "arrow": lambda table, rows: table.append(pa.Table.from_pylist(rows)),
    "polars": lambda table, rows: table.append(pl.DataFrame(rows)),
    "duckdb": lambda table, rows: table.append(_frame_of_duckdb(rows)),
    "stream": lambda table, rows: table.append_stream(pa.Table.from_pylist(rows).to_reader()),
    "upsert by id": lambda table, rows: table.upsert(rows, "id"),
    "upsert by x": lambda table, rows: table.upsert(rows, "x"),
    "merge by x": lambda table, rows: table.merge_rows(rows, "x"),
}


@pytest.mark.parametrize("door", ADDED)
def test_no_door_has_nan_equal_to_another_key(tmp_path: Path, door: str) -> None:
    columns = ["id INTEGER PRIMARY KEY", "x REAL UNIQUE"]
    with Table.create(tmp_path / "t.flac", columns) as table:
        table.append([{"id": 1, "x": math.nan}, {"id": 2, "x": 2.0}])
        ADDED[door](table, [{"id": 3, "x": math.nan}, {"id": 4, "x": -math.nan}])
        assert table.update("id = 2", {"x": math.nan}).updated == 1
        found = table.to_arrow().sort_by("id").to_pylist()
        assert [row["id"] for row in found] == [1, 2, 3, 4]
        assert all(math.isnan(row["x"]) for row in found)
    with am.connect(tmp_path / "t.flac") as con:
        assert con.execute("SELECT count(*), count(x) FROM t").fetchone() == (4, 0)


def test_a_key_of_an_imported_file_may_be_nan(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [math.nan, 1.0, math.nan]}), tmp_path / "s.parquet")
    import_files([str(tmp_path / "s.parquet")], str(tmp_path / "t.flac"), Order(key="x"))
    with Table(tmp_path / "t.flac") as table:
        assert table.schema.columns[0].primary_key
        assert repr(table.to_arrow()["x"].to_pylist()) == "[nan, 1.0, nan]"


def test_keys_of_several_columns(tmp_path: Path) -> None:
    with Table.create(tmp_path / "t.flac", ["a TEXT", "x REAL", "UNIQUE (a, x)"]) as table:
        table.append(pa.table({"a": ["k"] * 4, "x": pa.array([math.nan, math.nan, None, 0.0])}))
        table.append([{"a": "k", "x": math.nan}])
        for again in ([{"a": "k", "x": -0.0}], pa.table({"a": ["k"], "x": pa.array([-0.0])})):
            with pytest.raises(ConstraintError):
                table.append(again)
        assert len(table) == 5


def test_versions_tell_what_changed(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with Table.create(path, ["id INTEGER PRIMARY KEY", "g TEXT", "x REAL"]) as table:
        table.append([{"id": 1, "g": "a", "x": math.nan}, {"id": 2, "g": "a", "x": 1.0}])
        first = table.version
        table.append(
            [{"id": 1, "g": "b", "x": math.nan}, {"id": 2, "g": "a", "x": math.nan}], replace="id IN (1, 2)"
        )
        with am.open(path, version=first) as before:
            assert repr(before.to_arrow()["x"].to_pylist()) == "[nan, 1.0]"
        found = differences(table, first, table.version)
        changed = {each.key["id"]: (each.before, each.after) for each in found}
        assert repr(changed) == "{1: ({'g': 'a'}, {'g': 'b'}), 2: ({'x': 1.0}, {'x': nan})}"


def test_the_format_names_the_feature_where_it_is_needed(tmp_path: Path) -> None:
    """Only of segments that have a block with NaN, or with both infinities, which look the same."""
    for name, values, needed in (
        ("numbers", [1.0, -0.0, None, math.inf], False),
        ("nan", [1.0, math.nan], True),
        ("infinities", [math.inf, -math.inf], True),
        ("null", [None, None], False),
    ):
        with am.write_flac(pa.table({"x": pa.array(values, pa.float64())}), tmp_path / f"{name}.flac"):
            pass
        with Table(tmp_path / f"{name}.flac") as table:
            (segment,) = (segment for segment in table.snapshot.segments if segment.rows)
            assert bool(FEATURES[NAN](segment.catalog)) == needed, name


def test_a_block_with_nan_is_never_passed_over(tmp_path: Path) -> None:
    values = [*np.linspace(0, 1, 20_000).tolist(), math.nan]
    with am.write_flac(pa.table({"x": pa.array(values)}), tmp_path / "t.flac") as table:
        (segment,) = (segment for segment in table.snapshot.segments if segment.rows)
        directory = segment.directory(0)
        assert directory is not None
        assert directory.zones.with_nan.tolist() == [False] * (directory.count - 1) + [True]
        assert table.dataset().count_rows(pc.field("x").is_nan()) == 1
        assert len(table.to_arrow(where="x IS NULL")) == 1
        assert table.dataset().count_rows(pc.field("x") != 0.5) == len(values)
        assert len(table.to_arrow(where="x <> -7")) == len(values) - 1
