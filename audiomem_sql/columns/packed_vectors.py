"""Vectors of int8 and of bits, from what people write to the bytes that are stored.

Bits are eight to a byte, the first one the lowest, as in sqlite-vec and numpy's ``bitorder="little"``.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from audiomem_sql.columns.types import BIT, FLOAT32, ColumnType
from audiomem_sql.errors import DataTypeError


def vector_dtype(column_type: ColumnType) -> np.dtype[Any]:
    """The type in numpy of an item of a vector."""
    return np.dtype({FLOAT32: "<f4", BIT: "u1"}.get(column_type.element, "i1"))


def packed_vector(value: object, column_type: ColumnType) -> bytes:
    """The bytes of a vector of INT8[n] or BIT[n]. DataTypeError, without a place, for what is none.

    value: those bytes; n numbers as JSON, a list or an array; for BIT[n] also n digits 0 or 1 as text.
    """
    width, is_bits = column_type.width, column_type.element == BIT
    if isinstance(value, bytes | bytearray | memoryview):
        value = bytes(value)
        if len(value) != column_type.vector_bytes:
            raise DataTypeError(f"It has {len(value)} bytes, and {column_type.vector_bytes} are needed")
        return value
    if isinstance(value, str):
        value = list(map(int, value)) if is_bits and value and not value.strip("01") else _from_json(value)
    numbers = _numbers(value)
    if numbers is None:
        raise DataTypeError(
            f"Write {width} whole numbers as a JSON array, a list or {column_type.vector_bytes} bytes"
        )
    if len(numbers) != width:
        raise DataTypeError(f"It has {len(numbers)} numbers, and {width} are needed")
    low, high = (0, 1) if is_bits else (-128, 127)
    if numbers.min() < low or numbers.max() > high:
        raise DataTypeError(f"A number in it is not from {low} to {high}")
    if is_bits:
        return np.packbits(numbers.astype(np.uint8), bitorder="little").tobytes()
    return numbers.astype(np.int8).tobytes()


def _from_json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _numbers(value: object) -> np.ndarray[Any, Any] | None:
    """Whole numbers as an array (n,); None for anything else."""
    if not (isinstance(value, list | tuple) or hasattr(value, "__array__")):
        return None
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, OverflowError):
        return None
    if array.ndim != 1 or not array.size or array.dtype.kind not in "biuf":
        return None
    if array.dtype.kind == "f" and not (np.isfinite(array) & (array == np.rint(array))).all():
        return None
    return array
