"""LIKE and GLOB against SQLite itself."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import apsw
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiomem_sql.blocks.zones import Zones
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.columns.views import Strings, strings
from audiomem_sql.errors import QueryError
from audiomem_sql.machine import native
from audiomem_sql.predicates import Op, Predicate, bind
from audiomem_sql.predicates.native_matching import made_of
from audiomem_sql.predicates.patterns import MAX_PATTERN_BYTES, Pattern
from audiomem_sql.predicates.substrings import first_hits
from predicates.cases import (
    NASTY,
    STORED,
    Case,
    sql_of,
)

PATTERNS = st.one_of(
    st.text(st.sampled_from(NASTY), max_size=8),
    st.lists(
        st.sampled_from(["%", "*", "_", "?", "a", "A", "b", "é", "ab", "[a-z]", "[^a]", "[]-]", "[", "ba"]),
        max_size=8,
    ).map("".join),
)


SUBJECTS = st.lists(
    st.one_of(
        st.none(),
        st.text(st.sampled_from("aAbBéİz-]^\0 "), max_size=10),
        st.text(st.sampled_from("ab"), max_size=14),
    ),
    max_size=20,
)


@pytest.fixture(autouse=True, scope="module")
def in_c() -> Iterator[None]:
    """Also in a process that had a table of a profile that spares memory, and so does without the library."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "is_spared", lambda: False)
        yield


@given(SUBJECTS, SUBJECTS, PATTERNS, st.sampled_from([Op.LIKE, Op.GLOB]))
@settings(max_examples=2000, deadline=None, database=None)
def test_patterns_are_those_of_sqlite(
    database: apsw.Connection, stored: list[Any], junk: list[Any], pattern: str, op: Op
) -> None:
    case = Case(database, ColumnType(Kind.TEXT), stored, junk)
    bound = bind(Predicate(0, op, pattern), ColumnType(Kind.TEXT))
    assert not bound.exact
    case.check(bound, case.rows(sql_of(op), (pattern,)), exact=True)


def test_characters_that_versions_of_sqlite_read_differently() -> None:
    """U+FFFE and U+FFFF are U+FFFD in some: the caller must ask the SQLite it has."""
    array = pa.array(["\ufffd", "\ufffe", "\uffff", None])
    for pattern in ("\ufffd", "%\uffff", "\ufffe%"):
        bound = bind(Predicate(0, Op.LIKE, pattern), ColumnType(Kind.TEXT))
        assert (bound.exact, bound.mask(array).tolist()) == (False, [True, True, True, False])


SHORT_REALS = st.sampled_from([0.0, 1.0, -1.5, 0.25, 12.0, 1e-7, 123456.789, 1e14, 1e20, math.inf])


@pytest.mark.parametrize("kind", [Kind.INTEGER, Kind.REAL, Kind.BOOLEAN, Kind.TIMESTAMP])
def test_patterns_on_columns_that_are_not_text(database: apsw.Connection, kind: Kind) -> None:
    column_type = ColumnType(kind)
    values = SHORT_REALS if kind is Kind.REAL else STORED[kind]

    @given(
        st.lists(st.one_of(st.none(), values), max_size=8),
        st.one_of(st.text(st.sampled_from("%_*?-.0129e+I"), max_size=6), st.integers(-3, 12), st.just(1.5)),
        st.sampled_from([Op.LIKE, Op.GLOB]),
    )
    @settings(max_examples=150, deadline=None, database=None)
    def check(stored: list[Any], pattern: Any, op: Op) -> None:
        case = Case(database, column_type, stored, [])
        expected = case.rows(sql_of(op), (pattern,))
        case.check(bind(Predicate(0, op, pattern), column_type), expected)
        case.check(bind(Predicate(0, op, pattern), column_type, literal=True), expected, exact=True)

    check()


def test_a_word_at_the_seams_of_rows() -> None:
    """A hit that straddles two rows is none, whatever stands before and behind it."""
    rows = ["kern", "el", "", "kernel", "xkernel", "kernelkernel", "KERNEL", "kerne", "lkernelk"] * 40
    array = pa.array(rows)
    for pattern in ("%kernel%", "%KERNEL%", "%kernel%k%", "k%kernel%", "%e%", "%rn%l%"):
        inner = re.escape(pattern).replace("%", ".*")
        wanted = [re.fullmatch(inner, row, re.I | re.S) is not None for row in rows]
        assert bind(Predicate(0, Op.LIKE, pattern), ColumnType(Kind.TEXT)).mask(array).tolist() == wanted
    assert bind(Predicate(0, Op.GLOB, "*kernel*"), ColumnType(Kind.TEXT)).mask(array).tolist() == [
        "kernel" in row for row in rows
    ]


@given(
    st.lists(st.text("ab", max_size=12).map(str.encode), min_size=1, max_size=40),
    st.text("ab", min_size=1, max_size=6).map(str.encode),
    st.integers(1, 20),
    st.sets(st.integers(0, 39)),
)
@settings(max_examples=500, deadline=None, database=None)
def test_the_first_place_of_a_word_in_each_row(
    rows: list[bytes], word: bytes, repeat: int, chosen: set[int]
) -> None:
    """Few hits and many, all rows and few of them."""
    values = strings(pa.array(rows * repeat, pa.binary()))
    for some in (values, values.take(np.array(sorted(row for row in chosen if row < len(values)), np.int64))):
        hits = first_hits(values.data, word, some.starts, some.ends)
        wanted = [some[row].find(word) for row in range(len(some))]
        assert np.where(hits < 0, -1, hits - some.starts).tolist() == wanted


