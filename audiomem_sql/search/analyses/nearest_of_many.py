"""The nearest vectors of many queries at once, by comparing each query with every vector.

Products of matrices choose candidates, a few more than are wanted. These are then compared as a search of
one query compares them, so distances are the same. Where rounding could have hidden a
candidate, as among many equal vectors, the query is compared with all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from audiomem_sql.arrays import BoolArray, F32Array, F64Array, I64Array
from audiomem_sql.columns.vector_index import COSINE, L2
from audiomem_sql.indexes.vectors import distances_of
from audiomem_sql.machine.device import device_for
from audiomem_sql.machine.interrupts import check_interrupt

#: Gives all rowids int64 (n,) and vectors float32 (n, d), a piece at a time, whenever it is called.
Pieces = Callable[[], Iterator[tuple[I64Array, F32Array]]]
#: Candidates beside those that are wanted.
_MORE = 8
#: Queries that are multiplied at once, and vectors.
_QUERIES, _VECTORS = 1024, 4096
#: By how much products may be wrong that are computed in another order, as a share of the lengths.
_ROUNDED = 4e-6


def nearest_of_many(pieces: Pieces, queries: F32Array, k: int, metric: str) -> tuple[I64Array, F32Array]:
    """The ``k`` vectors nearest to each of float32 (m, d) queries: rowids int64 (m, k), float32 (m, k).

    Nearest first, equally near ones by rowid; -1 and infinity where there are fewer. By cosine queries have
    length 1.
    """
    candidates = _Candidates(queries, k + _MORE, metric)
    for rowids, vectors in pieces():
        for start in range(0, len(rowids), _VECTORS):
            part = slice(start, start + _VECTORS)
            candidates.look_at(rowids[part], vectors[part])
    return _compared(pieces, queries, candidates, k, metric)


class _Candidates:
    """The vectors with the greatest scores for each query, as far as rounding lets one tell.

    rowids: int64 (m, most), -1 for none; scores: float32 (m, most), falling.
    """

    def __init__(self, queries: F32Array, most: int, metric: str) -> None:
        self._metric = metric
        self._most = most
        with np.errstate(over="ignore"):
            lengths = np.linalg.norm(queries.astype(np.float64), axis=1)
        self._queries = queries
        if metric == COSINE:
            self._queries = (queries / lengths[:, None]).astype(np.float32)
            lengths = np.ones(len(queries))
        self._lengths: F64Array = lengths
        self._longest = 0.0
        self.rowids: I64Array = np.full((len(queries), most), -1, np.int64)
        self.scores: F32Array = np.full((len(queries), most), -np.inf, np.float32)

    def look_at(self, rowids: I64Array, vectors: F32Array) -> None:
        """Take int64 (n,) rowids with float32 (n, d) vectors into account."""
        halves: F32Array | None = None
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
        if self._metric == COSINE:
            divisors = np.where(lengths > 0, lengths, 1)[:, None]
            vectors = (vectors / divisors).astype(np.float32)
            # a vector without a length is as far as the opposite, see distances_of
            halves = np.where(lengths > 0, 0, 1).astype(np.float32) if (lengths == 0).any() else None
            self._longest = 1.0
        else:
            self._longest = max(self._longest, float(lengths.max(initial=0)))
            if self._metric == L2:
                halves = (np.square(lengths) / 2).astype(np.float32)
        device = device_for(vectors.size)
        there = None if device is None else device.vectors(vectors, halves)
        for start in range(0, len(self._queries), _QUERIES):
            check_interrupt()
            if there is not None:
                values, places = there.greatest(self._queries[start : start + _QUERIES], self._most)
                self._keep(slice(start, start + len(values)), values, rowids[places])
                continue
            scores = self._queries[start : start + _QUERIES] @ vectors.T
            if halves is not None:
                scores -= halves
            self._take(start, scores, rowids)

    def _take(self, start: int, scores: F32Array, rowids: I64Array) -> None:
        """Keep the best of float32 (q, n) scores for the queries from ``start`` on."""
        part = slice(start, start + len(scores))
        if scores.shape[1] > self._most and not (self.rowids[part, -1] >= 0).all():
            kept = np.argpartition(scores, -self._most, axis=1)[:, -self._most :]
            queries = np.repeat(np.arange(len(scores)), self._most)
            places = kept.ravel()
        else:
            better = np.flatnonzero(scores > self.scores[part, -1:])  # five times as fast as nonzero
            queries, places = np.divmod(better, scores.shape[1])
        if not len(queries):
            return
        touched, counts = np.unique(queries, return_counts=True)
        found = np.full((len(touched), int(counts.max())), -1, np.int64)
        values = np.full(found.shape, -np.inf, np.float32)
        rows = np.repeat(np.arange(len(touched)), counts)
        columns = np.arange(len(queries)) - np.repeat(np.cumsum(counts) - counts, counts)
        found[rows, columns] = rowids[places]
        values[rows, columns] = scores[queries, places]
        self._keep(start + touched, values, found)

    def _keep(self, queries: I64Array | slice, values: F32Array, found: I64Array) -> None:
        """The best of what ``queries`` have and of some more, scores and rowids (q, n)."""
        values = np.concatenate([self.scores[queries], values], axis=1)
        found = np.concatenate([self.rowids[queries], found], axis=1)
        order = np.argsort(-values, axis=1, kind="stable")[:, : self._most]
        self.scores[queries] = np.take_along_axis(values, order, axis=1)
        self.rowids[queries] = np.take_along_axis(found, order, axis=1)

    def uncertain(self, k: int) -> BoolArray:
        """bool (m,): whether a vector that is no candidate might be among the ``k`` nearest of a query."""
        room = _ROUNDED * np.maximum(self._lengths * self._longest, 1e-30)
        if self._metric == L2:
            room += _ROUNDED * self._longest * self._longest
        full = self.rowids[:, -1] >= 0
        uncertain: BoolArray = full & (self.scores[:, -1] + 2 * room >= self.scores[:, k - 1])
        return uncertain


def _compared(
    pieces: Pieces, queries: F32Array, candidates: _Candidates, k: int, metric: str
) -> tuple[I64Array, F32Array]:
    """The nearest candidates, by their exact distances."""
    asked, places = np.nonzero(candidates.rowids >= 0)
    wanted = candidates.rowids[asked, places]
    order = np.argsort(wanted, kind="stable")
    asked, places, wanted = asked[order], places[order], wanted[order]
    distances = np.full(candidates.rowids.shape, np.inf, np.float32)
    uncertain = np.flatnonzero(candidates.uncertain(k))
    directions = queries
    if metric == COSINE:  # as distances_of does with a query
        lengths = np.sqrt(np.einsum("ij,ij->i", queries, queries, dtype=np.float64)).astype(np.float32)
        directions = queries / lengths[:, None]
    exact = [_AllOf(queries[number], k, metric) for number in uncertain]
    for rowids, vectors in pieces() if len(wanted) else ():
        sorting = np.argsort(rowids, kind="stable")
        rising = rowids[sorting]
        first, last = np.searchsorted(wanted, (rising[0], rising[-1] + 1)) if len(rising) else (0, 0)
        for start in range(first, last, _VECTORS):
            pairs = slice(start, min(start + _VECTORS, last))
            at = np.minimum(np.searchsorted(rising, wanted[pairs]), len(rising) - 1)
            here = np.flatnonzero(rising[at] == wanted[pairs])
            pair = start + here
            distances[asked[pair], places[pair]] = distances_of_pairs(
                vectors[sorting[at[here]]], directions[asked[pair]], metric
            )
        for each in exact:
            check_interrupt()
            each.look_at(rowids, vectors)
    rowids, distances = nearest_first(candidates.rowids, distances, k)
    for number, each in zip(uncertain, exact, strict=True):
        rowids[number, : len(each.rowids)], distances[number, : len(each.rowids)] = (
            each.rowids,
            each.distances,
        )
    return rowids, distances


class _AllOf:
    """The ``k`` vectors nearest to one query, compared with all as they come."""

    def __init__(self, query: F32Array, k: int, metric: str) -> None:
        self._query = query
        self._k = k
        self._metric = metric
        self.rowids: I64Array = np.empty(0, np.int64)
        self.distances: F32Array = np.empty(0, np.float32)

    def look_at(self, rowids: I64Array, vectors: F32Array) -> None:
        """Take vectors into account."""
        rowids = np.concatenate([self.rowids, rowids])
        distances = np.concatenate([self.distances, distances_of(vectors, self._query, self._metric)])
        order = np.lexsort((rowids, distances))[: self._k]
        self.rowids, self.distances = rowids[order], distances[order]


def nearest_first(rowids: I64Array, distances: F32Array, k: int) -> tuple[I64Array, F32Array]:
    """The ``k`` nearest of (m, n): rowids, -1 for none, and distances, infinite there."""
    distances = np.where(rowids >= 0, distances, np.inf).astype(np.float32)
    order = np.lexsort((rowids, distances), axis=1)[:, :k]
    best = np.full((len(rowids), k), -1, np.int64), np.full((len(rowids), k), np.inf, np.float32)
    best[0][:, : order.shape[1]] = np.take_along_axis(rowids, order, axis=1)
    best[1][:, : order.shape[1]] = np.take_along_axis(distances, order, axis=1)
    return best


def best_of_groups(
    groups: I64Array, rowids: I64Array, distances: F32Array, k: int, count: int
) -> tuple[I64Array, F32Array]:
    """The ``k`` nearest rows of each of ``count`` groups of lines, each row once with its least distance.

    groups: int64 (m,), that of each line. rowids: int64 (m, n), -1 for none. distances: float32 (m, n).
    What comes back is rowids int64 (count, k), the nearest first, equally near ones by rowid, and distances;
    -1 and infinity where there are fewer.
    """
    lines, places = np.nonzero(rowids >= 0)
    group, row, distance = groups[lines], rowids[lines, places], distances[lines, places]
    order = np.lexsort((distance, row, group))
    group, row, distance = group[order], row[order], distance[order]
    first = np.ones(len(group), np.bool_)
    first[1:] = (group[1:] != group[:-1]) | (row[1:] != row[:-1])
    group, row, distance = group[first], row[first], distance[first]
    order = np.lexsort((row, distance, group))
    group, row, distance = group[order], row[order], distance[order]
    rank = np.arange(len(group)) - np.searchsorted(group, np.arange(count))[group]
    kept = rank < k
    best = np.full((count, k), -1, np.int64), np.full((count, k), np.inf, np.float32)
    best[0][group[kept], rank[kept]] = row[kept]
    best[1][group[kept], rank[kept]] = distance[kept]
    return best


def distances_of_pairs(vectors: F32Array, queries: F32Array, metric: str) -> F32Array:
    """The distance of each vector, float32 (n, d), from the query beside it: float32 (n,).

    They are those of :func:`~audiomem_sql.indexes.vectors.distances_of`. By cosine queries have length 1.
    """
    distances: F32Array
    if metric == L2:
        differences = vectors - queries
        squares = np.einsum("ij,ij->i", differences, differences, dtype=np.float64)
        distances = np.sqrt(squares).astype(np.float32)
        return distances
    if metric != COSINE:
        distances = -np.einsum("ij,ij->i", vectors, queries, dtype=np.float64).astype(np.float32)
        return distances
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    products = np.einsum("ij,ij->i", vectors, queries)
    cosines = np.divide(products, lengths, out=np.full(len(vectors), -1, np.float32), where=lengths > 0)
    distances = np.maximum(1 - cosines, 0).astype(np.float32)
    return distances
