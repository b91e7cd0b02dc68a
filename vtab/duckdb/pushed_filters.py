"""The conditions of a WHERE, as DuckDB's second interface hands them over, as an expression of Arrow.

A node is ``(type, content, children)``, its type by the number in ``DUCKDB_V2_EXPRESSION_TYPE``. The content
of a column is its index, of a function its name, of a constant None, int, float, str, or (number of its type,
text), of a TIMESTAMP (19, microseconds). DuckDB applies every condition to the rows that come. So an
expression may let more rows through than its condition, and never fewer; what is not understood lets all
through.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from audiomem_sql.columns.logical.arrow_forms import node_of
from audiomem_sql.columns.logical.fixed import stored_type
from audiomem_sql.columns.logical.forms import arrow_form
from audiomem_sql.columns.logical.parsing import PARSERS
from audiomem_sql.columns.timestamps import MAX_MICROS, MIN_MICROS

NOT, IS_NULL, IS_NOT_NULL = 13, 14, 15
EQUAL, NOT_EQUAL, LESS, GREATER, LESS_OR_EQUAL, GREATER_OR_EQUAL = range(25, 31)
IN, NOT_IN, BETWEEN, AND, OR, CONSTANT, FUNCTION, COLUMN = 35, 36, 38, 50, 51, 75, 141, 228
_BOOLEAN, _DATE, _TIMESTAMP, _UBIGINT, _HUGEINT = 10, 15, 19, 31, 50

#: Types whose constants come as text, by their numbers, and what they are called here.
_TEXTS = {
    16: "TIME",
    17: "TIMESTAMP_S",
    18: "TIMESTAMP_MS",
    20: "TIMESTAMP_NS",
    21: "DECIMAL",
    _UBIGINT: "UBIGINT",
    32: "TIMESTAMPTZ",
    35: "TIME_NS",
}

Node = tuple[int, Any, Sequence[Any]]

_COMPARISONS: dict[int, Callable[[Any, Any], Any]] = {
    EQUAL: lambda one, other: one == other,
    NOT_EQUAL: lambda one, other: one != other,
    LESS: lambda one, other: one < other,
    GREATER: lambda one, other: one > other,
    LESS_OR_EQUAL: lambda one, other: one <= other,
    GREATER_OR_EQUAL: lambda one, other: one >= other,
}
#: The comparison with its sides exchanged.
_TURNED = {LESS: GREATER, GREATER: LESS, LESS_OR_EQUAL: GREATER_OR_EQUAL, GREATER_OR_EQUAL: LESS_OR_EQUAL}
_PREFIXES = ("prefix", "starts_with", "^@")
_SUFFIXES = ("suffix", "ends_with")
#: LIKE without regard to case. DuckDB gives LIKE as one of the others where its pattern allows that.
_LIKE, _NOT_LIKE, _ILIKE = "~~", "!~~", "~~*"
#: Where a text begins in another one, from 1 on, and what says that it does.
_PLACES = ("instr", "position", "strpos")
_IS_FOUND = ((GREATER, (CONSTANT, 0)), (NOT_EQUAL, (CONSTANT, 0)), (GREATER_OR_EQUAL, (CONSTANT, 1)))
#: Characters of a pattern of LIKE that are left to DuckDB.
_WILDCARD = re.compile(r"[\\_]")
#: Characters of a pattern of ILIKE that stand for more than one here, or for others as well: those beyond
#: ASCII, and the letters of ASCII that are the small form of such a one.
_OPEN = re.compile(r"[^\x01-\x7f]|[\\_iIkKsS]")


class _UnknownError(Exception):
    """Nothing is known that says exactly what a node says. It never leaves this module."""


def condition(
    nodes: Sequence[Node | None], schema: pa.Schema, ignored: frozenset[int] = frozenset()
) -> pc.Expression | None:
    """What is true for all rows that pass all conditions; None if nothing is known of them.

    ignored: indexes of columns of which nothing is to be said.
    """
    for index in ignored:
        schema = schema.set(index, schema.field(index).with_type(pa.null()))
    return _all(_weak(node, schema) for node in nodes if node is not None)


def _all(parts: Any) -> pc.Expression | None:
    made = None
    for part in parts:
        if part is not None:
            made = part if made is None else made & part
    return made


def _weak(node: Node, schema: pa.Schema) -> pc.Expression | None:
    """An expression that is true wherever the condition is; None where none is known."""
    kind, content, children = node
    if kind == AND:
        return _all(_weak(child, schema) for child in children)
    if kind == OR:
        made = None
        for child in children:
            part = _weak(child, schema)
            if part is None:
                return None
            made = part if made is None else made | part
        return made
    try:
        if kind == FUNCTION and content in _PREFIXES and len(children) == 2:
            return _prefix(children, schema)
        if kind == FUNCTION and content == _ILIKE and len(children) == 2:
            return _without_case(children, schema)
        return _between(children, schema) if kind == BETWEEN else _exact(node, schema)
    except _UnknownError:
        return None


def _exact(node: Node, schema: pa.Schema) -> pc.Expression:
    """An expression that is true, false and NULL where the condition is.

    _UnknownError where none is known.
    """
    kind, _, children = node
    if kind in (AND, OR):
        made = _exact(children[0], schema)
        for child in children[1:]:
            other = _exact(child, schema)
            made = made & other if kind == AND else made | other
        return made
    if kind == NOT:
        return ~_exact(children[0], schema)
    if kind == COLUMN:
        column, data_type = _column(node, schema)
        if not pa.types.is_boolean(data_type):
            raise _UnknownError
        return column
    if kind in (IS_NULL, IS_NOT_NULL):
        column, _ = _column(children[0], schema)
        return column.is_null() if kind == IS_NULL else ~column.is_null()
    if kind in _COMPARISONS:
        return _compared(kind, children, schema)
    if kind in (IN, NOT_IN):
        column, data_type = _column(children[0], schema)
        found = _is_in(column, [_constant(child, data_type) for child in children[1:]])
        return found if kind == IN else ~found
    if kind == FUNCTION and len(children) == 2:
        return _matching(node, schema)
    raise _UnknownError


def _matching(node: Node, schema: pa.Schema) -> pc.Expression:
    """A search in texts, byte by byte, for literal pieces: DuckDB is faster with other wildcards."""
    _, name, children = node
    column, text = _searched(children, schema)
    if name == "contains":
        return pc.match_substring(column, text)
    if name in _SUFFIXES:
        return pc.ends_with(column, text)
    if name in (_LIKE, _NOT_LIKE) and not _WILDCARD.search(text):
        found = pc.match_like(column, text)
        return found if name == _LIKE else ~found
    raise _UnknownError


def _without_case(children: Sequence[Node], schema: pa.Schema) -> pc.Expression | None:
    """``ILIKE``: what has the parts of its pattern that are letters of ASCII with two forms."""
    column, text = _searched(children, schema)
    pattern = _OPEN.sub("%", text)
    return pc.match_like(column, pattern, ignore_case=True) if pattern.strip("%") else None


def _searched(children: Sequence[Node], schema: pa.Schema) -> tuple[pc.Expression, str]:
    column, data_type = _column(children[0], schema)
    text = _constant(children[1], data_type).as_py()
    if not isinstance(text, str) or not text:  # where nothing lies is for DuckDB to say
        raise _UnknownError
    return column, text


def _is_in(column: pc.Expression, values: Sequence[pa.Scalar]) -> pc.Expression:
    """An OR, not a set: NULL is NULL, as SQL has it."""
    made = column == values[0]
    for value in values[1:]:
        made = made | (column == value)
    return made


def _compared(kind: int, children: Sequence[Node], schema: pa.Schema) -> pc.Expression:
    one, other = children
    if one[0] == CONSTANT:
        kind, one, other = _TURNED.get(kind, kind), other, one
    if one[0] == FUNCTION and one[1] in _PLACES and (kind, other[:2]) in _IS_FOUND:
        return pc.match_substring(*_searched(one[2], schema))
    column, data_type = _column(one, schema)
    compared = _COMPARISONS[kind](column, _constant(other, data_type))
    if kind in (GREATER, GREATER_OR_EQUAL) and pa.types.is_floating(data_type):
        return compared | pc.is_nan(column)  # for DuckDB, NaN is above all numbers
    return compared


def _between(children: Sequence[Node], schema: pa.Schema) -> pc.Expression:
    """With both bounds: ``5 < n AND n < 9`` is a BETWEEN, too, and DuckDB does not say which it is."""
    column, data_type = _column(children[0], schema)
    return (column >= _constant(children[1], data_type)) & (column <= _constant(children[2], data_type))


def _prefix(children: Sequence[Node], schema: pa.Schema) -> pc.Expression | None:
    """``LIKE 'ab%'``: from 'ab' on, and below the first text that is above all that begin so."""
    column, data_type = _column(children[0], schema)
    beginning = _constant(children[1], data_type).as_py()
    if not isinstance(beginning, str) or not beginning:
        raise _UnknownError
    above = _above(beginning)
    made = column >= pa.scalar(beginning, data_type)
    return made if above is None else made & (column < pa.scalar(above, data_type))


def _above(beginning: str) -> str | None:
    """The least text above all that begin so, by code points; None: there is none."""
    while beginning:
        last = ord(beginning[-1]) + 1
        if 0xD800 <= last <= 0xDFFF:  # which no text has
            last = 0xE000
        if last <= 0x10FFFF:
            return beginning[:-1] + chr(last)
        beginning = beginning[:-1]
    return None


def _column(node: Node, schema: pa.Schema) -> tuple[pc.Expression, pa.DataType]:
    kind, index, _ = node
    if kind != COLUMN or not 0 <= index < len(schema) or pa.types.is_null(schema.field(index).type):
        raise _UnknownError
    return pc.field(schema.names[index]), schema.field(index).type


def _constant(node: Node, data_type: pa.DataType) -> pa.Scalar:
    """A constant as a value of a column's type, if it is one exactly."""
    kind, value, _ = node
    if kind != CONSTANT or value is None:
        raise _UnknownError
    number, value = value if isinstance(value, tuple) else (None, value)
    if number in _TEXTS and number != _DATE and not _is_plain(data_type):
        return _parsed(_TEXTS[number], value, data_type)
    for is_type, converted in _CONVERTERS:
        if is_type(data_type):
            found = converted(number, value)
            if found is not None:
                return pa.scalar(found, data_type)
    raise _UnknownError


