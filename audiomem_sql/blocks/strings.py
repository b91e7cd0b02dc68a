"""Strings as their lengths and bytes, or as distinct strings and a code for each row."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import U8Array
from audiomem_sql.blocks.byte_planes import from_planes, to_planes, width_of
from audiomem_sql.blocks.directory import MAX_SHARED_BLOCK_BYTES
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.columns.views import dictionary_codes, strings, valid
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.machine.malloc import without_kernels

LENGTHS_HEADER = struct.Struct("<B")
DICTIONARY_HEADER = struct.Struct("<I")


def string_buffers(array: pa.Array) -> tuple[np.ndarray[Any, np.dtype[np.int32]], U8Array]:
    """Offsets from 0, int32 (n + 1,), and the bytes of a string or binary array, which may be a slice."""
    _, offset_buffer, text_buffer = array.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32, len(array) + 1, array.offset * 4)
    if text_buffer is None:
        return np.zeros(len(array) + 1, np.int32), np.empty(0, np.uint8)
    text = np.frombuffer(text_buffer, np.uint8)[offsets[0] : offsets[-1]]
    return offsets - offsets[0], text


def encode_lengths(array: pa.Array) -> bytes:
    """Lengths and bytes of the strings of an array."""
    offsets, text = string_buffers(array)
    lengths = np.diff(offsets)
    width = width_of(int(lengths.max(initial=0)))
    return LENGTHS_HEADER.pack(width) + to_planes(lengths.astype(f"<u{width}")) + text.tobytes()


def encode_dictionary(array: pa.Array) -> bytes | None:
    """Distinct values and codes; None unless at most half of the values are distinct."""
    rows = len(array)
    if rows > 1 and _repeats(array.slice(0, 256)):
        values, codes = _distinct(array)
        distinct = len(values)
        if distinct <= rows // 2:
            width = width_of(distinct - 1)
            body = DICTIONARY_HEADER.pack(distinct) + encode_lengths(values) + LENGTHS_HEADER.pack(width)
            return body + to_planes(codes.astype(f"<u{width}"))
    return None


def _distinct(array: pa.Array) -> tuple[pa.Array, np.ndarray[Any, np.dtype[np.int32]]]:
    """The distinct strings in the order in which they come first, and the place there of each, int32 (n,)."""
    if not without_kernels():
        encoded = array.dictionary_encode()
        return encoded.dictionary, dictionary_codes(encoded)
    numbers: dict[bytes, int] = {}
    codes = np.fromiter(
        (numbers.setdefault(value, len(numbers)) for value in _pieces(array)), np.int32, len(array)
    )
    ends = np.cumsum([0, *map(len, numbers)]).astype(np.int32)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(numbers))]
    return pa.Array.from_buffers(array.type, len(numbers), buffers, 0), codes


def _pieces(array: pa.Array) -> list[bytes]:
    views = strings(array)
    data = views.data.tobytes()
    return [data[i:j] for i, j in zip(views.starts.tolist(), views.ends.tolist(), strict=True)]


def _repeats(sample: pa.Array) -> bool:
    """Whether the distinct values take at most three quarters of the bytes, with four for each offset."""
    pieces = _pieces(sample)
    distinct = set(pieces)
    size = 4 * (len(distinct) + 1) + sum(map(len, distinct))
    return size <= (4 * (len(pieces) + 1) + sum(map(len, pieces))) * 3 // 4


def strings_without_nulls(array: pa.Array, column_type: ColumnType) -> pa.Array:
    """The strings with nothing for NULL; what lies there is mostly nothing already."""
    if strings(array).lengths[~valid(array)].any():
        return array.fill_null(b"" if column_type.kind is Kind.BLOB else "")
    return pa.Array.from_buffers(array.type, len(array), [None, *array.buffers()[1:]], 0, array.offset)


def decode_lengths(data: bytes, start: int, rows: int) -> tuple[np.ndarray[Any, Any], pa.Buffer, int]:
    """Offsets, the text as a buffer without a copy, and the place behind it."""
    if len(data) <= start:
        raise DamagedFileError("a block of strings ends early")
    width = data[start]
    if width not in (1, 2, 4):
        raise DamagedFileError(f"lengths of {width} bytes do not exist")
    start += LENGTHS_HEADER.size
    lengths = from_planes(data, start, rows, f"<u{width}")
    start += rows * width
    offsets = np.zeros(rows + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    total = int(offsets[-1])
    if total > len(data) - start:
        raise DamagedFileError("a block of strings is shorter than its lengths")
    return offsets.astype(np.int32), pa.py_buffer(data).slice(start, total), start + total


def decode_joined(
    blocks: Iterable[tuple[bytes | memoryview, int]], rows: int, most: int
) -> tuple[np.ndarray[Any, Any], pa.Buffer]:
    """Offsets and text of several blocks, as if they were one.

    blocks: the bytes and rows of each. rows: of all. most: bytes of all, less than 2³¹.
    """
    buffer, at = pa.allocate_buffer(most), 0
    text = np.frombuffer(memoryview(buffer), np.uint8)
    lengths = []
    for data, count in blocks:
        width = data[0] if len(data) else 0
        if width not in (1, 2, 4):
            raise DamagedFileError(f"lengths of {width} bytes do not exist")
        lengths.append(from_planes(data, LENGTHS_HEADER.size, count, f"<u{width}"))
        start = LENGTHS_HEADER.size + count * width
        stop = at + len(data) - start
        if int(lengths[-1].sum(dtype=np.int64)) != stop - at or stop > most:
            raise DamagedFileError("a block of strings has the wrong length")
        text[at:stop] = np.frombuffer(data, np.uint8)[start:]
        at = stop
    offsets = np.zeros(rows + 1, np.int32)
    np.cumsum(np.concatenate(lengths), dtype=np.int32, out=offsets[1:])
    return offsets, buffer.slice(0, at)


def decode_dictionary(data: bytes, start: int, rows: int) -> tuple[np.ndarray[Any, Any], pa.Buffer, int]:
    """Offsets and bytes of the strings that codes name, and the place behind them."""
    offsets, text, codes, end = dictionary_parts(data, start, rows)
    if int(np.diff(offsets)[codes].sum(dtype=np.int64)) > MAX_SHARED_BLOCK_BYTES:
        raise DamagedFileError("a block of strings is larger than any that is written")
    values = pa.Array.from_buffers(pa.binary(), len(offsets) - 1, [None, pa.py_buffer(offsets), text])
    if without_kernels():
        taken_offsets = np.zeros(rows + 1, np.int32)
        np.cumsum(np.diff(offsets)[codes], out=taken_offsets[1:])
        pieces = _pieces(values)
        return taken_offsets, pa.py_buffer(b"".join([pieces[code] for code in codes.tolist()])), end
    indices = pa.Array.from_buffers(pa.from_numpy_dtype(codes.dtype), rows, [None, pa.py_buffer(codes)], 0)
    array = values.take(indices)
    _, taken, text = array.buffers()
    return np.frombuffer(taken, np.int32, rows + 1), text if text is not None else pa.py_buffer(b""), end


def dictionary_parts(
    data: bytes, start: int, rows: int
) -> tuple[np.ndarray[Any, Any], pa.Buffer, np.ndarray[Any, Any], int]:
    """Offsets and text of the distinct values, the code of each row, and the place behind them."""
    if len(data) < start + DICTIONARY_HEADER.size:
        raise DamagedFileError("a block of strings ends early")
    (distinct,) = DICTIONARY_HEADER.unpack_from(data, start)
    if not 0 < distinct <= rows:
        raise DamagedFileError(f"{distinct} distinct values in {rows} rows")
    offsets, text, start = decode_lengths(data, start + DICTIONARY_HEADER.size, distinct)
    if len(data) <= start or data[start] not in (1, 2, 4):
        raise DamagedFileError("a block of strings has no codes")
    width = data[start]
    codes = from_planes(data, start + LENGTHS_HEADER.size, rows, f"<u{width}")
    if int(codes.max(initial=0)) >= distinct:
        raise DamagedFileError("a code names no value")
    return offsets, text, codes, start + LENGTHS_HEADER.size + rows * width
