"""Reciprocal-rank fusion: one ranking of several, by ranks alone.

So distances and BM25 scores need no common scale. Cormack, Clarke and Büttcher 2009: a row's score is the sum
over the rankings of 1 / (k + rank), ranks counted from 1. A ranking may weigh less than another: its share is
then multiplied with its weight.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audiomem_sql.arrays import F64Array, I64Array

K = 60


def reciprocal_rank_fusion(
    rankings: Sequence[I64Array],
    *,
    weights: Sequence[float] | None = None,
    k: int = K,
    limit: int | None = None,
) -> tuple[I64Array, F64Array]:
    """The rows of all ``rankings`` and their fused scores, best (highest) first; equal ones by rowid.

    Each ranking is int64 (n,), rowids best first; one that names a row twice counts the better rank. A row
    that a ranking lacks gets nothing from it. weights: one a ranking, all 1 by default.
    """
    ranked: list[I64Array] = []
    shares: list[F64Array] = []
    for ranking, weight in zip(rankings, weights or [1.0] * len(rankings), strict=True):
        rowids, firsts = np.unique(np.asarray(ranking, np.int64), return_index=True)
        ranked.append(rowids)
        shares.append((weight / (k + 1.0 + firsts)).astype(np.float64))
    if not ranked:
        return np.empty(0, np.int64), np.empty(0)
    rowids, inverse = np.unique(np.concatenate(ranked), return_inverse=True)
    scores: F64Array = np.bincount(inverse, np.concatenate(shares), len(rowids)).astype(np.float64)
    best = np.argsort(-scores, kind="stable")[:limit]
    return rowids[best], scores[best]
