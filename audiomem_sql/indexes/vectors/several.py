"""Which lists of several indexes a search looks through: those that one index of all vectors would have.

Indexes that each chose by themselves would look through all that they have, as one with few vectors does. So
their lists are ordered together, nearest first, and as many are searched as have the vectors that a search of
one index sees.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audiomem_sql.arrays import BoolArray, F32Array
from audiomem_sql.indexes.vectors.index import VectorIndex
from audiomem_sql.indexes.vectors.visits import MOST_REACHED, REACHED_FOR_A_ROW, nearest_lists


def lists_of_several(
    indexes: Sequence[VectorIndex], query: F32Array, k: int, allowed: Sequence[BoolArray | None]
) -> list[BoolArray]:
    """For each index which of its lists are searched for the ``k`` nearest of all: bool (lists,).

    query: float32 (d,). indexes: of one metric. allowed: for each index, as of :meth:`VectorIndex.search`.
    An index of one list is searched in any case, as its centre says nothing. Lists that are far away are
    asked for, too, unless a filter has its say.
    """
    chosen = [np.ones(index.lists, np.bool_) for index in indexes]
    far = [index.reach is not None and each is None for index, each in zip(indexes, allowed, strict=True)]
    for by_reach in (False, True):
        group = [number for number, each in enumerate(far) if each == by_reach and len(chosen[number]) > 1]
        if group:
            some = [indexes[number] for number in group]
            found = _of_group(some, query, k, [allowed[number] for number in group], by_reach=by_reach)
            for number, lists in zip(group, found, strict=True):
                chosen[number] = lists
    return chosen


def _of_group(
    indexes: Sequence[VectorIndex],
    query: F32Array,
    k: int,
    allowed: Sequence[BoolArray | None],
    *,
    by_reach: bool,
) -> list[BoolArray]:
    """The same, of indexes that are searched by their reach, or that are not."""
    all_counts = [index.counts for index in indexes]
    counts = np.concatenate(
        [
            index.counts if each is None else index.allowed_counts(each)
            for index, each in zip(indexes, allowed, strict=True)
        ]
    )
    filled = np.flatnonzero(counts)
    if not len(filled):
        return [np.zeros(index.lists, np.bool_) for index in indexes]
    nearness = np.concatenate([index.nearness(query) for index in indexes])[np.newaxis, filled]
    reach, most = None, None
    if by_reach:
        reach, k = max(index.reach or 0.0 for index in indexes), REACHED_FOR_A_ROW * k
        most = int(MOST_REACHED * counts.sum()) if reach else None
    visits = nearest_lists(nearness, filled, counts, np.concatenate(all_counts), k, reach=reach, most=most)[0]
    chosen = np.split(visits, np.cumsum([index.lists for index in indexes])[:-1])
    if by_reach:
        return [index.ahead(lists) for index, lists in zip(indexes, chosen, strict=True)]
    return chosen
