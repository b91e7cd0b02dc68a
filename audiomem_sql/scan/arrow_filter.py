"""A filter of pyarrow as a condition of ours, and by that as what a scan takes.

It means what it means in Arrow: no collations, no order for NaN, and of NULL what each function makes of it.
A part that cannot be said exactly as a condition, such as a comparison of two columns, has pyarrow evaluate
the whole filter for the rows that the other parts leave.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from audiomem_sql.arrays import BoolArray
from audiomem_sql.columns.logical.forms import stored_form
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.shown import common_array, common_type
from audiomem_sql.columns.timestamps import MAX_MICROS, MIN_MICROS, render
from audiomem_sql.columns.types import ColumnType, Kind, arrow_type
from audiomem_sql.errors import QueryError, did_you_mean
from audiomem_sql.predicates.patterns import Pattern
from audiomem_sql.predicates.predicate import (
    COMPARISON_BY_OP,
    COMPARISONS,
    And,
    Condition,
    Not,
    Op,
    Or,
    Predicate,
    Stored,
)
from audiomem_sql.scan.arrow_expression import (
    Call,
    ExpressionNode,
    Field,
    Literal,
    names_in,
    parse_expression,
)
from audiomem_sql.scan.filters import Filter, RowFilter, filters_of

_OPS = {comparison.arrow: comparison.op for comparison in COMPARISONS}
#: Which rows of a set with NULLs match NULL: Arrow's SetLookupOptions, as far as Python has them.
_MATCH_NULLS, _SKIP_NULLS = 0, 1
#: Texts below and above those of all timestamps.
_BEFORE, _AFTER = "", "~"
_TEXT_KINDS = (Kind.TEXT, Kind.JSON)
#: Letters of ASCII that others are the same as but for case: the long s, and the sign of the unit kelvin.
_MORE_FORMS = frozenset("kKsS")


class _UnknownError(Exception):
    """No condition says exactly what this part says; pyarrow evaluates it."""


def filters_of_expression(expression: pc.Expression, schema: Schema) -> tuple[list[Filter], RowFilter | None]:
    """(filters, row filter): the rows that pass both are those for which ``expression`` is true.

    QueryError for columns that are not there, and for what Arrow cannot evaluate.
    """
    node = parse_expression(expression)
    if node is None:
        return [], _whole(expression, schema, schema.names)
    names = names_in(node)
    for name in sorted(names):
        if name not in schema.names:
            raise QueryError(
                f"there is no column {name!r}",
                remedy=f"{did_you_mean(name, schema.names)}The columns are {', '.join(schema.names)}",
            )
    known: list[Condition] = []
    complete = True
    for part in _conjuncts(node):
        try:
            known.append(_condition(part, schema, nulls=False))
        except _UnknownError:
            complete = False
    filters, row_filter = filters_of(And(tuple(known)), schema, collated=False, nan_is_null=False)
    if complete:
        return filters, row_filter
    return filters, _whole(expression, schema, sorted(names) or schema.names[:1])


def _conjuncts(node: ExpressionNode) -> list[ExpressionNode]:
    if isinstance(node, Call) and node.function in ("and_kleene", "and"):
        return [part for child in node.arguments for part in _conjuncts(child)]
    return [node]


def _whole(expression: pc.Expression, schema: Schema, names: Sequence[str]) -> RowFilter:
    """The expression evaluated by pyarrow, which is given the columns ``names``."""
    columns = [schema.index(name) for name in names]
    number = "".join(names) + "#"  # no column is called that
    types = pa.schema(
        [
            (name, common_type(schema.columns[column].type))
            for name, column in zip(names, columns, strict=True)
        ]
        + [(number, pa.int64())]
    )

    def evaluated(arrays: list[pa.Array[Any]]) -> BoolArray:
        count = len(arrays[0])
        arrays = [
            common_array(array, schema.columns[column].type)
            for array, column in zip(arrays, columns, strict=True)
        ]
        batch = pa.RecordBatch.from_arrays([*arrays, pa.array(np.arange(count))], schema=types)
        try:
            rows = ds.InMemoryDataset(batch).to_table([number], expression, use_threads=False)
        except (pa.ArrowException, TypeError) as error:
            raise QueryError(f"Arrow cannot evaluate the filter: {error}") from None
        mask = np.zeros(count, np.bool_)
        mask[rows.column(0).to_numpy()] = True
        return mask

    evaluated([pa.nulls(0, arrow_type(schema.columns[column].type)) for column in columns])
    return lambda load: evaluated([load(column) for column in columns])


# -- conditions ----------------------------------------------------------------------------------------------


def _condition(node: ExpressionNode, schema: Schema, *, nulls: bool) -> Condition:
    """The condition that is true where ``node`` is; with ``nulls`` it is also NULL where ``node`` is.

    Where no ``invert`` stands around it, nobody can tell NULL from false. _UnknownError if there is no such
    condition.
    """
    if isinstance(node, Field):
        column = schema.index(node.name)
        if _type(column, schema) != pa.bool_():
            raise _UnknownError
        return Predicate(column, Op.EQ, 1)
    if isinstance(node, Literal):
        raise _UnknownError
    translate = _CALLS.get(node.function)
    if translate is None:
        raise _UnknownError
    return translate(node, schema, nulls)


def _junction(node: Call, schema: Schema, nulls: bool) -> Condition:
    """AND and OR. Arrow's ``and`` is NULL also where one side is false and the other NULL."""
    if node.function == "and" and nulls:
        raise _UnknownError
    children = tuple(_condition(argument, schema, nulls=nulls) for argument in node.arguments)
    return Or(children) if node.function == "or_kleene" else And(children)


