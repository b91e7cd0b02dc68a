"""Predicates against SQLite itself: masks, single values and zone maps."""

from __future__ import annotations

import math
import struct
from typing import Any

import apsw
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiomem_sql.blocks.zones import Zones
from audiomem_sql.columns.types import ColumnType, Kind, arrow_type
from audiomem_sql.errors import DamagedFileError, QueryError
from audiomem_sql.predicates import Op, Predicate, bind
from audiomem_sql.predicates.operands import text_of
from predicates.cases import (
    COMPARISONS,
    TEXTS,
    TYPES,
    Case,
    cases,
    comparisons,
    is_short,
    operand_of,
    sql_of,
)


@pytest.mark.parametrize("column_type", TYPES, ids=str)
def test_comparisons_are_those_of_sqlite(database: apsw.Connection, column_type: ColumnType) -> None:
    @given(comparisons(column_type))
    @settings(max_examples=400, deadline=None, database=None)
    def check(drawn: tuple[list[Any], list[Any], Op, Any]) -> None:
        stored, junk, op, operand = drawn
        case = Case(database, column_type, stored, junk)
        bound = bind(Predicate(0, op, operand), column_type)
        case.check(bound, case.rows(sql_of(op), (operand,)))
        if isinstance(operand, int | float):  # an operand with an affinity of its own
            case.check(bound, case.rows(f"c {op.value} CAST(? AS NUMERIC)", (operand,)))
        if (
            isinstance(operand, int)
            or (isinstance(operand, float) and is_short(operand))
            or isinstance(operand, str)
        ):
            case.check(
                bind(Predicate(0, op, operand), column_type, literal=True),
                case.rows(sql_of(op), (operand,)),
                exact=True,
            )

    check()


@pytest.mark.parametrize("column_type", TYPES, ids=str)
def test_membership_is_that_of_sqlite(database: apsw.Connection, column_type: ColumnType) -> None:
    @st.composite
    def memberships(draw: st.DrawFn) -> tuple[list[Any], list[Any], list[Any]]:
        stored, junk = draw(cases(column_type))
        return stored, junk, [operand_of(draw, stored, column_type) for _ in range(draw(st.integers(0, 8)))]

    @given(memberships())
    @settings(max_examples=200, deadline=None, database=None)
    def check(drawn: tuple[list[Any], list[Any], list[Any]]) -> None:
        stored, junk, operands = drawn
        case = Case(database, column_type, stored, junk)
        bound = bind(Predicate(0, Op.IN, operands), column_type)
        marks = ", ".join("?" * len(operands))
        case.check(bound, case.rows(f"c IN ({marks})", tuple(operands)))
        if not any(isinstance(operand, float) and not is_short(operand) for operand in operands):
            bound = bind(Predicate(0, Op.IN, operands), column_type, literal=True)
            case.check(bound, case.rows(f"c IN ({marks})", tuple(operands)), exact=True)
            assert bound.nulls(case.array).tolist() == case.rows(f"(c IN ({marks})) IS NULL", tuple(operands))

    check()


@pytest.mark.parametrize("column_type", TYPES, ids=str)
def test_conditions_without_a_value_and_null(database: apsw.Connection, column_type: ColumnType) -> None:
    @given(cases(column_type))
    @settings(max_examples=50, deadline=None, database=None)
    def check(drawn: tuple[list[Any], list[Any]]) -> None:
        case = Case(database, column_type, *drawn)
        case.check(bind(Predicate(0, Op.IS_NULL), column_type), case.rows("c IS NULL", ()), exact=True)
        case.check(bind(Predicate(0, Op.NOT_NULL), column_type), case.rows("c IS NOT NULL", ()), exact=True)
        case.check(bind(Predicate(0, Op.TRUE), column_type), case.rows("c", ()), exact=True)
        for op in (*COMPARISONS[:6], Op.LIKE, Op.GLOB):
            bound = bind(Predicate(0, op, None), column_type)
            case.check(bound, [False] * len(case.values), exact=True)
            assert bound.nulls(case.array).all()
        assert not bind(Predicate(0, Op.IS, 1), column_type).nulls(case.array).any()

    check()


