"""The nearest of what several lists, segments and the rows in memory have found."""

from __future__ import annotations

import numpy as np

from audiomem_sql.arrays import F32Array, I64Array
from audiomem_sql.errors import DataTypeError

#: A tie may be so far apart, of scores about 1: what float32 rounds away must not hide it.
ROUNDED = 1e-6


class Pool:
    """What was found in each list for each query, until it is sure which ``k`` are the nearest."""

    def __init__(self, queries: int, k: int) -> None:
        if k < 1:
            raise DataTypeError(f"{k} nearest vectors cannot be looked for")
        self.k = k
        #: Of each query and list: scores and rows found, how many were asked for, and the bound on the
        #: others.
        self._found: list[dict[int, tuple[F32Array, I64Array, int, float]]] = [{} for _ in range(queries)]

    def add(
        self,
        number: int,
        fetched: int,
        queries: I64Array,
        scores: F32Array,
        rows: I64Array,
        others: F32Array,
    ) -> None:
        """Cosines and rows of list ``number``, (q, wanted), for the queries int64 (q,).

        They take the place of what the list gave before. ``others`` (q,) is a bound on the scores of all
        that the list has beside these; minus infinity if nothing.
        """
        for row, query in enumerate(queries):
            self._found[query][number] = (scores[row], rows[row], fetched, float(others[row]))

    def unsure(self) -> list[tuple[int, I64Array, int]]:
        """Lists that may have one of the k nearest among the others: (list, queries, number fetched)."""
        again: dict[tuple[int, int], list[int]] = {}
        for query, by_list in enumerate(self._found):
            bound = max((others for *_, others in by_list.values()), default=-np.inf)
            if bound == -np.inf:
                continue
            scores = np.concatenate([entry[0] for entry in by_list.values()])
            worst = -np.partition(-scores, self.k - 1)[self.k - 1] if len(scores) >= self.k else -np.inf
            for number, (_, _, fetched, others) in by_list.items():
                if others > -np.inf and others + ROUNDED * max(1.0, abs(others)) >= worst:
                    again.setdefault((number, fetched), []).append(query)
        return [(number, np.array(queries), fetched) for (number, fetched), queries in again.items()]

    def result(self) -> tuple[I64Array, F32Array]:
        """Rows int64 (m, k), nearest first, then by number, -1 for none.

        Scores float32 (m, k), minus infinity for none.
        """
        rows = np.full((len(self._found), self.k), -1, np.int64)
        scores = np.full(rows.shape, -np.inf, np.float32)
        for query, by_list in enumerate(self._found):
            if by_list:
                found = np.concatenate([entry[0] for entry in by_list.values()])
                numbers = np.concatenate([entry[1] for entry in by_list.values()])
                order = np.lexsort((numbers, -found))[: self.k]
                rows[query, : len(order)] = numbers[order]
                scores[query, : len(order)] = found[order]
        return rows, scores


def until(counts: I64Array, enough: int) -> I64Array:
    """int64 (m,): how many lists each query looks through to see ``enough`` rows, or all.

    counts: rows of its lists, int64 (m, lists), in the order in which it looks through them.
    """
    before = np.cumsum(counts, axis=1)[:, :-1]
    needed: I64Array = (before < enough).sum(axis=1) + 1
    return needed
