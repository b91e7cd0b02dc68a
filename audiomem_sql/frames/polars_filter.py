"""A condition for the scan that is true for every row for which an expression of polars is true.

polars hands its expression over as a tree (``Expr.meta.serialize``, JSON) whose forms may change with its
version. A form that is not known here is left out, so the condition may let more rows through, never fewer;
polars always applies the expression itself to them.
"""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Mapping
from typing import Any, NamedTuple

import polars as pl
import pyarrow as pa

from audiomem_sql.columns.arrow_types import ArrowType
from audiomem_sql.columns.column import Column
from audiomem_sql.columns.timestamps import MAX_MICROS, MIN_MICROS, render
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.frames.polars_logical import UnknownError, logical_literal, stored_values
from audiomem_sql.predicates import And, Condition, Op, Or, Predicate
from audiomem_sql.predicates.predicate import COMPARISON_BY_OP, COMPARISONS, Stored

_OPS = {name: comparison.op for comparison in COMPARISONS for name in comparison.polars}
_CLOSED = {
    "Both": (Op.GE, Op.LE),
    "Left": (Op.GE, Op.LT),
    "Right": (Op.GT, Op.LE),
    "None": (Op.GT, Op.LT),
}
_INTEGERS = frozenset(f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64))
_DAY = 86_400_000_000
_MAX_VALUES = 1000  # of an IN that is handed on
_MOST_SECONDS = ((1 << 63) - 1) // 1000


class Target(NamedTuple):
    """A column of the table, its number, and the Arrow type that polars sees it in."""

    column: Column
    number: int
    type: ArrowType


Targets = Mapping[str, Target]


def condition_of(predicate: pl.Expr, targets: Targets) -> Condition | None:
    """A condition that every row fulfils which ``predicate`` selects; None if nothing of it is known."""
    try:
        tree = json.loads(predicate.meta.serialize(format="json"))
        return _condition(tree, targets)
    except (UnknownError, RecursionError):
        return None
    except (pl.exceptions.PolarsError, pickle.PickleError, AttributeError, TypeError, ValueError):
        return None  # a function of Python, for example, cannot be written as JSON


def _condition(node: Any, targets: Targets) -> Condition:
    match node:
        case {"BinaryExpr": {"left": left, "op": "And" | "LogicalAnd", "right": right}}:
            known = [part for part in (_known(side, targets) for side in (left, right)) if part]
            if not known:
                raise UnknownError
            return known[0] if len(known) == 1 else And(tuple(known))
        case {"BinaryExpr": {"left": left, "op": "Or" | "LogicalOr", "right": right}}:
            return Or((_condition(left, targets), _condition(right, targets)))
        case {"BinaryExpr": {"left": left, "op": str(name), "right": right}} if name in _OPS:
            return _comparison(left, _OPS[name], right, targets)
        case {"Column": _}:
            return _truth(node, targets, 1)
        case {"Function": {"input": [first, *others], "function": function}}:
            return _function(function, first, others, targets)
    raise UnknownError


def _known(node: Any, targets: Targets) -> Condition | None:
    try:
        return _condition(node, targets)
    except UnknownError:
        return None


def _comparison(left: Any, op: Op, right: Any, targets: Targets) -> Condition:
    if not (isinstance(left, dict) and "Column" in left):
        left, op, right = right, COMPARISON_BY_OP[op].mirrored, left
    target = _target(left, targets)
    if op is not Op.EQ and isinstance(target.type, pa.DictionaryType):
        raise UnknownError  # the categories of an Enum have an order of their own
    if _is_logical(target):
        (stored,) = stored_values(logical_literal(right), target.column.type, target.type)
        return _with_wrapped(target, Predicate(target.number, op, stored))
    predicate = Predicate(target.number, op, _literal(right, target))
    if op in (Op.GT, Op.GE) and target.column.type.kind is Kind.REAL:
        return Or((predicate, Predicate(target.number, Op.IS_NAN)))  # which polars has above all numbers
    return predicate


def _truth(node: Any, targets: Targets, value: int) -> Condition:
    target = _target(node, targets)
    if target.column.type.kind is not Kind.BOOLEAN or not pa.types.is_boolean(target.type):
        raise UnknownError
    return Predicate(target.number, Op.EQ, value)


