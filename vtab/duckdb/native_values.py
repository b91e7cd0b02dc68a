"""Values of logical types as DuckDB keeps them in its vectors, in Arrow arrays whose buffers C copies.

Integers have the width of DuckDB's type; numbers of 128 bits, UUIDs and intervals are ``binary(16)``. What
DuckDB's type cannot hold, such as nanoseconds of an interval, raises DataTypeError.
"""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.kernels import kernels
from audiomem_sql.columns.logical.arrow_forms import arrow_of
from audiomem_sql.columns.logical.fixed import stored_type, to_stored
from audiomem_sql.columns.logical.forms import arrow_form, stored_form
from audiomem_sql.columns.logical.node import Node
from audiomem_sql.columns.logical.parsing import bignum_value
from audiomem_sql.columns.logical.texts import sql_images
from audiomem_sql.columns.views import integers, strings, valid
from audiomem_sql.errors import DataTypeError
from audiomem_sql.vtab.duckdb.native_types import enum_holder
from audiomem_sql.vtab.duckdb.vectors import UTINYINT, WORDS

_OFFSET_BIAS, _MAX_OFFSET = 16 * 3600, 16 * 3600 - 1
_MICROS = {"s": 1_000_000, "ms": 1_000, "us": 1}


def stored_of(node: Node, array: Any) -> Any:
    """The stored form of an array that has it already, or is as users see it."""
    expected = pa.binary() if node.is_nested else stored_type(node)
    if array.type == expected:
        return array
    if pa.types.is_dictionary(array.type) and node.name == "ENUM":
        return array.dictionary_decode()
    return stored_form(node, array)


def native(node: Node, array: Any) -> Any:
    """The values of a stored array."""
    if node.is_nested:
        return _nested(node, arrow_form(node, array))
    if node.is_integer:
        return _of_integers(node, array)
    if node.name == "ENUM":
        return _places(node, array)
    if node.name in ("BIT", "BIGNUM"):
        show = _bit if node.name == "BIT" else _bignum
        return pa.array([None if value is None else show(value) for value in array.to_pylist()], pa.binary())
    if node.name == "DECIMAL" and node.bytes > 16:
        return pa.array(sql_images(node, array), pa.string())
    return _of_bytes(node, array)


# -- integers ------------------------------------------------------------------------------------------------


