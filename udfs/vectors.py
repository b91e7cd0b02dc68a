"""Functions of vectors, which SQL sees as blobs of little-endian float32.

``vec_from_json('[1, 2]')``, ``vec_to_json(blob)``, ``cosine_distance(a, b)`` (0 for the same direction, 2 for
the opposite; NULL if either has no length), ``l2_distance(a, b)``. Each takes a vector as a blob or as a JSON
array.
"""

from __future__ import annotations

import json

import numpy as np

from audiomem_sql import search
from audiomem_sql.arrays import F32Array
from audiomem_sql.errors import DataTypeError
from audiomem_sql.udfs.function import INNOCUOUS, REAL, TEXT, VECTOR, Function, null_for_table


def _pair(left: object, right: object) -> tuple[F32Array, F32Array]:
    a, b = search.vector_of(left), search.vector_of(right)
    if len(a) != len(b):
        raise DataTypeError(f"the vectors have {len(a)} and {len(b)} numbers")
    return a, b


@null_for_table
def vec_from_json(text: object) -> bytes | None:
    """The blob of a JSON array."""
    return None if text is None else search.vector_of(text).astype("<f4").tobytes()


@null_for_table
def vec_to_json(blob: object) -> str | None:
    """The JSON array of a blob."""
    return None if blob is None else json.dumps([float(str(number)) for number in search.vector_of(blob)])


@null_for_table
def cosine_distance(left: object, right: object) -> float | None:
    """1 minus the cosine of the angle of two vectors of one length; NULL for NULL and for all zeros."""
    if left is None or right is None:
        return None
    a, b = (vector.astype(np.float64) for vector in _pair(left, right))
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return None if lengths == 0 else float(1.0 - np.dot(a, b) / lengths)


@null_for_table
def l2_distance(left: object, right: object) -> float | None:
    """The Euclidean distance of two vectors of one length; NULL if either is NULL."""
    if left is None or right is None:
        return None
    a, b = (vector.astype(np.float64) for vector in _pair(left, right))
    return float(np.linalg.norm(a - b))


FUNCTIONS = (
    Function(vec_from_json, (TEXT,), VECTOR, (1,), flags=INNOCUOUS),
    Function(vec_to_json, (VECTOR,), TEXT, (1,), flags=INNOCUOUS),
    Function(cosine_distance, (VECTOR, VECTOR), REAL, (2,), flags=INNOCUOUS),
    Function(l2_distance, (VECTOR, VECTOR), REAL, (2,), flags=INNOCUOUS),
)
