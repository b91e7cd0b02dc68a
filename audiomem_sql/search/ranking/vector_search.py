"""Vector search: the rows nearest to a vector, filtered first, then ranked.

A segment that has an index of its vectors is ranked by that. Rows outside the segments, and vectors of a
column that is not INDEXED, are compared one by one. What is nearest overall comes first. Rows without a
vector are no results. Distances are cosine distances, 0 for the same direction, 2 for the opposite, unless
the column says otherwise (``indexes/vectors/metrics.py``).

Of an INDEXED column the index only proposes: some more rows than are wanted, whose vectors are then read and
compared as they are, until the others cannot be among the nearest (``confirming.py``). So distances are
exact, and only a row that the index did not propose, or took to be much farther than it is, can be missed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import BoolArray, F32Array, F64Array, I64Array
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import BIT
from audiomem_sql.columns.vector_index import COMPACT, COSINE, INT8, SMALL
from audiomem_sql.columns.views import strings, valid
from audiomem_sql.errors import DamagedFileError, DataTypeError
from audiomem_sql.indexes.vectors import PassageIndex, VectorIndex, distances_of
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.predicates import Op, Predicate, bind
from audiomem_sql.scan import Filter, Readable, RowFilter, scan
from audiomem_sql.search.embedding.vectors_in_sql import query_of
from audiomem_sql.search.ranking.confirming import confirmed
from audiomem_sql.search.ranking.neighbours import FIRST_ROWS, MOST_ROWS, Neighbours
from audiomem_sql.search.ranking.parts import allowed_rows, compared_vectors, parts
from audiomem_sql.storage.segment import ReadableSegment, matrix

#: Rows that an index proposes for each that is wanted, by how fine its codes are, and so many more.
PROPOSED = {COMPACT: 2, SMALL: 8, INT8: 1}
LEAST_PROPOSED = 20
#: Times as many where the index has some of the numbers only.
PROPOSED_OF_CUT = 4
#: Bytes of vectors that are compared at once.
COMPARED_BYTES = 8 << 20
#: How many bits of each byte are 1: the Hamming distance of vectors of bits.
_ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint8)


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
    DataTypeError for a query of another length, or that is not finite; of zeros, where directions count.
    """
    width = readable.schema.columns[column].type.width
    by_direction = compares_directions(readable.schema, column)
    with query_of(readable.schema, column):
        query = unit_vector(query, width) if by_direction else finite_vector(query, width)
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


def compares_directions(schema: Schema, column: int) -> bool:
    """Whether the distances of a column are 1 - cosine."""
    options = schema.vector_indexes.get(column)
    by_bits = schema.columns[column].type.element == BIT
    return not by_bits and (options is None or options.metric == COSINE)


def vector_scores(schema: Schema, column: int, distances: F32Array) -> F64Array:
    """How near rows are, float64 (n,), higher is better: the cosine, or minus a distance of another kind."""
    exact = distances.astype(np.float64)
    return 1.0 - exact if compares_directions(schema, column) else -exact


def finite_vector(query: F32Array, width: int) -> F32Array:
    """``query`` as float32 (n,). DataTypeError unless it is ``width`` finite numbers."""
    query = np.ascontiguousarray(query, np.float32).reshape(-1)
    if len(query) != width:
        raise DataTypeError(f"the query has {len(query)} numbers, the vectors have {width}")
    if not np.isfinite(query).all():
        raise DataTypeError("the query must be finite numbers")
    return query


