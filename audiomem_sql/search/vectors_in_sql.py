"""Vectors as SQL has them: blobs of little-endian float32, or JSON arrays."""

from __future__ import annotations

import json

import numpy as np

from audiomem_sql.arrays import F32Array
from audiomem_sql.errors import DataTypeError


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
            with np.errstate(over="ignore"):  # infinity is refused below
                vector = np.array(json.loads(value), np.float32)
        except (ValueError, TypeError):
            raise DataTypeError(f"{value[:40]!r} is no JSON array of numbers") from None
    else:
        raise DataTypeError(
            f"{value!r} is no vector", remedy="Pass a blob of float32, or a JSON array of numbers."
        )
    if vector.ndim != 1 or not np.isfinite(vector).all():
        raise DataTypeError("a vector is a flat list of finite numbers")
    return vector
