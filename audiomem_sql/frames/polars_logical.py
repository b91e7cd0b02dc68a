"""Constants of polars as stored forms of columns of logical types.

polars has brought a constant to the dtype of the column that it is compared with; one of another dtype, or
that the column cannot hold, is left to polars.
"""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any

import pyarrow as pa
from pyarrow import types

from audiomem_sql.columns.arrow_types import ArrowType
from audiomem_sql.columns.logical.forms import stored_form
from audiomem_sql.columns.shown import common_type
from audiomem_sql.columns.types import ColumnType
from audiomem_sql.predicates.predicate import Stored

_UNITS = {"Milliseconds": "ms", "Microseconds": "us", "Nanoseconds": "ns"}
_EXACT = Context(prec=100)


class UnknownError(Exception):
    """polars alone decides this part of the expression."""


def logical_literal(node: Any) -> pa.Array[Any]:
    """The one value of a literal, as polars packs a list of them. UnknownError for what is none."""
    match node:
        case {"Literal": {"Scalar": {"Datetime": [int(count), str(unit), zone]}}} if unit in _UNITS:
            name = zone.get("inner") if isinstance(zone, dict) else zone
            if name is None or isinstance(name, str):
                return pa.array([count], pa.int64()).view(pa.timestamp(_UNITS[unit], name))
        case {"Literal": {"Scalar": {"Duration": [int(count), str(unit)]}}} if unit in _UNITS:
            return pa.array([count], pa.int64()).view(pa.duration(_UNITS[unit]))
        case {"Literal": {"Scalar": {"Time": int(count)}}}:
            return pa.array([count], pa.int64()).view(pa.time64("ns"))
        case {"Literal": {"Scalar": {"Date": int(days)}}}:
            return pa.array([days], pa.int32()).view(pa.date32())
        case {"Literal": {"Scalar": {"UInt64": int(number)}}}:
            return pa.array([number], pa.uint64())
        case {"Literal": {"Scalar": {"Binary": list(octets)}}}:
            return pa.array([bytes(octets)], pa.binary())
        case {"Literal": {"Scalar": {"Decimal": [int(unscaled), int(_), int(scale)]}}}:
            value = Decimal(unscaled).scaleb(-scale, _EXACT)
            return pa.array([value], pa.decimal128(38, scale))
    raise UnknownError


def stored_values(array: pa.Array[Any], column_type: ColumnType, seen: ArrowType) -> list[Stored]:
    """The stored forms of constants without NULLs. seen: the Arrow type in which polars sees the column.

    UnknownError where their order is not that of polars' values, and for what the column cannot hold.
    """
    node = column_type.logical
    if node is None or seen != common_type(column_type):
        raise UnknownError
    if node.name == "UUID" and _is_binary(array.type):
        return [Stored(value) for value in array.to_pylist()]
    if not _same_dtype(array.type, seen):
        raise UnknownError
    try:
        return [Stored(value) for value in stored_form(node, array.cast(seen)).to_pylist()]
    except (pa.ArrowException, ValueError, OverflowError):
        raise UnknownError from None


def _is_binary(kind: ArrowType) -> bool:
    return str(kind) in ("binary", "large_binary", "binary_view")


def _same_dtype(given: ArrowType, seen: ArrowType) -> bool:
    """Whether polars has one dtype for both, whose values are in the order of the stored forms."""
    if types.is_decimal(seen):
        return bool(types.is_decimal(given))
    if types.is_time(seen):
        return bool(given == pa.time64("ns"))
    if types.is_timestamp(seen):
        zone = given.tz if types.is_timestamp(given) else None
        return bool((zone is None) == (seen.tz is None) and given == pa.timestamp(_unit(seen), zone))
    if types.is_duration(seen):
        return bool(given == pa.duration(_unit(seen)))
    return bool(given == seen and (types.is_date32(seen) or types.is_uint64(seen)))


def _unit(seen: ArrowType) -> Any:
    """The unit in which polars counts: it has no seconds."""
    return "ms" if seen.unit == "s" else seen.unit
