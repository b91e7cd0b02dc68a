"""The rotation that makes coordinates independent: principal axes, stored as small integers.

Principal components analysis (Pearson 1901): in the axes of the covariance, one number says nothing about the
next, so coding them one by one loses nothing, and they come sorted by variance. The axes need not be exact.
What is stored is each entry in steps of a fifth of its typical size, and what is used is the orthonormal
matrix nearest to the first rows of that (Gram-Schmidt, by way of Cholesky), so angles and lengths are kept to
the last bit of float32, however coarse the steps.
"""

from __future__ import annotations

import numpy as np

from audiomem_sql.arrays import F32Array, F64Array, I8Array
from audiomem_sql.errors import DamagedFileError

#: Steps of an entry, in units of 1/sqrt(d), the typical size of one.
ENTRY_STEP = 0.2
#: Above this, the matrix takes 16 MiB and orthonormalising it tens of seconds.
MAX_ROTATED = 4096
_CHUNK = 4096


def principal_axes(vectors: F32Array) -> I8Array:
    """int8 (d, d), the principal axes of float32 (n, d) as rows, the one with the greatest variance first."""
    _, columns = np.linalg.eigh(_covariance(vectors))
    axes = columns.T[::-1]
    # An axis may point either way; one choice, so that equal vectors give equal bytes.
    signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])
    axes = axes * signs[:, None]
    step = max(ENTRY_STEP / np.sqrt(len(axes)), float(np.abs(axes).max()) / 127)
    stored: I8Array = np.rint(axes / step).astype(np.int8)
    return stored


def _covariance(vectors: F32Array) -> F64Array:
    """float64 (d, d), in pieces: the vectors as float64 are larger than all else that a codec is made of."""
    mean = vectors.mean(axis=0, dtype=np.float64)
    total = np.zeros((len(mean), len(mean)))
    for start in range(0, len(vectors), _CHUNK):
        part = vectors[start : start + _CHUNK] - mean
        total += part.T @ part
    return total / max(1, len(vectors) - 1)


def rotation_of(axes: I8Array) -> F32Array:
    """float32 (d, d), orthonormal rows, from int8 (d, d).

    Raises DamagedFileError if the axes are not independent.
    """
    rows: F64Array = axes.astype(np.float64)
    try:
        lower = np.linalg.cholesky(rows @ rows.T)
        rotation = np.linalg.solve(lower, rows)
    except np.linalg.LinAlgError:
        raise DamagedFileError("the axes of a rotation of vectors are not independent") from None
    if not np.allclose(rotation @ rotation.T, np.eye(len(rows)), atol=1e-6):
        raise DamagedFileError("the axes of a rotation of vectors are almost dependent")
    return rotation.astype(np.float32)
