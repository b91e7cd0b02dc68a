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
    norms = np.asarray(K1 * (1 - B + B * lengths / average), np.float64)
    for idf, repeat, times in zip(weights(statistics), repeats or [1] * len(counts), counts, strict=True):
        scores += repeat * idf * _term_frequency(times, norms)
    return -scores


def term_frequencies(statistics: Statistics, counts: F64Array, lengths: I64Array) -> F64Array:
    """What multiplies the weight of each phrase in each row, float64 (phrases, n); arguments as of ``bm25``.

    A score of ``bm25`` is minus the sum of repeat · weight · frequency over the phrases, in their order.
    """
    if statistics.tokens == 0:
        return np.zeros_like(counts)
    average = statistics.tokens / statistics.documents
    norms = np.asarray(K1 * (1 - B + B * lengths / average), np.float64)
    return _term_frequency(counts, norms)


def _term_frequency(times: F64Array, norms: F64Array) -> F64Array:
    return times * (K1 + 1.0) / (times + norms)


def weights(statistics: Statistics) -> list[float]:
    """The inverse document frequency of each phrase: the score of a row of average length with one."""
    idfs = []
    for frequency in statistics.frequencies.tolist():
        # An index that contradicts itself must not end a search.
        ratio = (max(statistics.documents - frequency, 0) + 0.5) / (frequency + 0.5)
        idf = math.log(ratio)
        idfs.append(idf if idf > 0 else MIN_IDF)
    return idfs


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
