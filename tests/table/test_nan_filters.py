"""Which rows with NaN, infinities and -0.0 a filter lets through.

Arrow, polars and DuckDB have NaN as a value, each in its own way; SQLite, and what is written as its text,
has NULL in its place. The models are tables of these themselves.
"""

from __future__ import annotations

import math
import random
import sqlite3
from pathlib import Path
from typing import Any

import apsw
import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest
from reals import NANS, ROWS, Twin, bits, make

import audiomem_sql as am
from audiomem_sql.table.table import Table


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Twin:
    return make(tmp_path_factory.mktemp("nan") / "t.flac", random.Random(22))


LITERALS = [0.0, -0.0, 1.5, -2.5, 0.5, 1e300, -1e300, math.inf, -math.inf, math.nan]


def same(found: pa.Table, wanted: pa.Table) -> bool:
    ordered = found.sort_by("id")
    return ordered["id"].equals(wanted["id"]) and bits(ordered["x"].to_pylist()) == bits(
        wanted["x"].to_pylist()
    )


def arrow_filter(rng: random.Random, depth: int = 2) -> Any:
    x = pc.field("x")
    if depth and rng.random() < 0.5:
        one, other = arrow_filter(rng, depth - 1), arrow_filter(rng, depth - 1)
        made = one & other if rng.random() < 0.5 else one | other
        return ~made if rng.random() < 0.4 else made
    value = rng.choice(LITERALS)
    chosen = [*rng.sample(LITERALS, 3), *((0.0, -0.0) if rng.random() < 0.5 else ())]
    if 0.0 in chosen:  # Arrow's sets tell zeros apart, and NaN by its bits; ours do not
        chosen += [0.0, -0.0]
    if any(map(math.isnan, chosen)):
        chosen += NANS
    made = rng.choice(
        [
            lambda: rng.choice([x < value, x <= value, x > value, x >= value, x == value, x != value]),
            lambda: rng.choice([x.is_nan(), x.is_valid(), x.is_null(), x.is_null(nan_is_null=True)]),
            lambda: x.isin(pa.array([*chosen, *rng.choice([[], [None]])], pa.float64())),
            lambda: pc.field("g") == "a",
            lambda: pc.field("id") < rng.randrange(ROWS),
        ]
    )()
    return ~made if rng.random() < 0.4 else made


def test_filters_of_arrow(twin: Twin) -> None:
    memory = ds.InMemoryDataset(twin.memory)
    with Table(twin.path) as table:
        for seed in range(300):
            wanted = arrow_filter(random.Random(seed))
            assert same(table.dataset().to_table(filter=wanted), memory.to_table(filter=wanted)), (
                seed,
                str(wanted),
            )


@pytest.mark.parametrize("kind", [pa.int64(), pa.int8(), pa.uint8(), pa.float16(), pa.float32()])
def test_sets_of_other_numbers_are_sets_of_doubles(tmp_path: Path, kind: Any) -> None:
    """Arrow itself has no -0.0 in a set of integers, and in one of floats no 0.0 where that has -0.0."""
    reals = [0.0, -0.0, 1.0, 1.5, math.nan, -math.nan, None, math.inf]
    x = pc.field("x")
    with am.write_flac({"x": reals, "i": list(range(len(reals)))}, tmp_path / "t.flac") as table:

        def rows(condition: Any) -> list[int]:
            return sorted(table.dataset().to_table(filter=condition)["i"].to_pylist())

        zero, both = pa.array([0], kind), pa.array([1, 0], kind)
        assert rows(x.isin(zero)) == [0, 1]
        assert rows(~x.isin(zero)) == [2, 3, 4, 5, 6, 7]
        assert rows(x.isin(both)) == [0, 1, 2]
        assert rows(x.isin(pa.array([0, None], kind))) == [0, 1, 6]
        assert rows(~x.isin(pa.array([0, None], kind))) == [2, 3, 4, 5, 7]
        assert rows(x.isin(pa.array([], kind))) == []
        if pa.types.is_floating(kind):
            below, odd = pa.array([-0.0], pa.float64()).cast(kind), pa.array([math.nan, 1.5], kind)
            assert rows(x.isin(below)) == [0, 1]
            assert rows(~x.isin(below)) == [2, 3, 4, 5, 6, 7]
            assert rows(x.isin(odd)) == [3, 4, 5]
            assert rows(~x.isin(odd)) == [0, 1, 2, 6, 7]