def _inverted(node: Call, schema: Schema, nulls: bool) -> Condition:
    (argument,) = node.arguments
    if isinstance(argument, Field):
        true = _condition(argument, schema, nulls=True)
        return Predicate(true.column, Op.EQ, 0) if isinstance(true, Predicate) else Not(true)
    return Not(_condition(argument, schema, nulls=True))


def _comparison(node: Call, schema: Schema, nulls: bool) -> Condition:
    """Of a column and a literal that has a value of the column's type."""
    left, right = node.arguments
    op = _OPS[node.function]
    if isinstance(left, Literal):
        left, right, op = right, left, COMPARISON_BY_OP[op].mirrored
    if not (isinstance(left, Field) and isinstance(right, Literal)):
        raise _UnknownError
    column = schema.index(left.name)
    scalar = _as(right, _type(column, schema))
    if schema.columns[column].type.logical is not None:
        return Predicate(column, op, _stored(scalar, schema.columns[column].type, op))
    value = _sql_value(scalar)
    if isinstance(value, float) and math.isnan(value):
        # nothing is equal to NaN, below or above it, as no number is equal to a text
        return Predicate(column, Op.NE if op is Op.NE else Op.EQ, "NaN")
    return Predicate(column, op, value)


def _validity(node: Call, schema: Schema, nulls: bool) -> Condition:
    """Whether a column is NULL, or, with an option, NULL or NaN."""
    column = _only_column(node, schema)
    options = node.options or {}
    if "nan_is_null" in options and options["nan_is_null"].as_py() and _is_real(column, schema):
        return Or((Predicate(column, Op.IS_NULL), Predicate(column, Op.IS_NAN)))
    return Predicate(column, Op.NOT_NULL if node.function == "is_valid" else Op.IS_NULL)


def _nan(node: Call, schema: Schema, nulls: bool) -> Condition:
    column = _only_column(node, schema)
    if not _is_real(column, schema):
        raise _UnknownError
    return Predicate(column, Op.IS_NAN)


