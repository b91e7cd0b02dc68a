"""Rows that indexes propose are compared as they are until no other can be among the nearest.

Reading a vector costs more than finding it: most of a search of a large table. An index says how near it
takes each row to be, and those that were compared say by how much it errs. So the proposals of all indexes
are put together first: how many of them are compared does not grow with the number of segments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from audiomem_sql.arrays import F32Array, F64Array, I64Array

#: Beside the k that are wanted a quarter more are compared at first, and so many at least.
LEAST_MORE = 6
#: The same of vectors in a store: comparing more later is another trip there, for one search in eight.
LEAST_MORE_FAR = 10
_MORE = 4
#: No proposal is taken to be nearer than the index says by so many times its usual error.
SURE = 4.0
#: An index that so many rows were compared of has an error of its own.
_TELLING = 2


@dataclass(frozen=True, slots=True, eq=False)
class Several:
    """Proposals of several indexes.

    sources: int64 (n,), which index proposed each. scales: float64 (indexes,), how long the vectors of each
    are, beside which it errs. others: float32 (any,), distances of what is known without them.
    """

    sources: I64Array
    scales: F64Array
    others: F32Array


def confirmed(
    rows: I64Array,
    stated: F32Array,
    others: I64Array,
    k: int,
    distances_of: Callable[[I64Array], F32Array],
    several: Several | None = None,
    ties: Callable[[I64Array], I64Array] = lambda rows: rows,
    least_more: int = LEAST_MORE,
) -> tuple[I64Array, F32Array]:
    """The ``k`` nearest rows, int64 (at most k,), and their distances, float32.

    Parameters
    ----------
    rows: int64 (n,), proposed, nearest first; stated: float32 (n,), how far the index takes them to be.
    others: int64 (any,), rows that are compared in any case.
    distances_of: float32 (any,) of int64 (any,) rows, infinite for what is no result.
    several: which of several indexes proposed the rows. ties: what equally near rows are ordered by.
    least_more: rows that are compared at first beside ``k``, at least.
    """
    exact = np.full(len(rows), np.inf, np.float32)
    compared = np.zeros(len(rows), np.bool_)
    rest = distances_of(others) if len(others) else np.empty(0, np.float32)
    known = rest if several is None else np.concatenate([rest, several.others])
    chosen = np.arange(min(len(rows), k + max(least_more, k // _MORE)))
    while len(chosen):
        exact[chosen] = distances_of(rows[chosen])
        compared[chosen] = True
        nearest = np.sort(np.concatenate([exact[compared], known]))
        there = np.flatnonzero(np.isfinite(exact))
        if len(nearest) < k or not np.isfinite(nearest[k - 1]) or not len(there):
            chosen = np.flatnonzero(~compared)
            continue
        doubts = SURE * _usual(exact[there] - stated[there], there, several)
        chosen = np.flatnonzero(~compared & (stated <= (nearest[k - 1] + doubts).astype(np.float32)))
    all_rows, distances = np.concatenate([rows[compared], others]), np.concatenate([exact[compared], rest])
    order = np.lexsort((ties(all_rows), distances))[:k]
    order = order[np.isfinite(distances[order])]
    return all_rows[order], distances[order]


def _usual(errors: F32Array, places: I64Array, several: Several | None) -> F64Array:
    """By how much the index of each proposal usually errs, float64 (n,) or (1,).

    errors: float32 (m,), of the proposals at int64 (m,) places. An index that few rows were compared of errs
    as the others do, in proportion to its vectors.
    """
    if several is None:
        return np.array([np.sqrt(np.mean(np.square(errors)))], np.float64)
    sources = several.sources[places]
    squares = np.square(errors / several.scales[sources])
    counts = np.bincount(sources, minlength=len(several.scales))
    own = np.bincount(sources, squares, len(several.scales)) / np.maximum(counts, 1)
    usual = np.maximum(np.mean(squares), np.where(counts >= _TELLING, own, 0))
    return np.asarray(several.scales * np.sqrt(usual))[several.sources]
