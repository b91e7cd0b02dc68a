"""Vectors as SQL has them: blobs of little-endian float32, or JSON arrays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

from audiomem_sql.arrays import F32Array
from audiomem_sql.columns.packed_vectors import packed_vector
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import BIT, ColumnType
from audiomem_sql.errors import DataTypeError

#: What an array of numbers never has, and numpy would make numbers of.
_NO_NUMBERS = ('"', "true", "false")


@contextmanager
def query_of(schema: Schema, column: int) -> Iterator[None]:
    """An error of the body about a vector that is searched for says of which column, and what it needs."""
    try:
        yield
    except DataTypeError as error:
        searched = schema.columns[column]
        if searched.is_hidden:
            name = next(each.name for each in schema.columns if each.id == searched.vector_of)
        else:
            name = searched.name
        numbers = "bits" if searched.type.element == BIT else "finite numbers"
        error.at(place=f"column {name}", remedy=f"Pass {searched.type.width} {numbers}.")
        raise


def vector_of(value: object) -> F32Array:
    """float32 (n,) of a blob or a JSON array.

    Raises DataTypeError for anything else, and for NaN and infinities.
    """
    if isinstance(value, bytes):
        if len(value) % 4:
            raise DataTypeError(
                f"a blob of {len(value)} bytes is no vector of float32",
                remedy="Its length must be a multiple of 4.",
            )
        vector = np.frombuffer(value, "<f4")
    elif isinstance(value, str):
        try:
            if any(other in value for other in _NO_NUMBERS):
                raise ValueError
            with np.errstate(over="ignore"):  # infinity is refused below
                vector = np.array(json.loads(value), np.float32)
        except (ValueError, TypeError, OverflowError, RecursionError):
            raise DataTypeError(f"{value[:40]!r} is no JSON array of numbers") from None
    else:
        raise DataTypeError(
            f"{value!r} is no vector", remedy="Pass a blob of float32, or a JSON array of numbers."
        )
    if vector.ndim != 1 or not np.isfinite(vector).all():
        raise DataTypeError("a vector is a flat list of finite numbers")
    return vector


def numbers_of(value: Any) -> F32Array:
    """float32 (n,) of a list or an array of numbers, also of shape (1, n).

    DataTypeError for anything else.
    """
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError):
        array = np.empty(0, np.str_)
    if array.ndim > 1 and array.size == array.shape[-1]:
        array = array.reshape(-1)
    if array.dtype.kind == "O" and all(isinstance(each, Real | Decimal) for each in array.ravel().tolist()):
        array = array.astype(np.float64)  # DuckDB's decimals
    if array.ndim != 1 or array.dtype.kind not in "iuf":
        raise DataTypeError(
            f"a {type(value).__name__} of shape {array.shape} and type {array.dtype} is no vector",
            remedy="Pass one vector, as an array, a list, bytes or JSON of numbers.",
        )
    with np.errstate(over="ignore"):  # infinity is refused by whoever searches
        vector: F32Array = np.ascontiguousarray(array, np.float32)
    return vector


def unpacked_query(value: Any, column_type: ColumnType) -> F32Array:
    """float32 (n,) of a vector that is written as INT8[n] or BIT[n] have them; bits are 0 or 1."""
    try:
        stored = packed_vector(value, column_type)
    except DataTypeError as error:
        raise DataTypeError(f"the query is no {column_type}: {error.what}") from None
    if column_type.element == BIT:
        return np.unpackbits(np.frombuffer(stored, np.uint8), bitorder="little").astype(np.float32)
    return np.frombuffer(stored, np.int8).astype(np.float32)