@pytest.mark.parametrize("collation", ["NOCASE", "RTRIM", "binary", "german"])
@pytest.mark.parametrize("kind", [Kind.TEXT, Kind.TIMESTAMP])
def test_collations(database: apsw.Connection, collation: str, kind: Kind) -> None:
    database.create_collation(
        "german", lambda left, right: (left[::-1] > right[::-1]) - (left[::-1] < right[::-1])
    )
    column_type = ColumnType(kind)

    @given(comparisons(column_type), st.lists(TEXTS, min_size=1, max_size=7))
    @settings(max_examples=80, deadline=None, database=None)
    def check(drawn: tuple[list[Any], list[Any], Op, Any], texts: list[str]) -> None:
        stored, junk, op, operand = drawn
        case = Case(database, column_type, stored, junk)
        bound = bind(Predicate(0, op, operand), column_type, collation)
        case.check(bound, case.rows(f"c {op.value} ? COLLATE {collation}", (operand,)))
        bound = bind(Predicate(0, Op.IN, texts), column_type, collation)
        case.check(
            bound, case.rows(f"c COLLATE {collation} IN ({', '.join('?' * len(texts))})", tuple(texts))
        )

    check()


def test_zones_skip_what_cannot_match() -> None:
    column_type = ColumnType(Kind.INTEGER)
    zones = Zones.build([2, 2, 2], [(0, 1, 5), (1, 7, 7), (2, 0, 0)], column_type)
    assert bind(Predicate(0, Op.EQ, 7), column_type).prune(zones).tolist() == [False, True, False]
    assert bind(Predicate(0, Op.NE, 7), column_type).prune(zones).tolist() == [True, False, False]
    assert bind(Predicate(0, Op.GT, 5), column_type).prune(zones).tolist() == [False, True, False]
    assert bind(Predicate(0, Op.IN, [6, 8, 0]), column_type).prune(zones).tolist() == [False, False, False]
    assert bind(Predicate(0, Op.IS_NULL), column_type).prune(zones).tolist() == [False, True, True]
    assert bind(Predicate(0, Op.LT, "abc"), column_type).prune(zones).tolist() == [True, True, False]


def joined(parts: list[Zones]) -> Zones:
    """The blocks of all parts, all of one type, in order."""
    lows = [part.low for part in parts if part.low is not None]
    highs = [part.high for part in parts if part.high is not None]
    return Zones(
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.nulls for part in parts]),
        np.concatenate(lows) if lows else None,
        np.concatenate(highs) if highs else None,
    )


@pytest.mark.parametrize("column_type", TYPES, ids=str)
def test_zones_come_back_from_their_bytes(column_type: ColumnType) -> None:
    entries = [
        Zones.of(pa.array([], arrow_type(column_type)), column_type),
        Zones.of(pa.nulls(3, arrow_type(column_type)), column_type),
    ]
    zones = Zones.build([0, 3], entries, column_type)
    both = joined([zones, Zones.unpack(zones.pack(), column_type)])
    assert both.rows.tolist() == [0, 3, 0, 3]
    assert both.nulls.tolist() == [0, 3, 0, 3]
    assert both.take(np.array([1])).pack().keys() == zones.pack().keys()
    assert not both.filled.any()
    assert len(Zones.build([], [], column_type)) == 0


def test_damaged_zones_are_refused() -> None:
    column_type = ColumnType(Kind.REAL)
    good = Zones.build([2], [(0, 1.0, 2.0)], column_type).pack()
    nan = struct.pack("<d", math.nan)
    faults: list[Any] = [
        {**good, "rows": good["rows"][:-1]},
        {**good, "low": good["low"] * 2},
        {**good, "low": good["high"], "high": good["low"]},
        {**good, "high": nan},
        {**good, "nulls": struct.pack("<q", 3)},
        {**good, "nulls": struct.pack("<q", -1)},
        {**good, "low": None},
        {name: data for name, data in good.items() if name != "high"},
        [],
    ]
    for packed in faults:
        with pytest.raises(DamagedFileError, match="zone map"):
            Zones.unpack(packed, column_type)


def test_zones_hold_prefixes_of_long_values() -> None:
    column_type = ColumnType(Kind.BLOB)
    assert Zones.of(pa.array([b"b" * 40, None, b"\xff", b"a\0"]), column_type) == (
        1,
        b"a" + bytes(15),
        b"\xff" + bytes(15),
    )


