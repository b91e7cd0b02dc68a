"""One block of one column ⇄ bytes (before compression).

A block is a run of rows of one column. Its bytes are a validity bitmap (only if some but not all values are
NULL), then a body whose form the encoding code tells. All numbers are little-endian.

    INTEGERS     mode, width, base, scale, first, then the codes, as byte planes (lowest bytes first)
    REALS        float64, as byte planes; NaN with its bits
    BITS         one bit a value
    STRINGS      width, the lengths as byte planes of that width, then the bytes of all values
    DICTIONARY   count, the distinct values as STRINGS, width, then a code a row as byte planes
    VECTORS      float32, as byte planes
    BYTES        int8 or bits, row by row
    NESTED       lists, structs and maps, by column, see ``nested_block``
    NULLS        nothing: every value is NULL

Byte planes put equal-ranking bytes side by side, where a compressor finds what they share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.blocks.byte_planes import from_planes, to_planes
from audiomem_sql.blocks.compression import Decompressor
from audiomem_sql.blocks.integers import decode_integers, encode_integers, integers_of
from audiomem_sql.blocks.native_strings import Frames
from audiomem_sql.blocks.strings import (
    decode_dictionary,
    decode_joined,
    decode_lengths,
    dictionary_parts,
    encode_dictionary,
    encode_lengths,
    strings_without_nulls,
)
from audiomem_sql.columns.timestamps import MAX_MICROS, MIN_MICROS
from audiomem_sql.columns.types import FLOAT32, ColumnType, Kind, arrow_type
from audiomem_sql.columns.views import integers, reals, strings, valid
from audiomem_sql.errors import DamagedFileError


class Encoding(IntEnum):
    """How the body of a block is formed; the code stands in the catalog."""

    NULLS = 0
    INTEGERS = 1
    REALS = 2
    BITS = 3
    STRINGS = 4
    DICTIONARY = 5
    VECTORS = 6
    BYTES = 7
    NESTED = 8


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
        return Encoding.REALS, validity + to_planes(values)
    if column_type.kind is Kind.BOOLEAN:
        return Encoding.BITS, validity + _pack_bits(
            integers(array) * valid(array) if nulls else integers(array)
        )
    if column_type.kind is Kind.FLOAT and column_type.element != FLOAT32:
        octets = strings(array).data.reshape(rows, -1)
        if nulls:
            octets = np.where(valid(array)[:, None], octets, np.uint8(0))
        return Encoding.BYTES, validity + octets.tobytes()
    if column_type.kind is Kind.FLOAT:
        vectors = strings(array).data.view("<f4").reshape(rows, -1)
        if nulls:
            vectors = np.where(valid(array)[:, None], vectors, np.float32(0))
        return Encoding.VECTORS, validity + to_planes(vectors.reshape(-1))
    node = column_type.logical
    if node is not None and node.is_nested:
        from audiomem_sql.blocks.nested_block import encode_block  # most tables have none

        return Encoding.NESTED, validity + encode_block(node, array, encode)
    texts = strings_without_nulls(array, column_type) if nulls else array
    coded = encode_dictionary(texts)
    if coded is not None:
        return Encoding.DICTIONARY, validity + coded
    return Encoding.STRINGS, validity + encode_lengths(texts)


def decode(encoding: int, data: bytes, rows: int, nulls: int, column_type: ColumnType) -> pa.Array:
    """The inverse of :func:`encode`.

    Bytes that contradict the arguments raise DamagedFileError (without a place).
    """
    if not 0 <= nulls <= rows:
        raise DamagedFileError(f"a block of {rows} rows claims {nulls} NULLs")
    target = arrow_type(column_type)
    if encoding == Encoding.NULLS:
        if nulls != rows or data:
            raise DamagedFileError("a block of NULLs holds values")
        return pa.nulls(rows, target)
    if encoding not in _encodings(column_type):
        raise DamagedFileError(f"encoding {encoding} cannot hold {column_type} values")
    if rows < 1:
        raise DamagedFileError("a block holds no row")
    validity, start = _decode_validity(data, rows, nulls)
    if encoding == Encoding.BYTES:
        if len(data) - start != rows * column_type.vector_bytes:
            raise DamagedFileError("a block of vectors has the wrong length")
        child = pa.Array.from_buffers(
            target.value_type, rows * column_type.items, [None, pa.py_buffer(data[start:])], 0
        )
        return pa.Array.from_buffers(target, rows, [validity], nulls, children=[child])
    if encoding == Encoding.NESTED:
        from audiomem_sql.blocks.nested_block import decode_block

        assert column_type.logical is not None
        there = np.ones(rows, np.bool_) if validity is None else _unpacked(validity, rows)
        return decode_block(column_type.logical, data, start, there, decode)
    if encoding == Encoding.VECTORS:
        flat = from_planes(data, start, rows * column_type.width, "<f4", last=True)
        child = pa.Array.from_buffers(pa.float32(), rows * column_type.width, [None, pa.py_buffer(flat)], 0)
        return pa.Array.from_buffers(target, rows, [validity], nulls, children=[child])
    buffers = _BODIES[encoding](data, start, rows, column_type)
    array = pa.Array.from_buffers(target, rows, [validity, *buffers], nulls)
    if target == pa.string():
        _check_text(array)
    return array


def _encodings(column_type: ColumnType) -> set[Encoding]:
    """Those that a block of the type may have."""
    if column_type.element != FLOAT32:
        return {Encoding.BYTES}
    node = column_type.logical
    nested = {Encoding.NESTED} if node is not None and node.is_nested else set()
    return _BY_KIND[column_type.kind] | nested


def _unpacked(validity: pa.Buffer, rows: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.unpackbits(np.frombuffer(validity, np.uint8), count=rows, bitorder="little").view(np.bool_)


def _integers_body(data: bytes, start: int, rows: int, column_type: ColumnType) -> list[pa.Buffer]:
    values, end = decode_integers(data, start, rows)
    if end != len(data):
        raise DamagedFileError("a block of integers has the wrong length")
    if (
        column_type.kind is Kind.TIMESTAMP
        and not MIN_MICROS <= int(values.min()) <= int(values.max()) <= MAX_MICROS
    ):
        raise DamagedFileError("a block of timestamps leaves the years 0001 to 9999")
    return [pa.py_buffer(values)]


def _reals_body(data: bytes, start: int, rows: int, column_type: ColumnType) -> list[pa.Buffer]:
    numbers = from_planes(data, start, rows, "<f8", last=True)
    return [pa.py_buffer(numbers)]


def _bits_body(data: bytes, start: int, rows: int, column_type: ColumnType) -> list[pa.Buffer]:
    if len(data) - start != -(-rows // 8):
        raise DamagedFileError("a block of booleans has the wrong length")
    return [pa.py_buffer(data[start:])]


def _strings_body(data: bytes, start: int, rows: int, column_type: ColumnType) -> list[pa.Buffer]:
    return _whole_strings(data, *decode_lengths(data, start, rows))


def _dictionary_body(data: bytes, start: int, rows: int, column_type: ColumnType) -> list[pa.Buffer]:
    return _whole_strings(data, *decode_dictionary(data, start, rows))


def _whole_strings(data: bytes, offsets: np.ndarray[Any, Any], text: pa.Buffer, end: int) -> list[pa.Buffer]:
    if end != len(data):
        raise DamagedFileError("a block of strings has the wrong length")
    return [pa.py_buffer(offsets), text]


#: The buffers behind the validity bitmap, from the bytes of a block's body.
_BODIES: dict[int, Callable[[bytes, int, int, ColumnType], list[pa.Buffer]]] = {
    Encoding.INTEGERS: _integers_body,
    Encoding.REALS: _reals_body,
    Encoding.BITS: _bits_body,
    Encoding.STRINGS: _strings_body,
    Encoding.DICTIONARY: _dictionary_body,
}


def decode_coded(
    encoding: int, data: bytes, rows: int, nulls: int, column_type: ColumnType
) -> pa.DictionaryArray:
    """A block of texts as Arrow's dictionary array with int32 codes.

    The codes are those that are stored, or made from what :func:`decode` gives.
    """
    if encoding != Encoding.DICTIONARY or not 0 <= nulls <= rows or arrow_type(column_type) != pa.string():
        return decode(encoding, data, rows, nulls, column_type).dictionary_encode()
    validity, at = _decode_validity(data, rows, nulls)
    offsets, text, codes, end = dictionary_parts(data, at, rows)
    if end != len(data):
        raise DamagedFileError("a block of strings has the wrong length")
    values = pa.Array.from_buffers(pa.string(), len(offsets) - 1, [None, pa.py_buffer(offsets), text])
    _check_text(values)
    indices = pa.Array.from_buffers(pa.int32(), rows, [validity, pa.py_buffer(codes.astype(np.int32))], nulls)
    return pa.DictionaryArray.from_arrays(indices, values, safe=False)


def decode_strings(
    blocks: Iterable[tuple[bytes | memoryview, int]], rows: int, most: int, column_type: ColumnType
) -> pa.Array:
    """Several blocks of STRINGS without NULLs as one array; arguments as in :func:`decode_joined`.

    DamagedFileError (without a place) for bytes that contradict the arguments.
    """
    offsets, text = decode_joined(blocks, rows, most)
    array = pa.Array.from_buffers(arrow_type(column_type), rows, [None, pa.py_buffer(offsets), text], 0)
    if array.type == pa.string():
        _check_text(array)
    return array


def decode_stored_strings(
    decompressor: Decompressor, frames: Frames, rows: I64Array, column_type: ColumnType
) -> pa.Array:
    """The same of blocks as they are stored, less than 2**31 bytes; rows: of each, int64 (n,)."""
    target = arrow_type(column_type)
    buffers = decompressor.strings.decode(frames, rows, text=target == pa.string())
    if buffers is not None:
        return pa.Array.from_buffers(target, int(rows.sum()), [None, *buffers], 0)
    parts = decompressor.parts(frames.views(), frames.raw.tolist())
    blocks = zip(parts, rows.tolist(), strict=True)
    return decode_strings(blocks, int(rows.sum()), int(frames.raw.sum()), column_type)


def _decode_validity(data: bytes, rows: int, nulls: int) -> tuple[pa.Buffer | None, int]:
    """The validity bitmap at the front of a block, if it has NULLs, and the place behind it."""
    if not nulls:
        return None, 0
    size = -(-rows // 8)
    if len(data) < size:
        raise DamagedFileError("a block ends inside its validity bitmap")
    if (
        int(np.unpackbits(np.frombuffer(data, np.uint8, size), count=rows, bitorder="little").sum())
        != rows - nulls
    ):
        raise DamagedFileError("the validity bitmap of a block has another number of NULLs than the catalog")
    return pa.py_buffer(data[:size]), size


def _check_text(array: pa.Array) -> None:
    try:
        array.validate(full=True)
    except pa.ArrowInvalid as error:
        raise DamagedFileError(f"a block of text is not valid UTF-8 ({error})") from None


def _pack_bits(values: np.ndarray[Any, Any]) -> bytes:
    return np.packbits(values.astype(bool), bitorder="little").tobytes()
