"""The last coordinates of codes, which are looked at for the few vectors whose first ones are near a query.

A rotation puts the coordinates in the order of their variance. So the first five twelfths of them, the head,
say most of a product, and a search of many vectors reads these only. For the others, the tail, the centre of
its list stands for each vector. The tails of the vectors with the greatest of these estimates are multiplied
as they are. More are fetched while one of the rest may be among the nearest, which it hardly is when its
estimate is ``SURE`` standard deviations of a tail behind.
"""

from __future__ import annotations

import numpy as np

from audiomem_sql.arrays import BoolArray, F32Array, I8Array, I64Array, U16Array
from audiomem_sql.indexes.vectors.scanning import products_of

#: From so many vectors on an index has heads and tails: below, reading all takes a millisecond.
LEAST_VECTORS = 50_000
#: Fewer numbers than this are not worth two looks.
LEAST_DIMENSIONS = 96
#: Coordinates of the head: five of twelve, rounded up to what FAISS takes at once.
_SHARE = (5, 12)
_LANES = 16
#: An estimate of so many standard deviations less than a score is taken to be less.
SURE = 2.5
#: Vectors that are fetched at first for k: so many for each of them, and so many more.
_TIMES = 12
_MORE = 256
#: Vectors of a list that its spread is measured by.
_SAMPLE = 64


def head_of(dimensions: int, vectors: int, *, rotated: bool) -> int:
    """Coordinates of the heads of an index; all of its ``dimensions`` where it has no tails."""
    if not rotated or vectors < LEAST_VECTORS or dimensions < LEAST_DIMENSIONS:
        return dimensions
    share, of = _SHARE
    return -(-dimensions * share // (of * _LANES)) * _LANES


def first_fetch(k: int) -> int:
    """How many estimates are looked at first, for the k nearest."""
    return _TIMES * k + _MORE


class Tails:
    """The tails of the lists of one index that are held.

    head: coordinates before them. membership: uint16 (rows,), the list of each row. centres: int8 (lists, d).
    """

    def __init__(self, head: int, membership: U16Array, centres: I8Array) -> None:
        self.head = head
        self._membership = membership
        #: Of each row that is held the place of its tail: in the order in which lists come.
        self._places = np.zeros(len(membership), np.int32)
        self._held = 0
        self._centres = centres[:, head:].astype(np.float32)
        self._variance = np.zeros_like(self._centres)
        # Pages that no list has been written to take no memory.
        self._codes = np.empty((len(membership), centres.shape[1] - head), np.int8)
        self.bytes = self._places.nbytes + 2 * self._centres.nbytes

    def add(self, number: int, rows: I64Array, codes: I8Array) -> None:
        """Keep the tails of codes int8 (n, d) of list ``number``, whose rows are int64 (n,)."""
        last = self._held + len(rows)
        self._codes[self._held : last] = codes[:, self.head :]
        self._places[rows] = np.arange(self._held, last)
        self._held = last
        sample = codes[:: -(-len(codes) // _SAMPLE), self.head :] - self._centres[number]
        self._variance[number] = np.einsum("ij,ij->j", sample, sample) / len(sample)

    def nearness(self, queries: F32Array) -> F32Array:
        """Products float32 (m, lists) of the tails of float32 (m, d) with those of the centres."""
        return products_of(queries[:, self.head :], self._centres)

    def doubt(self, queries: F32Array, visits: BoolArray) -> F32Array:
        """float32 (m,): how much greater a product may be than its estimate, of vectors in ``visits``."""
        squares = np.square(queries[:, self.head :])
        means = visits @ self._variance / np.maximum(visits.sum(axis=1), 1)[:, None]
        doubts: F32Array = (SURE * np.sqrt(np.einsum("ij,ij->i", squares, means))).astype(np.float32)
        return doubts

    def products(
        self, queries: F32Array, nearness: F32Array, estimates: F32Array, rows: I64Array
    ) -> F32Array:
        """The products float32 (m, k) of float32 (m, d) with int64 (m, k) rows, by their estimates."""
        products = np.empty_like(estimates)
        for query, own in enumerate(rows):
            tails = self._codes[self._places[own]].astype(np.float32)
            products[query] = np.einsum("ij,j->i", tails, queries[query, self.head :])
            products[query] -= nearness[query, np.minimum(self._membership[own], nearness.shape[1] - 1)]
        products += estimates
        return products


def tails_of(membership: U16Array, centres: I8Array, vectors: int, *, rotated: bool) -> Tails | None:
    """Room for the tails of an index of so many vectors; None for one that is read in full."""
    head = head_of(centres.shape[1], vectors, rotated=rotated)
    return Tails(head, membership, centres) if head < centres.shape[1] else None
