"""Python values as Arrow data of the type that holds all of them, where Arrow alone would cut or mix some.

Arrow takes the first value's type for all, and so cuts a ``datetime`` behind a ``date``, the nanoseconds of a
``Timestamp`` and the zone of a ``time``, and takes a text beside bytes for bytes. Here nanoseconds are kept,
a ``time`` with a zone is a TIMETZ, integers beyond 64 bits are wider ones, and the rest is refused by row.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import types

from audiomem_sql.columns.arrow_types import ArrowArray, ArrowType, is_list
from audiomem_sql.errors import DataTypeError

_REMEDY = "Convert them to one type, or give a schema"
_NULLS = ("NAType", "NaTType")  # pandas.NA, pandas.NaT
_FAULTS = (pa.ArrowException, TypeError, ValueError, OverflowError)


def array_of_values(name: str, values: Sequence[Any], *, nan_is_null: bool = False) -> ArrowArray:
    """The values of column ``name``; pandas' NULLs are NULL, and NaN where no type with a NaN holds them.

    nan_is_null: NaN is NULL anyway, as in a column of pandas, but for NaN inside of lists.
    DataTypeError, naming the column and where it can the row, if no type holds all of them.
    """
    given = values
    try:
        made = _made(values, None, nan_is_null)
    except _FAULTS as error:
        wider = _integers(values) or _times(values)
        if wider is not None:
            return wider
        _check_finite(name, enumerate(values))
        values = [_usual(value) for value in values]
        given = [_with_bytes(value) for value in values]
        try:
            made = _made(given, None, nan_is_null)
        except _FAULTS:
            raise _refused(name, given, error) from error
    if (zoned := _times(values) if types.is_time(made.type) else None) is not None:
        return zoned
    kind = _checked(name, made.type, enumerate(values))
    if types.is_decimal(kind) and not nan_is_null:
        _refuse_nan(name, values)
    if kind == made.type:
        return made
    try:
        made = _made(given, _storage(kind), nan_is_null)
        return made if made.type == kind else made.cast(kind)
    except _FAULTS as error:
        raise _refused(name, given, error, kind) from error


def _made(values: Sequence[Any], kind: ArrowType | None, nan_is_null: bool = False) -> ArrowArray:
    if nan_is_null:
        made = pa.array(values, kind, from_pandas=True)
        if not types.is_nested(made.type):
            return made
    else:
        try:
            return pa.array(values, kind)
        except _FAULTS:  # NULLs of pandas', or NaN beside what is no number
            pass
    for without_nan in sorted({nan_is_null, True}):
        try:
            return pa.array([None if _is_missing(value, without_nan) else value for value in values], kind)
        except _FAULTS:
            pass
    return pa.array(values, kind, from_pandas=True)  # as they stand inside of lists


def _is_missing(value: Any, nan_is_null: bool) -> bool:
    if isinstance(value, float | np.floating):
        return nan_is_null and bool(value != value)
    if isinstance(value, np.datetime64 | np.timedelta64):
        return bool(np.isnat(value))
    return type(value).__name__ in _NULLS


def _usual(value: Any) -> Any:
    """A value, with numpy's dates and times of units that Arrow does not have in such as it has."""
    if isinstance(value, np.datetime64 | np.timedelta64):
        unit = np.datetime_data(value.dtype)[0]
        if isinstance(value, np.datetime64) and unit in ("Y", "M", "W", "D"):
            return value.astype("M8[D]").item()
        return value.astype(f"{value.dtype.kind}8[s]") if unit in ("W", "D", "h", "m") else value
    if isinstance(value, list | tuple):
        return [_usual(item) for item in value]
    return {key: _usual(item) for key, item in value.items()} if isinstance(value, dict) else value


def _with_bytes(value: Any) -> Any:
    """A value, with the bytes of UUIDs, which Arrow takes inside of others only so."""
    if isinstance(value, uuid.UUID):
        return value.bytes
    if isinstance(value, list):
        return [_with_bytes(item) for item in value]
    return {key: _with_bytes(item) for key, item in value.items()} if isinstance(value, dict) else value


def _storage(kind: ArrowType) -> ArrowType:
    """An Arrow type with bytes for UUIDs."""
    if kind == pa.uuid():
        return pa.binary(16)
    if types.is_struct(kind):
        return pa.struct([field.with_type(_storage(field.type)) for field in kind])
    return pa.list_(_storage(kind.value_type)) if types.is_list(kind) else kind


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
        f"column {name} has no type that holds all of its values: {' '.join(str(error).split())}",
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
    return value is None or _is_missing(value, nan_is_null=True)


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
    if types.is_binary(kind):
        return _blobs(name, kind, values)
    if types.is_timestamp(kind):
        return _moments(name, kind, values)
    if types.is_date(kind):
        _refuse(name, values, datetime, "a time of day stands beside a date")
    elif types.is_decimal(kind) or types.is_null(kind):
        _check_finite(name, values)
    elif types.is_time(kind):
        for row, value in values:
            if isinstance(value, time) and value.tzinfo is not None:
                raise _mixed(name, row, "a time with a zone stands beside others")
    elif types.is_duration(kind) and any(getattr(value, "nanoseconds", 0) for _, value in values):
        return pa.duration("ns")
    return kind


def _blobs(name: str, kind: ArrowType, values: Iterable[tuple[int, Any]]) -> ArrowType:
    there = [(row, value) for row, value in values if not _is_null(value)]
    are_ids = [isinstance(value, uuid.UUID) for _, value in there]
    if not any(are_ids):
        _refuse(name, there, str, "a text stands beside bytes")
        return kind
    if not all(are_ids):
        raise _mixed(name, there[are_ids.index(not are_ids[0])][0], "a UUID stands beside others")
    return pa.uuid()


def _check_finite(name: str, values: Iterable[tuple[int, Any]]) -> None:
    for row, value in values:
        if isinstance(value, Decimal) and not value.is_finite():
            raise _mixed(name, row, f"no DECIMAL is {value}")


def _refuse_nan(name: str, values: Sequence[Any]) -> None:
    for row, value in enumerate(values):
        if isinstance(value, float) and value != value:
            raise _mixed(name, row, "no DECIMAL is NaN")


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