def _set(node: Call, schema: Schema, nulls: bool) -> Condition:
    """Arrow's ``is_in``, which is never NULL.

    A column that is NULL is in a set that contains NULL, unless NULLs are skipped.

    Arrow's sets tell -0.0 from 0.0, and NaN is in them. Here both zeros are one number, as in comparisons:
    DuckDB 1.5, which sends sets of numbers, means both. A set of integers or float32 is one of doubles.
    """
    column = _only_column(node, schema)
    options = node.options or {}
    null_matching, array = options["null_matching_behavior"].as_py(), options["value_set"].values
    if _is_real(column, schema) and (pa.types.is_integer(array.type) or pa.types.is_floating(array.type)):
        array = _as_doubles(array)
    if null_matching not in (_MATCH_NULLS, _SKIP_NULLS) or array.type != _type(column, schema):
        raise _UnknownError
    if pa.types.is_nested(array.type):
        raise _UnknownError
    own = schema.columns[column].type
    logical = own.logical is not None
    values = [_stored(scalar, own, Op.EQ) if logical else _sql_value(scalar) for scalar in array.drop_null()]
    numbers = tuple(value for value in values if not (isinstance(value, float) and math.isnan(value)))
    member: Condition = Predicate(column, Op.IN, numbers)
    if len(numbers) < len(values):
        member = Or((Predicate(column, Op.IS_NAN), member))
    if array.null_count and null_matching == _MATCH_NULLS:
        return Or((Predicate(column, Op.IS_NULL), And((Predicate(column, Op.NOT_NULL), member))))
    return And((Predicate(column, Op.NOT_NULL), member)) if nulls else member


def _set_or_null(node: Call, schema: Schema, nulls: bool) -> Condition:
    """DuckDB's IN, ``if_else(is_valid(a), is_in(a, …), NULL)``: NULL where the column is."""
    test, then, otherwise = node.arguments
    if not (
        isinstance(test, Call)
        and test.function == "is_valid"
        and isinstance(then, Call)
        and then.function == "is_in"
        and isinstance(otherwise, Literal)
        and not otherwise.value.is_valid
        and test.arguments == then.arguments
    ):
        raise _UnknownError
    condition = _set(then, schema, False)
    if not isinstance(condition, Predicate):
        raise _UnknownError
    return condition


def _prefix(node: Call, schema: Schema, nulls: bool) -> Condition:
    column, text, ignore_case = _searched(node, schema)
    if ignore_case:
        return Predicate(column, Op.PATTERN, Pattern.pieces(text, "", ignore_case=True))
    return Predicate(column, Op.STARTS_WITH, text)


def _suffix(node: Call, schema: Schema, nulls: bool) -> Condition:
    column, text, ignore_case = _searched(node, schema)
    return Predicate(column, Op.PATTERN, Pattern.pieces("", text, ignore_case=ignore_case))


def _substring(node: Call, schema: Schema, nulls: bool) -> Condition:
    column, text, ignore_case = _searched(node, schema)
    pieces = ("", text, "") if text else ("", "")
    return Predicate(column, Op.PATTERN, Pattern.pieces(*pieces, ignore_case=ignore_case))


def _like(node: Call, schema: Schema, nulls: bool) -> Condition:
    column, text, ignore_case = _searched(node, schema)
    if "\\" in text:  # which takes its meaning from a wildcard
        raise _UnknownError
    return Predicate(column, Op.PATTERN, Pattern.plain(text, ignore_case=ignore_case))


def _searched(node: Call, schema: Schema) -> tuple[int, str, bool]:
    """The column of texts, what is looked for there, and whether case is ignored.

    Arrow ignores it as Unicode has it, where two letters of ASCII have a third form, and others have many.
    """
    column, options = _only_column(node, schema), node.options or {}
    text, ignore_case = options["pattern"].as_py(), options["ignore_case"].as_py()
    column_type = schema.columns[column].type
    if not isinstance(text, str) or column_type.logical is not None or column_type.kind not in _TEXT_KINDS:
        raise _UnknownError
    if ignore_case and not (text.isascii() and _MORE_FORMS.isdisjoint(text)):
        raise _UnknownError
    return column, text, ignore_case


