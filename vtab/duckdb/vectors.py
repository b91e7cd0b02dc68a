"""DuckDB's types and vectors, as the C half hands them over, and the Arrow types and arrays that hold them.

A type is a tuple that begins with its number in ``duckdb_type``::

    (DECIMAL, width, scale, number of the type that holds it)
    (ENUM, number of the type that holds it, words)
    (LIST, item type)    (ARRAY, item type, items)    (STRUCT, ((name, type), …))    (number,)
    (MAP, (STRUCT, (("key", type), ("value", type))))    (VARCHAR, alias), as JSON has one

A vector is a tuple that begins with its validity, bits as Arrow has them, or None where no row is NULL::

    VARCHAR, BLOB, BIT, BIGNUM: (validity, int64 offsets, bytes)
    LIST, MAP: (validity, (offset, length) each, items, vector)    ARRAY: (validity, vector)
    STRUCT: (validity, vector of each field …)    others: (validity, values)
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import BoolArray
from audiomem_sql.errors import DataTypeError

BOOLEAN, TINYINT, SMALLINT, INTEGER, BIGINT, UTINYINT, USMALLINT, UINTEGER, UBIGINT = range(1, 10)
FLOAT, DOUBLE, TIMESTAMP, DATE, TIME, INTERVAL, HUGEINT, VARCHAR, BLOB, DECIMAL = range(10, 20)
TIMESTAMP_S, TIMESTAMP_MS, TIMESTAMP_NS, ENUM, LIST, STRUCT, MAP, UUID = range(20, 28)
UNION, BIT, TIMETZ, TIMESTAMP_TZ, UHUGEINT, ARRAY, ANY, BIGNUM, SQLNULL = range(28, 37)
TIME_NS = 39

#: Types whose vectors hold what Arrow holds for them.
_SAME: dict[int, pa.DataType] = {
    TINYINT: pa.int8(),
    SMALLINT: pa.int16(),
    INTEGER: pa.int32(),
    BIGINT: pa.int64(),
    UTINYINT: pa.uint8(),
    USMALLINT: pa.uint16(),
    UINTEGER: pa.uint32(),
    UBIGINT: pa.uint64(),
    FLOAT: pa.float32(),
    DOUBLE: pa.float64(),
    TIMESTAMP: pa.timestamp("us"),
    DATE: pa.date32(),
    TIME: pa.time64("us"),
    TIME_NS: pa.time64("ns"),
    TIMESTAMP_S: pa.timestamp("s"),
    TIMESTAMP_MS: pa.timestamp("ms"),
    TIMESTAMP_NS: pa.timestamp("ns"),
    TIMESTAMP_TZ: pa.timestamp("us", "UTC"),
}
_INTEGERS = {TINYINT: "i1", SMALLINT: "<i2", INTEGER: "<i4", BIGINT: "<i8"}
#: The types in which DuckDB keeps the places of the values of an ENUM.
WORDS = {UTINYINT: "u1", USMALLINT: "<u2", UINTEGER: "<u4"}
_NAMES = {UNION: "UNION", 40: "GEOMETRY", 41: "VARIANT"}

Type = Sequence[Any]
Vector = Sequence[Any]


def arrow_type(name: str, described: Type) -> pa.DataType:
    """The Arrow type that holds the values of column ``name``; DataTypeError where none is made for it."""
    number = described[0]
    if number in _SAME:
        return _SAME[number]
    if number == BOOLEAN:
        return pa.bool_()
    if number in (VARCHAR, UUID):
        return pa.large_string()
    if number == BLOB:
        return pa.large_binary()
    if number == DECIMAL:
        return pa.decimal128(described[1], described[2])
    if number == ENUM:
        return pa.dictionary(pa.int32(), pa.string())
    if number == LIST:
        return pa.large_list(arrow_type(name, described[1]))
    if number == ARRAY:
        return pa.list_(arrow_type(name, described[1]), described[2])
    if number == STRUCT:
        return pa.struct([pa.field(key, arrow_type(name, value)) for key, value in described[1]])
    raise unknown_type(name, number)


def unknown_type(name: str, number: int) -> DataTypeError:
    """The error for a type that no column has."""
    return DataTypeError(
        f"no column type holds DuckDB's {_NAMES.get(number, f'type {number}')}",
        place=f"column {name}",
        remedy="Cast the column, to VARCHAR for example, or leave it out.",
    )


def array(described: Type, vector: Vector, rows: int) -> pa.Array:
    """The values of a vector, as an array of :func:`arrow_type`."""
    number, validity = described[0], vector[0]
    bits = None if validity is None else pa.py_buffer(validity)
    if number in (VARCHAR, BLOB):
        kind = pa.large_string() if number == VARCHAR else pa.large_binary()
        return pa.Array.from_buffers(kind, rows, [bits, pa.py_buffer(vector[1]), pa.py_buffer(vector[2])])
    if number == STRUCT:
        fields = [
            (pa.field(key, arrow_type(key, value)), array(value, values, rows))
            for (key, value), values in zip(described[1], vector[1:], strict=True)
        ]
        return pa.Array.from_buffers(
            pa.struct([field for field, _ in fields]), rows, [bits], children=[values for _, values in fields]
        )
    if number == ARRAY:
        items = array(described[1], vector[1], rows * described[2])
        return pa.Array.from_buffers(pa.list_(items.type, described[2]), rows, [bits], children=[items])
    if number == LIST:
        return _lists(described, vector, rows, bits)
    if number == ENUM:
        return _words(described, vector, rows)
    if number == DECIMAL:
        return _decimals(described, vector, rows, bits)
    if number == BOOLEAN:
        flags = np.frombuffer(vector[1], np.uint8)[:rows] != 0
        packed = pa.py_buffer(np.packbits(flags, bitorder="little"))
        return pa.Array.from_buffers(pa.bool_(), rows, [bits, packed])
    if number == UUID:
        return _uuids(vector, rows)
    return pa.Array.from_buffers(_SAME[number], rows, [bits, pa.py_buffer(vector[1])])


# -- inside
# -----------------------------------------------------------------------------------------------------------


def is_valid(validity: bytes | None, rows: int) -> BoolArray:
    """Which rows are not NULL, bool (rows,)."""
    if validity is None:
        return np.ones(rows, np.bool_)
    return np.unpackbits(np.frombuffer(validity, np.uint8), bitorder="little", count=rows).view(np.bool_)


def _lists(described: Type, vector: Vector, rows: int, bits: pa.Buffer | None) -> pa.Array:
    """Lists, whose items may stand in any order, and in rows that are NULL anywhere."""
    items = array(described[1], vector[3], vector[2])
    entries = np.frombuffer(vector[1], "<u8").reshape(rows, 2).astype(np.int64)
    lengths = np.where(is_valid(vector[0], rows), entries[:, 1], 0)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    starts = np.repeat(entries[:, 0] - offsets[:-1], lengths)
    taken = items.take(pa.array(np.arange(offsets[-1], dtype=np.int64) + starts))
    return pa.Array.from_buffers(
        pa.large_list(taken.type), rows, [bits, pa.py_buffer(offsets.astype(np.int64))], children=[taken]
    )


def _words(described: Type, vector: Vector, rows: int) -> pa.Array:
    numbers = np.frombuffer(vector[1], WORDS[described[1]])[:rows].astype(np.int32)
    indexes = pa.array(numbers, mask=~is_valid(vector[0], rows))
    return pa.DictionaryArray.from_arrays(indexes, pa.array(described[2], pa.string()))


def _decimals(described: Type, vector: Vector, rows: int, bits: pa.Buffer | None) -> pa.Array:
    kind = pa.decimal128(described[1], described[2])
    values = vector[1]
    if described[3] != HUGEINT:  # two words each, as Arrow has them: the number, and its sign
        low = np.frombuffer(values, _INTEGERS[described[3]])[:rows].astype("<i8")
        values = np.stack([low, low >> 63], axis=1).tobytes()
    return pa.Array.from_buffers(kind, rows, [bits, pa.py_buffer(values)])


def _uuids(vector: Vector, rows: int) -> pa.Array:
    """As text. DuckDB keeps a UUID as a number whose highest bit is turned, so that it sorts like it."""
    words = np.frombuffer(vector[1], "<u8").reshape(rows, 2)
    valid = is_valid(vector[0], rows)
    return pa.array(
        [
            str(uuid.UUID(int=(int(high) ^ 1 << 63) << 64 | int(low))) if there else None
            for (low, high), there in zip(words, valid, strict=True)
        ],
        pa.large_string(),
    )
