"""One block of one column ⇄ bytes (before compression).

A block is a run of rows of one column. Its bytes are a validity bitmap (only if some but not all values are NULL),
then a body whose form the encoding code tells. All numbers are little-endian.

    INTEGERS     mode, width, base, scale, first, then the codes, as byte planes (every code's lowest byte first)
    REALS        float64, as byte planes
    BITS         one bit a value
    STRINGS      width, the lengths as byte planes of that width, then the bytes of all values
    DICTIONARY   count, the distinct values as STRINGS, width, then a code a row as byte planes
    VECTORS      float32, as byte planes
    NULLS        nothing: every value is NULL

Byte planes put equal-ranking bytes side by side, where a compressor finds what they share.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array, U8Array
from audiomem_sql.blocks.directory import MAX_SHARED_BLOCK_BYTES
from audiomem_sql.columns.timestamps import MAX_MICROS, MIN_MICROS
from audiomem_sql.columns.types import ColumnType, Kind, arrow_type
from audiomem_sql.columns.views import dictionary_codes, integers, reals, strings, valid
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.machine.malloc import without_kernels


class Encoding(IntEnum):
    """How the body of a block is formed; the code stands in the catalog."""

    NULLS = 0
    INTEGERS = 1
    REALS = 2
    BITS = 3
    STRINGS = 4
    DICTIONARY = 5
    VECTORS = 6


#: mode (0 value, 1 difference to the row before), width of a code in bytes, base, scale, first value
INTEGERS_HEADER = struct.Struct("<B B q Q q")
LENGTHS_HEADER = struct.Struct("<B")
DICTIONARY_HEADER = struct.Struct("<I")

_TEXT_KINDS = (Kind.TEXT, Kind.JSON, Kind.BLOB)
_INTEGER_KINDS = (Kind.INTEGER, Kind.TIMESTAMP)
_BY_KIND = {
    Kind.INTEGER: {Encoding.INTEGERS},
    Kind.TIMESTAMP: {Encoding.INTEGERS},
    Kind.REAL: {Encoding.REALS},
    Kind.BOOLEAN: {Encoding.BITS},
    Kind.TEXT: {Encoding.STRINGS, Encoding.DICTIONARY},
    Kind.JSON: {Encoding.STRINGS, Encoding.DICTIONARY},
    Kind.BLOB: {Encoding.STRINGS, Encoding.DICTIONARY},
    Kind.FLOAT: {Encoding.VECTORS},
}


def encode(array: pa.Array, column_type: ColumnType) -> tuple[Encoding, bytes]:
    """A block's rows, an array of the column's Arrow type, as (encoding, bytes)."""
    rows, nulls = len(array), array.null_count
    if nulls == rows:
        return Encoding.NULLS, b""
    validity = b"" if nulls == 0 else _pack_bits(valid(array))
    if column_type.kind in _INTEGER_KINDS:
        return Encoding.INTEGERS, validity + encode_integers(integers_of(array))
    if column_type.kind is Kind.REAL:
        values = np.where(valid(array), reals(array), 0.0) if nulls else reals(array)
        return Encoding.REALS, validity + _to_planes(values)
    if column_type.kind is Kind.BOOLEAN:
        return Encoding.BITS, validity + _pack_bits(
            integers(array) * valid(array) if nulls else integers(array)
        )
    if column_type.kind is Kind.FLOAT:
        vectors = strings(array).data.view("<f4").reshape(rows, -1)
        if nulls:
            vectors = np.where(valid(array)[:, None], vectors, np.float32(0))
        return Encoding.VECTORS, validity + _to_planes(vectors.reshape(-1))
    return _encode_strings(_without_nulls(array, column_type) if nulls else array, validity)


def decode(encoding: int, data: bytes, rows: int, nulls: int, column_type: ColumnType) -> pa.Array:
    """The inverse of :func:`encode`. Bytes that contradict the arguments raise DamagedFileError (without a place)."""
    if not 0 <= nulls <= rows:
        raise DamagedFileError(f"a block of {rows} rows claims {nulls} NULLs")
    target = arrow_type(column_type)
    if encoding == Encoding.NULLS:
        if nulls != rows or data:
            raise DamagedFileError("a block of NULLs holds values")
        return pa.nulls(rows, target)
    if encoding not in _BY_KIND[column_type.kind]:
        raise DamagedFileError(f"encoding {encoding} cannot hold {column_type} values")
    if rows < 1:
        raise DamagedFileError("a block holds no row")
    validity, at = _decode_validity(data, rows, nulls)
    if encoding == Encoding.INTEGERS:
        values, end = decode_integers(data, at, rows)
        if end != len(data):
            raise DamagedFileError("a block of integers has the wrong length")
        if (
            column_type.kind is Kind.TIMESTAMP
            and not MIN_MICROS <= int(values.min()) <= int(values.max()) <= MAX_MICROS
        ):
            raise DamagedFileError("a block of timestamps leaves the years 0001 to 9999")
        return pa.Array.from_buffers(target, rows, [validity, pa.py_buffer(values)], nulls)
    if encoding == Encoding.REALS:
        numbers = _from_planes(data, at, rows, "<f8", last=True)
        if np.isnan(numbers).any():
            raise DamagedFileError("a block of real numbers holds what is no number")
        return pa.Array.from_buffers(target, rows, [validity, pa.py_buffer(numbers)], nulls)
    if encoding == Encoding.BITS:
        if len(data) - at != -(-rows // 8):
            raise DamagedFileError("a block of booleans has the wrong length")
        return pa.Array.from_buffers(target, rows, [validity, pa.py_buffer(data[at:])], nulls)
    if encoding == Encoding.VECTORS:
        flat = _from_planes(data, at, rows * column_type.width, "<f4", last=True)
        child = pa.Array.from_buffers(pa.float32(), rows * column_type.width, [None, pa.py_buffer(flat)], 0)
        return pa.Array.from_buffers(target, rows, [validity], nulls, children=[child])
    if encoding == Encoding.STRINGS:
        offsets, text, end = _decode_lengths(data, at, rows)
    else:
        offsets, text, end = _decode_dictionary(data, at, rows)
    if end != len(data):
        raise DamagedFileError("a block of strings has the wrong length")
    array = pa.Array.from_buffers(target, rows, [validity, pa.py_buffer(offsets), text], nulls)
    if target == pa.string():
        _check_text(array)
    return array


def decode_coded(
    encoding: int, data: bytes, rows: int, nulls: int, column_type: ColumnType
) -> pa.DictionaryArray:
    """A block of texts as Arrow's dictionary array, int32 codes: what it is stored as, or made of what :func:`decode` gives."""
    if encoding != Encoding.DICTIONARY or not 0 <= nulls <= rows or arrow_type(column_type) != pa.string():
        return decode(encoding, data, rows, nulls, column_type).dictionary_encode()
    validity, at = _decode_validity(data, rows, nulls)
    offsets, text, codes, end = _dictionary_parts(data, at, rows)
    if end != len(data):
        raise DamagedFileError("a block of strings has the wrong length")
    values = pa.Array.from_buffers(pa.string(), len(offsets) - 1, [None, pa.py_buffer(offsets), text])
    _check_text(values)
    indices = pa.Array.from_buffers(pa.int32(), rows, [validity, pa.py_buffer(codes.astype(np.int32))], nulls)
    return pa.DictionaryArray.from_arrays(indices, values, safe=False)