def _function(function: Any, first: Any, others: list[Any], targets: Targets) -> Condition:
    if function == {"Boolean": "Not"}:
        return _truth(first, targets, 0)
    target = _target(first, targets)
    match function, others:
        case {"Boolean": "IsNull"}, []:
            return Predicate(target.number, Op.IS_NULL)
        case {"Boolean": "IsNotNull"}, []:
            return Predicate(target.number, Op.NOT_NULL)
        case {"Boolean": {"IsBetween": {"closed": str(closed)}}}, [low, high] if closed in _CLOSED:
            if isinstance(target.type, pa.DictionaryType):
                raise UnknownError
            ops = zip(_CLOSED[closed], (low, high), strict=True)
            return And(tuple(_comparison(first, op, value, targets) for op, value in ops))
        case {"Boolean": {"IsIn": {"nulls_equal": False}}}, [values]:
            found = Predicate(target.number, Op.IN, _values(values, target))
            return _with_wrapped(target, found) if _is_logical(target) else found
        case {"StringExpr": "StartsWith"}, [prefix] if target.column.type == ColumnType(Kind.TEXT):
            return Predicate(target.number, Op.STARTS_WITH, _literal(prefix, target))
    raise UnknownError


def _target(node: Any, targets: Targets) -> Target:
    match node:
        case {"Column": str(name)} if name in targets and targets[name].column.collation == "BINARY":
            return targets[name]
    raise UnknownError


def _is_logical(target: Target) -> bool:
    """Whether values of the column are stored as something else. An ENUM is the text that it shows."""
    logical = target.column.type.logical
    return logical is not None and logical.name != "ENUM"


def _with_wrapped(target: Target, predicate: Predicate) -> Condition:
    """The predicate, and rows whose seconds polars cannot count in milliseconds: it makes others of them."""
    if getattr(target.type, "unit", None) != "s" or pa.types.is_time(target.type):
        return predicate
    high, low = Stored(_MOST_SECONDS), Stored(-_MOST_SECONDS)
    return Or((predicate, Predicate(target.number, Op.GT, high), Predicate(target.number, Op.LT, low)))


# -- literals ------------------------------------------------------------------------------------------------


def _literal(node: Any, target: Target) -> Any:
    """The SQL value of a literal, if it is of the very type that the column is seen in."""
    kind, seen = target.column.type.kind, target.type
    match node:
        case {"Literal": {"Scalar": {"Datetime": [int(count), str(unit), _]}}} if pa.types.is_timestamp(seen):
            return _time(_micros(count, unit))
        case {"Literal": {"Scalar": {"Date": int(days)}}} if pa.types.is_date32(seen):
            return _time(days * _DAY)
        case {"Literal": {"Scalar": {"Float64": int() | float() as real}}} if pa.types.is_float64(seen):
            if math.isfinite(real):
                return float(real)
        case {"Literal": {"Scalar": {"String": str(text)}}} if kind is Kind.TEXT:
            return text
        case {"Literal": {"Scalar": {"Boolean": bool(truth)}}} if kind is Kind.BOOLEAN:
            return truth
        case {"Literal": {"Scalar": {"Binary": list(octets)}}} if kind is Kind.BLOB:
            return bytes(octets)
        case {"Literal": {"Scalar": dict(scalar)}} if kind is Kind.INTEGER:
            return _integer(scalar)
    raise UnknownError


def _integer(scalar: dict[str, Any]) -> int:
    ((name, value),) = scalar.items() if len(scalar) == 1 else [("", None)]
    if name not in _INTEGERS or type(value) is not int or abs(value) >= 1 << 63:
        raise UnknownError
    return value


def _micros(count: int, unit: str) -> int:
    if unit == "Nanoseconds" and count % 1000 == 0:
        return count // 1000
    scale = {"Milliseconds": 1000, "Microseconds": 1}.get(unit)
    if scale is None:
        raise UnknownError
    return count * scale


def _time(micros: int) -> str:
    if not MIN_MICROS <= micros <= MAX_MICROS:
        raise UnknownError
    return render(micros)


def _values(node: Any, target: Target) -> tuple[Any, ...]:
    """The SQL values of a list of literals, which polars packs as an Arrow stream."""
    match node:
        case {"Literal": {"Series": list(packed)} | {"Scalar": {"List": list(packed)}}}:
            pass
        case _:
            raise UnknownError
    try:
        array = pa.ipc.open_stream(bytes(packed)).read_all().column(0)
    except (pa.ArrowException, ValueError, TypeError):
        raise UnknownError from None
    if len(array) > _MAX_VALUES:
        raise UnknownError
    if _is_logical(target):
        return tuple(stored_values(array.drop_null(), target.column.type, target.type))
    stored = target.column.type.kind
    numbers = stored is Kind.INTEGER and pa.types.is_integer(array.type)
    texts = stored is Kind.TEXT and str(array.type) in ("string", "large_string", "string_view")
    if not (numbers or texts):
        raise UnknownError
    values = tuple(value for value in array.to_pylist() if value is not None)
    if numbers and any(abs(value) >= 1 << 63 for value in values):
        raise UnknownError
    return values
