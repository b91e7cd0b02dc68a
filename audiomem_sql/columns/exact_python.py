"""Arrow arrays as Python values of which none is less than what it was.

Python's dates end with the year 9999 and its times with microseconds. What they cannot hold is the text that
SQL shows of it: ``2024-01-01 00:00:00.123456789``, ``0044-03-15 (BC)``, ``infinity``.
"""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import types

from audiomem_sql.arrays import BoolArray, I64Array
from audiomem_sql.columns.arrow_types import ArrowType
from audiomem_sql.columns.logical.parsing import PER_SECOND, clock_text
from audiomem_sql.columns.logical.texts import date_text, interval_text, moment_text, zoned_text

#: The first and the last day of Python, from 1970-01-01.
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
#: Days of the longest timedelta.
_MOST_DAYS = 999_999_999
_DAY = 86_400


def python_values(array: pa.Array[Any]) -> list[Any]:
    """The values of an array, None for NULL, as ``to_pylist`` gives them if Python can hold them."""
    kind = array.type
    if not _may_exceed(kind):
        return array.to_pylist()  # type: ignore[no-any-return]
    if types.is_nested(kind):
        return _nested(array)
    exceeding, numbers = _exceeding(array), _numbers(array)
    if not exceeding.any() and getattr(kind, "unit", None) != "ns":
        return array.to_pylist()  # type: ignore[no-any-return]
    held = np.where(exceeding, 0, numbers)
    if getattr(kind, "unit", None) == "ns":  # of which pyarrow makes values of pandas, where that is there
        held, plain = held // 1000, _in_micros(kind)
    else:
        plain = kind
    counts = held.astype(np.int32) if kind.bit_width == 32 else held
    values: list[Any] = pa.array(counts, mask=~_valid(array)).view(plain).to_pylist()
    for row in np.flatnonzero(exceeding).tolist():
        values[row] = _text(kind, int(numbers[row]))
    return values


def holds_all(array: Any) -> bool:
    """Whether Python can hold all values of an array, chunked or not."""
    if isinstance(array, pa.ChunkedArray):
        return all(map(holds_all, array.chunks))
    if not _may_exceed(array.type):
        return True
    if not types.is_nested(array.type):
        return not _exceeding(array).any()
    return all(map(holds_all, array.flatten() if types.is_struct(array.type) else _items(array)))


def _in_micros(kind: ArrowType) -> ArrowType:
    if types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    return pa.duration("us") if types.is_duration(kind) else pa.time64("us")


def _may_exceed(kind: ArrowType) -> bool:
    if types.is_nested(kind):
        fields = [kind.field(number).type for number in range(kind.num_fields)]
        return not types.is_union(kind) and any(map(_may_exceed, fields))
    return bool(types.is_temporal(kind) and not types.is_interval(kind) and str(kind) != "date64[ms]")


def _valid(array: pa.Array[Any]) -> BoolArray:
    return np.asarray(array.is_valid().to_numpy(zero_copy_only=False), np.bool_)


def _numbers(array: pa.Array[Any]) -> I64Array:
    """What is counted, 0 for NULL."""
    plain = array.view(pa.int32() if array.type.bit_width == 32 else pa.int64())
    return np.asarray(plain.fill_null(0).to_numpy(zero_copy_only=False), np.int64)


def _exceeding(array: pa.Array[Any]) -> BoolArray:
    """The values that Python cannot hold, bool (n,)."""
    kind, numbers = array.type, _numbers(array)
    if types.is_date32(kind):
        return (numbers < _FIRST_DAY) | (numbers > _LAST_DAY)
    per_second = PER_SECOND[kind.unit]
    if types.is_time(kind):
        outside = (numbers < 0) | (numbers >= _DAY * per_second)
    else:
        low, high = _FIRST_DAY, _LAST_DAY + 1
        if types.is_duration(kind):
            low, high = -_MOST_DAYS, _MOST_DAYS
        elif kind.tz is not None:  # there it may be a day earlier or later
            low, high = low + 1, high - 1
        days = numbers // (_DAY * per_second)
        outside = (days < low) | (days >= high)
    return outside | (numbers % 1000 != 0) if kind.unit == "ns" else outside


def _text(kind: ArrowType, number: int) -> str:
    if types.is_date32(kind):
        return date_text(number)
    per_second = PER_SECOND[kind.unit]
    if types.is_time(kind):
        return clock_text(number, per_second)
    if types.is_duration(kind):
        return interval_text(0, 0, number * (10**9 // per_second))
    text = moment_text(number, per_second)
    return text if kind.tz is None else zoned_text(text)


def _items(array: pa.Array[Any]) -> list[pa.Array[Any]]:
    """The items of all lists or maps, less those behind NULL."""
    if types.is_map(array.type):
        whole = array.filter(array.is_valid())
        first, last = (whole.offsets[0].as_py(), whole.offsets[-1].as_py()) if len(whole) else (0, 0)
        return [each.slice(first, last - first) for each in (whole.keys, whole.items)]
    return [array.flatten()]


def _nested(array: pa.Array[Any]) -> list[Any]:
    there = _valid(array).tolist()
    kind = array.type
    if types.is_struct(kind):
        names = [kind.field(number).name for number in range(kind.num_fields)]
        fields = [python_values(field) for field in array.flatten()]
        rows = zip(there, *fields, strict=True)
        return [dict(zip(names, row, strict=True)) if here else None for here, *row in rows]
    parts = [python_values(each) for each in _items(array)]
    items: list[Any] = list(zip(*parts, strict=True)) if len(parts) > 1 else parts[0]
    if types.is_fixed_size_list(kind):
        lengths = [kind.list_size if here else 0 for here in there]
    elif types.is_map(kind):
        bounds = pairwise(array.offsets.to_pylist())
        lengths = [end - start if here else 0 for (start, end), here in zip(bounds, there, strict=True)]
    else:
        lengths = array.value_lengths().fill_null(0).to_pylist()
    bounds = pairwise(accumulate(lengths, initial=0))
    return [items[start:end] if here else None for (start, end), here in zip(bounds, there, strict=True)]
