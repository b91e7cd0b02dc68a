"""Which lists that users bring are vectors: FLOAT[n] and INT8[n], which have neither NULL nor NaN in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from pyarrow import types

from audiomem_sql.columns.arrow_types import ArrowArray, ArrowField, is_list
from audiomem_sql.columns.kernels import kernels


def common_width(chunks: Sequence[ArrowArray], *, typed: bool) -> int:
    """Numbers in each of some lists of variable length that are vectors: all have as many, and none is NULL.

    0 for others. typed: doubles are what was meant, and do not become vectors of float32.
    """
    widths: set[int] = set()
    for chunk in chunks:
        if not is_list(chunk.type) or types.is_fixed_size_list(chunk.type):
            return 0
        item = chunk.type.value_type
        if not types.is_floating(item) or (typed and types.is_float64(item)) or not _are_numbers(chunk):
            return 0
        widths.update(kernels().list_value_length(chunk).drop_null().unique().to_pylist())
    return widths.pop() if len(widths) == 1 else 0


def without_false_vectors(item: ArrowField, chunks: list[ArrowArray]) -> tuple[ArrowField, list[ArrowArray]]:
    """The column, as lists of any length if it has vectors with a NULL, a NaN or an infinity in them."""
    kind = item.type
    if not types.is_fixed_size_list(kind) or not (
        types.is_float32(kind.value_type)
        or types.is_float16(kind.value_type)
        or types.is_int8(kind.value_type)
    ):
        return item, chunks
    if all(map(_are_numbers, chunks)):
        return item, chunks
    made = [_as_lists(chunk) for chunk in chunks]
    return item.with_type(made[0].type), made


def _are_numbers(chunk: ArrowArray) -> bool:
    flat = kernels().list_flatten(chunk)
    if flat.null_count:
        return False
    if not types.is_floating(flat.type):
        return True
    with np.errstate(over="ignore"):
        return bool(np.isfinite(flat.to_numpy(zero_copy_only=False).astype("<f4")).all())


def _as_lists(chunk: ArrowArray) -> ArrowArray:
    present = chunk.is_valid().to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(present * chunk.type.list_size)]).astype(np.int32)
    return pa.ListArray.from_arrays(
        pa.array(offsets), kernels().list_flatten(chunk), mask=pa.array(~present) if len(chunk) else None
    )
