"""Rankings put together as the literature says, and how sure a difference between two of them is.

Written without the package, so that what it does can be checked against them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
#: The best rows of each kind that are put together.
DEPTH = 1000
#: The constant of reciprocal ranks (Cormack, Clarke and Büttcher 2009).
RANK_CONSTANT = 60


class Scored(NamedTuple):
    """The best rows of one kind of search, best first, and their scores, higher is better.

    scored_rows: how many rows have a score at all; that of the others is 0.
    """

    rows: npt.NDArray[np.int64]
    scores: Floats
    scored_rows: int


def best_of(scores: Floats, scored_rows: int | None = None, depth: int = DEPTH) -> Scored:
    """The ``depth`` best of all rows' scores, float (n,); equal ones by row."""
    order = np.argsort(-scores, kind="stable")[:depth]
    return Scored(
        order, scores[order].astype(np.float64), len(scores) if scored_rows is None else scored_rows
    )


def reciprocal_ranks(kinds: Sequence[Scored], constant: int = RANK_CONSTANT) -> list[int]:
    """Rows by the sum of 1 / (constant + rank)."""
    sums: dict[int, float] = {}
    for kind in kinds:
        for rank, row in enumerate(kind.rows.tolist(), 1):
            sums[row] = sums.get(row, 0.0) + 1 / (constant + rank)
    return sorted(sums, key=lambda row: (-sums[row], row))


def standardised_sum(kinds: Sequence[Scored], weights: Sequence[float]) -> list[int]:
    """Rows by the weighted sum of their scores less the mean, in standard deviations (CombSUM with ZMUV).

    Mean and deviation are those of the ``DEPTH`` best scores of a kind. A row that only others hand over has
    the last of them.
    """
    rows = sorted({row for kind in kinds for row in kind.rows.tolist()})
    sums = dict.fromkeys(rows, 0.0)
    for kind, weight in zip(kinds, weights, strict=True):
        zeros = max(0, min(DEPTH, kind.scored_rows) - len(kind.rows))
        best = np.concatenate([kind.scores, np.zeros(zeros)])
        deviation = float(best.std()) if len(best) and best.min() < best.max() else 0.0
        if deviation == 0:
            continue
        mean, last = float(best.mean()), float(best[-1])
        own = dict(zip(kind.rows.tolist(), kind.scores.tolist(), strict=True))
        for row in rows:
            sums[row] += weight * (own.get(row, last) - mean) / deviation
    return sorted(rows, key=lambda row: (-sums[row], row))


class Difference(NamedTuple):
    """The mean of the differences of two systems, query by query, and where it is with 95 %."""

    mean: float
    low: float
    high: float


def bootstrap(
    one: Sequence[float], other: Sequence[float], resamples: int = 10_000, seed: int = 17
) -> Difference:
    """``one`` less ``other``, with the percentile interval of the bootstrap over queries (Efron 1979)."""
    differences = np.asarray(one, np.float64) - np.asarray(other, np.float64)
    random = np.random.default_rng(seed)
    drawn = random.integers(0, len(differences), (resamples, len(differences)))
    low, high = np.percentile(differences[drawn].mean(axis=1), (2.5, 97.5))
    return Difference(float(differences.mean()), float(low), float(high))