def _decode_validity(data: bytes, rows: int, nulls: int) -> tuple[pa.Buffer | None, int]:
    """The validity bitmap at the front of a block, if it has NULLs, and the place behind it."""
    if not nulls:
        return None, 0
    at = -(-rows // 8)
    if len(data) < at:
        raise DamagedFileError("a block ends inside its validity bitmap")
    if (
        int(np.unpackbits(np.frombuffer(data, np.uint8, at), count=rows, bitorder="little").sum())
        != rows - nulls
    ):
        raise DamagedFileError("the validity bitmap of a block has another number of NULLs than the catalog")
    return pa.py_buffer(data[:at]), at


def _check_text(array: pa.Array) -> None:
    try:
        array.validate(full=True)
    except pa.ArrowInvalid as error:
        raise DamagedFileError(f"a block of text is not valid UTF-8 ({error})") from None


def integers_of(array: pa.Array) -> I64Array:
    """The int64 values of an INTEGER or TIMESTAMP array; a NULL repeats the value before it (0 at the start)."""
    values = integers(array)
    if array.null_count == 0:
        return values
    there = valid(array)
    source = np.maximum.accumulate(np.where(there, np.arange(len(there)), 0))
    return np.where(there[source], values[source], 0)


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
    return INTEGERS_HEADER.pack(mode, width, base, scale, first) + _to_planes(codes, width)


def decode_integers(data: bytes, at: int, rows: int) -> tuple[I64Array, int]:
    """int64 (rows,) from ``data[at:]``, and the place behind it."""
    if rows == 0:
        return np.empty(0, np.int64), at
    if len(data) < at + INTEGERS_HEADER.size:
        raise DamagedFileError("a block ends inside its header")
    mode, width, base, scale, first = INTEGERS_HEADER.unpack_from(data, at)
    at += INTEGERS_HEADER.size
    if mode > 1 or width not in (0, 1, 2, 4, 8):
        raise DamagedFileError(f"integers of mode {mode} and width {width} do not exist")
    count = rows - mode
    if count == 0 or width == 0:
        if width:
            raise DamagedFileError("differences between rows, in a block of one row")
        codes = np.zeros(count, np.uint64)
    else:
        codes = _from_planes(data, at, count, f"<u{width}").astype(np.uint64)
    codes *= np.uint64(scale)
    codes += np.uint64(base & 0xFFFFFFFFFFFFFFFF)
    if mode == 1:
        out = np.empty(rows, np.uint64)
        out[0] = first & 0xFFFFFFFFFFFFFFFF
        out[1:] = codes
        codes = np.cumsum(out, dtype=np.uint64)
    return codes.view(np.int64), at + count * width


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


def _width_of(top: int) -> int:
    return 1 if top < 1 << 8 else 2 if top < 1 << 16 else 4


def _to_planes(values: np.ndarray[Any, Any], width: int | None = None) -> bytes:
    width = values.itemsize if width is None else width
    if width <= 1:
        return values.tobytes()
    return np.ascontiguousarray(values.view(np.uint8).reshape(-1, width).T).tobytes()


def _from_planes(data: bytes, at: int, count: int, dtype: str, *, last: bool = False) -> np.ndarray[Any, Any]:
    """``count`` numbers from byte planes at ``data[at:]``; with ``last`` nothing may stand behind them."""
    size = count * np.dtype(dtype).itemsize
    if len(data) - at < size or (last and len(data) - at != size):
        raise DamagedFileError("a block has the wrong length")
    planes = np.frombuffer(data, np.uint8, size, at)
    if count == 0 or np.dtype(dtype).itemsize == 1:
        return planes.view(dtype)
    return np.ascontiguousarray(planes.reshape(-1, count).T).reshape(-1).view(dtype)


def _pack_bits(values: np.ndarray[Any, Any]) -> bytes:
    return np.packbits(values.astype(bool), bitorder="little").tobytes()


def string_buffers(array: pa.Array) -> tuple[np.ndarray[Any, np.dtype[np.int32]], U8Array]:
    """Offsets, int32 (n + 1,), starting at 0, and the bytes of a string or binary array that may be a slice."""
    _, offset_buffer, text_buffer = array.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32, len(array) + 1, array.offset * 4)
    if text_buffer is None:
        return np.zeros(len(array) + 1, np.int32), np.empty(0, np.uint8)
    text = np.frombuffer(text_buffer, np.uint8)[offsets[0] : offsets[-1]]
    return offsets - offsets[0], text