PIECES = st.text(st.sampled_from("abAé\0"), max_size=5)


@given(SUBJECTS, PIECES, st.lists(PIECES.filter(bool), max_size=3), PIECES, st.booleans(), st.booleans())
@settings(max_examples=1000, deadline=None, database=None)
def test_pieces_in_c_are_those_in_python(
    stored: list[Any], first: str, within: list[str], last: str, ignore_case: bool, until_nul: bool
) -> None:
    """A slice too, and texts one by one."""
    pieces = [first, *within, last]
    if until_nul:
        pieces = [piece.replace("\0", "b") for piece in pieces]
    pattern = replace(Pattern.pieces(*pieces, ignore_case=ignore_case), until_nul=until_nul)
    words = [(segment.literal or "").encode() for segment in pattern.segments]
    array = pa.array([*stored, "aéb", "\0", "aab" * 30, *pieces, "b".join(pieces)], pa.string())[
        len(stored) // 3 :
    ]
    values = strings(array)
    found = made_of(values, words, ignore_case=ignore_case, until_nul=until_nul)
    assert found is not None
    assert found.tolist() == pattern.literal_mask(values, words).tolist()
    present = [
        (text, one) for text, one in zip(array.to_pylist(), found.tolist(), strict=True) if text is not None
    ]
    assert [one for _, one in present] == [pattern.matches(text) for text, _ in present]


def test_texts_are_left_to_python_where_c_would_take_long() -> None:
    """A piece that nearly fits everywhere, more pieces than C takes, and a place beyond the bytes."""
    long = strings(pa.array(["a" * 200_000]))
    assert (
        made_of(long, [b"", b"a" * 9999 + b"b" + b"a" * 9999, b""], ignore_case=True, until_nul=True) is None
    )
    assert not Pattern.like("%" + "a" * 9999 + "b" + "a" * 9999 + "%").mask(long).any()
    assert made_of(long, [b"a"] * 33, ignore_case=False, until_nul=True) is None
    assert Pattern.like("%".join("a" * 40)).mask(long).all()
    beyond = Strings(long.data, np.array([0]), np.array([200_001]))
    assert made_of(beyond, [b"", b"b", b""], ignore_case=False, until_nul=True) is None


def test_a_pattern_of_arrow_has_no_end_at_a_nul() -> None:
    array = pa.array(["a\0b", "A\0B", "ab", None, "a\n\0b"])
    for pattern, found in (
        (Pattern.plain("a%b"), [True, False, True, False, True]),
        (Pattern.plain("a_b"), [True, False, False, False, False]),
        (Pattern.plain("A__B", ignore_case=True), [False, False, False, False, True]),
        (Pattern.pieces("", "\0", ""), [True, True, False, False, True]),
        (Pattern.pieces("AB", ignore_case=True), [False, False, True, False, False]),
    ):
        bound = bind(Predicate(0, Op.PATTERN, pattern), ColumnType(Kind.TEXT))
        assert bound.exact
        assert bound.mask(array).tolist() == found
        assert [bound.test(text) for text in array.to_pylist()] == found
    with pytest.raises(QueryError, match="only a text has a pattern"):
        bind(Predicate(0, Op.PATTERN, Pattern.plain("a")), ColumnType(Kind.INTEGER))


def test_a_pattern_full_of_wildcards_takes_bounded_time() -> None:
    """Backtracking over the wildcards would not end in the lifetime of the test."""
    array = pa.array(["a" * 5000] * 3)
    for op, pattern in (
        (Op.LIKE, "%a" * 40 + "%b"),
        (Op.LIKE, "%_a" * 40 + "b"),
        (Op.GLOB, "*[ab]?" * 40 + "c"),
    ):
        assert not bind(Predicate(0, op, pattern), ColumnType(Kind.TEXT)).mask(array).any()


def test_a_pattern_longer_than_sqlite_takes() -> None:
    column_type = ColumnType(Kind.TEXT)
    array = pa.array(["a", None])
    for pattern, found in (("b" * MAX_PATTERN_BYTES, False), ("é" * (MAX_PATTERN_BYTES // 2 + 1), True)):
        assert bind(Predicate(0, Op.LIKE, pattern), column_type).mask(array).tolist() == [found, False]
    with pytest.raises(QueryError, match="too complex"):
        bind(Predicate(0, Op.LIKE, "%" * (MAX_PATTERN_BYTES + 1)), column_type, literal=True)


def test_a_pattern_prunes_by_its_prefix() -> None:
    column_type = ColumnType(Kind.TEXT)
    parts = [
        pa.array(["apple", "avocado"]),
        pa.array(["Banana"]),
        pa.array(["banana"]),
        pa.array([None], pa.string()),
    ]
    zones = Zones.build(
        [len(part) for part in parts], [Zones.of(part, column_type) for part in parts], column_type
    )
    assert bind(Predicate(0, Op.LIKE, "BAN%"), column_type).prune(zones).tolist() == [
        False,
        True,
        True,
        False,
    ]
    assert bind(Predicate(0, Op.GLOB, "ban*a"), column_type).prune(zones).tolist() == [
        False,
        False,
        True,
        False,
    ]
    assert bind(Predicate(0, Op.GLOB, "[ban*"), column_type).prune(zones).tolist() == [False] * 4
