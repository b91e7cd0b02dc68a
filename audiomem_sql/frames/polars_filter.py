"""What of a polars expression the scan can use: a filter as text, which lets through every row that the expression does.

polars hands its expression over as a tree (``Expr.meta.serialize``, JSON) whose forms may change with its version. Whatever is
not known here is left out, so the filter may let more rows through, never fewer; the expression itself is always applied to
them by polars.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from audiomem_sql.columns.arrow_types import ArrowType
from audiomem_sql.columns.column import Column, quote
from audiomem_sql.columns.types import Kind

if TYPE_CHECKING:
    import polars as pl

_COMPARISONS = {"Eq": "=", "EqValidity": "=", "NotEq": "<>", "Lt": "<", "LtEq": "<=", "Gt": ">", "GtEq": ">="}
_FLIPPED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_CLOSED = {"Both": (">=", "<="), "Left": (">=", "<"), "Right": (">", "<="), "None": (">", "<")}
_INTEGERS = frozenset(f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64))
_DAY = 86_400_000_000
#: Values of an IN that are handed on.
_MOST_VALUES = 1000
_EPOCH = datetime(1970, 1, 1)


class Translated(NamedTuple):
    """A filter for ``Table.scan``: its text, and the values of its question marks."""

    text: str
    values: tuple[Any, ...]


class Target(NamedTuple):
    """A column of the table, and the Arrow type that polars sees it in."""

    column: Column
    type: ArrowType


class _Unknown(Exception):
    """This part of the expression is polars' own business."""


def translate(predicate: pl.Expr, targets: Mapping[str, Target]) -> Translated | None:
    """A filter that every row passes which ``predicate`` selects; None if nothing of it is known."""
    try:
        tree = json.loads(predicate.meta.serialize(format="json"))
        return _condition(tree, targets)
    except _Unknown:
        return None
    except (
        Exception
    ):  # an expression that cannot be written as JSON, or a form that this version does not have
        return None


def _condition(node: Any, targets: Mapping[str, Target]) -> Translated:
    kind, inner = _only(node)
    if kind == "BinaryExpr":
        op = inner["op"]
        if op in ("And", "LogicalAnd"):
            known = [part for part in _known((inner["left"], inner["right"]), targets) if part is not None]
            if not known:
                raise _Unknown
            return _joined(" AND ", known)
        if op in ("Or", "LogicalOr"):
            sides = list(_known((inner["left"], inner["right"]), targets))
            if None in sides:
                raise _Unknown
            return _joined(" OR ", [side for side in sides if side is not None])
        return _comparison(inner, targets)
    if kind == "Column":
        return _truth(node, targets, True)
    if kind == "Function":
        return _function(inner, targets)
    raise _Unknown


def _known(nodes: tuple[Any, ...], targets: Mapping[str, Target]) -> Iterator[Translated | None]:
    for node in nodes:
        try:
            yield _condition(node, targets)
        except _Unknown:
            yield None


def _joined(word: str, parts: list[Translated]) -> Translated:
    text = word.join(f"({part.text})" for part in parts)
    return Translated(text, tuple(value for part in parts for value in part.values))


def _comparison(inner: Any, targets: Mapping[str, Target]) -> Translated:
    if inner["op"] not in _COMPARISONS:
        raise _Unknown
    sign, left, right = _COMPARISONS[inner["op"]], inner["left"], inner["right"]
    if "Column" not in left:
        sign, left, right = _FLIPPED[sign], right, left
    target = _target(left, targets)
    if sign != "=" and isinstance(target.type, pa.DictionaryType):
        raise _Unknown  # the categories of an Enum have an order of their own
    return Translated(f"{quote(target.column.name)} {sign} ?", (_literal(right, target),))


def _truth(node: Any, targets: Mapping[str, Target], wanted: bool) -> Translated:
    target = _target(node, targets)
    if target.column.type.kind is not Kind.BOOLEAN or not pa.types.is_boolean(target.type):
        raise _Unknown
    return Translated(f"{quote(target.column.name)} = ?", (wanted,))


