"""What counts as vectors: array types, and the checks that whatever comes from outside has to pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from audiomem_sql.arrays import F32Array
from audiomem_sql.errors import DataTypeError

#: Numbers in a vector, as in FLOAT[n].
MAX_DIMENSIONS = 65_535


def vectors_of(values: Any, dimensions: int | None = None) -> F32Array:
    """``values`` as float32 (n, d), contiguous; one vector (d,) becomes (1, d).

    Raises DataTypeError for any other shape, for another d than ``dimensions``, and for NaN and infinities.
    """
    vectors = np.ascontiguousarray(values, np.float32)
    if vectors.ndim == 1:
        vectors = vectors[None, :]
    if vectors.ndim != 2 or not 0 < vectors.shape[1] <= MAX_DIMENSIONS:
        raise DataTypeError(f"an array of shape {vectors.shape} is no list of vectors")
    if dimensions is not None and vectors.shape[1] != dimensions:
        raise DataTypeError(
            f"vectors of {vectors.shape[1]} numbers, where vectors of {dimensions} are expected"
        )
    # One sum instead of a mask as large as the array; only NaN or an infinity (or an overflow) makes it not
    # finite.
    if not np.isfinite(np.sum(vectors, dtype=np.float64)) or not np.isfinite(vectors).all():
        raise DataTypeError("a vector holds a number that is not finite")
    return vectors


def lengths_of(vectors: F32Array) -> F32Array:
    """The Euclidean lengths of float32 (n, d): float32 (n,). One that float32 cannot hold is an infinity."""
    squares = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
    with np.errstate(over="ignore"):
        lengths: F32Array = np.sqrt(squares).astype(np.float32)
    return lengths


def directions_of(vectors: F32Array) -> F32Array:
    """float32 (n, d), each vector divided by its length.

    Raises DataTypeError where that is 0 or too large.
    """
    lengths = lengths_of(vectors)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        raise DataTypeError("a vector of zeros has no direction, so nothing is near it")
    return vectors / lengths[:, None]
