"""What indexes are compared with: exact answers for vectors in memory, and merged answers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from audiomem_sql.arrays import BoolArray, F32Array, I64Array
from audiomem_sql.errors import DataTypeError
from audiomem_sql.indexes.vectors.arrays import directions_of, lengths_of, vectors_of
from audiomem_sql.indexes.vectors.nearest import Pool


def search_array(
    vectors: F32Array, queries: F32Array, k: int, allowed: BoolArray | None = None
) -> tuple[I64Array, F32Array]:
    """The exact answer for vectors in memory, float32 (n, d): as :meth:`VectorIndex.search`.

    Vectors of zeros, and those with NaN (which stands for NULL), are not found.
    """
    directions = directions_of(vectors_of(queries, vectors.shape[1]))
    lengths = lengths_of(vectors)
    candidates = np.isfinite(lengths) & (lengths > 0)
    if allowed is not None:
        if allowed.shape != lengths.shape:
            raise DataTypeError(f"a filter of {len(allowed)} rows, of {len(vectors)} vectors")
        candidates &= allowed
    rows = np.flatnonzero(candidates)
    cosines = directions @ (vectors[rows] / lengths[rows, None]).T
    pool = Pool(len(directions), k)
    everyone = np.arange(len(directions))
    nothing = np.full(len(directions), -np.inf, np.float32)
    pool.add(0, len(rows), everyone, cosines, np.broadcast_to(rows, cosines.shape), nothing)
    found, scores = pool.result()
    return found, np.where(scores > -np.inf, np.clip(1 - scores, 0, 2), np.inf).astype(np.float32)


def merged(parts: Iterable[tuple[I64Array, F32Array]], k: int) -> tuple[I64Array, I64Array, F32Array]:
    """The nearest ``k`` of the answers of several indexes to the same queries.

    Each part is (rows, distances), both (m, any). Part int64 (m, k), rows int64 (m, k), both -1 for none, and
    distances float32 (m, k), infinite there; equally near ones in the order of the parts.
    """
    answers = list(parts)
    if not answers:
        raise DataTypeError("there are no answers to merge")
    part = np.concatenate([np.full(rows.shape, number) for number, (rows, _) in enumerate(answers)], axis=1)
    rows = np.concatenate([rows for rows, _ in answers], axis=1)
    distances = np.where(rows < 0, np.inf, np.concatenate([count for _, count in answers], axis=1))
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    out_part = np.full((len(rows), k), -1, np.int64)
    out_rows = out_part.copy()
    out_distances = np.full(out_part.shape, np.inf, np.float32)
    count = order.shape[1]
    out_rows[:, :count] = np.take_along_axis(rows, order, axis=1)
    out_distances[:, :count] = np.take_along_axis(distances, order, axis=1)
    out_part[:, :count] = np.where(out_rows[:, :count] < 0, -1, np.take_along_axis(part, order, axis=1))
    return out_part, out_rows, out_distances
