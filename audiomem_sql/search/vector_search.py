"""Vector search: the rows nearest to a vector, filtered first, then ranked.

A segment that has an index of its vectors is ranked by that. Rows outside the segments, and vectors of the
user's own, are compared one by one. What is nearest overall comes first. Rows without a vector are no
results. Distances are cosine distances: 0 for the same direction, 2 for the opposite.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from audiomem_sql.arrays import BoolArray, F32Array, I64Array
from audiomem_sql.errors import DamagedFileError, DataTypeError
from audiomem_sql.indexes.vectors import VectorIndex, cosine_distances
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.predicates import Op, Predicate, bind
from audiomem_sql.scan import Filter, Readable, RowFilter, scan
from audiomem_sql.search.neighbours import FIRST_ROWS, MOST_ROWS, Neighbours
from audiomem_sql.search.parts import allowed_rows, parts
from audiomem_sql.storage.segment import ReadableSegment, matrix


def nearest(
    readable: Readable,
    column: int,
    query: F32Array,
    filters: Sequence[Filter] = (),
    *,
    row_filter: RowFilter | None = None,
    k: int | None = None,
    first: int = FIRST_ROWS,
) -> Iterator[Neighbours]:
    """The rows that pass the filters, nearest first; all of them, or ``k``.

    column: one of type FLOAT[n]. query: float32 (n,). first: rows that are handed over at first.
    DataTypeError for a query of another length, or that is not finite.
    """
    query = unit_vector(query, readable.schema.columns[column].type.width)
    ranking = _Ranking(readable, column, query, tuple(filters), row_filter)
    yielded = np.empty(0, np.int64)
    remaining, step = k, first
    while remaining is None or remaining > 0:
        check_interrupt()
        ranked = len(yielded) + (step if remaining is None else min(step, remaining))
        rowids, distances = ranking.best(ranked)
        new = np.flatnonzero(~np.isin(rowids, yielded))[:remaining]
        if not len(new):
            return
        # each ranking begins anew, so they grow without a limit; what is handed over at once does not
        for start in range(0, len(new), MOST_ROWS):
            part = new[start : start + MOST_ROWS]
            yield Neighbours(rowids[part], distances[part])
        yielded = np.concatenate([yielded, rowids[new]])
        remaining = None if remaining is None else remaining - len(new)
        step *= 4


def unit_vector(query: F32Array, width: int) -> F32Array:
    """``query`` with length 1. DataTypeError unless it is ``width`` finite numbers, not all of them 0."""
    query = np.ascontiguousarray(query, np.float32).reshape(-1)
    if len(query) != width:
        raise DataTypeError(f"the query has {len(query)} numbers, the vectors have {width}")
    length = float(np.linalg.norm(query.astype(np.float64)))
    if not np.isfinite(query).all() or not np.isfinite(length) or length == 0:
        raise DataTypeError("the query must be finite numbers, not all of them 0")
    return (query / np.float32(length)).astype(np.float32)


class _Ranking:
    """The rows of one search, ranked segment by segment: by its index, or one by one where there is none."""

    def __init__(
        self,
        readable: Readable,
        column: int,
        query: F32Array,
        filters: tuple[Filter, ...],
        row_filter: RowFilter | None,
    ) -> None:
        self._query = query
        #: A segment, its index, and which of its rows may be results.
        self._indexed: list[tuple[ReadableSegment, VectorIndex, BoolArray | None]] = []
        rowids: list[I64Array] = [np.empty(0, np.int64)]
        compared: list[F32Array] = [np.empty(0, np.float32)]
        # Blocks without a vector, such as those of a column that was added, are not even made.
        present = Filter(
            column, bind(Predicate(column, Op.NOT_NULL, None), readable.schema.columns[column].type)
        )
        for part in parts(readable):
            check_interrupt()
            try:
                index = None if part.pending is not None else part.views[0].segment.vector_index(column)
            except DamagedFileError as error:
                raise _with_remedy(error, part.views[0].segment) from None
            if index is not None:
                view = part.views[0]
                self._indexed.append((view.segment, index, allowed_rows(part, filters, row_filter)))
                continue
            for batch in scan(part, (column,), (*filters, present), row_filter=row_filter):
                rowids.append(batch.rowids)
                compared.append(cosine_distances(matrix(batch.arrays[0]), query))
        #: The rows that were compared one by one.
        self._rowids, self._distances = np.concatenate(rowids), np.concatenate(compared)

    def best(self, k: int) -> tuple[I64Array, F32Array]:
        """The ``k`` nearest of all, int64 (n,) rowids and float32 (n,) distances.

        Fewer if there are no more.
        """
        rowids, distances = [self._rowids], [self._distances]
        for segment, index, allowed in self._indexed:
            check_interrupt()
            try:
                rows, values = index.search(self._query[np.newaxis], min(k, segment.rows), allowed)
            except DamagedFileError as error:
                raise _with_remedy(error, segment) from None
            filled = rows[0] >= 0
            positions = rows[0][filled]
            first = segment.catalog.first_rowid
            rowids.append(segment.rowids()[positions] if first is None else positions + first)
            distances.append(values[0][filled])
        all_rowids, all_distances = np.concatenate(rowids), np.concatenate(distances)
        order = np.lexsort((all_rowids, all_distances))[:k]
        return all_rowids[order], all_distances[order]


def _with_remedy(error: DamagedFileError, segment: ReadableSegment) -> DamagedFileError:
    """``error``, which came up in the vectors of ``segment``: what they were made of is still there."""
    remedy = "`audiomem reembed` makes the vectors anew."
    return DamagedFileError(
        error.what,
        file=error.file or segment.path,
        place=error.place or "the index of vectors",
        remedy=f"{error.remedy} {remedy}" if error.remedy else remedy,
    )
