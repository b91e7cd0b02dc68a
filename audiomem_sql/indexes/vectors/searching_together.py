"""A search of many lists at once, whose order by products becomes one by scores.

FAISS gives the greatest products. The order of scores is another one, because vectors have different lengths:
so more than are wanted are fetched, until none of the others can be among the nearest.
"""

from __future__ import annotations

import numpy as np

from audiomem_sql.arrays import BoolArray, F32Array, I64Array
from audiomem_sql.columns.vector_index import COSINE, L2
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.indexes.vectors.lists_together import STEP, ListsTogether
from audiomem_sql.indexes.vectors.nearest import ROUNDED
from audiomem_sql.machine.interrupts import check_interrupt


def search_together(
    lists: ListsTogether,
    metric: str,
    scaled: F32Array,
    shift: F32Array,
    visits: BoolArray,
    counts: I64Array,
    k: int,
    allowed: BoolArray | None,
) -> tuple[I64Array, F32Array]:
    """Rows int64 (m, k) and scores float32 (m, k), as ``nearest.Pool.result`` gives them.

    Parameters
    ----------
    lists: all that bool (m, lists) ``visits`` has for any query.
    scaled: float32 (m, d), the queries in steps of the codec; shift: float32 (m,), to add to their products.
    counts: int64 (lists,), how many vectors of each list bool (rows,) ``allowed`` allows; None: all.

    Raises DamagedFileError where lists have fewer vectors than ``counts`` says.
    """
    rows = np.full((len(scaled), k), -1, np.int64)
    scores = np.full(rows.shape, -np.inf, np.float32)
    apart_rows, apart_scores, apart = lists.apart.nearest(scaled, shift, visits, allowed, k)
    rows[:, : apart_rows.shape[1]] = np.where(apart_scores > -np.inf, apart_rows, -1)
    scores[:, : apart_rows.shape[1]] = apart_scores
    there = (visits * counts).sum(axis=1) - apart
    shortest = np.where(visits, lists.shortest, np.inf).min(axis=1, initial=np.inf)
    longest = np.where(visits, lists.longest, 0).max(axis=1, initial=0)
    unsure, fetched = np.flatnonzero(there), lists.first_fetch(k)
    while len(unsure):
        check_interrupt()
        most = min(fetched, int(there[unsure].max()))
        products, found, least = lists.greatest(scaled[unsure], visits[unsure], most, allowed)
        filled = found >= 0
        if (filled.sum(axis=1) != np.minimum(there[unsure], most)).any():
            raise DamagedFileError("lists of vectors have fewer than they should")
        products = np.where(filled, products, 0) + shift[unsure, None]
        values = np.where(filled, _scores(lists, metric, products, found), -np.inf)
        values = np.concatenate([values, apart_scores[unsure]], axis=1)
        found = np.concatenate([found, np.where(apart_scores > -np.inf, apart_rows, -1)[unsure]], axis=1)
        order = np.lexsort((found, -values), axis=1)[:, :k]
        best = np.take_along_axis(values, order, axis=1)
        rows[unsure, : order.shape[1]] = np.take_along_axis(found, order, axis=1)
        scores[unsure, : order.shape[1]] = best
        least = np.where(filled[:, -1], least, 0)
        bound = _bound(metric, least + shift[unsure], shortest[unsure], longest[unsure])
        open_ends = there[unsure] > most
        if order.shape[1] == k:
            open_ends &= bound + ROUNDED * np.maximum(1, np.abs(bound)) >= best[:, -1]
        unsure, fetched = unsure[open_ends], 4 * fetched
    return rows, scores


def _scores(lists: ListsTogether, metric: str, products: F32Array, found: I64Array) -> F32Array:
    """Scores float32 (m, k) of products with the rows int64 (m, k); see ``metrics``."""
    if metric == COSINE:
        cosines: F32Array = products / lists.sizes[found]
        return cosines
    if metric == L2:
        squares: F32Array = 2 * (products + lists.losses[found]) - np.square(lists.sizes[found])
        return squares
    return products


def _bound(metric: str, least: F32Array, shortest: F32Array, longest: F32Array) -> F32Array:
    """The greatest score, float32 (m,), of a vector whose product is at most ``least``."""
    if metric == COSINE:
        bound: F32Array = np.where(least > 0, least / shortest, least / longest)
        return bound
    return 2 * least - 1 + 2 * np.float32(STEP) if metric == L2 else least
