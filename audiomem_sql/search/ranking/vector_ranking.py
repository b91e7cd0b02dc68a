"""The rows of one search by vectors, ranked by the indexes of segments, or one by one where there is none.

Of an INDEXED column the indexes only propose: some more rows than are wanted, whose vectors are then read and
compared as they are, until the others cannot be among the nearest (``confirming.py``), all segments together.
So distances are exact, and only a row that no index proposed, or that one took to be much farther than it is,
can be missed. Which lists are searched is chosen for all segments together, so that as many vectors are seen
as in one segment. Rows outside the segments, and vectors of a column that is not INDEXED, are all compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import BoolArray, F32Array, I64Array
from audiomem_sql.columns.types import BIT
from audiomem_sql.columns.vector_index import COMPACT, COSINE, INT8, SMALL, VectorIndexOptions
from audiomem_sql.columns.views import strings, valid
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.indexes.vectors import (
    PassageIndex,
    VectorIndex,
    distances_of,
    lists_by_index,
    lists_of_several,
    lists_offered,
    many_vectors,
)
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.predicates import Op, Predicate, bind
from audiomem_sql.scan import Filter, Readable, RowFilter, narrowed, scan
from audiomem_sql.search.ranking.confirming import LEAST_MORE, LEAST_MORE_FAR, Several, confirmed
from audiomem_sql.search.ranking.lists_of_processes import Choice, Offer
from audiomem_sql.search.ranking.parts import Part, allowed_rows, compared_vectors, parts
from audiomem_sql.storage.segment import ReadableSegment, matrix

if TYPE_CHECKING:
    from audiomem_sql.search.ranking.text_ranking import TextRanking

#: Rows that an index proposes for each that is wanted, by how fine its codes are, and so many more.
PROPOSED = {COMPACT: 2, SMALL: 8, INT8: 1}
LEAST_PROPOSED = 20
#: Times as many where the index has some of the numbers only.
PROPOSED_OF_CUT = 4
#: Bytes of vectors that are compared at once.
COMPARED_BYTES = 8 << 20
#: How many bits of each byte are 1: the Hamming distance of vectors of bits.
_ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint8)


class VectorRanking:
    """The rows of one search, of all segments and outside them."""

    def __init__(
        self,
        readable: Readable,
        column: int,
        query: F32Array,
        filters: tuple[Filter, ...],
        row_filter: RowFilter | None,
    ) -> None:
        readable = narrowed(readable, filters)
        self._query = query
        self._column = column
        self._options = options = readable.schema.vector_indexes.get(column)
        self._metric = COSINE if options is None else options.metric
        self._given: Choice | None = None
        #: The column with the further passages of long texts.
        self._passages = readable.schema.passages.get(column)
        #: Of a column of bits, those of the query as they are stored, uint8 (n / 8,).
        self._bits = (
            np.packbits(query != 0, bitorder="little")
            if readable.schema.columns[column].type.element == BIT
            else None
        )
        #: A segment, its index, and which of its rows may be results.
        self._indexed: list[tuple[ReadableSegment, VectorIndex, BoolArray | None]] = []
        #: How many rows of these segments may be results.
        self._passing = 0
        rowids: list[I64Array] = [np.empty(0, np.int64)]
        compared: list[F32Array] = [np.empty(0, np.float32)]
        # Blocks without a vector, such as those of a column that was added, are not even made.
        present = Filter(
            column, bind(Predicate(column, Op.NOT_NULL, None), readable.schema.columns[column].type)
        )
        for part in parts(readable):
            check_interrupt()
            index = None
            if part.pending is None:
                with self._reading(part.views[0].segment):
                    index = part.views[0].segment.vector_index(column)
            if index is not None:
                view = part.views[0]
                self._check_index(index, view.segment)
                allowed = allowed_rows(part, filters, row_filter)
                self._passing += view.segment.rows if allowed is None else int(np.count_nonzero(allowed))
                self._indexed.append((view.segment, index, allowed))
                continue
            for part_rowids, distances in self._compared(part, (*filters, present), row_filter):
                rowids.append(part_rowids)
                compared.append(distances)
        #: The rows that were compared one by one.
        self._rowids, self._distances = np.concatenate(rowids), np.concatenate(compared)
        #: The number of the first row of each of the segments, which are numbered one behind the other.
        sizes = [segment.rows for segment, _, _ in self._indexed]
        self._of_many = many_vectors([index for _, index, _ in self._indexed])
        self._starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])

    def offered(self) -> Offer | None:
        """The lists among which it chooses, as one of several processes; None where all are searched."""
        query = self._query if self._options is None else self._query[: self._options.dimensions]
        if self._options is not None and self._is_zero(query):
            return None
        allowed = [each for *_, each in self._indexed]
        further = [self._further(segment) for segment, *_ in self._indexed]
        cut = [(index, each) for index, each in zip(further, allowed, strict=True) if index is not None]
        entries = [] if not cut else _entries(cut)
        return Offer(
            lists_offered([index for _, index, _ in self._indexed], query, allowed),
            lists_offered([index for index, _ in cut], query, entries),
        )

    def wanted(self, k: int) -> int:
        """How many rows each index proposes, at most, for the ``k`` nearest of all."""
        if self._options is None:
            return k
        of_cut = 1 if self._options.dimensions is None else PROPOSED_OF_CUT
        return PROPOSED[self._options.codes] * of_cut * k + LEAST_PROPOSED

    def best(self, k: int, given: Choice | None = None) -> tuple[I64Array, F32Array]:
        """The ``k`` nearest of all, int64 (n,) rowids and float32 (n,) distances.

        Fewer if there are no more. given: the lists that are looked through, where other processes search the
        rest.
        """
        self._given = given
        if self._options is None:
            numbers, values = self._nearest_texts(k)
        else:
            numbers, values = self._nearest(k, self._options)
        all_rowids = np.concatenate([self._rowids, self._rowids_of(numbers)])
        all_distances = np.concatenate([self._distances, values])
        if len(all_distances) > k:  # sorting the few that can be among them is much less work
            last = np.partition(all_distances, k - 1)[k - 1]
            near = np.flatnonzero(~(all_distances > last))  # NaN is the last of all
            all_rowids, all_distances = all_rowids[near], all_distances[near]
        order = np.lexsort((all_rowids, all_distances))[:k]
        return all_rowids[order], all_distances[order]

    def _nearest_texts(self, k: int) -> tuple[I64Array, F32Array]:
        """The ``k`` nearest of each segment by what its index has: int64 (n,) and float32 (n,)."""
        numbers, values = [np.empty(0, np.int64)], [np.empty(0, np.float32)]
        further = [self._further(segment) for segment, _, _ in self._indexed]
        rankings: list[TextRanking | None] = [None] * len(further)
        lists: Sequence[BoolArray | None] = [None] * len(further)
        if any(index is not None for index in further):
            from audiomem_sql.search.ranking.text_ranking import text_rankings

            rankings = text_rankings(
                [each[1:] for each in self._indexed], further, self._query, k, self._given
            )
        if None in rankings:
            lists = self._lists(self._query, k)
        for source, (segment, index, allowed) in enumerate(self._indexed):
            most, ranking = min(k, segment.rows), rankings[source]
            with self._reading(segment):
                if ranking is None:
                    rows, distances = self._found(index, self._query, most, allowed, lists[source])
                else:
                    rows, distances = ranking.nearest(most)
            numbers.append(self._starts[source] + rows)
            values.append(distances)
        return np.concatenate(numbers), np.concatenate(values)

    def _found(
        self, index: VectorIndex, query: F32Array, k: int, allowed: BoolArray | None, lists: BoolArray | None
    ) -> tuple[I64Array, F32Array]:
        """The ``k`` nearest rows to float32 (d,) by an index, int64 (n,), and distances, float32 (n,)."""
        found = index.search(query[np.newaxis], k, allowed, lists=lists, of_many=self._of_many)
        rows, values = (each[0] for each in found)
        filled = rows >= 0
        return rows[filled], values[filled]

    def _further(self, segment: ReadableSegment) -> PassageIndex | None:
        """The index of the further passages of a segment, if there are some."""
        if self._passages is None:
            return None
        with self._reading(segment):
            index = segment.vector_index(self._passages)
        return index if isinstance(index, PassageIndex) and index.count else None

    def _lists(self, query: F32Array, k: int) -> Sequence[BoolArray | None]:
        """Which lists of each index are searched for ``k`` rows; None: those that it chooses itself."""
        if self._given is not None:
            return lists_by_index([index for _, index, _ in self._indexed], self._given.firsts)
        if len(self._indexed) < 2:
            return [None] * len(self._indexed)
        _, indexes, allowed = zip(*self._indexed, strict=True)
        return lists_of_several(indexes, query, k, allowed)

    def _nearest(self, k: int, options: VectorIndexOptions) -> tuple[I64Array, F32Array]:
        """The ``k`` nearest rows of the segments by their vectors as they are, int64 (n,), and distances."""
        wanted = self.wanted(k)
        is_few = self._passing <= wanted
        proposed: list[tuple[int, I64Array, F32Array]] = []
        others = [np.empty(0, np.int64)]
        part = self._query[np.newaxis, : options.dimensions]
        is_zero = self._is_zero(part)
        lists = [None] * len(self._indexed) if is_zero else self._lists(part[0], wanted)
        for source, (segment, index, allowed) in enumerate(self._indexed):
            start = self._starts[source]
            if is_few and allowed is not None:
                others.append(start + np.flatnonzero(allowed))
                continue
            if is_zero:
                others.append(start + np.flatnonzero(_allowed(index.present, allowed)))
                continue
            with self._reading(segment):
                rows, stated = self._found(index, part[0], min(segment.rows, wanted), allowed, lists[source])
                proposed.append((source, start + rows, stated))
                undirected = index.undirected
            others.append(start + (undirected if allowed is None else undirected[allowed[undirected]]))
        numbers, stated, several = self._several(proposed)
        if options.dimensions is not None:  # what the indexes say is of some of the numbers
            others.append(numbers[:wanted])
            numbers, stated, several = self._several([])
        compared = np.concatenate(others)
        far = any(index.reach is not None for _, index, _ in self._indexed)
        more = LEAST_MORE_FAR if far else LEAST_MORE
        return confirmed(numbers, stated, compared, k, self._distances_to, several, self._rowids_of, more)

    def _is_zero(self, query: F32Array) -> bool:
        """Whether the numbers that indexes have say nothing."""
        return self._metric == COSINE and not query.any()

    def _several(
        self, proposed: Sequence[tuple[int, I64Array, F32Array]]
    ) -> tuple[I64Array, F32Array, Several]:
        """What indexes propose, put together: int64 (n,) rows and float32 (n,) distances, nearest first."""
        numbers = np.concatenate([np.empty(0, np.int64), *(rows for _, rows, _ in proposed)])
        stated = np.concatenate([np.empty(0, np.float32), *(values for *_, values in proposed)])
        sources = np.concatenate([np.empty(0, np.int64), *(np.full(len(rows), n) for n, rows, _ in proposed)])
        order = np.lexsort((numbers, stated))
        scales = np.array([index.scale for _, index, _ in self._indexed], np.float64)
        return numbers[order], stated[order], Several(sources[order], scales, self._distances)

    def _rowids_of(self, numbers: I64Array) -> I64Array:
        """The rowids of rows of the segments, int64 (n,)."""
        rowids = np.empty(len(numbers), np.int64)
        for segment, places, rows in self._by_segment(numbers):
            first = segment.catalog.first_rowid
            rowids[places] = segment.rowids()[rows] if first is None else rows + first
        return rowids

    def _by_segment(self, numbers: I64Array) -> Iterator[tuple[ReadableSegment, I64Array, I64Array]]:
        """Each segment that has some of the rows, their places in int64 (n,) ``numbers``, and rows there."""
        order = np.argsort(numbers, kind="stable")
        ends = np.searchsorted(numbers[order], self._starts)
        for source in np.flatnonzero(np.diff(ends)).tolist():
            places = order[ends[source] : ends[source + 1]]
            yield self._indexed[source][0], places, numbers[places] - self._starts[source]

    def _compared(
        self, part: Part, filters: Sequence[Filter], row_filter: RowFilter | None
    ) -> Iterator[tuple[I64Array, F32Array]]:
        """The rows of a part without an index, and their distances, a piece at a time."""
        column, passages = self._column, self._passages
        if passages is None and self._bits is None:
            for rowids, vectors in compared_vectors(part, column, filters, row_filter):
                yield rowids, distances_of(vectors, self._query, self._metric)
            return
        read = (column,) if passages is None else (column, passages)
        for batch in scan(part, read, filters, row_filter=row_filter):
            distances = self._distances_of(batch.arrays[0])
            if passages is not None:
                from audiomem_sql.search.embedding.text_scores import text_distances

                distances = text_distances(batch.arrays[1], self._query, distances)
            yield batch.rowids, distances

    def _distances_of(self, vectors: pa.Array) -> F32Array:
        """The distances of an array of vectors, float32 (n,); anything where it is NULL."""
        if self._bits is None:
            return distances_of(matrix(vectors), self._query, self._metric)
        different = strings(vectors).data.reshape(len(vectors), -1) ^ self._bits
        counts: F32Array = _ONES[different].sum(axis=1, dtype=np.float32)
        return counts

    def _distances_to(self, numbers: I64Array) -> F32Array:
        """The distances of rows of the segments, float32 (n,), by their vectors; infinite for NULL."""
        distances = np.full(len(numbers), np.inf, np.float32)
        step = max(1, COMPARED_BYTES // (4 * len(self._query)))
        for segment, places, rows in self._by_segment(numbers):
            for start in range(0, len(rows), step):
                with self._reading(segment):
                    vectors = segment.take(self._column, rows[start : start + step])
                values = np.where(valid(vectors), self._distances_of(vectors), np.inf)
                distances[places[start : start + step]] = values
        return distances

    def _check_index(self, index: VectorIndex, segment: ReadableSegment) -> None:
        """DamagedFileError for an index that does not compare what the column says."""
        options, width = self._options, len(self._query)
        expected = (COSINE, width) if options is None else (options.metric, options.dimensions or width)
        if (index.metric, index.dimensions) != expected:
            error = DamagedFileError("the index of vectors is another one than its column says")
            raise self._with_remedy(error, segment)

    @contextmanager
    def _reading(self, segment: ReadableSegment) -> Iterator[None]:
        """An error of damage that comes up meanwhile in ``segment`` says what to do about it."""
        check_interrupt()
        try:
            yield
        except DamagedFileError as error:
            raise self._with_remedy(error, segment) from None

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


def _entries(cut: Sequence[tuple[PassageIndex, BoolArray | None]]) -> list[BoolArray | None]:
    """Which passages belong to rows that may be results."""
    from audiomem_sql.search.ranking.text_ranking import entries_of

    return [entries_of(index, each) for index, each in cut]


def _allowed(rows: BoolArray, allowed: BoolArray | None) -> BoolArray:
    return rows if allowed is None else rows & allowed
