"""Arrow data without the layouts that differ in memory only, at any depth.

Dictionaries, run-end encodings, list views and the views of texts become what they stand for. It is done by
hand, since Arrow's casts of list views make arrays that are invalid.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import types

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.views import valid

_VIEWS = {"string_view": pa.large_string(), "binary_view": pa.large_binary()}
_LIST_VIEWS = ("list_view<", "large_list_view<")


def is_plain(kind: Any) -> bool:
    """Whether nothing in an Arrow type has to be replaced; extension types stay as they are."""
    if isinstance(kind, pa.BaseExtensionType):
        return True
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind) or str(kind) in _VIEWS:
        return False
    if str(kind).startswith(_LIST_VIEWS):
        return False
    if not types.is_nested(kind):
        return True
    return all(is_plain(kind.field(number).type) for number in range(kind.num_fields))


def plain(array: Any) -> Any:
    """The same values as an array whose type :func:`is_plain`."""
    kind = array.type
    if is_plain(kind):
        return array
    if types.is_dictionary(kind):
        return plain(array.dictionary).take(array.indices)
    if types.is_run_end_encoded(kind):
        ends = np.asarray(array.run_ends.to_numpy(zero_copy_only=False)).astype(np.int64)
        rows = np.arange(array.offset, array.offset + len(array))
        return plain(array.values).take(pa.array(np.searchsorted(ends, rows, side="right")))
    if str(kind) in _VIEWS:
        return array.cast(_VIEWS[str(kind)])
    mask = pa.array(~valid(array)) if array.null_count else None
    if str(kind).startswith(_LIST_VIEWS):
        return _of_list_view(array, mask)
    if types.is_struct(kind):
        children = [plain(child) for child in array.flatten()]
        fields = [field.with_type(child.type) for field, child in zip(kind, children, strict=True)]
        return pa.StructArray.from_arrays(children, fields=fields, mask=mask)
    if types.is_fixed_size_list(kind):
        items = array.values.slice(array.offset * kind.list_size, len(array) * kind.list_size)
        return pa.FixedSizeListArray.from_arrays(plain(items), kind.list_size, mask=mask)
    offsets = array.offsets.to_numpy()
    if types.is_map(kind):
        children = [plain(array.keys), plain(array.items)]
        made = pa.MapArray.from_arrays(_offsets(offsets, large=False), *children)
        bits = None if mask is None else pa.array(valid(array)).buffers()[1]
        buffers = [bits, made.buffers()[1]]
        return pa.Array.from_buffers(made.type, len(array), buffers, children=[made.values])
    if types.is_list(kind) or types.is_large_list(kind):
        large = types.is_large_list(kind)
        make = pa.LargeListArray if large else pa.ListArray
        return make.from_arrays(_offsets(offsets, large=large), plain(array.values), mask=mask)
    return array  # a union, which no type holds


def _of_list_view(array: Any, mask: Any) -> Any:
    """Lists one behind the other: those of a list view may share items, and stand in any order."""
    here = valid(array)
    starts = np.where(here, array.offsets.to_numpy(zero_copy_only=False), 0).astype(np.int64)
    sizes = np.where(here, array.sizes.to_numpy(zero_copy_only=False), 0).astype(np.int64)
    ends = np.cumsum(sizes)
    offsets = np.concatenate([[0], ends])
    total = int(offsets[-1])
    places = np.arange(total, dtype=np.int64) + np.repeat(starts - (ends - sizes), sizes)
    items = plain(array.values).take(pa.array(places))
    large = total >= 1 << 31
    make = pa.LargeListArray if large else pa.ListArray
    return make.from_arrays(_offsets(offsets, large=large), items, mask=mask)


def _offsets(offsets: I64Array, *, large: bool) -> Any:
    return pa.array(offsets.astype(np.int64 if large else np.int32))
