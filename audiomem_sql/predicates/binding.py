"""Binding a predicate to a column's type: the rules of SQLite, "Datatypes In SQLite", sections 4.1 to 4.3.

- NULL on the right: no row, except for IS and IS NOT.
- Numbers are below texts, texts below blobs, whatever they say.
- A column of numbers takes a text for the number it spells, if it spells one.
- A column of texts takes a number for its text if the other side has no affinity of its own (a literal, a
  parameter), and is itself taken for a number if it has (a column of numbers). A virtual table cannot see
  which it was: such predicates are supersets, unless ``literal`` says that there is no affinity.
- A blob is never converted.

SQLite has no times. A column of times is one of texts in the collating sequence ``TIME_COLLATION``. Whoever
compares it with what is no time, such as 'yesterday' or 5, gets a DataTypeError (``TIME``), and not no rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from audiomem_sql.columns.numeric_text import numeric_text
from audiomem_sql.columns.time_order import is_time, key
from audiomem_sql.columns.timestamps import MAX_MICROS, MIN_MICROS, parse, render, text_threshold
from audiomem_sql.columns.types import TIME_COLLATION, ColumnType, Kind
from audiomem_sql.errors import QueryError
from audiomem_sql.predicates.bounds import (
    Bound,
    Every,
    Missing,
    NanAsNull,
    NotANumber,
    Nothing,
    NumberSet,
    OrMissing,
    Range,
    RealRange,
    TimestampRange,
    Unknown,
)
from audiomem_sql.predicates.operands import (
    EMPTY,
    SqlValue,
    Wide,
    clean,
    integer_interval,
    real_interval,
    text_of,
)
from audiomem_sql.predicates.patterns import DOUBTFUL, MAX_PATTERN_BYTES, Pattern
from audiomem_sql.predicates.predicate import COMPARISON_BY_OP, Op, Predicate, Stored
from audiomem_sql.predicates.texts import (
    Collation,
    Matching,
    StringOrder,
    StringPrefix,
    StringSet,
    TextSet,
    Truth,
)

_NUMBERS = (Kind.INTEGER, Kind.BOOLEAN, Kind.REAL)
_BLOBS = (Kind.BLOB, Kind.FLOAT)
#: In place of a collation: the values are times, in any spelling.
TIME = "TIME"
_TIMES = (TIME, TIME_COLLATION)
_PATTERNS = (Op.LIKE, Op.GLOB)
_PLAIN: dict[Op, Bound] = {
    Op.IS_NULL: Missing(),
    Op.NOT_NULL: Every(unknown=Unknown.NEVER),
    Op.IS_NAN: NotANumber(),
}


def bind(
    predicate: Predicate,
    column_type: ColumnType,
    collation: str = "BINARY",
    *,
    literal: bool = False,
    converted: bool = False,
    nan_is_null: bool = True,
) -> Bound:
    """The predicate for a column of this type (INTEGER for the rowid).

    collation: the collating sequence of the comparison, as SQLite names it. literal: the value comes from a
    filter that SQLite does not see: it has no affinity, and the answer must be exact. converted: the values
    of an IN have the affinity of the comparison already, as SQLite hands them to a virtual table: there are
    numbers among them only if texts are compared as numbers, and the answer is exact. nan_is_null: NaN in a
    column of reals is NULL, as SQL has it; otherwise it is a value that equals none and is above and below
    none, as Arrow has it. QueryError for a value that is no SQL value, and with ``literal`` for a pattern
    longer than SQLite takes. DataTypeError for a value that is no time where the collation is TIME, and for
    one that is no text in TIME_COLLATION.
    """
    if _is_by_stored_form(predicate, column_type):
        from audiomem_sql.predicates.logical import bind_logical  # most tables have none

        plain = partial(bind, literal=True)
        return bind_logical(predicate, column_type, plain, literal=literal)
    bound = _bound(predicate, column_type, collation, literal, converted)
    if not nan_is_null or column_type.kind is not Kind.REAL:
        return bound
    return NanAsNull(
        inner=bound, exact=bound.exact, unknown=bound.unknown, keys=bound.keys, bounds=bound.bounds
    )


def _bound(
    predicate: Predicate, column_type: ColumnType, collation: str, literal: bool, converted: bool
) -> Bound:
    op = predicate.op
    if op in _PLAIN:
        return _PLAIN[op]
    if op is Op.TRUE:
        is_number = column_type.kind in _NUMBERS and column_type.logical is None
        return (
            _compare(Op.NE, 0, column_type, collation, literal)
            if is_number
            else Truth(column_type=column_type)
        )
    if op is Op.PATTERN:
        return _pattern(predicate.value, column_type)
    if op is Op.IN:
        values = [clean(value) for value in predicate.value]
        if collation in _TIMES:
            values, collation = [_time(value, collation) for value in values], "BINARY"
        return _member(values, column_type, collation, literal, converted)
    value = clean(predicate.value)
    if collation in _TIMES:
        value, collation = value if op in _PATTERNS else _time(value, collation), "BINARY"
    if op in (Op.IS, Op.IS_NOT):
        return _identity(op, value, column_type, collation, literal)
    if value is None:
        return Nothing(unknown=Unknown.ALWAYS)
    if op in (Op.LIKE, Op.GLOB):
        return _match(op, value, column_type, literal)
    if op is Op.STARTS_WITH:
        return _prefix(value, column_type)
    return _compare(op, value, column_type, collation, literal)


def _is_by_stored_form(predicate: Predicate, column_type: ColumnType) -> bool:
    """Whether it compares a logical value, or a null that IS asks for."""
    node, op = column_type.logical, predicate.op
    if node is None or node.name == "ENUM":
        return False
    if op in (Op.IS, Op.IS_NOT):
        return isinstance(predicate.value, Stored | Wide) or clean(predicate.value) is not None
    return op is Op.IN or op in COMPARISON_BY_OP


def _time(value: SqlValue | None, collation: str) -> SqlValue | None:
    """The text that the texts of a column of times are compared with, byte by byte."""
    if value is None:
        return None
    if isinstance(value, str) and (collation != TIME or is_time(value)):
        era, _, _, text = key(value)
        return text if era == 0 else "" if era < 0 else ":"  # below and above all digits
    return render(parse(value))


def _identity(
    op: Op, value: SqlValue | None, column_type: ColumnType, collation: str, literal: bool
) -> Bound:
    """IS and IS NOT: comparisons that are never NULL."""
    if value is None:
        return Missing() if op is Op.IS else Every(unknown=Unknown.NEVER)
    if op is Op.IS:
        return replace(_compare(Op.EQ, value, column_type, collation, literal), unknown=Unknown.NEVER)
    inner = _compare(Op.NE, value, column_type, collation, literal)
    return OrMissing(inner=inner, exact=inner.exact)


def _compare(op: Op, value: SqlValue, column_type: ColumnType, collation: str, literal: bool) -> Bound:
    kind = column_type.kind
    below = Every() if op in (Op.LT, Op.LE, Op.NE) else Nothing()
    above = Every() if op in (Op.GT, Op.GE, Op.NE) else Nothing()
    if kind in _NUMBERS:
        if isinstance(value, str):
            number = numeric_text(value)
            value = value if number is None else number
        if isinstance(value, str | bytes):
            return below
        return _number_range(op, value, kind)
    if kind in _BLOBS:
        if not isinstance(value, bytes):
            return above
        if kind is Kind.FLOAT and len(value) != column_type.vector_bytes and op in (Op.EQ, Op.NE):
            return Nothing() if op is Op.EQ else Every()
        return StringOrder(op=op, operand=value, keys=(value,) if op is Op.EQ else None)
    if isinstance(value, bytes):
        return below
    if isinstance(value, str):
        return _compare_text(op, value, column_type, collation)
    return _compare_text(op, text_of(value), column_type, collation) if literal else Every(exact=False)


def _compare_text(op: Op, value: str, column_type: ColumnType, collation: str) -> Bound:
    """A comparison of a column whose SQL values are texts."""
    sequence = _collation(collation, (value,))
    if sequence is None:
        if op in (Op.EQ, Op.NE) and collation.upper() in Collation.__members__:
            return _text_set([value], column_type, collation, Unknown.COLUMN, negated=op is Op.NE)
        return Every(exact=False)
    if column_type.kind is Kind.TIMESTAMP:
        return _timestamp_range(op, sequence.key(value).decode("utf-8", "surrogatepass"))
    keys = (value,) if op is Op.EQ and sequence is Collation.BINARY else None
    return StringOrder(op=op, operand=sequence.key(value), collation=sequence, keys=keys)


def _number_range(op: Op, value: int | float, kind: Kind) -> Bound:
    if kind is Kind.REAL:
        low, high = real_interval(op, value)
        if low > high:
            return Every() if op is Op.NE else Nothing()
        return RealRange(
            low=low, high=high, negated=op is Op.NE, keys=_real_keys([low]) if op is Op.EQ else None
        )
    bounds = integer_interval(op, value)
    if bounds == EMPTY:
        return Every() if op is Op.NE else Nothing()
    if op is Op.NE:
        return Range(low=bounds[0], high=bounds[1], negated=True)
    return Range(low=bounds[0], high=bounds[1], bounds=bounds, keys=bounds[:1] if op is Op.EQ else None)


def _timestamp_range(op: Op, text: str) -> Bound:
    """The canonical texts are in the order of their times, so any text is a place between two times."""
    at = text_threshold(text)
    canonical = at <= MAX_MICROS and render(at) == text
    if op in (Op.EQ, Op.NE):
        if not canonical:
            return Nothing() if op is Op.EQ else Every()
        low = high = at
    elif op in (Op.LT, Op.LE):
        low, high = MIN_MICROS, at if canonical and op is Op.LE else at - 1
    else:
        low, high = at + 1 if canonical and op is Op.GT else at, MAX_MICROS
    if low > high:
        return Nothing()
    if op is Op.NE:
        return TimestampRange(low=low, high=high, negated=True, op=op, text=text)
    return TimestampRange(
        low=low, high=high, op=op, text=text, bounds=(low, high), keys=(low,) if op is Op.EQ else None
    )


def _member(
    values: list[SqlValue | None], column_type: ColumnType, collation: str, literal: bool, converted: bool
) -> Bound:
    kind = column_type.kind
    if not values:
        return Nothing(unknown=Unknown.NEVER)
    present = [value for value in values if value is not None]
    if not present:
        return Nothing(unknown=Unknown.ALWAYS)
    unknown = Unknown.COLUMN if len(present) == len(values) else Unknown.UNMATCHED
    if kind in _NUMBERS:
        return _number_set(present, kind, unknown)
    if kind in _BLOBS:
        blobs = {value for value in present if isinstance(value, bytes)}
        if kind is Kind.FLOAT:
            blobs = {value for value in blobs if len(value) == column_type.vector_bytes}
        return _string_set(blobs, blobs, Collation.BINARY, unknown)
    known = collation.upper() in Collation.__members__
    if not literal and any(isinstance(value, int | float) for value in present):
        if known and converted:
            return _text_set(present, column_type, collation, unknown)
        return Every(exact=False, unknown=unknown)
    texts = {
        text_of(value) if isinstance(value, int | float) else value
        for value in present
        if not isinstance(value, bytes)
    }
    sequence = _collation(collation, texts)
    if sequence is None:
        return (
            _text_set(texts, column_type, collation, unknown)
            if known
            else Every(exact=False, unknown=unknown)
        )
    if kind is not Kind.TIMESTAMP:
        return _string_set(texts, {sequence.key(text) for text in texts}, sequence, unknown)
    times: dict[int, str] = {}
    for text in texts:
        text = sequence.key(text).decode("utf-8", "surrogatepass")
        at = text_threshold(text)
        if at <= MAX_MICROS and render(at) == text:
            times[at] = text
    return _integer_set(sorted(times), frozenset(times.values()), unknown)


def _number_set(present: Iterable[SqlValue], kind: Kind, unknown: Unknown) -> Bound:
    numbers: set[Any] = set()
    for value in present:
        number = numeric_text(value) if isinstance(value, str) else value
        if isinstance(number, int | float):
            low, high = real_interval(Op.EQ, number) if kind is Kind.REAL else integer_interval(Op.EQ, number)
            if low == high:
                numbers.add(low)
    if kind is not Kind.REAL:
        return _integer_set(sorted(numbers), frozenset(numbers), unknown)
    if not numbers:
        return Nothing(unknown=unknown)
    ordered = sorted(numbers)
    return NumberSet(
        numbers=np.array(ordered, np.float64),
        values=frozenset(numbers),
        keys=_real_keys(ordered),
        unknown=unknown,
    )


def _integer_set(numbers: list[int], values: frozenset[Any], unknown: Unknown) -> Bound:
    if not numbers:
        return Nothing(unknown=unknown)
    bounds = (numbers[0], numbers[-1])
    return NumberSet(
        numbers=np.array(numbers, np.int64),
        values=values,
        keys=tuple(numbers),
        bounds=bounds,
        unknown=unknown,
    )


def _string_set(values: Iterable[Any], keys: Iterable[bytes], sequence: Collation, unknown: Unknown) -> Bound:
    operands = frozenset(keys)
    if not operands:
        return Nothing(unknown=unknown)
    stored = tuple(sorted(values)) if sequence is Collation.BINARY else None
    return StringSet(operands=operands, collation=sequence, keys=stored, unknown=unknown)


def _text_set(
    values: Iterable[SqlValue],
    column_type: ColumnType,
    collation: str,
    unknown: Unknown,
    *,
    negated: bool = False,
) -> Bound:
    sequence = Collation(collation.upper())
    return TextSet(
        operands=frozenset(sequence.equality_key(value) for value in values if isinstance(value, str)),
        numbers=frozenset(value for value in values if isinstance(value, int | float)),
        collation=sequence,
        column_type=column_type,
        negated=negated,
        unknown=unknown,
    )


def _match(op: Op, value: SqlValue, column_type: ColumnType, literal: bool) -> Bound:
    kind = Kind.TEXT if column_type.logical is not None else column_type.kind
    if column_type.logical is not None and not literal:
        return Every(exact=False)
    if not literal and (kind not in (Kind.TEXT, Kind.JSON) or isinstance(value, bytes | float)):
        return Every(exact=False)
    if isinstance(value, bytes) or kind in _BLOBS:
        return Nothing()
    text = value if isinstance(value, str) else text_of(value)
    if len(text.encode("utf-8", "surrogatepass")) > MAX_PATTERN_BYTES:
        if literal:
            raise QueryError(
                "LIKE or GLOB pattern too complex", remedy=f"SQLite takes {MAX_PATTERN_BYTES:,} bytes"
            )
        return Every(exact=False)
    if not literal and not DOUBTFUL.isdisjoint(text):
        return Every(exact=False)
    pattern = Pattern.like(text) if op is Op.LIKE else Pattern.glob(text)
    return Matching(pattern=pattern, column_type=column_type, exact=literal)


def _prefix(value: SqlValue, column_type: ColumnType) -> Bound:
    if not isinstance(value, str) or column_type.kind not in (Kind.TEXT, Kind.JSON):
        raise QueryError("only a text starts with another text", remedy="Compare a TEXT column with a text")
    return StringPrefix(prefix=value.encode("utf-8", "surrogatepass"))


def _pattern(pattern: Pattern, column_type: ColumnType) -> Bound:
    if column_type.kind not in (Kind.TEXT, Kind.JSON) or column_type.logical is not None:
        raise QueryError("only a text has a pattern", remedy="Compare a TEXT column with a pattern")
    return Matching(pattern=pattern, column_type=column_type)


def _collation(name: str, texts: Iterable[str]) -> Collation | None:
    """The collating sequence, or None if its order among these texts cannot be had from bytes."""
    sequence = Collation.__members__.get(name.upper())
    if sequence is Collation.NOCASE and any("\0" in text for text in texts):
        return None  # SQLite's NOCASE stops at a NUL that both sides have, and compares lengths
    return sequence


def _real_keys(numbers: list[float]) -> tuple[float, ...]:
    """Both zeros are equal, and both can be stored."""
    return tuple(key for number in numbers for key in ((-0.0, 0.0) if number == 0 else (number,)))
