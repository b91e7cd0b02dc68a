"""The ranking of one search by vectors, by several processes where there are some."""

from __future__ import annotations

import numpy as np

from audiomem_sql.arrays import F32Array, I64Array
from audiomem_sql.scan import Filter, Readable, RowFilter
from audiomem_sql.search.ranking.lists_of_processes import Choice, choices
from audiomem_sql.search.ranking.processes import Session, answered, new_number
from audiomem_sql.search.ranking.vector_ranking import VectorRanking


class ParallelRanking:
    """As :class:`VectorRanking`: each process ranks the rows of its shards, and the best of all are given."""

    def __init__(
        self,
        readable: Readable,
        column: int,
        query: F32Array,
        filters: tuple[Filter, ...],
        row_filter: RowFilter | None,
    ) -> None:
        self._readable = readable
        self._asked = column, query, filters, row_filter
        self._number = new_number()
        #: Of all rows, and of those that this process has where others have the rest.
        self._alone: VectorRanking | None = None
        self._own: VectorRanking | None = None

    def best(self, k: int) -> tuple[I64Array, F32Array]:
        """The ``k`` nearest of all, int64 (n,) rowids and float32 (n,) distances.

        Fewer if there are no more.
        """
        if self._alone is not None:
            return self._alone.best(k)
        found: tuple[I64Array, F32Array] = answered(
            self._readable, lambda session: self._together(session, k), lambda: self._by_itself(k)
        )
        return found

    def _together(self, session: Session, k: int) -> tuple[I64Array, F32Array]:
        session.ask("lists", self._number, *self._asked)
        own = self._made(session)
        offers = [each for each in (own.offered(), *session.answers()) if each is not None]
        chosen: list[Choice | None] = [None] * (1 + len(session))
        if offers:
            chosen = [*choices(offers, k, own.wanted(k))]
        session.ask("nearest", self._number, *self._asked, k, own=[(each,) for each in chosen[1:]])
        found = own.best(k, chosen[0])
        rowids, distances = zip(found, *session.answers(), strict=True)
        all_rowids, all_distances = np.concatenate(rowids), np.concatenate(distances)
        order = np.lexsort((all_rowids, all_distances))[:k]
        return all_rowids[order], all_distances[order]

    def _made(self, session: Session) -> VectorRanking:
        """That of the rows of this process."""
        if self._own is None:
            self._own = VectorRanking(session.own, *self._asked)
        return self._own

    def _by_itself(self, k: int) -> tuple[I64Array, F32Array]:
        self._own, self._alone = None, VectorRanking(self._readable, *self._asked)
        return self._alone.best(k)
