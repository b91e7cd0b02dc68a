"""Which lists of an index a search looks through: those that are near the query, as many as it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from audiomem_sql.arrays import BoolArray, F32Array, I64Array
from audiomem_sql.columns.vector_index import COSINE
from audiomem_sql.errors import DataTypeError
from audiomem_sql.indexes.vectors.metrics import centre_scores
from audiomem_sql.indexes.vectors.nearest import until

#: By default a search looks through lists with this share of the vectors, and with so many at least.
SEEN = 0.2
LEAST_SEEN = 50_000
#: It goes on until it has seen so many allowed rows, so that a narrow filter makes it exhaustive.
LEAST_ALLOWED = 4000
#: Of an index that is far away: vectors, at least, in the lists that a reach chooses, for each row that is
#: wanted, and at most the share of all. A query that is near no list would reach half of them.
REACHED_FOR_A_ROW = 30
MOST_REACHED = 0.25
#: Of a list by cosine its vectors are nearer to some queries than its centre is: by this share of how far
#: they are from it.
SPREAD = np.float32(0.3)


class FarLists(Protocol):
    """Lists that are far away: each costs bytes, and each stretch of lists side by side a request."""

    @property
    def reach(self) -> float:
        """That of a search by cosine for one query among all rows, where nobody says another."""

    def prefetch(self, numbers: Sequence[int]) -> None:
        """Tell which lists will be read next, so that they are asked for at the same time."""

    def read(self, numbers: Sequence[int]) -> list[bytes]:
        """The bytes of lists, all of which are asked for at the same time."""

    def along(self, visited: BoolArray) -> BoolArray:
        """``visited``, bool (lists,), and the lists that are read along with these, between them."""


class Visits:
    """Chooses lists of one index.

    centres: float32 (lists, d), placed. counts: int64 (lists,), the vectors of each. metric: that of the
    index. far: where the lists are far away.
    """

    def __init__(self, centres: F32Array, counts: I64Array, metric: str, far: FarLists | None) -> None:
        self._centres = centres
        self._counts = counts
        self._metric = metric
        self._far = far if metric == COSINE else None
        self._spreads = np.zeros(len(centres), np.float32)
        if metric == COSINE:
            squares = np.einsum("ij,ij->i", centres, centres)
            self._spreads = SPREAD * np.sqrt(np.maximum(1 - squares, 0), dtype=np.float32)

    def of(
        self,
        rotated: F32Array,
        k: int,
        allowed_counts: I64Array | None = None,
        probes: int | None = None,
        reach: float | None = None,
        reached: int | None = None,
    ) -> BoolArray:
        """bool (m, lists): which lists each of float32 (m, d) queries looks through.

        Parameters as of :meth:`VectorIndex.search`; allowed_counts: int64 (lists,), the vectors that are
        allowed, None for all. Raises DataTypeError for a reach that is none.
        """
        if reach is not None and (self._metric != COSINE or probes is not None or not 0 <= reach <= 1):
            raise DataTypeError("a reach is a share from 0 to 1, by cosine, and stands without probes")
        counts = self._counts if allowed_counts is None else allowed_counts
        by_default = probes is None and reach is None and allowed_counts is None
        if by_default and self._far is not None and len(rotated) == 1:
            reach, fewest = self._far.reach, REACHED_FOR_A_ROW * k if reached is None else reached
            most = int(MOST_REACHED * counts.sum()) if reach else None
            visits = self._nearest(rotated, fewest, counts, None, reach, most)
            return self._far.along(visits[0])[np.newaxis]
        return self._nearest(rotated, k, counts, probes, reach)

    def _nearest(
        self,
        rotated: F32Array,
        k: int,
        counts: I64Array,
        probes: int | None,
        reach: float | None,
        most: int | None = None,
    ) -> BoolArray:
        """As :meth:`of`; most: vectors of the lists within reach, about."""
        filled = np.flatnonzero(counts)
        if len(filled) <= 1 or (probes is not None and probes >= len(filled)):
            visits = np.zeros((len(rotated), len(counts)), bool)
            visits[:, filled] = True
            return visits
        nearness = centre_scores(rotated, self._centres[filled], self._metric) + self._spreads[filled]
        return nearest_lists(nearness, filled, counts, self._counts, k, probes, reach, most)

    def nearness(self, rotated: F32Array) -> F32Array:
        """How near all lists are to each of float32 (m, d) queries, float32 (m, lists): greater is nearer."""
        return centre_scores(rotated, self._centres, self._metric) + self._spreads


def nearest_lists(
    nearness: F32Array,
    filled: I64Array,
    counts: I64Array,
    all_counts: I64Array,
    k: int,
    probes: int | None = None,
    reach: float | None = None,
    most: int | None = None,
) -> BoolArray:
    """bool (m, lists): which lists each query looks through, of one index or of several.

    nearness: float32 (m, n), of the lists int64 (n,) ``filled``, which have vectors that are allowed.
    counts: int64 (lists,), these; all_counts: int64 (lists,), all vectors. The others as of
    :meth:`Visits.of`; most: vectors of the lists within reach, about.
    """
    visits = np.zeros((len(nearness), len(counts)), bool)
    order = filled[np.argsort(-nearness, axis=1, kind="stable")]
    by_default = probes is None and reach is None
    visited = until(counts[order], max(k, LEAST_ALLOWED if by_default else 0))
    if reach is not None:
        least = np.float32(reach) * nearness.max(axis=1, keepdims=True)
        within = (nearness >= least).sum(axis=1)
        if most is not None:
            within = np.minimum(within, until(counts[order], most))
        visited = np.maximum(visited, within)
    elif probes is None:
        visited = np.maximum(visited, until(all_counts[order], max(LEAST_SEEN, int(SEEN * all_counts.sum()))))
    else:
        visited = np.maximum(visited, probes)
    for query, last in enumerate(visited):
        visits[query, order[query, :last]] = True
    return visits
