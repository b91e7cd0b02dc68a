"""Vectors of l2 and ip indexes that are much longer than the others, beside the lists side by side.

Such a vector is stored as a direction and a length, so its product with a query is not that of its codes, and
FAISS would not rank it among the others. There are few of them, a quarter at the very most: they are compared
one by one.
"""

from __future__ import annotations

import threading

import numpy as np

from audiomem_sql.arrays import BoolArray, F32Array, I8Array, I64Array
from audiomem_sql.columns.vector_index import L2
from audiomem_sql.indexes.vectors.scanning import products_of
from audiomem_sql.machine.interrupts import check_interrupt

#: Vectors that are compared at once.
_CHUNK = 4096


class Apart:
    """The long vectors of the lists of one index that are held."""

    def __init__(self, metric: str, dimensions: int) -> None:
        self._metric = metric
        self._lock = threading.Lock()
        #: Of each list its number, rows, codes, lengths and sizes of the codes.
        self._lists: list[tuple[I64Array, I64Array, I8Array, F32Array, F32Array]] = [
            (
                np.empty(0, np.int64),
                np.empty(0, np.int64),
                np.empty((0, dimensions), np.int8),
                np.empty(0, np.float32),
                np.empty(0, np.float32),
            )
        ]

    def add(self, number: int, rows: I64Array, codes: I8Array, lengths: F32Array, sizes: F32Array) -> None:
        """Keep vectors of list ``number``: lengths times codes int8 (n, d), whose sizes are float32 (n,)."""
        numbers = np.full(len(rows), number, np.int64)
        with self._lock:
            self._lists.append((numbers, rows, codes, lengths, sizes))

    def nearest(
        self, scaled: F32Array, shift: F32Array, visits: BoolArray, allowed: BoolArray | None, k: int
    ) -> tuple[I64Array, F32Array, I64Array]:
        """Rows int64 (m, at most k), their scores, and how many are in the lists of each query.

        Scores are minus infinity where there are fewer. Parameters as of ``search_together``.
        """
        rows = np.zeros((len(scaled), 0), np.int64)
        scores = np.zeros(rows.shape, np.float32)
        there = np.zeros(len(scaled), np.int64)
        numbers, own_rows, codes, lengths, sizes = self._joined()
        visited_lists: BoolArray = np.any(visits, axis=0)
        wanted = visited_lists[numbers]
        if allowed is not None:
            wanted &= allowed[own_rows]
        places = np.flatnonzero(wanted)
        for start in range(0, len(places), _CHUNK):
            check_interrupt()
            part = places[start : start + _CHUNK]
            products = products_of(scaled, codes[part].astype(np.float32)) + shift[:, None]
            long = lengths[part] * products
            values = 2 * long - np.square(lengths[part] * sizes[part]) if self._metric == L2 else long
            visited = visits[:, numbers[part]]
            there += visited.sum(axis=1)
            values = np.where(visited, values, np.float32(-np.inf))
            rows = np.concatenate([rows, np.broadcast_to(own_rows[part], values.shape)], axis=1)
            scores = np.concatenate([scores, values], axis=1)
            order = np.lexsort((rows, -scores), axis=1)[:, :k]
            rows, scores = np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1)
        return rows, scores, there

    def _joined(self) -> tuple[I64Array, I64Array, I8Array, F32Array, F32Array]:
        """All lists as one, which takes the place of those that were there."""
        with self._lock:
            if len(self._lists) > 1:
                numbers, rows, codes, lengths, sizes = zip(*self._lists, strict=True)
                joined = (
                    np.concatenate(numbers),
                    np.concatenate(rows),
                    np.concatenate(codes),
                    np.concatenate(lengths),
                    np.concatenate(sizes),
                )
                self._lists = [joined]
            return self._lists[0]
