"""BM25 as FTS5 computes it: better rows have lower scores.

k1 = 1.2, b = 0.75, and no inverse document frequency below 1e-6. Robertson, Walker et al. 1994;
https://sqlite.org/fts5.html, section 5.1.1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audiomem_sql.arrays import F64Array, I64Array

K1 = 1.2
B = 0.75
MIN_IDF = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """What a score depends on outside its row.

    ``documents`` rows with ``tokens`` tokens, and for each phrase of the query the rows that hold it,
    ``frequencies`` int64 (phrases,). Those of segments and log rows are added with ``+``.
    """

    documents: int
    tokens: int
    frequencies: I64Array

    def __add__(self, other: Statistics) -> Statistics:
        return Statistics(
            self.documents + other.documents,
            self.tokens + other.tokens,
            self.frequencies + other.frequencies,
        )


def bm25(
    statistics: Statistics,
    counts: F64Array,
    lengths: I64Array,
    repeats: Sequence[int] | None = None,
) -> F64Array:
    """Scores, float64 (n,): ``counts`` float64 (phrases, n), how often each phrase stands in each row.

    ``lengths`` int64 (n,). ``repeats``: how often each phrase stands in the query, once without.
    """
    scores = np.zeros(len(lengths))
    if len(lengths) == 0 or statistics.tokens == 0:
        return scores
    average = statistics.tokens / statistics.documents
    norms = K1 * (1 - B + B * lengths / average)
    for idf, repeat, times in zip(weights(statistics), repeats or [1] * len(counts), counts, strict=True):
        scores += repeat * idf * (times * (K1 + 1.0) / (times + norms))
    return -scores


def weights(statistics: Statistics) -> list[float]:
    """The inverse document frequency of each phrase: the score of a row of average length with one."""
    idfs = []
    for frequency in statistics.frequencies.tolist():
        # Deleted rows may be counted in one of the two numbers and not in the other.
        ratio = (max(statistics.documents - frequency, 0) + 0.5) / (frequency + 0.5)
        idf = math.log(ratio)
        idfs.append(idf if idf > 0 else MIN_IDF)
    return idfs


def coverage(statistics: Statistics, best: float, repeats: Sequence[int] | None = None) -> float:
    """How much of a query its best row holds, 0 to 1.

    This is the score of the row, divided by that of a row that holds each phrase once.
    """
    idfs = weights(statistics)
    possible = sum(idf * repeat for idf, repeat in zip(idfs, repeats or [1] * len(idfs), strict=True))
    return min(1.0, max(0.0, -best / possible)) if possible > 0 else 0.0


def top(scores: F64Array, k: int | None) -> I64Array:
    """The indices of the ``k`` lowest scores (of all, for None), lowest first.

    Equal scores in the order of their indices.
    """
    if k is None or k >= len(scores):
        return np.argsort(scores, kind="stable")
    if k <= 0:
        return np.empty(0, np.int64)
    worst = np.partition(scores, k - 1)[k - 1]
    candidates = np.flatnonzero(scores <= worst)
    return candidates[np.argsort(scores[candidates], kind="stable")][:k]
