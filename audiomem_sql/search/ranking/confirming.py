"""Rows that an index proposes are compared as they are until no other can be among the nearest.

Reading a vector costs more than finding it: most of a search of a large table. The index says how near it
takes each row to be, and those that were compared say by how much it errs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from audiomem_sql.arrays import F32Array, I64Array

#: Beside the k that are wanted a quarter more are compared at first, and so many at least.
LEAST_MORE = 6
_MORE = 4
#: No proposal is taken to be nearer than the index says by so many times its usual error.
SURE = 4.0


def confirmed(
    rows: I64Array,
    stated: F32Array,
    others: I64Array,
    k: int,
    distances_of: Callable[[I64Array], F32Array],
) -> tuple[I64Array, F32Array]:
    """The ``k`` nearest rows, int64 (at most k,), and their distances, float32.

    Parameters
    ----------
    rows: int64 (n,), proposed, nearest first; stated: float32 (n,), how far the index takes them to be.
    others: int64 (any,), rows that are compared in any case.
    distances_of: float32 (any,) of int64 (any,) rows, infinite for what is no result.
    """
    compared = min(len(rows), k + max(LEAST_MORE, k // _MORE))
    exact = distances_of(rows[:compared])
    rest = distances_of(others) if len(others) else np.empty(0, np.float32)
    while compared < len(rows):
        known = np.sort(np.concatenate([exact, rest]))
        there = np.isfinite(exact)
        if len(known) < k or not np.isfinite(known[k - 1]):
            needed = len(rows)
        else:
            errors = exact[there] - stated[:compared][there]
            usual = float(np.sqrt(np.mean(np.square(errors)))) if len(errors) else np.inf
            needed = int(np.searchsorted(stated, known[k - 1] + SURE * usual, side="right"))
        if needed <= compared:
            break
        exact = np.concatenate([exact, distances_of(rows[compared:needed])])
        compared = needed
    all_rows, distances = np.concatenate([rows[:compared], others]), np.concatenate([exact, rest])
    order = np.lexsort((all_rows, distances))[:k]
    order = order[np.isfinite(distances[order])]
    return all_rows[order], distances[order]