def test_integers_that_no_double_is_are_not_rounded(tmp_path: Path) -> None:
    with am.write_flac({"x": [2.0**53, 2.0**53 + 2, 1.0]}, tmp_path / "t.flac") as table:
        for value, there in ((1 << 53, 1), ((1 << 53) + 1, 0), (1, 1)):
            found = table.dataset().to_table(filter=pc.field("x").isin(pa.array([value])))
            assert found.num_rows == there
        found = table.dataset().to_table(filter=pc.field("x").isin(pa.array([(1 << 53) + 1, 1])))
        assert found["x"].to_pylist() == [1.0]


def polars_filter(rng: random.Random, depth: int = 2) -> pl.Expr:
    x = pl.col("x")
    if depth and rng.random() < 0.5:
        one, other = polars_filter(rng, depth - 1), polars_filter(rng, depth - 1)
        made = one & other if rng.random() < 0.5 else one | other
        return ~made if rng.random() < 0.3 else made
    value = rng.choice(LITERALS)
    return rng.choice(
        [
            lambda: rng.choice([x < value, x <= value, x > value, x >= value, x == value, x != value]),
            lambda: rng.choice([x.is_nan(), x.is_not_nan(), x.is_null(), x.is_not_null()]),
            lambda: x.is_in(rng.sample(LITERALS, 3)),
            lambda: x.is_between(*sorted(rng.sample([-2.5, 0.5, 1.5, 1e300], 2))),
            lambda: pl.col("g") == "a",
        ]
    )()


def test_filters_of_polars(twin: Twin) -> None:
    frame = pl.from_arrow(twin.memory)
    assert isinstance(frame, pl.DataFrame)
    for seed in range(150):
        wanted = polars_filter(random.Random(seed))
        found = am.scan_flac(twin.path).filter(wanted).collect()
        assert found.sort("id").equals(frame.filter(wanted)), (seed, str(wanted))


def sql_filter(rng: random.Random, literal: Any, depth: int = 2) -> str:
    if depth and rng.random() < 0.5:
        joined = f" {rng.choice(['AND', 'OR'])} ".join(sql_filter(rng, literal, depth - 1) for _ in range(2))
        return f"NOT ({joined})" if rng.random() < 0.4 else f"({joined})"
    value = literal(rng.choice(LITERALS))
    made = rng.choice(
        [
            f"x {rng.choice(['<', '<=', '>', '>=', '=', '<>'])} {value}",
            f"x IS {rng.choice(['NULL', 'NOT NULL'])}",
            f"x {rng.choice(['IN', 'NOT IN'])} ({', '.join(map(literal, rng.sample(LITERALS, 4)))})",
            f"x BETWEEN {literal(rng.choice(LITERALS))} AND {value}",
            "g = 'a'",
        ]
    )
    return f"NOT ({made})" if rng.random() < 0.3 else made


#: DuckDB before 2.0 asks Arrow data for ``x > 1`` by Arrow's comparison, which is false for NaN.
OVER_ARROW = ["ours"] if int(duckdb.__version__.partition(".")[0]) >= 2 else []


