"""Filters of pyarrow: the ends of what a condition can say, against pyarrow itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import audiomem_sql as am
from audiomem_sql.scan.arrow_expression import Call, Field, parse_expression
from audiomem_sql.scan.arrow_filter import filters_of_expression
from audiomem_sql.table.table import Table

NAN, INFINITY = float("nan"), float("inf")
F = pc.field
MEMORY = pa.table(
    {
        "n": pa.array([1, 2, None, -(2**63), 2**63 - 1, 0, 5, None]),
        "x": pa.array([0.0, -1.5, None, INFINITY, -INFINITY, 1e300, NAN, -0.0]),
        "ok": pa.array([True, False, None, True, False, None, True, True]),
        "t": pa.array(["a", "ab", None, "", "é", "a\0b", "ab\U0010ffff", "B"]),
        "b": pa.array([b"", b"\xff", None, b"a", b"ab", b"a\0", b"b", b"\xff\xff"]),
        "at": pa.array([0, 1, None, -1, 1_700_000_000_000_000, 10**15, 5, 6], pa.timestamp("us")),
    }
)


def micros(value: int, unit: str = "us") -> Any:
    return pa.scalar(value, pa.timestamp(unit))


EXPRESSIONS = {
    "nan": [
        F("x") < NAN,
        F("x") != NAN,
        ~(F("x") < NAN),
        ~(F("x") == NAN),
        F("x").isin([NAN, 1e300]),
        ~F("x").isin([NAN, None]),
        F("x").isin([1e300, None]),
        F("x").is_nan(),
        ~F("x").is_nan(),
        F("x").is_null(),
        F("x").is_valid(),
        ~F("x").is_valid(),
        F("x").is_null(nan_is_null=True),
        ~F("x").is_null(nan_is_null=True),
        F("x") > 1,
        ~(F("x") > 1),
        F("x") != 1e300,
        ~(F("x") != 1e300),
        (F("x") > 1) | (F("x") < -1),
        ~((F("x") > 1) & (F("n") > 1)),
        ~(F("x").is_nan() | (F("n") > 1)),
    ],
    "infinite": [F("x") <= INFINITY, F("x") < -INFINITY, F("x") == -INFINITY, ~(F("x") > -INFINITY)],
    "zero": [F("x") == -0.0, F("x") > pa.scalar(1, pa.int8())],
    "null": [F("n") == pa.scalar(None, pa.int64()), ~(F("n") == pa.scalar(None, pa.int64()))],
    "sets": [
        F("n").isin([1, None]),
        ~F("n").isin([1, None]),
        ~F("n").isin([1, 2]),
        F("n").isin(pa.array([], pa.int64())),
        ~F("n").isin(pa.array([], pa.int64())),
        pc.is_in(F("n"), pa.array([1, None]), skip_nulls=True),
        ~pc.is_in(F("n"), pa.array([1, None]), skip_nulls=True),
        F("t").isin(["a", "é", None]),
        pc.if_else(F("n").is_valid(), F("n").isin([1, 2]), pa.scalar(None, pa.bool_())),
        ~pc.if_else(F("n").is_valid(), F("n").isin([1, 2]), pa.scalar(None, pa.bool_())),
        pc.if_else(F("ok").is_valid(), F("n").isin([1, 2]), pa.scalar(None, pa.bool_())),
    ],
    "truths": [
        F("ok"),
        ~F("ok"),
        ~~F("ok"),
        F("ok") < True,
        F("ok") | (F("n") > 1),
        ~(F("ok") & (F("n") > 1)),
    ],
    "logic": [
        (F("n") == 1) | (F("n") == 5),
        ~((F("n") == 1) | (F("n") == 5)),
        ~(F("n").is_null() | (F("n") > 1)),
    ],
    "times": [
        F("at") > micros(2**63 - 1),
        F("at") < micros(2**63 - 1),
        F("at") > micros(-(2**63)),
        F("at") == micros(-(2**63)),
        F("at") != micros(2**62),
        F("at").isin(pa.array([0, 2**62], pa.timestamp("us"))),
        F("at") <= micros(0),
        F("at") >= micros(1_700_000_000, "s"),
        F("at") > micros(10**18, "ns"),
        ~(F("at") < micros(2**62)),
    ],
    "texts": [
        pc.starts_with(F("t"), "a"),
        pc.starts_with(F("t"), ""),
        pc.starts_with(F("t"), "ab\U0010ffff"),
        F("t") > "a\0",
        ~pc.starts_with(F("t"), "a"),
        pc.starts_with(F("t"), "A", ignore_case=True),
        pc.starts_with(F("t"), "K", ignore_case=True),
        F("t") == pa.scalar("a", pa.large_string()),
        *(pc.match_like(F("t"), pattern) for pattern in ("a%", "%b", "%a%b%", "a", "", "%", "a_%", "%\\_")),
        *(pc.ends_with(F("t"), "B", ignore_case=ignored) for ignored in (False, True)),
        *(pc.match_substring(F("t"), text, ignore_case=True) for text in ("", "B", "k", "É", "a\0")),
        *(~pc.match_substring(F("t"), text) for text in ("", "b", "\0", "é")),
        F("t") < F("t"),
    ],
    "blobs": [F("b") > b"a", F("b") == b"\xff", F("b").isin([b"", b"a\0"]), ~(F("b") <= b"a")],
}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    with am.write_flac(MEMORY, tmp_path_factory.mktemp("filter") / "t.flac") as made:
        yield made


@pytest.mark.parametrize("kind", EXPRESSIONS)
def test_a_filter_means_what_it_means_in_arrow(table: Table, kind: str) -> None:
    for expression in EXPRESSIONS[kind]:
        expected = MEMORY.filter(expression)
        found = table.dataset().to_table(filter=expression)
        assert found.schema == table.schema.to_arrow()
        assert repr(found.to_pylist()) == repr(expected.to_pylist()), expression


def test_a_set_with_minus_zero_holds_zero(table: Table) -> None:
    """DuckDB 1.5 sends sets of numbers and means both; Arrow tells them apart."""
    few, many = [-0.0], [0.0, *range(5, 20)]
    for values in (few, many):
        found = table.dataset().to_table(["x"], F("x").isin(pa.array(values, pa.float64())))
        assert repr(found["x"].to_pylist()) == "[0.0, -0.0]"


def test_collations_are_none_of_arrows_business(tmp_path: Path) -> None:
    with Table.create(tmp_path / "t.flac", ["t TEXT COLLATE NOCASE"]) as made:
        made.append([{"t": "a"}, {"t": "A"}, {"t": "B"}])
        assert made.dataset().to_table(filter=F("t") == "a")["t"].to_pylist() == ["a"]
        assert made.dataset().to_table(filter=F("t") > "B")["t"].to_pylist() == ["a"]
        assert made.to_arrow(where="t = 'a'")["t"].to_pylist() == ["a", "A"]


def test_conditions_on_one_column_prune_by_it(table: Table) -> None:
    schema = table.schema
    for expression in (
        F("n") > 1,
        (F("n") == 1) | (F("n") == 5),
        pc.starts_with(F("t"), "a"),
        pc.match_like(F("t"), "%a%"),
    ):
        filters, row_filter = filters_of_expression(expression, schema)
        assert len(filters) == 1
        assert row_filter is None
    (item,), _ = filters_of_expression((F("n") == 1) | (F("n") == 5), schema)
    assert item.bound.keys == (1, 5)
    assert item.bound.bounds == (1, 5)
    filters, row_filter = filters_of_expression((F("n") > 1) & (F("n") < F("x")), schema)
    assert len(filters) == 1
    assert row_filter is not None


def test_names_of_columns_come_back_whatever_they_hold() -> None:
    for name in ("n", "", "a'\nliteral: '0", "é\0", "literal"):
        node = parse_expression((F(name) > 1) & F(name).is_valid())
        assert isinstance(node, Call)
        assert [argument.arguments[0] for argument in node.arguments if isinstance(argument, Call)] == [
            Field(name)
        ] * 2
