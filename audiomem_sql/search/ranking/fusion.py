"""Fusion: one ranking of several kinds, by their scores or by their ranks.

By scores (``standardised``): each kind's scores minus their mean, divided by their standard deviation, and a
weighted sum of these. Mean and deviation are those of the best :data:`FUSED_ROWS` scores of the kind for this
query. It is CombSUM (Fox and Shaw 1994) with scores of zero mean and unit variance (Montague and Aslam 2001).
That such a sum beats reciprocal ranks, and that the normalisation matters little, is what Bruch, Gai and
Ingber (2023) found.

By ranks (``rrf``): the sum of 1 / (k + rank), ranks counted from 1; Cormack, Clarke and Büttcher 2009. So no
common scale is needed, and all that scores say beyond their order is lost.

A kind is a :class:`ScoredRows`, wherever its scores come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audiomem_sql.arrays import F64Array, I64Array, distinct
from audiomem_sql.search.ranking.options import RRF, Ranking

#: The best rows of each kind that are fused, and whose scores mean and deviation are taken of.
FUSED_ROWS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class ScoredRows:
    """What one kind of search says.

    rowids: int64 (n,), best first, none twice. scores: float64 (n,), higher is better. rows: how many rows
    have a score of this kind, at least n; that of the others is 0.
    """

    rowids: I64Array
    scores: F64Array
    rows: int


@dataclass(frozen=True, slots=True)
class Scale:
    """The scores of one kind: their mean, standard deviation, and the last of the best."""

    mean: float
    deviation: float
    last: float

    @classmethod
    def of(cls, kind: ScoredRows, depth: int = FUSED_ROWS) -> Scale:
        """That of the best ``depth`` scores of ``kind``; a row without a score of its own counts 0."""
        best = kind.scores[:depth]
        zeros = min(kind.rows, depth) - len(best)
        if zeros > 0:
            best = np.concatenate([best, np.zeros(zeros)])
        if not len(best):
            return cls(0.0, 0.0, 0.0)
        first, last = float(best[0]), float(best[-1])
        # equal scores deviate by nothing, whatever the arithmetic of their mean makes of it
        return cls(float(best.mean()), 0.0 if first == last else float(best.std()), last)

    def standardised(self, scores: F64Array) -> F64Array:
        """``scores`` in units of the deviation, float64 (n,); 0 without one."""
        if self.deviation == 0:
            return np.zeros(len(scores))
        return (scores - self.mean) / self.deviation

    @property
    def floor(self) -> float:
        """What the last of the best scores is in these units."""
        return float(self.standardised(np.array([self.last]))[0])


@dataclass(frozen=True, slots=True, eq=False)
class Share:
    """What one kind adds to each fused row, arrays of length n.

    ranks: int64, from 1; 0 where the kind did not hand the row over. scores: float64, NaN there. parts:
    float64, what ``weight`` is multiplied with. scale: None where ranks alone count.
    """

    ranks: I64Array
    scores: F64Array
    parts: F64Array
    weight: float
    scale: Scale | None


@dataclass(frozen=True, slots=True, eq=False)
class FusedRows:
    """Rows of all kinds, best first: rowids int64 (n,), scores float64 (n,), and a Share of each kind.

    A score is the sum of weight · part over the kinds, in their order.
    """

    rowids: I64Array
    scores: F64Array
    shares: tuple[Share, ...]


def weights_of(ranking: Ranking) -> tuple[float, float]:
    """What the parts of meaning and of words are multiplied with.

    Those of ranks are 1 on average, so that equal ones leave the plain sum.
    """
    average = 2 if ranking.fusion == RRF else 1
    return average * ranking.weight, average * (1 - ranking.weight)


def fuse(
    kinds: Sequence[ScoredRows], weights: Sequence[float], ranking: Ranking, depth: int = FUSED_ROWS
) -> FusedRows:
    """The best ``depth`` rows of each kind as one ranking, highest score first; equal ones by rowid.

    weights: of each kind, what its part of a score is multiplied with. A row that only some kinds hand over
    has the last of the best scores of the others, or no share of their ranks.
    """
    cut = [(kind.rowids[:depth], kind.scores[:depth]) for kind in kinds]
    rowids = distinct(np.concatenate([np.empty(0, np.int64), *(each for each, _ in cut)]))
    shares = []
    total = np.zeros(len(rowids))
    for kind, (own, scores), weight in zip(kinds, cut, weights, strict=True):
        places = np.searchsorted(rowids, own)
        ranks = np.zeros(len(rowids), np.int64)
        ranks[places] = np.arange(1, len(own) + 1)
        raw = np.full(len(rowids), np.nan)
        raw[places] = scores
        scale = None if ranking.fusion == RRF else Scale.of(kind, depth)
        share = Share(ranks, raw, _parts(ranks, raw, scale, ranking), weight, scale)
        total += share.weight * share.parts
        shares.append(share)
    best = np.argsort(-total, kind="stable")
    ordered = (
        Share(share.ranks[best], share.scores[best], share.parts[best], share.weight, share.scale)
        for share in shares
    )
    return FusedRows(rowids[best], total[best], tuple(ordered))


def _parts(ranks: I64Array, raw: F64Array, scale: Scale | None, ranking: Ranking) -> F64Array:
    """What a kind says of each row, float64 (n,): by its score, or without a scale by its rank."""
    if scale is None:
        return np.where(ranks > 0, 1.0 / (ranking.rank_constant + ranks), 0.0)
    return scale.standardised(np.where(ranks > 0, raw, scale.last))