def _of_integers(node: Node, array: Any) -> Any:
    name, there = node.name, valid(array)
    if name == "DECIMAL":
        precision = node.numbers[0]
        return array if precision > 9 else array.cast(pa.int16() if precision <= 4 else pa.int32())
    if name == "DATE":
        return array.cast(pa.int32())
    if name in ("TIME", "TIME_NS", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMPTZ"):
        return array
    numbers = np.where(there, integers(array), 0)
    if name == "UBIGINT":
        made: Any = numbers.view(np.uint64) ^ np.uint64(1 << 63)
    elif name == "TIMETZ":
        offsets = _OFFSET_BIAS - (numbers & ((1 << 18) - 1))
        micros = (numbers >> 18) + (offsets - _OFFSET_BIAS) * 1_000_000
        made = ((micros << 24) | (_MAX_OFFSET - offsets)).view(np.uint64)
    elif name.startswith("DURATION"):
        zeros = np.zeros(len(numbers), np.int32)
        return _intervals(zeros, zeros, _as_micros(node, numbers), there)
    else:
        made = _as_micros(node, numbers)
    return _array(pa.uint64() if made.dtype == np.uint64 else pa.int64(), made, there)


def _as_micros(node: Node, numbers: I64Array) -> I64Array:
    """Microseconds. DataTypeError for what is finer, or does not fit."""
    if node.unit == "ns":
        return _micros_of_nanos(node, numbers)
    scale = _MICROS[node.unit]
    limit = ((1 << 63) - 1) // scale
    infinite = np.abs(numbers) == (1 << 63) - 1
    if (wrong := ((numbers > limit) | (numbers < -limit)) & ~infinite).any():
        raise _refused(node, numbers[wrong][0], "does not fit the microseconds in which DuckDB counts")
    return np.where(infinite, numbers, np.where(infinite, 0, numbers) * scale)


def _micros_of_nanos(node: Node, numbers: I64Array) -> I64Array:
    infinite = (np.abs(numbers) == (1 << 63) - 1) & node.name.startswith("TIMESTAMP")
    micros, rest = np.divmod(numbers, 1000)
    if (wrong := (rest != 0) & ~infinite).any():
        raise _refused(node, numbers[wrong][0], "is finer than a microsecond, which DuckDB's type is not")
    return np.where(infinite, numbers, micros)


def _refused(node: Node, number: Any, why: str) -> DataTypeError:
    return DataTypeError(
        f"a value of type {node}, {int(number)} {node.unit}, {why}",
        remedy="Leave the column out, or read it through SQLite or Arrow, which show it whole",
    )


# -- bytes ---------------------------------------------------------------------------------------------------


def _of_bytes(node: Node, array: Any) -> Any:
    there = valid(array)
    words = np.zeros((len(array), node.bytes), np.uint8)
    found = strings(array)
    if there.any():
        words[there] = found.data[found.starts[there][:, None] + np.arange(node.bytes)]
    if node.name == "INTERVAL":
        months, days, nanos = _turned(words[:, 16:20]), _turned(words[:, 20:24]), _turned(words[:, 24:])
        micros = _micros_of_nanos(Node("DURATION_NS"), np.where(there, nanos.view("<i8")[:, 0], 0))
        return _intervals(months.view("<i4")[:, 0], days.view("<i4")[:, 0], micros, there)
    made = words[:, ::-1].copy()
    if node.name != "UHUGEINT":  # of the others the highest bit is turned, by us or, in a UUID, by DuckDB
        made[:, 15] ^= 128
    return _array(pa.binary(16), made, there)


def _intervals(months: Any, days: Any, micros: I64Array, there: Any) -> Any:
    made = np.zeros(len(micros), np.dtype([("months", "<i4"), ("days", "<i4"), ("micros", "<i8")]))
    made["months"], made["days"], made["micros"] = months, days, micros
    return _array(pa.binary(16), made, there)


def _turned(raw: Any) -> Any:
    made = raw[:, ::-1].copy()
    made[:, -1] ^= 128
    return made


def _places(node: Node, array: Any) -> Any:
    places = kernels().index_in(array, pa.array(node.words, pa.string())) if node.words else None
    if places is None:
        return array
    if places.null_count > array.null_count:
        raise DataTypeError(f"a value is none of {node}", remedy="Read the column with a CAST to VARCHAR")
    holder = enum_holder(len(node.words))
    return places.cast(pa.uint8() if holder == UTINYINT else pa.from_numpy_dtype(np.dtype(WORDS[holder])))


def _bit(stored: bytes) -> bytes:
    """How many bits are unused, and the bits behind as many ones."""
    unused = stored[-1]
    number = int.from_bytes(stored[:-1], "big") >> unused
    number |= ((1 << unused) - 1) << (8 * (len(stored) - 1) - unused)
    return bytes([unused]) + number.to_bytes(len(stored) - 1, "big")


def _bignum(stored: bytes) -> bytes:
    """Three bytes with the sign and how many follow, all turned where it is negative."""
    number = bignum_value(stored)
    size = max(1, (abs(number).bit_length() + 7) // 8)
    made = (size | 1 << 23).to_bytes(3, "big") + abs(number).to_bytes(size, "big")
    return made if number >= 0 else bytes(255 - byte for byte in made)


def uuid_text(raw: bytes) -> str:
    """The text of a UUID of DuckDB's, a number whose highest bit is turned."""
    return str(uuid.UUID(int=int.from_bytes(raw, "little") ^ 1 << 127))


# -- nested --------------------------------------------------------------------------------------------------


def _nested(node: Node, array: Any) -> Any:
    """The values of an array of ``arrow_of(node)``."""
    if not node.is_nested:
        return _leaf(node, array)
    bits = array.buffers()[0]
    if node.name == "STRUCT":
        children = [_nested(child, array.field(place)) for place, child in enumerate(node.children)]
        fields = [pa.field(str(place), child.type) for place, child in enumerate(children)]
        return pa.Array.from_buffers(
            pa.struct(fields), len(array), [bits], array.null_count, array.offset, children
        )
    if node.name == "ARRAY":
        items = _nested(node.children[0], array.values)
        kind = pa.list_(items.type, node.numbers[0])
        return pa.Array.from_buffers(kind, len(array), [bits], array.null_count, array.offset, [items])
    if node.name == "MAP":
        pair = [
            _nested(child, items)
            for child, items in zip(node.children, (array.keys, array.items), strict=True)
        ]
        items = pa.StructArray.from_arrays(pair, ["key", "value"])
    else:
        items = _nested(node.children[0], array.values)
    buffers = [bits, array.buffers()[1]]
    return pa.Array.from_buffers(
        pa.list_(items.type), len(array), buffers, array.null_count, array.offset, [items]
    )


def _leaf(node: Node, array: Any) -> Any:
    if node.name == "JSON":
        return array.storage
    if node.name == "HALF":
        return array.cast(pa.float32())
    if node.name == "NULL":
        return pa.nulls(len(array), pa.int32())
    if node.name in _AS_THEY_ARE:
        return array
    return native(node, to_stored(node, array))


_AS_THEY_ARE = frozenset(
    (
        *("BOOLEAN", "TINYINT", "SMALLINT", "INT32", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"),
        *("FLOAT", "DOUBLE", "VARCHAR", "BLOB", "TIMESTAMP"),
    )
)


def _array(kind: Any, values: Any, there: Any) -> Any:
    nulls = len(there) - int(there.sum())
    bits = pa.py_buffer(np.packbits(there, bitorder="little")) if nulls else None
    return pa.Array.from_buffers(kind, len(there), [bits, pa.py_buffer(np.ascontiguousarray(values))], nulls)


__all__ = ["arrow_of", "native", "stored_of", "uuid_text"]