def _is_plain(data_type: pa.DataType) -> bool:
    """Whether a column of the type may be one of the engine's own kinds."""
    return bool(
        pa.types.is_int64(data_type) or pa.types.is_float64(data_type) or data_type == pa.timestamp("us")
    )


def _parsed(name: str, text: Any, data_type: pa.DataType) -> pa.Scalar:
    """A constant of a logical type, whose text DuckDB tells."""
    node = node_of(data_type)
    if node is None or node.name != name or node.bytes > 16:
        raise _UnknownError
    try:
        stored = PARSERS[name](node, text)
    except ValueError:
        raise _UnknownError from None
    return arrow_form(node, pa.array([stored], stored_type(node)))[0]


def _integer(number: int | None, value: Any) -> int | None:
    if number in (_UBIGINT, _HUGEINT):
        value = int(value)
    elif number is not None:
        return None
    return value if isinstance(value, int) and -(1 << 63) <= value < 1 << 63 else None


def _real(number: int | None, value: Any) -> float | None:
    return value if number is None and isinstance(value, float) and math.isfinite(value) else None


def _time(number: int | None, value: Any) -> int | None:
    return (
        value
        if number == _TIMESTAMP and isinstance(value, int) and MIN_MICROS <= value <= MAX_MICROS
        else None
    )


def _date(number: int | None, value: Any) -> date | None:
    try:
        return date.fromisoformat(value) if number == _DATE else None
    except ValueError:  # infinity, and years of five digits
        return None


def _flag(number: int | None, value: Any) -> bool | None:
    return value == "true" if number == _BOOLEAN else None


def _text(number: int | None, value: Any) -> str | None:
    return value if number is None and isinstance(value, str) else None


_CONVERTERS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[int | None, Any], Any]], ...] = (
    (pa.types.is_int64, _integer),
    (pa.types.is_float64, _real),
    (lambda data_type: data_type == pa.timestamp("us"), _time),
    (pa.types.is_date32, _date),
    (pa.types.is_boolean, _flag),
    (pa.types.is_string, _text),
    (pa.types.is_large_string, _text),
)