def test_keys_name_the_stored_value() -> None:
    def key(kind: Kind, value: Any) -> Any:
        return bind(Predicate(0, Op.EQ, value), ColumnType(kind)).equality_key

    assert key(Kind.INTEGER, "12.0") == 12
    assert key(Kind.REAL, 1) == 1.0
    assert key(Kind.REAL, 0) is None  # 0.0 or -0.0
    assert key(Kind.BOOLEAN, 1.0) == 1
    assert key(Kind.TEXT, "a") == "a"
    assert key(Kind.TEXT, 1) is None
    assert key(Kind.TIMESTAMP, "1970-01-01 00:00:01") == 1_000_000
    assert key(Kind.INTEGER, 1.5) is None
    assert bind(Predicate(0, Op.EQ, "A"), ColumnType(Kind.TEXT), "NOCASE").keys is None
    assert bind(Predicate(0, Op.GT, 2.5), ColumnType(Kind.INTEGER)).bounds == (3, (1 << 63) - 1)
    assert bind(Predicate(0, Op.IN, [3, "1", None, "x"]), ColumnType(Kind.INTEGER)).keys == (1, 3)


def test_cheap_predicates_come_first() -> None:
    ranks = [
        bind(Predicate(0, op, value), ColumnType(kind)).cost
        for op, value, kind in [
            (Op.IS_NULL, None, Kind.TEXT),
            (Op.LT, 5, Kind.INTEGER),
            (Op.IN, [5, 6], Kind.INTEGER),
            (Op.LT, "a", Kind.TEXT),
            (Op.IN, ["a", "b"], Kind.TEXT),
            (Op.LIKE, "a%", Kind.TEXT),
        ]
    ]
    assert ranks == sorted(set(ranks))


def test_values_that_sql_does_not_have() -> None:
    with pytest.raises(QueryError, match="complex"):
        bind(Predicate(0, Op.EQ, 1j), ColumnType(Kind.INTEGER))
    assert isinstance(bind(Predicate(0, Op.EQ, True), ColumnType(Kind.INTEGER)).equality_key, int)
    assert bind(Predicate(0, Op.EQ, math.nan), ColumnType(Kind.REAL)).nulls(pa.array([1.0])).all()
    assert bind(Predicate(0, Op.EQ, bytearray(b"a")), ColumnType(Kind.BLOB)).equality_key == b"a"


@given(
    st.sampled_from([0.0, 1e-5, 0.0001, 123.456, 1e14, 1e15, 1.5e300, 1e100, -2.5e-7, math.inf])
    | st.integers(-(10**14), 10**14).map(lambda n: n / 1000)
)
@settings(max_examples=200, deadline=None, database=None)
def test_numbers_have_the_text_that_sqlite_gives_them(database: apsw.Connection, number: float) -> None:
    if 1e15 <= abs(number) < 1e17:  # SQLite before 3.52 changes to exponents earlier
        return
    assert text_of(number) == database.execute("SELECT CAST(? AS TEXT)", (number,)).get


def test_many_members_are_found_without_a_loop(database: apsw.Connection) -> None:
    words = [f"word number {n}" for n in range(500)] + ["", "a", "a\0", "longer than eight"]
    array = pa.array([*words, None, "absent", "word number x"])
    bound = bind(Predicate(0, Op.IN, words[::2]), ColumnType(Kind.TEXT))
    assert bound.mask(array).tolist() == [n % 2 == 0 for n in range(len(words))] + [False] * 3


@pytest.mark.parametrize("collation", ["BINARY", "NOCASE"])
def test_many_texts_of_which_some_end_with_nul(database: apsw.Connection, collation: str) -> None:
    column_type = ColumnType(Kind.TEXT)
    stored = ["\0", "", "a", "a\0", "a\0\0", "b", "\0\0", "a" * 8, "a" * 8 + "\0", "a" * 9]
    case = Case(database, column_type, stored, [])
    for texts in (
        ["", "?", "A", "??", "???"],
        ["a\0", "b", "c", "d", "e"],
        ["a" * 8 + "\0", "x" * 8, "", "y", "z"],
    ):
        bound = bind(Predicate(0, Op.IN, texts), column_type, collation)
        marks = ", ".join("?" * len(texts))
        case.check(bound, case.rows(f"c COLLATE {collation} IN ({marks})", tuple(texts)))