_CALLS: dict[str, Callable[[Call, Schema, bool], Condition]] = {
    **dict.fromkeys(_OPS, _comparison),
    **dict.fromkeys(("and_kleene", "and", "or_kleene"), _junction),
    "invert": _inverted,
    "is_valid": _validity,
    "is_null": _validity,
    "is_nan": _nan,
    "is_in": _set,
    "if_else": _set_or_null,
    "starts_with": _prefix,
    "ends_with": _suffix,
    "match_substring": _substring,
    "match_like": _like,
}


def _is_real(column: int, schema: Schema) -> bool:
    """Whether it is a column of doubles, which may hold NaN."""
    return schema.columns[column].type.logical is None and bool(pa.types.is_floating(_type(column, schema)))


def _as_doubles(numbers: Any) -> pa.Array[Any]:
    """Numbers as doubles that are the same. _UnknownError for integers that no double is."""
    try:
        return numbers.cast(pa.float64())
    except pa.ArrowException:
        raise _UnknownError from None


def _only_column(node: Call, schema: Schema) -> int:
    (argument,) = node.arguments if len(node.arguments) == 1 else (None,)
    if not isinstance(argument, Field):
        raise _UnknownError
    return schema.index(argument.name)


# -- literals ------------------------------------------------------------------------------------------------


def _as(literal: Literal, wanted: Any) -> pa.Scalar[Any]:
    """A literal as a scalar of a column's type. _UnknownError where that is not the same value."""
    value = literal.value
    if pa.types.is_nested(wanted):
        raise _UnknownError
    if value.type == wanted:
        return value
    kinds = (pa.types.is_integer, pa.types.is_timestamp, _is_text, _is_blob)
    same = any(of(value.type) and of(wanted) for of in kinds)
    if pa.types.is_timestamp(value.type) and pa.types.is_timestamp(wanted):
        same = (value.type.tz is None) == (wanted.tz is None)
    same = same or (pa.types.is_decimal(value.type) and pa.types.is_decimal(wanted))
    if pa.types.is_integer(value.type) and pa.types.is_float64(wanted):
        same = value.as_py() is None or abs(value.as_py()) <= 1 << 53
    if not same:
        raise _UnknownError
    try:
        return value.cast(wanted)
    except pa.ArrowException:
        raise _UnknownError from None


def _sql_value(scalar: pa.Scalar[Any]) -> Any:
    """The value as SQL sees it: of a timestamp its text, whose order is that of the times."""
    if not pa.types.is_timestamp(scalar.type):
        return scalar.as_py()
    micros = scalar.value
    if micros is None or MIN_MICROS <= micros <= MAX_MICROS:
        return None if micros is None else render(micros)
    return _BEFORE if micros < 0 else _AFTER


def _stored(scalar: pa.Scalar[Any], column_type: ColumnType, op: Op) -> Stored | None:
    """The stored form of a literal. _UnknownError for types whose stored forms have another order."""
    node = column_type.logical
    assert node is not None
    is_text = pa.types.is_string(common_type(column_type))
    if node.is_nested or is_text or node.name in ("ENUM", "INTERVAL"):
        raise _UnknownError
    if node.name == "UUID" and op not in (Op.EQ, Op.NE):
        raise _UnknownError
    if not scalar.is_valid:
        return None
    try:
        array = pa.array([scalar.as_py()], scalar.type) if node.name == "UUID" else pa.repeat(scalar, 1)
        return Stored(stored_form(node, array)[0].as_py())
    except (pa.ArrowException, ValueError, OverflowError):
        raise _UnknownError from None


def _is_text(arrow: Any) -> bool:
    return bool(pa.types.is_string(arrow) or pa.types.is_large_string(arrow))


def _is_blob(arrow: Any) -> bool:
    return bool(pa.types.is_binary(arrow) or pa.types.is_large_binary(arrow))


def _type(column: int, schema: Schema) -> Any:
    return common_type(schema.columns[column].type)
