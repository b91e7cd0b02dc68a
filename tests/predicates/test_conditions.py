"""Conditions of several predicates on one column against SQLite; texts with and without Arrow's kernels."""

from __future__ import annotations

import pickle
import sys
from typing import Any

import apsw
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiomem_sql.columns.sql_values import sql_values
from audiomem_sql.columns.timestamps import render
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.errors import QueryError
from audiomem_sql.predicates import And, Condition, Not, Op, Or, Predicate, bind
from audiomem_sql.predicates.conditions import combine
from predicates.cases import COMPARISONS, TEXTS, TYPES, Case, cases, is_short, operand_of

OPS = (*COMPARISONS, Op.IN, Op.IS_NULL, Op.NOT_NULL, Op.TRUE)


@st.composite
def conditions(
    draw: st.DrawFn, stored: list[Any], column_type: ColumnType, depth: int = 2
) -> tuple[Condition, str, tuple[Any, ...]]:
    """A condition, and the same as SQL with its operands."""
    if depth and (depth == 2 or draw(st.booleans())):
        parts = [draw(conditions(stored, column_type, depth - 1)) for _ in range(draw(st.integers(1, 3)))]
        children, texts, operands = zip(*parts, strict=True)
        if len(parts) == 1:
            return Not(children[0]), f"NOT ({texts[0]})", operands[0]
        kind, word = draw(st.sampled_from([(And, " AND "), (Or, " OR ")]))
        return kind(children), word.join(f"({text})" for text in texts), sum(operands, ())
    op = draw(st.sampled_from(OPS))
    if op in (Op.IS_NULL, Op.NOT_NULL):
        return Predicate(0, op), f"c {op.value}", ()
    if op is Op.TRUE:
        return Predicate(0, op), "c", ()
    exact = st.just(None).map(lambda _: operand_of(draw, stored, column_type))
    values = draw(
        st.lists(exact.filter(lambda value: not isinstance(value, float) or is_short(value)), max_size=4)
    )
    if op is Op.IN:
        return Predicate(0, op, tuple(values)), f"c IN ({', '.join('?' * len(values))})", tuple(values)
    value = values[0] if values else None
    return Predicate(0, op, value), f"c {op.value} ?", (value,)


@pytest.mark.parametrize("column_type", TYPES, ids=str)
def test_a_condition_on_one_column_is_decided_as_sqlite_decides_it(
    database: apsw.Connection, column_type: ColumnType
) -> None:
    @st.composite
    def drawn(draw: st.DrawFn) -> tuple[list[Any], list[Any], tuple[Condition, str, tuple[Any, ...]]]:
        stored, junk = draw(cases(column_type))
        return stored, junk, draw(conditions(stored, column_type))

    @given(drawn())
    @settings(max_examples=200, deadline=None, database=None)
    def check(example: tuple[list[Any], list[Any], tuple[Condition, str, tuple[Any, ...]]]) -> None:
        stored, junk, (condition, text, operands) = example
        assert not isinstance(condition, Predicate)
        case = Case(database, column_type, stored, junk)
        bound = combine(condition, lambda predicate: bind(predicate, column_type, literal=True))
        case.check(bound, case.rows(text, operands), exact=True)
        nulls = case.rows(f"({text}) IS NULL", operands)
        assert bound.nulls(case.array).tolist() == nulls
        assert [bound.truth(value) is None for value in case.values] == nulls

    check()


