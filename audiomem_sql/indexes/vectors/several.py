"""Which lists of several indexes a search looks through: those that one index of all vectors would have.

Indexes that each chose by themselves would look through all that they have, as one with few vectors does. So
their lists are ordered together, nearest first, and as many are searched as have the vectors that a search of
one index sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audiomem_sql.arrays import BoolArray, F32Array, I64Array
from audiomem_sql.indexes.vectors.index import VectorIndex
from audiomem_sql.indexes.vectors.scanning import FEW_VECTORS
from audiomem_sql.indexes.vectors.visits import MOST_REACHED, REACHED_FOR_A_ROW, nearest_lists


@dataclass(frozen=True, slots=True, eq=False)
class ListsOffered:
    """Lists of some indexes, one index behind the other, among which a search chooses.

    nearness: float32 (lists,), greater is nearer. counts: int64 (lists,), the vectors of each that are
    allowed; all_counts: int64 (lists,), all.
    """

    nearness: F32Array
    counts: I64Array
    all_counts: I64Array


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
        if not group:
            continue
        some = [indexes[number] for number in group]
        offered = lists_offered(some, query, [allowed[number] for number in group])
        reach = max(index.reach or 0.0 for index in some) if by_reach else None
        (lists,) = lists_chosen([offered], REACHED_FOR_A_ROW * k if by_reach else k, reach)
        for number, each in zip(group, lists_by_index(some, lists), strict=True):
            chosen[number] = indexes[number].ahead(each) if by_reach else each
    return chosen


def many_vectors(indexes: Sequence[VectorIndex]) -> bool:
    """Whether several indexes together have more vectors than are searched without FAISS."""
    return len(indexes) > 1 and sum(index.count for index in indexes) > FEW_VECTORS


def lists_offered(
    indexes: Sequence[VectorIndex], query: F32Array, allowed: Sequence[BoolArray | None]
) -> ListsOffered:
    """The lists of those indexes that have more than one. Parameters as of :func:`lists_of_several`."""
    nearness, counts, all_counts = [np.empty(0, np.float32)], [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for index, each in zip(indexes, allowed, strict=True):
        if index.lists > 1:
            nearness.append(index.nearness(query))
            counts.append(index.counts if each is None else index.allowed_counts(each))
            all_counts.append(index.counts)
    return ListsOffered(np.concatenate(nearness), np.concatenate(counts), np.concatenate(all_counts))


def lists_chosen(offers: Sequence[ListsOffered], k: int, reach: float | None = None) -> list[BoolArray]:
    """Of each offer, which may come from different processes, the lists that are searched: bool (lists,)."""
    counts = np.concatenate([offer.counts for offer in offers])
    filled = np.flatnonzero(counts)
    visits = np.zeros(len(counts), np.bool_)
    if len(filled):
        nearness = np.concatenate([offer.nearness for offer in offers])[np.newaxis, filled]
        all_counts = np.concatenate([offer.all_counts for offer in offers])
        most = int(MOST_REACHED * counts.sum()) if reach else None
        visits = nearest_lists(nearness, filled, counts, all_counts, k, reach=reach, most=most)[0]
    return np.split(visits, np.cumsum([len(offer.counts) for offer in offers])[:-1])


def lists_by_index(indexes: Sequence[VectorIndex], lists: BoolArray) -> list[BoolArray]:
    """What was chosen of :func:`lists_offered`, index by index; all of one that has a single list."""
    parts, first = [], 0
    for index in indexes:
        if index.lists > 1:
            parts.append(lists[first : first + index.lists])
            first += index.lists
        else:
            parts.append(np.ones(index.lists, np.bool_))
    return parts
