"""Filters of the Python API against the same text in SQLite."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import apsw
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiomem_sql.arrays import BoolArray
from audiomem_sql.columns.sql_values import sql_values
from audiomem_sql.columns.types import ColumnType, Kind, arrow_type
from audiomem_sql.errors import QueryError
from audiomem_sql.predicates import ROWID, And, Not, Op, Or, Predicate, bind
from audiomem_sql.predicates.conditions import evaluate
from audiomem_sql.predicates.predicate import conjuncts, predicates_of
from audiomem_sql.predicates.where import MAX_DEPTH, MAX_LENGTH, parse_where

INTEGER = ColumnType(Kind.INTEGER)
COLUMNS: dict[str, tuple[Kind, str, list[Any]]] = {
    "n": (Kind.INTEGER, "INTEGER", [0, 1, -1, 5, 12, 2**53 + 1, -(2**63), 2**63 - 1, None]),
    "x": (Kind.REAL, "REAL", [0.0, 1.0, -1.5, 0.25, 5.0, 2.0**53, math.inf, None]),
    "title": (Kind.TEXT, "TEXT", ["", "a", "A", "ab", "b%", "5", "12", "1.0", "5 apples", "it's", "é", None]),
    "data": (Kind.BLOB, "BLOB", [b"", b"a", b"5", b"\x00\xff", None]),
    "flag": (Kind.BOOLEAN, "INTEGER", [True, False, None]),
    "seen": (Kind.TIMESTAMP, "TEXT", [0, 1, -1, 1_700_000_000_000_000, None]),
}
NAMES = list(COLUMNS)
ROWS = [
    tuple(
        values[index * step % len(values)]
        for step, (_, _, values) in zip((1, 2, 3, 5, 7, 11), COLUMNS.values(), strict=True)
    )
    for index in range(90)
]
ARRAYS = [
    pa.array([row[number] for row in ROWS], arrow_type(ColumnType(kind)))
    for number, (kind, _, _) in enumerate(COLUMNS.values())
]
KINDS = [ColumnType(kind) for kind, _, _ in COLUMNS.values()]


@pytest.fixture(scope="module")
def database() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    connection.execute(
        "CREATE TABLE t(" + ", ".join(f"{name} {sql}" for name, (_, sql, _) in COLUMNS.items()) + ") STRICT"
    )
    columns = [sql_values(array, column_type) for array, column_type in zip(ARRAYS, KINDS, strict=True)]
    marks = ", ".join("?" * len(columns))
    for row, values in enumerate(zip(*columns, strict=True)):
        connection.execute(f"INSERT INTO t(rowid, {', '.join(NAMES)}) VALUES (?, {marks})", (row, *values))
    yield connection
    connection.close()


def masks(predicate: Predicate) -> tuple[BoolArray, BoolArray]:
    if predicate.column == ROWID:
        array, column_type = pa.array(range(len(ROWS)), pa.int64()), INTEGER
    else:
        array, column_type = ARRAYS[predicate.column], KINDS[predicate.column]
    bound = bind(predicate, column_type, literal=True)
    return bound.mask(array), bound.nulls(array)


def selected(text: str, parameters: tuple[Any, ...] = ()) -> list[int]:
    return np.flatnonzero(evaluate(parse_where(text, NAMES, parameters), masks)).tolist()


def expected(database: apsw.Connection, text: str, parameters: tuple[Any, ...] = ()) -> list[int]:
    return [
        row for (row,) in database.execute(f"SELECT rowid FROM t WHERE {text} ORDER BY rowid", parameters)
    ]


PATTERNS = [
    "'a%'",
    "'%5%'",
    "'_'",
    "''",
    "'A'",
    "'%'",
    "'[a-z]*'",
    "'*'",
    "'1970-01-01%'",
    "'1%'",
    "5",
    "NULL",
    "'-%'",
]
VALUES = st.sampled_from(
    [
        *(
            "0",
            "1",
            "-1",
            "5",
            "12",
            "5.0",
            "-1.5",
            ".25",
            "1e0",
            "5.",
            "0x10",
            "9007199254740993",
            "9007199254740992.0",
        ),
        *(
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775808",
            "-9223372036854775809",
            "1e999",
            "+5",
        ),
        *(
            "''",
            "'a'",
            "'A'",
            "'5'",
            "' 5 '",
            "'5.0'",
            "'it''s'",
            "'é'",
            "'1970-01-01'",
            "'1970-01-01 00:00:00'",
            "'1.0'",
        ),
        *("x''", "X'61'", "x'00Ff'", "NULL", "null", "TRUE", "False"),
    ]
)
COLUMN = st.sampled_from([*NAMES, '"title"', "[n]", "`x`", "TITLE", "rowid", "_rowid_"])
COMPARISON = st.sampled_from(["=", "==", "<>", "!=", "<", "<=", ">", ">="])
MAYBE_NOT = st.sampled_from(["", "NOT "])


@st.composite
def conditions(draw: st.DrawFn) -> str:
    column, value = draw(COLUMN), draw(VALUES)
    form = draw(st.integers(0, 8))
    if form == 0:
        return f"{column} {draw(COMPARISON)} {value}"
    if form == 1:
        return f"{value}{draw(COMPARISON)}{column}"
    if form == 2:
        return f"{column} {draw(MAYBE_NOT)}IN ({', '.join(draw(st.lists(VALUES, max_size=6)))})"
    if form == 3:
        return f"{column} {draw(MAYBE_NOT)}between {value} AND {draw(VALUES)}"
    if form == 4:
        return f"{column} IS {draw(MAYBE_NOT)}{value}"
    if form == 5:
        return (
            f"{column} {draw(st.sampled_from(['ISNULL', 'NOTNULL', 'NOT NULL', 'is null', 'IS NOT NULL']))}"
        )
    if form == 6:
        return column
    pattern = draw(st.sampled_from(PATTERNS))
    # whether LIKE takes a blob for text is decided when SQLite is compiled
    column = draw(COLUMN.filter(lambda name: name != "data"))
    return f"{column} {draw(MAYBE_NOT)}{draw(st.sampled_from(['LIKE', 'GLOB']))} {pattern}"


FILTERS = st.recursive(
    conditions(),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(" AND ".join),
        st.tuples(inner, inner).map(" or ".join),
        inner.map("NOT {}".format),
        inner.map("({})".format),
        inner.map("not ( {} )".format),
    ),
    max_leaves=8,
)


@given(FILTERS)
@settings(max_examples=2000, deadline=None, database=None)
def test_a_filter_means_what_it_means_in_sqlite(database: apsw.Connection, text: str) -> None:
    assert selected(text) == expected(database, text)


@given(FILTERS)
@settings(max_examples=300, deadline=None, database=None)
def test_conjuncts_hold_for_every_selected_row(text: str) -> None:
    node = parse_where(text, NAMES)
    mask = evaluate(node, masks)
    for condition in conjuncts(node):
        assert (evaluate(condition, masks) | ~mask).all()


@given(
    st.lists(
        st.sampled_from(
            [
                "n",
                "=",
                "(",
                ")",
                "'",
                '"',
                "1",
                "AND",
                "NOT",
                "?",
                ",",
                "x'",
                "é",
                "[",
                "IS",
                "IN",
                "\0",
                "-",
                " ",
            ]
        ),
        max_size=12,
    )
)
@settings(max_examples=1000, deadline=None, database=None)
def test_anything_else_is_a_query_error(words: list[str]) -> None:
    for text in (" ".join(words), "".join(words)):
        with contextlib.suppress(QueryError):
            evaluate(parse_where(text, NAMES), masks)


@pytest.mark.parametrize("column", NAMES)
def test_parameters_are_values_without_affinity(database: apsw.Connection, column: str) -> None:
    for op, value in itertools.product(
        ["=", ">", "<=", "IS NOT"], [5, 1.0, "5", "a\0b", b"a", None, "1970-01-01 00:00:00"]
    ):
        text = f"{column} {op} ? OR {column} IN (?, ?)"
        assert selected(text, (value, "a", 12)) == expected(database, text, (value, "a", 12))


def test_python_values_as_parameters() -> None:
    node = parse_where(
        "n = ? AND x = ? AND flag = ? AND seen = ? AND data = ?",
        NAMES,
        (np.int64(5), np.float32(0.5), True, datetime(1970, 1, 1, tzinfo=UTC), bytearray(b"a")),
    )
    assert [predicate.value for predicate in predicates_of(node)] == [5, 0.5, 1, "1970-01-01 00:00:00", b"a"]
    with pytest.raises(QueryError, match="parameter 1: a value of type complex"):
        parse_where("n = ?", NAMES, (1j,))
    for edge in (-(1 << 63), (1 << 63) - 1):
        assert [each.value for each in predicates_of(parse_where("n = ?", NAMES, (edge,)))] == [edge]
    for beyond in (1 << 63, -(1 << 63) - 1):
        (predicate,) = predicates_of(parse_where("n = ?", NAMES, (beyond,)))
        for kind in (Kind.INTEGER, Kind.REAL, Kind.TEXT):
            with pytest.raises(QueryError, match="parameter 1: this number is beyond 64 bits"):
                bind(predicate, ColumnType(kind), literal=True)
    with pytest.raises(QueryError, match="no parameter"):
        parse_where("n = ? AND x = ?", NAMES, (1,))
    with pytest.raises(QueryError, match="1 question marks, and there are 2 parameters"):
        parse_where("n = ?", NAMES, (1, 2))


def test_the_tree() -> None:
    node = parse_where("n > 1 AND (title LIKE 'a%' OR 5 >= x) AND NOT flag AND rowid = 3", NAMES)
    assert node == And(
        (
            Predicate(0, Op.GT, 1),
            Or((Predicate(2, Op.LIKE, "a%"), Predicate(1, Op.LE, 5))),
            Not(Predicate(4, Op.TRUE)),
            Predicate(ROWID, Op.EQ, 3),
        )
    )
    assert [type(part) for part in conjuncts(node)] == [Predicate, Or, Not, Predicate]
    assert [predicate.column for predicate in predicates_of(node)] == [0, 2, 1, 4, ROWID]
    assert parse_where("n BETWEEN 1 AND 2 AND x = 1", NAMES) == And(
        (And((Predicate(0, Op.GE, 1), Predicate(0, Op.LE, 2))), Predicate(1, Op.EQ, 1))
    )


def test_a_column_may_have_any_name() -> None:
    names = ["rowid", "true", 'odd "name"', "order", "ÄÖ"]
    assert conjuncts(
        parse_where(
            'rowid = 1 AND "odd ""name""" = 2 AND "order" = 3 AND ÄÖ = 4 AND true = 5 AND oid = 6', names
        )
    ) == [
        Predicate(0, Op.EQ, 1),
        Predicate(2, Op.EQ, 2),
        Predicate(3, Op.EQ, 3),
        Predicate(4, Op.EQ, 4),
        Predicate(1, Op.EQ, 5),
        Predicate(ROWID, Op.EQ, 6),
    ]
    with pytest.raises(QueryError, match="there is no column 'äö'"):
        parse_where("äö = 1", names)