def test_filters_of_duckdb(twin: Twin) -> None:
    config = {"allow_unsigned_extensions": "true"}
    with duckdb.connect(config=config) as con, Table(twin.path) as table:
        am.load(con)
        con.register("memory", twin.memory)
        con.register("ours", table.dataset())
        con.execute("CREATE TABLE own AS FROM memory")
        for seed in range(200):
            where = sql_filter(random.Random(seed), lambda value: f"'{value!r}'::DOUBLE")
            answers = [
                [r[0] for r in con.execute(f"SELECT id FROM {name} WHERE {where} ORDER BY id").fetchall()]
                for name in ("own", f"'{twin.path}'", *OVER_ARROW)
            ]
            assert answers.count(answers[0]) == len(answers), (seed, where)


def sqlite_literal(value: float) -> str:
    if math.isnan(value):
        return "NULL"
    return repr(value) if math.isfinite(value) else "9e999" if value > 0 else "-9e999"


SQLITE_MORE = [
    "x IS 1.5", "x IS NOT 1.5", "x LIKE '%'", "x LIKE '1%'", "x NOT LIKE '1%'", "x", "NOT x", "x = '1.5'",
    "x > 'a'", "x < 'a'", "x IS NOT NULL AND x <> 1.5", "coalesce(x, 7) = 7", "typeof(x) = 'null'",
    "x IN (NULL, 1.5)", "x NOT IN (NULL, 1.5)", "x IS NULL OR g = 'a'", "(x > 1) IS NULL",
    "x IN (0.0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1.5)",
]  # fmt: skip


def sqlite_answers(con: Any, name: str, where: str) -> list[int]:
    return [row[0] for row in con.execute(f"SELECT id FROM {name} WHERE {where} ORDER BY id")]


def test_filters_of_sqlite(twin: Twin) -> None:
    """Of its virtual table, through apsw and as an extension, and of ``where``: NaN is NULL."""
    model = sqlite3.connect(":memory:")
    model.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, g TEXT, x REAL)")
    rows = zip(*(twin.memory[name].to_pylist() for name in ("id", "g", "x")), strict=True)
    model.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    extended = apsw.Connection(":memory:")
    extended.enable_load_extension(True)
    extended.load_extension(am.loadable_path())
    extended.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{twin.path}')")
    ours = am.connect(twin.path)
    with Table(twin.path) as table:
        for seed in range(200):
            where = (
                sql_filter(random.Random(seed), sqlite_literal)
                if seed >= len(SQLITE_MORE)
                else SQLITE_MORE[seed]
            )
            wanted = sqlite_answers(model, "t", where)
            assert sqlite_answers(ours, "t", where) == wanted, where
            assert sqlite_answers(extended, "t", where) == wanted, where
            assert sorted(table.to_arrow(["id"], where=where)["id"].to_pylist()) == wanted, where
    for query in (
        "SELECT count(x), count(*), min(x), max(x), sum(x IS NULL) FROM t",
        "SELECT id FROM t ORDER BY x, id LIMIT 40",
        "SELECT id FROM t ORDER BY x DESC, id LIMIT 40",
        "SELECT g, count(DISTINCT x) FROM t GROUP BY g ORDER BY g",
        "SELECT count(*) FROM t AS a JOIN t AS b ON a.x = b.x WHERE a.id < 300 AND b.id < 300",
    ):
        wanted = model.execute(query).fetchall()
        assert list(ours.execute(query)) == wanted, query
        assert list(extended.execute(query)) == wanted, query
    for each in (model, extended, ours):
        each.close()


@pytest.mark.parametrize("falls", [False, True])
def test_the_first_rows_have_nan_behind_all_numbers(twin: Twin, falls: bool) -> None:
    values = twin.memory["x"].to_pylist()

    def place(row: int) -> tuple[int, float, int]:
        value = values[row]
        kind = 2 if value is None else 1 if math.isnan(value) else 0
        return kind, 0.0 if kind or value is None else -value if falls else value, row

    ordered = sorted(range(ROWS), key=place)
    with Table(twin.path) as table:
        for k in (1, 10, 1500, 2700, ROWS):
            found = table.top("x DESC" if falls else "x", k)
            assert found["id"].to_pylist() == ordered[:k], k
