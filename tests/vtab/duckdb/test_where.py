"""WHERE through the loadable extension gives the rows of DuckDB's own table, whether it reaches the scan or not."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from table.arrow_dataset.conftest import Twin, twin  # noqa: F401
from table.arrow_dataset.filters import condition

import audiomem_sql as am
from audiomem_sql.vtab.duckdb import pushed_filters
from audiomem_sql.vtab.duckdb.pushed_filters import (
    AND,
    BETWEEN,
    COLUMN,
    CONSTANT,
    EQUAL,
    FUNCTION,
    GREATER,
    IN,
    IS_NULL,
    LESS,
    NOT,
    NOT_IN,
    OR,
)

#: SQLite has no part in this.
DOORS = ("extension",)
#: ``AUDIOMEM_ANALYSIS_QUERIES=20000`` for longer.
QUERIES = int(os.environ.get("AUDIOMEM_ANALYSIS_QUERIES", "400")) // 2


@pytest.fixture(params=["for the release", "stable"])
def con(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """With the scan that is built for this release of DuckDB, if there is one, and with the stable one."""
    monkeypatch.setenv("AUDIOMEM_DUCKDB_INTERFACE", "stable" if request.param == "stable" else "")
    with duckdb.connect(config={"threads": 2, "allow_unsigned_extensions": "true"}) as connection:
        am.load(connection)
        yield connection


def test_random_conditions(con: Any, twin: Twin) -> None:  # noqa: F811
    con.register("arrow_rows", twin.memory)
    con.execute("CREATE TABLE expected AS FROM arrow_rows")
    rng = random.Random(16)
    for number in range(QUERIES):
        columns = ", ".join(rng.sample(twin.memory.column_names, rng.randrange(1, 5)))
        query = f"SELECT {columns} FROM ? WHERE {condition(rng)}"
        own = f"(SELECT * REPLACE (doc::VARCHAR AS doc) FROM '{twin.table.path}')"
        ours = con.execute(query.replace("?", own, 1)).fetchall()
        wanted = con.execute(query.replace("?", "expected", 1)).fetchall()
        assert sorted(map(repr, ours)) == sorted(map(repr, wanted)), (number, query)  # IN may be a join


SCHEMA = pa.schema(
    [
        ("n", pa.int64()), ("x", pa.float64()), ("s", pa.string()), ("at", pa.timestamp("us")), ("ok", pa.bool_()),
        ("raw", pa.binary()),
    ]
)  # fmt: skip
N, X, S, AT, OK, RAW = ((COLUMN, index, ()) for index in range(6))


def constant(value: Any) -> pushed_filters.Node:
    return CONSTANT, value, ()


def call(kind: int, *children: Any, name: str | None = None) -> pushed_filters.Node:
    return kind, name, children


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (call(GREATER, N, constant(5)), "(n > 5)"),
        (call(GREATER, constant(5), N), "(n < 5)"),
        (call(EQUAL, N, constant((50, "-7"))), "(n == -7)"),
        (call(EQUAL, N, constant((31, "18446744073709551615"))), None),
        (call(EQUAL, N, constant(5.0)), None),
        (call(EQUAL, N, constant(None)), None),
        (call(EQUAL, N, N), None),
        (call(EQUAL, X, constant(0.5)), "(x == 0.5)"),
        (call(EQUAL, X, constant(float("nan"))), None),
        (call(EQUAL, X, constant(float("inf"))), None),
        (call(EQUAL, X, constant((21, "0.5"))), None),
        (call(EQUAL, S, constant("a")), '(s == "a")'),
        (call(EQUAL, S, constant((26, "a"))), None),
        (call(EQUAL, RAW, constant((26, "a"))), None),
        (call(LESS, AT, constant((19, 0))), "(at < 1970-01-01 00:00:00.000000)"),
        (call(LESS, AT, constant((19, 2**63 - 1))), None),
        (call(LESS, AT, constant((15, "1970-01-01"))), None),
        (call(EQUAL, OK, constant((10, "true"))), "(ok == true)"),
        (OK, "ok"),
        (N, None),
        (call(NOT, OK), "invert(ok)"),
        (call(IS_NULL, RAW), "is_null(raw, {nan_is_null=false})"),
        (call(BETWEEN, N, constant(1), constant(9)), "((n >= 1) and (n <= 9))"),
        (call(NOT, call(BETWEEN, N, constant(1), constant(9))), None),
        (call(IN, N, constant(1), constant(2)), "((n == 1) or (n == 2))"),
        (call(IN, N, constant(1), constant(None)), None),
        (call(NOT_IN, N, constant(1)), "invert((n == 1))"),
        (call(FUNCTION, S, constant("ab"), name="prefix"), '((s >= "ab") and (s < "ac"))'),
        (call(NOT, call(FUNCTION, S, constant("ab"), name="prefix")), None),
        (call(FUNCTION, S, constant(""), name="prefix"), None),
        (call(FUNCTION, S, constant("ab"), name="contains"), 'match_substring(s, {pattern="ab", ignore_case=false})'),
        (call(NOT, call(FUNCTION, S, constant("ab"), name="contains")),
         'invert(match_substring(s, {pattern="ab", ignore_case=false}))'),
        (call(FUNCTION, S, constant("ab"), name="suffix"), 'ends_with(s, {pattern="ab", ignore_case=false})'),
        (call(FUNCTION, S, constant("a%b"), name="~~"), 'match_like(s, {pattern="a%b", ignore_case=false})'),
        (call(FUNCTION, S, constant("a%b"), name="!~~"), 'invert(match_like(s, {pattern="a%b", ignore_case=false}))'),
        (call(FUNCTION, S, constant("a_b"), name="~~"), None),
        (call(FUNCTION, S, constant("a\\b"), name="~~"), None),
        (call(FUNCTION, S, constant("ak_b%é"), name="~~*"), 'match_like(s, {pattern="a%%b%%", ignore_case=true})'),
        (call(FUNCTION, S, constant("%ski%"), name="~~*"), None),
        (call(NOT, call(FUNCTION, S, constant("a"), name="~~*")), None),
        (call(GREATER, call(FUNCTION, S, constant("a"), name="instr"), constant(0)),
         'match_substring(s, {pattern="a", ignore_case=false})'),
        (call(GREATER, call(FUNCTION, S, constant("a"), name="instr"), constant(1)), None),
        (call(NOT, call(GREATER, call(FUNCTION, S, constant(""), name="instr"), constant(0))), None),
        (call(FUNCTION, S, S, name="contains"), None),
        (call(FUNCTION, N, constant("a"), name="contains"), None),
        (call(FUNCTION, S, constant("a"), name="regexp_matches"), None),
        (call(AND, call(FUNCTION, S, constant("b"), name="sqrt"), call(LESS, N, constant(1))), "(n < 1)"),
        (call(OR, call(FUNCTION, S, constant("b"), name="sqrt"), call(LESS, N, constant(1))), None),
        (call(NOT, call(AND, call(EQUAL, X, constant(None)), call(LESS, N, constant(1)))), None),
        (call(NOT, call(AND, call(EQUAL, X, constant(1.0)), call(LESS, N, constant(1)))),
         "invert(((x == 1) and (n < 1)))"),
        (call(LESS, (COLUMN, -1, ()), constant(1)), None),
        (call(LESS, (COLUMN, 6, ()), constant(1)), None),
        (call(0, N), None),
    ],
)  # fmt: skip
def test_conditions(node: pushed_filters.Node, expected: str | None) -> None:
    found = pushed_filters.condition([node], SCHEMA)
    assert (None if found is None else str(found)) == expected


def test_all_conditions_together() -> None:
    nodes = [call(LESS, N, constant(9)), None, call(0), call(GREATER, N, constant(1))]
    assert str(pushed_filters.condition(nodes, SCHEMA)) == "((n < 9) and (n > 1))"
    assert pushed_filters.condition([], SCHEMA) is None


@pytest.mark.parametrize(
    ("beginning", "above"),
    [("a", "b"), ("ab\U0010ffff", "ac"), ("\U0010ffff", None), ("\ud7ff", "\ue000"), ("z\x7f", "z\x80")],
)
def test_the_text_above_a_prefix(beginning: str, above: str | None) -> None:
    node = call(FUNCTION, S, constant(beginning), name="prefix")
    found = pushed_filters.condition([node], SCHEMA)
    texts = pa.table({"s": [beginning, beginning + "x", beginning[:-1], "", *([above] if above else [])]})
    kept = texts.filter(found)["s"].to_pylist()
    assert kept == [beginning, beginning + "x"]
