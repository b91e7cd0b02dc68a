"""How near a long text is to a query: by all its passages.

The best passage alone is the greatest of n numbers, so it favours texts with many passages, whatever they are
about; the mean of all forgets the one that answers. Between them is the mean of exp(20 · cosine), a passage
drawn by its length, as a cosine again:

    log(sum of weight · exp(20 · cosine)) / 20, at most the best cosine

A weight is the share of the text that a passage is, at least a twelfth, so that what stands in a book still
counts. 20 is what all-MiniLM-L6-v2 was trained with: there exp(20 · cosine) says how likely a text answers. A
text of one passage has its cosine. docs/QUALITY.md has the figures.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import F32Array, F64Array, I64Array
from audiomem_sql.columns.text_vectors import Passages
from audiomem_sql.columns.vector_index import COSINE
from audiomem_sql.indexes.vectors import distances_of

#: How much more a nearer passage counts.
SHARPNESS: Final = 20.0
#: What a passage weighs at least.
LEAST_WEIGHT: Final = 1 / 12


def text_cosines(cosines: F64Array, lengths: I64Array, starts: I64Array) -> F64Array:
    """How near texts are, float64 (n,), never more than the best of their passages.

    cosines: float64 (m,), of the passages, those of a text one after another. lengths: int64 (m,), their
    characters. starts: int64 (n,), the first passage of each text; each has one.
    """
    counts = np.diff(starts, append=len(cosines))
    best = np.maximum.reduceat(cosines, starts)
    shares = lengths / np.repeat(np.maximum(np.add.reduceat(lengths, starts), 1), counts)
    likely = np.maximum(shares, LEAST_WEIGHT) * np.exp(SHARPNESS * (cosines - np.repeat(best, counts)))
    found: F64Array = best + np.minimum(np.log(np.add.reduceat(likely, starts)), 0) / SHARPNESS
    return np.where(counts > 1, found, best)


def text_distances(passages: pa.Array, query: F32Array, distances: F32Array) -> F32Array:
    """Cosine distances float32 (n,) of rows by all their passages.

    passages: what their column holds in the rows. distances: those of the first passages.
    """
    found = distances.copy()
    for row, value in enumerate(passages.to_pylist()):
        if value is not None:
            cut = Passages.from_bytes(value, len(query))
            cosines = 1.0 - np.append(distances[row], distances_of(cut.further, query, COSINE))
            lengths = cut.spans[:, 1] - cut.spans[:, 0]
            found[row] = 1.0 - text_cosines(cosines.astype(np.float64), lengths, np.zeros(1, np.int64))[0]
    return found
