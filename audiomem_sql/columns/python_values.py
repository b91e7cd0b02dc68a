"""Python values as Arrow data of the type that holds all of them, where Arrow alone would cut or mix some.

Arrow takes the first value's type for all, and so cuts a ``datetime`` behind a ``date``, the nanoseconds of a
``Timestamp`` and the zone of a ``time``, and takes a text beside bytes for bytes. Here nanoseconds are kept,
a ``time`` with a zone is a TIMETZ, integers beyond 64 bits are wider ones, and the rest is refused by row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time
from typing import Any

import pyarrow as pa
from pyarrow import types

from audiomem_sql.columns.arrow_types import ArrowArray, ArrowType, is_list
from audiomem_sql.errors import DataTypeError

_REMEDY = "Convert them to one type, or give a schema"
_FAULTS = (pa.ArrowException, TypeError, ValueError, OverflowError)


def array_of_values(name: str, values: Sequence[Any]) -> ArrowArray:
    """The values of column ``name``; pandas' NULLs and NaN are NULL.

    DataTypeError, naming the column and where it can the row, if no type holds all of them.
    """
    try:
        made = _made(values, None)
    except _FAULTS as error:
        wider = _integers(values) or _times(values)
        if wider is not None:
            return wider
        raise _refused(name, values, error) from error
    if (zoned := _times(values) if types.is_time(made.type) else None) is not None:
        return zoned
    kind = _checked(name, made.type, enumerate(values))
    if kind == made.type and not types.is_nested(kind):
        return made
    if types.is_nested(kind):  # where NaN is no NULL
        try:
            return pa.array(values, kind)
        except _FAULTS:
            pass  # a NULL of pandas' is in it
    try:
        return _made(values, kind)
    except _FAULTS as error:
        raise _refused(name, values, error, kind) from error


def _made(values: Sequence[Any], kind: ArrowType | None) -> ArrowArray:
    return pa.array(values, kind, from_pandas=True)


def _refused(name: str, values: Sequence[Any], error: Exception, kind: ArrowType = None) -> DataTypeError:
    """The error, with the first row up to which the values have no common type."""
    low, high = 0, len(values)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            _made(values[:middle], kind)
            low = middle
        except _FAULTS:
            high = middle
    return DataTypeError(
        f"column {name} has no type that holds all of its values: {error}",
        place=f"row {low}",
        remedy=_REMEDY,
    )


def _integers(values: Sequence[Any]) -> ArrowArray | None:
    """Integers of which one does not fit int64, as uint64 or texts of a wider type; None for others."""
    there = [value for value in values if not _is_null(value)]
    if not there or not all(isinstance(value, int) and not isinstance(value, bool) for value in there):
        return None
    low, high = min(there), max(there)
    if low >= 0 and high < 1 << 64:
        return _made(values, pa.uint64())
    wide = "hugeint" if low >= -(1 << 127) and high < 1 << 127 else "bignum"
    return _opaque(wide, [None if _is_null(value) else str(value) for value in values])


def _times(values: Sequence[Any]) -> ArrowArray | None:
    """Times of day that all have a zone, as a TIMETZ; None for others."""
    there = [value for value in values if not _is_null(value)]
    if not there or not all(isinstance(value, time) and value.tzinfo is not None for value in there):
        return None
    return _opaque("time_tz", [None if _is_null(value) else value.isoformat() for value in values])


def _opaque(name: str, texts: list[str | None]) -> ArrowArray:
    """Texts of one of DuckDB's types that Arrow does not have."""
    kind = pa.opaque(pa.string(), name, "DuckDB")
    return pa.ExtensionArray.from_storage(kind, pa.array(texts, pa.string()))


def _is_null(value: object) -> bool:
    return value is None or value != value or type(value).__name__ in ("NAType", "NaTType")


def _checked(name: str, kind: ArrowType, values: Iterable[tuple[int, Any]]) -> ArrowType:
    """The type in which nothing of (row, value) is lost; ``kind`` is what Arrow made of all.

    DataTypeError for what no type holds.
    """
    if types.is_struct(kind):
        there = [(row, value) for row, value in values if isinstance(value, dict)]
        fields = []
        for field in kind:
            inner = ((row, value.get(field.name)) for row, value in there)
            fields.append(field.with_type(_checked(name, field.type, inner)))
        return pa.struct(fields)
    if is_list(kind):
        item = _checked(name, kind.value_type, _items(values))
        return kind if item == kind.value_type else pa.list_(item)
    if types.is_date(kind):
        _refuse(name, values, datetime, "a time of day stands beside a date")
    elif types.is_binary(kind):
        _refuse(name, values, str, "a text stands beside bytes")
    elif types.is_time(kind):
        for row, value in values:
            if isinstance(value, time) and value.tzinfo is not None:
                raise _mixed(name, row, "a time with a zone stands beside others")
    elif types.is_timestamp(kind):
        return _moments(name, kind, values)
    elif types.is_duration(kind) and any(getattr(value, "nanoseconds", 0) for _, value in values):
        return pa.duration("ns")
    return kind


def _items(values: Iterable[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
    for row, value in values:
        if hasattr(value, "__iter__"):
            for item in value:
                yield row, item


def _moments(name: str, kind: ArrowType, values: Iterable[tuple[int, Any]]) -> ArrowType:
    fine = False
    for row, value in values:
        fine = fine or bool(getattr(value, "nanosecond", 0))
        if type(value).__name__ == "NaTType":
            continue
        if not isinstance(value, datetime):
            if isinstance(value, date):
                raise _mixed(name, row, "a date stands beside a time of day")
        elif (value.tzinfo is None) != (kind.tz is None):
            raise _mixed(name, row, "a time with a zone stands beside one without")
    return pa.timestamp("ns", kind.tz) if fine else kind


def _refuse(name: str, values: Iterable[tuple[int, Any]], what: type, why: str) -> None:
    for row, value in values:
        if isinstance(value, what) and type(value).__name__ != "NaTType":
            raise _mixed(name, row, why)


def _mixed(name: str, row: int, why: str) -> DataTypeError:
    return DataTypeError(
        f"column {name} has no type that holds all of its values: {why}", place=f"row {row}", remedy=_REMEDY
    )
