"""Integers in few bytes: as offsets from the least value, or as differences from row to row."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.blocks.byte_planes import from_planes, to_planes
from audiomem_sql.columns.views import integers, valid
from audiomem_sql.errors import DamagedFileError

#: mode (0 value, 1 difference to the row before), width of a code in bytes, base, scale, first value
INTEGERS_HEADER = struct.Struct("<B B q Q q")


def integers_of(array: pa.Array) -> I64Array:
    """The int64 values of an INTEGER or TIMESTAMP array. A NULL repeats the value before it, or is 0."""
    values = integers(array)
    if array.null_count == 0:
        return values
    present = valid(array)
    source = np.maximum.accumulate(np.where(present, np.arange(len(present)), 0))
    return np.where(present[source], values[source], 0)


def encode_integers(values: I64Array) -> bytes:
    """int64 (n,) as the smaller of two forms: offsets from the least value, or differences from row to row.

    Both are divided by their greatest common divisor first: timestamps in whole seconds need no bytes for the
    microseconds. All arithmetic is modulo 2**64, so no difference overflows.
    """
    values = np.ascontiguousarray(values, dtype="<i8")
    first = int(values[0])
    plain = _scaled(values)
    best, mode = plain, 0
    if len(values) > 1:
        steps = _scaled(np.diff(values.view("<u8")).view("<i8"))
        if steps[0] < plain[0]:
            best, mode = steps, 1
    width, base, scale, codes = best
    return INTEGERS_HEADER.pack(mode, width, base, scale, first) + to_planes(codes, width)


def decode_integers(data: bytes, start: int, rows: int) -> tuple[I64Array, int]:
    """int64 (rows,) from ``data[at:]``, and the place behind it."""
    if rows == 0:
        return np.empty(0, np.int64), start
    if len(data) < start + INTEGERS_HEADER.size:
        raise DamagedFileError("a block ends inside its header")
    mode, width, base, scale, first = INTEGERS_HEADER.unpack_from(data, start)
    start += INTEGERS_HEADER.size
    if mode > 1 or width not in (0, 1, 2, 4, 8):
        raise DamagedFileError(f"integers of mode {mode} and width {width} do not exist")
    count = rows - mode
    if count == 0 or width == 0:
        if width:
            raise DamagedFileError("differences between rows, in a block of one row")
        codes = np.zeros(count, np.uint64)
    else:
        codes = from_planes(data, start, count, f"<u{width}").astype(np.uint64)
    codes *= np.uint64(scale)
    codes += np.uint64(base & 0xFFFFFFFFFFFFFFFF)
    if mode == 1:
        out = np.empty(rows, np.uint64)
        out[0] = first & 0xFFFFFFFFFFFFFFFF
        out[1:] = codes
        codes = np.cumsum(out, dtype=np.uint64)
    return codes.view(np.int64), start + count * width


def _scaled(values: I64Array) -> tuple[int, int, int, np.ndarray[Any, Any]]:
    """(width, base, scale, codes) with values = base + scale * codes."""
    base = int(values.min())
    codes = values.view("<u8") - np.uint64(base & 0xFFFFFFFFFFFFFFFF)
    scale = int(np.gcd.reduce(codes)) or 1
    if scale > 1:
        codes = codes // np.uint64(scale)
    top = int(codes.max())
    width = 0 if top == 0 else 1 if top < 1 << 8 else 2 if top < 1 << 16 else 4 if top < 1 << 32 else 8
    return width, base, scale, codes.astype(f"<u{width}") if width else codes[:0]