def test_conditions_that_cannot_matter_are_not_asked() -> None:
    asked: list[Op] = []

    def spy(predicate: Predicate) -> tuple[BoolArray, BoolArray]:
        asked.append(predicate.op)
        return masks(predicate)

    evaluate(parse_where("title LIKE '%a%' AND rowid < 0", NAMES), spy)
    evaluate(parse_where("title GLOB 'a' OR rowid >= 0", NAMES), spy)
    assert asked == [Op.LT, Op.GE]


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("", 0, "the filter is empty"),
        ("n > length(title)", 4, "functions are not part of a filter"),
        ("n + 1 > 2", 2, "a condition ends here"),
        ("n > -x", 5, "arithmetic is not part of a filter"),
        ("n > x", 4, "two columns cannot be compared"),
        ("n IS x", 5, "two columns cannot be compared"),
        ("1 = 1", 0, "needs a column on one side"),
        ("5", 0, "needs a column on one side"),
        ("n IN (SELECT 1)", 6, "SELECT cannot stand here"),
        ("n IN (x)", 6, "a value is needed here, not a column"),
        ("n = 1 OR", 8, "the filter ends where"),
        ("n = 1 n = 2", 6, "AND or OR should follow"),
        ("n = x = 1", 4, "two columns"),
        ("n = 1 = 1", 6, "a comparison cannot be compared again"),
        ("(n = 1) = 1", 8, "in parentheses cannot be compared"),
        ("(n = 1", 6, ") is needed here"),
        ("n NOT 5", 6, "after NOT"),
        ("n BETWEEN 1 OR 2", 12, "BETWEEN needs AND"),
        ("title = 'abc", 8, "the closing ' is missing"),
        ('"title = 1', 0, 'the closing " is missing'),
        ("[title = 1", 0, "the closing ] is missing"),
        ("data = x'0'", 7, "a blob is written"),
        ("data = x'00", 7, "a blob is written"),
        ("n = 12abc", 4, "this is not a number"),
        ("n = 0x10000000000000000", 4, "at most 16 digits"),
        ("n = 1 AND year > 3", 10, "there is no column 'year'; there are n, x, title, data, flag, seen"),
        ("n = 1 ; DROP TABLE t", 6, "a condition ends here"),
        ("n = $a", 4, "this character has no meaning"),
        ("title LIKE 'a' ESCAPE 'b'", 15, "a condition ends here"),
        ("n = 1 -- comment", 6, "a condition ends here"),
    ],
)
def test_errors_point_at_the_place(text: str, place: int, message: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_where(text, NAMES)
    _, line, caret = str(caught.value).splitlines()
    assert line == f"  {text}"
    assert caret.index("^") - 2 == place
    assert message in caret
    assert caret.endswith("use SQL: audiomem_sql.connect(path)")


def test_the_place_is_shown_in_a_long_filter() -> None:
    text = " OR ".join(["n = 1"] * 100 + ["m = 1"] + ["n\n= 1"] * 100)
    with pytest.raises(QueryError, match="no column 'm'") as caught:
        parse_where(text, NAMES)
    _, line, caret = str(caught.value).splitlines()
    assert line[caret.index("^")] == "m"
    assert len(line) < 130


def test_limits() -> None:
    deep = "(" * MAX_DEPTH + "n = 1" + ")" * MAX_DEPTH
    assert selected(deep) == selected("n = 1")
    nested = "n = 5 OR (n = 1 AND NOT (" * (MAX_DEPTH // 2) + "n = 0" + "))" * (MAX_DEPTH // 2)
    assert evaluate(parse_where(nested, NAMES), masks).any()
    with pytest.raises(QueryError, match="parentheses inside each other"):
        parse_where(f"({deep})", NAMES)
    with pytest.raises(QueryError, match="parentheses inside each other"):
        parse_where("(" * 100_000, NAMES)
    with pytest.raises(QueryError, match="characters"):
        parse_where("n = 1" + " " * MAX_LENGTH, NAMES)
    assert selected("NOT " * 10_001 + "n = 1") == selected("NOT n = 1")
    assert selected("n = 0" + " OR n = 1" * 2_000) == selected("n IN (0, 1)")
    assert selected("n < " + "9" * 100_000) == selected("n IS NOT NULL")