@given(st.lists(TEXTS | st.none(), max_size=12), st.lists(TEXTS, min_size=1, max_size=6))
@settings(max_examples=300, deadline=None, database=None)
def test_texts_are_compared_alike_by_kernels_of_arrow_and_by_numpy(
    values: list[str | None], operands: list[str]
) -> None:

    for column_type, array in (
        (ColumnType(Kind.TEXT), pa.array(values, pa.string())),
        (ColumnType(Kind.BLOB), pa.array([v if v is None else v.encode() for v in values], pa.binary())),
    ):
        of_type = operands if column_type.kind is Kind.TEXT else [operand.encode() for operand in operands]
        predicates = [Predicate(0, op, of_type[0]) for op in COMPARISONS] + [Predicate(0, Op.IN, of_type)]
        if column_type.kind is Kind.TEXT:
            predicates.append(Predicate(0, Op.STARTS_WITH, operands[0][:3]))
        for predicate in predicates:
            bound = bind(predicate, column_type, literal=True)
            with_kernels = bound.mask(array).tolist()
            with pytest.MonkeyPatch.context() as patch:
                patch.delitem(sys.modules, "pyarrow.compute")
                assert bound.mask(array).tolist() == with_kernels, predicate
            assert [bound.test(value) for value in array.to_pylist()] == with_kernels, predicate


@given(
    st.lists(st.sampled_from([-(2**63), -1, 0, 1, 7, 10**9, 2**62, 2**63 - 1]) | st.none(), max_size=12),
    st.sets(
        st.sampled_from([-(2**63), -5, 0, 1, 7, 10**9, 2**62, 2**63 - 1]) | st.integers(0, 40), max_size=20
    ),
)
@settings(max_examples=300, deadline=None, database=None)
def test_sets_of_numbers_hold_the_same_with_and_without_kernels(
    values: list[int | None], numbers: set[int]
) -> None:

    reals = pa.array([None if value is None else float(value) for value in values], pa.float64())
    moments = pa.array([None if value is None else value % 10**15 for value in values], pa.timestamp("us"))
    for column_type, array, members in (
        (ColumnType(Kind.INTEGER), pa.array(values, pa.int64()), numbers),
        (ColumnType(Kind.REAL), reals, {*map(float, numbers), -0.0}),
        (ColumnType(Kind.TIMESTAMP), moments, {render(number % 10**15) for number in numbers}),
    ):
        bound = bind(Predicate(0, Op.IN, tuple(members)), column_type, literal=True)
        with_kernels = bound.mask(array).tolist()
        assert with_kernels == [value in members for value in sql_values(array, column_type)]
        with pytest.MonkeyPatch.context() as patch:
            patch.delitem(sys.modules, "pyarrow.compute")
            assert bound.mask(array).tolist() == with_kernels


def test_a_prefix_is_one_of_a_text(database: apsw.Connection) -> None:
    texts = ["the cell", "the", "th", "", None, "the \U0010ffff", "thf", "The cell", "the\0x"]
    case = Case(database, ColumnType(Kind.TEXT), texts, [])
    for prefix in ("the", "", "the ", "the \U0010ffff", "the\0", "x"):
        bound = bind(Predicate(0, Op.STARTS_WITH, prefix), ColumnType(Kind.TEXT))
        case.check(bound, [text is not None and text.startswith(prefix) for text in texts])
    for kind in (Kind.INTEGER, Kind.BLOB):
        with pytest.raises(QueryError, match="only a text"):
            bind(Predicate(0, Op.STARTS_WITH, "a"), ColumnType(kind))


def test_a_condition_is_sent_to_another_process() -> None:
    """A Condition that has one predicate twice, and its parts, mean the same where they are unpickled."""
    below, above, small = Predicate(0, Op.LT, 2), Predicate(0, Op.GT, 5), Predicate(0, Op.LE, 0)
    column_type = ColumnType(Kind.INTEGER)
    condition = Or((And((Not(above), below)), above, And((above, Not(small)))))
    bound = combine(condition, lambda predicate: bind(predicate, column_type))
    sent = pickle.dumps(bound)
    array = pa.array([None, 0, 1, 2, 5, 6], pa.int64())
    expected = [False, True, True, False, False, True]
    assert bound.mask(array).tolist() == expected
    del bound, below, above, small, condition  # whose places in memory others may have now
    for _ in range(2):
        came = pickle.loads(sent)
        assert came.mask(array).tolist() == expected
        assert [came.test(value) for value in (None, 0, 1, 2, 5, 6)] == expected
        sent = pickle.dumps(came)