def _encode_lengths(array: pa.Array) -> bytes:
    offsets, text = string_buffers(array)
    lengths = np.diff(offsets)
    width = _width_of(int(lengths.max(initial=0)))
    return LENGTHS_HEADER.pack(width) + _to_planes(lengths.astype(f"<u{width}")) + text.tobytes()


def _encode_strings(array: pa.Array, validity: bytes) -> tuple[Encoding, bytes]:
    """Plain strings, or distinct values and codes when at most half of the values are distinct."""
    rows = len(array)
    if rows > 1 and _repeats(array.slice(0, 256)):
        values, codes = _distinct(array)
        distinct = len(values)
        if distinct <= rows // 2:
            width = _width_of(distinct - 1)
            body = DICTIONARY_HEADER.pack(distinct) + _encode_lengths(values) + LENGTHS_HEADER.pack(width)
            return Encoding.DICTIONARY, validity + body + _to_planes(codes.astype(f"<u{width}"))
    return Encoding.STRINGS, validity + _encode_lengths(array)


def _distinct(array: pa.Array) -> tuple[pa.Array, np.ndarray[Any, np.dtype[np.int32]]]:
    """The distinct strings in the order in which they come first, and the place there of each, int32 (n,)."""
    if not without_kernels():
        encoded = array.dictionary_encode()
        return encoded.dictionary, dictionary_codes(encoded)
    places: dict[bytes, int] = {}
    codes = np.fromiter(
        (places.setdefault(value, len(places)) for value in _pieces(array)), np.int32, len(array)
    )
    ends = np.cumsum([0, *map(len, places)]).astype(np.int32)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(places))]
    return pa.Array.from_buffers(array.type, len(places), buffers, 0), codes


