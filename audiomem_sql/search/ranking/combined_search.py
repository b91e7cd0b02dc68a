"""Several rankings as one: words, meaning and vectors of any columns.

Distances of several metrics and BM25 have no common scale, so they are fused as meaning and words alone are
(:mod:`audiomem_sql.search.ranking.fusion`), each with a weight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from audiomem_sql.arrays import F32Array, F64Array, I64Array, distinct
from audiomem_sql.search.ranking.fusion import FUSED_ROWS, FusedRows, ScoredRows, fuse
from audiomem_sql.search.ranking.neighbours import Neighbours, in_steps, parted
from audiomem_sql.search.ranking.options import Ranking


@dataclass(frozen=True, slots=True)
class Searched:
    """One ranking of several.

    name: ``words``, ``meaning``, or that of a column. weight: what its part of a score is multiplied with.
    rows: the rows, best first, at first as many as it is asked for. scores: float64 (n,) of rows, higher is
    better. is_near: whether they have distances; otherwise BM25, of which a row without the words has 0.
    is_column: whether it is asked for by the name of a column, not by the text.
    """

    name: str
    weight: float
    rows: Callable[[int], Iterator[Neighbours]]
    scores: Callable[[Neighbours], F64Array]
    is_near: bool
    is_column: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Combined:
    """The best rows of several rankings, fused, with a share of each.

    distances: float32 (n,) of these, those of the only ranking that has some; NaN where there is none.
    behind: what each ranking hands over behind its part of them.
    """

    searched: tuple[Searched, ...]
    fused: FusedRows
    distances: F32Array
    behind: tuple[Iterator[Neighbours], ...]


def combined(searched: Sequence[Searched], ranking: Ranking, k: int | None = None) -> Combined:
    """The best rows of each ranking, 1,000 or ``k`` if that is more, as one ranking."""
    depth = max(FUSED_ROWS, k or 0)
    both = [parted(each.rows(depth), depth) for each in searched]
    heads = [head for head, _ in both]
    together = len(distinct(np.concatenate([head.rowids for head in heads])))
    kinds = [
        ScoredRows(head.rowids, each.scores(head), len(head) if each.is_near else together)
        for each, head in zip(searched, heads, strict=True)
    ]
    fused = fuse(kinds, [each.weight for each in searched], ranking, depth)
    distances = np.full(len(fused.rowids), np.nan, np.float32)
    near = [place for place, each in enumerate(searched) if each.is_near]
    if len(near) == 1:
        ranks = fused.shares[near[0]].ranks
        distances[ranks > 0] = heads[near[0]].distances[ranks[ranks > 0] - 1]
    return Combined(tuple(searched), fused, distances, tuple(behind for _, behind in both))


def combined_rows(found: Combined, k: int | None = None) -> Iterator[Neighbours]:
    """The fused rows, best first; then, unless ``k`` rows are wanted, all others, ranking by ranking.

    Those have the rank of the last of the fused ones.
    """
    fused = found.fused
    yield from in_steps(Neighbours(fused.rowids[:k], found.distances[:k], -fused.scores[:k]))
    if k is not None:
        return
    yielded: I64Array = fused.rowids
    last = -float(fused.scores.min(initial=0))
    is_only = sum(each.is_near for each in found.searched) == 1
    for each, rest in zip(found.searched, found.behind, strict=True):
        for rows in rest:
            new = ~np.isin(rows.rowids, yielded)
            if not new.any():
                continue
            count = int(np.count_nonzero(new))
            distances = np.full(count, np.nan, np.float32)
            if each.is_near and is_only:
                distances = rows.distances[new]
            yield Neighbours(rows.rowids[new], distances, np.full(count, last))
            yielded = np.concatenate([yielded, rows.rowids[new]])
