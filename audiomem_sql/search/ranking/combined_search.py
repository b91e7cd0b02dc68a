"""Several rankings as one: words, meaning and vectors of any columns, by a weighted sum of standard scores.

Distances of several metrics and BM25 have no common scale. So the scores of each ranking are counted in
standard deviations from their mean, over its best rows (CombSUM with ZMUV: Fox and Shaw 1994, Montague and
Aslam 2001). A row that one ranking does not hand over has the score of the last row that it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from audiomem_sql.arrays import F32Array, F64Array, I64Array
from audiomem_sql.search.ranking.neighbours import Neighbours, in_steps

#: The best rows of each ranking that are combined.
COMBINED_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Searched:
    """One ranking of several.

    weight: how much it counts. rows: the rows, best first, at first as many as it is asked for. is_near:
    whether they have distances; otherwise BM25, of which a row without the words has 0.
    """

    weight: float
    rows: Callable[[int], Iterator[Neighbours]]
    is_near: bool


def combined(searched: Sequence[Searched], k: int | None = None) -> Iterator[Neighbours]:
    """The rows that are best in the weighted sum; then all others, ranking by ranking, in their order.

    Rows have the distance of the ranking that has one, if no other has.
    """
    depth = max(COMBINED_ROWS, k or 0)
    running = [each.rows(depth) for each in searched]
    firsts = [_first(rows, depth) for rows in running]
    rowids = np.unique(np.concatenate([first.rowids for first in firsts]))
    total = np.zeros(len(rowids))
    for each, first in zip(searched, firsts, strict=True):
        total += each.weight * _standard_scores(each, first, rowids, depth)
    near = [first for each, first in zip(searched, firsts, strict=True) if each.is_near]
    distances = _distances(near[0], rowids) if len(near) == 1 else np.full(len(rowids), np.nan, np.float32)
    order = np.argsort(-total, kind="stable")[:k]
    yield from in_steps(Neighbours(rowids[order], distances[order], -total[order]))
    if k is not None:
        return
    yielded, last = rowids, float(-total.min(initial=0))
    for each, rest in zip(searched, running, strict=True):
        for rows in rest:
            new = ~np.isin(rows.rowids, yielded)
            shown = each.is_near and len(near) == 1
            distance = rows.distances[new] if shown else np.full(int(new.sum()), np.nan, np.float32)
            if new.any():
                yield Neighbours(rows.rowids[new], distance, np.full(int(new.sum()), last))
                yielded = np.concatenate([yielded, rows.rowids[new]])


def _first(rows: Iterator[Neighbours], depth: int) -> Neighbours:
    """At least the first ``depth`` rows, if there are so many. Their ranks are scores: lower is better."""
    taken: list[Neighbours] = []
    while sum(map(len, taken)) < depth and (more := next(rows, None)) is not None:
        taken.append(more)
    if not taken:
        return Neighbours(np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0))
    ranks = [part.distances if part.ranks is None else part.ranks for part in taken]
    return Neighbours(
        np.concatenate([part.rowids for part in taken]),
        np.concatenate([part.distances for part in taken]),
        np.concatenate(ranks).astype(np.float64),
    )


def _standard_scores(searched: Searched, first: Neighbours, rowids: I64Array, depth: int) -> F64Array:
    """The scores of int64 (n,) rising ``rowids`` in one ranking, float64 (n,): higher is better.

    0 for all where all are equal.
    """
    assert first.ranks is not None
    goodness = -first.ranks
    if not len(goodness):
        return np.zeros(len(rowids))
    missing = depth - len(goodness)
    least, compared = float(goodness[-1]), goodness
    if not searched.is_near and missing > 0:  # other rows lack the words
        least = min(least, 0.0)
        absent = min(missing, len(rowids) - len(goodness))
        compared = np.concatenate([goodness, np.zeros(max(absent, 0))])
    scores = np.full(len(rowids), least)
    scores[np.searchsorted(rowids, first.rowids)] = goodness
    deviation = float(compared.std())
    if deviation <= 1e-12 * max(1.0, abs(least)):
        return np.zeros(len(rowids))
    standard: F64Array = (scores - compared.mean()) / deviation
    return standard


def _distances(near: Neighbours, rowids: I64Array) -> F32Array:
    """The distances of int64 (n,) rising ``rowids``, float32 (n,); NaN where ``near`` lacks the row."""
    distances = np.full(len(rowids), np.nan, np.float32)
    distances[np.searchsorted(rowids, near.rowids)] = near.distances
    return distances