def _pieces(array: pa.Array) -> list[bytes]:
    found = strings(array)
    data = found.data.tobytes()
    return [data[i:j] for i, j in zip(found.starts.tolist(), found.ends.tolist(), strict=True)]


def _repeats(sample: pa.Array) -> bool:
    """Whether its distinct values take at most three quarters of its bytes, with four for each value's place."""
    pieces = _pieces(sample)
    distinct = set(pieces)
    size = 4 * (len(distinct) + 1) + sum(map(len, distinct))
    return size <= (4 * (len(pieces) + 1) + sum(map(len, pieces))) * 3 // 4


def _without_nulls(array: pa.Array, column_type: ColumnType) -> pa.Array:
    """The strings with nothing for NULL; what lies there is mostly nothing already."""
    if strings(array).lengths[~valid(array)].any():
        return array.fill_null(b"" if column_type.kind is Kind.BLOB else "")
    return pa.Array.from_buffers(array.type, len(array), [None, *array.buffers()[1:]], 0, array.offset)


def _decode_lengths(data: bytes, at: int, rows: int) -> tuple[np.ndarray[Any, Any], pa.Buffer, int]:
    """Offsets, the text as a buffer without a copy, and the place behind it."""
    if len(data) <= at:
        raise DamagedFileError("a block of strings ends early")
    width = data[at]
    if width not in (1, 2, 4):
        raise DamagedFileError(f"lengths of {width} bytes do not exist")
    at += LENGTHS_HEADER.size
    lengths = _from_planes(data, at, rows, f"<u{width}")
    at += rows * width
    offsets = np.zeros(rows + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    total = int(offsets[-1])
    if total > len(data) - at:
        raise DamagedFileError("a block of strings is shorter than its lengths")
    return offsets.astype(np.int32), pa.py_buffer(data).slice(at, total), at + total


def _decode_dictionary(data: bytes, at: int, rows: int) -> tuple[np.ndarray[Any, Any], pa.Buffer, int]:
    offsets, text, codes, end = _dictionary_parts(data, at, rows)
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


def _dictionary_parts(
    data: bytes, at: int, rows: int
) -> tuple[np.ndarray[Any, Any], pa.Buffer, np.ndarray[Any, Any], int]:
    """Offsets and text of the distinct values, the code of each row, and the place behind them."""
    if len(data) < at + DICTIONARY_HEADER.size:
        raise DamagedFileError("a block of strings ends early")
    (distinct,) = DICTIONARY_HEADER.unpack_from(data, at)
    if not 0 < distinct <= rows:
        raise DamagedFileError(f"{distinct} distinct values in {rows} rows")
    offsets, text, at = _decode_lengths(data, at + DICTIONARY_HEADER.size, distinct)
    if len(data) <= at or data[at] not in (1, 2, 4):
        raise DamagedFileError("a block of strings has no codes")
    width = data[at]
    codes = _from_planes(data, at + LENGTHS_HEADER.size, rows, f"<u{width}")
    if int(codes.max(initial=0)) >= distinct:
        raise DamagedFileError("a code names no value")
    return offsets, text, codes, at + LENGTHS_HEADER.size + rows * width