def unit_vector(query: F32Array, width: int) -> F32Array:
    """``query`` with length 1. DataTypeError unless it is ``width`` finite numbers, not all of them 0."""
    query = finite_vector(query, width)
    length = float(np.linalg.norm(query.astype(np.float64)))
    if length == 0:
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
        self._column = column
        self._options = options = readable.schema.vector_indexes.get(column)
        self._metric = COSINE if options is None else options.metric
        #: The column with the further passages of long texts.
        self._passages = passages = readable.schema.passages.get(column)
        #: Of a column of bits, those of the query as they are stored, uint8 (n / 8,).
        self._bits = (
            np.packbits(query != 0, bitorder="little")
            if readable.schema.columns[column].type.element == BIT
            else None
        )
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
                raise self._with_remedy(error, part.views[0].segment) from None
            if index is not None:
                view = part.views[0]
                self._check_index(index, view.segment)
                self._indexed.append((view.segment, index, allowed_rows(part, filters, row_filter)))
                continue
            if passages is None and self._bits is None:
                for part_rowids, vectors in compared_vectors(part, column, (*filters, present), row_filter):
                    rowids.append(part_rowids)
                    compared.append(distances_of(vectors, query, self._metric))
                continue
            read = (column,) if passages is None else (column, passages)
            for batch in scan(part, read, (*filters, present), row_filter=row_filter):
                distances = self._distances_of(batch.arrays[0])
                if passages is not None:
                    from audiomem_sql.search.embedding.text_scores import text_distances

                    distances = text_distances(batch.arrays[1], query, distances)
                rowids.append(batch.rowids)
                compared.append(distances)
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
                positions, values = self._best_of(segment, index, allowed, min(k, segment.rows))
            except DamagedFileError as error:
                raise self._with_remedy(error, segment) from None
            first = segment.catalog.first_rowid
            rowids.append(segment.rowids()[positions] if first is None else positions + first)
            distances.append(values)
        all_rowids, all_distances = np.concatenate(rowids), np.concatenate(distances)
        order = np.lexsort((all_rowids, all_distances))[:k]
        return all_rowids[order], all_distances[order]

    def _distances_of(self, vectors: pa.Array) -> F32Array:
        """The distances of an array of vectors, float32 (n,); anything where it is NULL."""
        if self._bits is None:
            return distances_of(matrix(vectors), self._query, self._metric)
        different = strings(vectors).data.reshape(len(vectors), -1) ^ self._bits
        counts: F32Array = _ONES[different].sum(axis=1, dtype=np.float32)
        return counts

    def _check_index(self, index: VectorIndex, segment: ReadableSegment) -> None:
        """DamagedFileError for an index that does not compare what the column says."""
        options, width = self._options, len(self._query)
        expected = (COSINE, width) if options is None else (options.metric, options.dimensions or width)
        if (index.metric, index.dimensions) != expected:
            error = DamagedFileError("the index of vectors is another one than its column says")
            raise self._with_remedy(error, segment)

    def _best_of(
        self, segment: ReadableSegment, index: VectorIndex, allowed: BoolArray | None, k: int
    ) -> tuple[I64Array, F32Array]:
        """The ``k`` nearest rows of a segment, int64 (n,), and their distances, float32 (n,)."""
        options = self._options
        if options is None:
            further = None if self._passages is None else segment.vector_index(self._passages)
            if isinstance(further, PassageIndex) and further.count:
                from audiomem_sql.search.ranking.text_ranking import TextRanking

                return TextRanking(index, further, self._query, allowed).nearest(k)
            rows, values = index.search(self._query[np.newaxis], k, allowed)
            filled = rows[0] >= 0
            return rows[0][filled], values[0][filled]
        times = PROPOSED[options.codes] * (1 if options.dimensions is None else PROPOSED_OF_CUT)
        wanted = min(segment.rows, times * k + LEAST_PROPOSED)
        if allowed is not None and np.count_nonzero(allowed) <= wanted:
            return self._compared(segment, np.flatnonzero(allowed), k)
        part = self._query[np.newaxis, : index.dimensions]
        if options.metric == COSINE and not part.any():  # the numbers that the index has say nothing
            present = index.present if allowed is None else index.present & allowed
            return self._compared(segment, np.flatnonzero(present), k)
        proposed, stated = (found[0] for found in index.search(part, wanted, allowed))
        filled = proposed >= 0
        proposed, stated = proposed[filled], stated[filled]
        undirected = index.undirected
        if allowed is not None:
            undirected = undirected[allowed[undirected]]
        if options.dimensions is not None:  # what the index says is of some of the numbers
            return self._compared(segment, np.concatenate([proposed, undirected]), k)
        return confirmed(proposed, stated, undirected, k, lambda rows: self._distances_to(segment, rows))

    def _distances_to(self, segment: ReadableSegment, rows: I64Array) -> F32Array:
        """The distances of int64 (n,) rows, float32 (n,), by their vectors as they are; infinite for NULL."""
        distances = np.full(len(rows), np.inf, np.float32)
        order = np.argsort(rows)
        step = max(1, COMPARED_BYTES // (4 * len(self._query)))
        for start in range(0, len(rows), step):
            check_interrupt()
            part = order[start : start + step]
            vectors = segment.take(self._column, rows[part])
            distances[part] = np.where(valid(vectors), self._distances_of(vectors), np.inf)
        return distances

    def _compared(self, segment: ReadableSegment, rows: I64Array, k: int) -> tuple[I64Array, F32Array]:
        """The ``k`` nearest of int64 (n,) ``rows``, by their vectors as they are, without those of NULL."""
        rows = np.sort(rows)
        nearest_rows, nearest_distances = rows[:0], np.empty(0, np.float32)
        step = max(1, COMPARED_BYTES // (4 * len(self._query)))
        for start in range(0, len(rows), step):
            check_interrupt()
            part = rows[start : start + step]
            vectors = segment.take(self._column, part)
            distances = self._distances_of(vectors)
            present = valid(vectors)
            part = np.concatenate([nearest_rows, part[present]])
            distances = np.concatenate([nearest_distances, distances[present]])
            order = np.lexsort((part, distances))[:k]
            nearest_rows, nearest_distances = part[order], distances[order]
        return nearest_rows, nearest_distances

    def _with_remedy(self, error: DamagedFileError, segment: ReadableSegment) -> DamagedFileError:
        """``error``, which came up in the vectors of ``segment``: what they were made of is still there."""
        remedy = "`audiomem reembed` makes the vectors anew."
        if self._options is not None:
            remedy = "`audiomem vacuum` makes the index anew, if the vectors themselves can be read."
        return DamagedFileError(
            error.what,
            file=error.file or segment.path,
            place=error.place or "the index of vectors",
            remedy=f"{error.remedy} {remedy}" if error.remedy else remedy,
        )