def _function(inner: Any, targets: Mapping[str, Target]) -> Translated:
    first, *others = inner["input"]
    function = inner["function"]
    name, how = next(iter(function.items()))
    how, options = (how, {}) if isinstance(how, str) else _only(how)
    if name == "Boolean" and how == "Not":
        return _truth(first, targets, False)
    target = _target(first, targets)
    column = quote(target.column.name)
    if name == "Boolean" and how in ("IsNull", "IsNotNull"):
        return Translated(f"{column} IS {'NOT ' if how == 'IsNotNull' else ''}NULL", ())
    if name == "Boolean" and how == "IsBetween" and not isinstance(target.type, pa.DictionaryType):
        low, high = _CLOSED[options["closed"]]
        values = tuple(_literal(other, target) for other in others)
        return Translated(f"{column} {low} ? AND {column} {high} ?", values)
    if name == "Boolean" and how == "IsIn" and not options["nulls_equal"]:
        found = _values(others[0], target)
        return Translated(f"{column} IN ({', '.join('?' * len(found))})", found)
    if name == "StringExpr" and how == "StartsWith" and target.column.type.kind is Kind.TEXT:
        return Translated(f"{column} >= ?", (_literal(others[0], target),))
    raise _Unknown


def _target(node: Any, targets: Mapping[str, Target]) -> Target:
    kind, name = _only(node)
    if kind != "Column" or name not in targets or targets[name].column.collation != "BINARY":
        raise _Unknown
    return targets[name]


def _literal(node: Any, target: Target) -> Any:
    """The value of a literal, if it is of the very type that the column is seen in."""
    kind, literal = _only(node)
    scalar, value = _only(_only(literal)[1])
    if kind != "Literal" or _only(literal)[0] != "Scalar" or value is None:
        raise _Unknown
    stored = target.column.type.kind
    if stored is Kind.INTEGER and scalar in _INTEGERS and type(value) is int and abs(value) < 1 << 63:
        return value
    if stored is Kind.REAL and scalar == "Float64" and pa.types.is_float64(target.type):
        if math.isfinite(value):
            return float(value)
    elif (
        (stored is Kind.TEXT and scalar == "String")
        or (stored is Kind.BOOLEAN and scalar == "Boolean")
        or (stored is Kind.BLOB and scalar == "Binary")
    ):
        return bytes(value) if stored is Kind.BLOB else value
    elif stored is Kind.TIMESTAMP and scalar == "Date" and pa.types.is_date32(target.type):
        return _moment(value * _DAY)
    elif stored is Kind.TIMESTAMP and scalar == "Datetime" and pa.types.is_timestamp(target.type):
        count, unit, _ = value
        scale = {"Milliseconds": 1000, "Microseconds": 1}.get(unit)
        if scale is not None:
            return _moment(count * scale)
        if unit == "Nanoseconds" and count % 1000 == 0:
            return _moment(count // 1000)
    raise _Unknown


def _values(node: Any, target: Target) -> tuple[Any, ...]:
    """The values of a list of literals."""
    literal = _only(node)[1]
    packed = literal["Series"] if "Series" in literal else literal["Scalar"]["List"]
    array = pa.ipc.open_stream(bytes(packed)).read_all().column(0)
    if len(array) > _MOST_VALUES:
        raise _Unknown
    kind, stored = array.type, target.column.type.kind
    numbers = stored is Kind.INTEGER and pa.types.is_integer(kind)
    texts = stored is Kind.TEXT and str(kind) in ("string", "large_string", "string_view")
    if not (numbers or texts):
        raise _Unknown
    values = tuple(value for value in array.to_pylist() if value is not None)
    if numbers and any(abs(value) >= 1 << 63 for value in values):
        raise _Unknown
    return values


def _moment(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)  # OverflowError outside of the years that there are


def _only(node: Any) -> tuple[str, Any]:
    """The one entry of a node."""
    if not isinstance(node, dict) or len(node) != 1:
        raise _Unknown
    return next(iter(node.items()))
