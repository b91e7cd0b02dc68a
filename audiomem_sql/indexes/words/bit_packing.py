"""Numbers of different widths, one behind the other without gaps.

And numbers as a bucket and the bits inside it.

A number v ≥ 0 becomes its bucket, the bit length of v + 1 less one, and the bucket's many low bits of v + 1
(Elias 1975's gamma code, with the unary half left to an entropy coder).
"""

from __future__ import annotations

import numpy as np

from audiomem_sql.arrays import I64Array, U8Array, U64Array
from audiomem_sql.errors import DamagedFileError

#: No number is wider, so that each lies within eight bytes wherever it begins.
MAX_WIDTH = 32


def buckets_of(values: I64Array) -> U8Array:
    """The bucket of each of int64 (n,), 0 ≤ v < 2**32 - 1: uint8 (n,)."""
    return (np.frexp((values + 1).astype(np.float64))[1] - 1).astype(np.uint8)


def low_bits(values: I64Array, buckets: U8Array) -> U64Array:
    """What :func:`buckets_of` leaves of each value, uint64 (n,)."""
    return (values + 1).astype(np.uint64) ^ (np.uint64(1) << buckets.astype(np.uint64))


def values_of(buckets: U8Array, low: U64Array) -> I64Array:
    """The inverse of the two, int64 (n,)."""
    return ((np.uint64(1) << buckets.astype(np.uint64)) + low).astype(np.int64) - 1


def pack(values: U64Array, widths: U8Array) -> bytes:
    """``values`` (n,), each below 2 ** its width, the first in the lowest bits of the first byte."""
    ends = np.cumsum(widths, dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    if total == 0:
        return b""
    offsets = ends - widths
    words = offsets >> 6
    shifts = (offsets & 63).astype(np.uint64)
    out = np.zeros((total >> 6) + 2, "<u8")
    firsts = np.flatnonzero(np.concatenate([[True], words[1:] != words[:-1]]))
    out[words[firsts]] = np.bitwise_or.reduceat(values << shifts, firsts)
    across = np.flatnonzero(shifts.astype(np.int64) + widths > 64)
    out[words[across] + 1] |= values[across] >> (np.uint64(64) - shifts[across])
    return out.tobytes()[: -(-total // 8)]


def unpack(data: bytes, offsets: I64Array, widths: U8Array) -> U64Array:
    """The numbers of ``widths`` bits at the bit ``offsets`` of ``data``, uint64 (n,).

    Raises DamagedFileError (without a place) if one lies behind the end.
    """
    if len(offsets) == 0:
        return np.empty(0, np.uint64)
    if int((offsets + widths).max()) > len(data) * 8 or int(offsets.min()) < 0:
        raise DamagedFileError("packed numbers end early")
    first = int(offsets.min()) >> 3
    last = (int(offsets.max()) >> 3) + 1
    padded = data[first : last + 8].ljust(last - first + 8, b"\0")
    windows: U64Array = np.ndarray(last - first, "<u8", padded, strides=(1,))
    masks = (np.uint64(1) << widths.astype(np.uint64)) - np.uint64(1)
    values: U64Array = (windows[(offsets >> 3) - first] >> (offsets & 7).astype(np.uint64)) & masks
    return values
