"""The index of one segment, read list by list as searches come by.

A search orders the lists by their centres, looks through the first of them in full, and keeps the nearest by
cosine. Filters go before that: only allowed rows count as looked at, and lists without any are passed over.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from audiomem_sql.arrays import BoolArray, F32Array, I8Array, I64Array, distinct
from audiomem_sql.columns.vector_index import COSINE
from audiomem_sql.errors import DamagedFileError, DataTypeError
from audiomem_sql.indexes.vectors.coded import CodedVectors
from audiomem_sql.indexes.vectors.index_format import decode_lists
from audiomem_sql.indexes.vectors.lists_together import ListsTogether
from audiomem_sql.indexes.vectors.metrics import Scores, distances_of_scores
from audiomem_sql.indexes.vectors.nearest import Pool
from audiomem_sql.indexes.vectors.opened_index import DECODED_LISTS, KNOWN_INDEXES, FindCodec, OpenedIndex
from audiomem_sql.indexes.vectors.placed_queries import PlacedQueries
from audiomem_sql.indexes.vectors.scanning import FEW_VECTORS, OneThread, Scanner, faiss, has_faiss, scanner
from audiomem_sql.indexes.vectors.searching_together import search_together
from audiomem_sql.indexes.vectors.visits import FarLists, Visits
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.interrupts import check_interrupt

#: Vectors of lists that are read at once, and decoded at once.
_READ_TOGETHER = 32_768
_DECODED_TOGETHER = 1024
#: A filter that leaves less than one row of so many leaves few.
_FEW_ALLOWED = 20

ReadList = Callable[[int], bytes]


@dataclass(frozen=True, slots=True, eq=False)
class DecodedList:
    """``sizes`` is float32 (n,): the lengths of the decoded codes. ``scores`` makes scores of products."""

    scanner: Scanner
    sizes: F32Array
    scores: Scores
    lengths: F32Array | None


class VectorIndex:
    """An :class:`~audiomem_sql.indexes.vectors.index_writing.EncodedIndex` opened for reading.

    Safe to use from several threads.

    Parameters
    ----------
    header: the header's bytes.
    rows: rows of the segment; a header that says otherwise is damaged.
    read_list: the bytes of list i. What it raises passes through.
    find_codec: the codec of a digest, for an index that borrows its own; None if there is none.
    cache: where decoded lists are kept.
    far: says where the lists are, if that is far away.
    opened: what is known of these bytes already; then ``header`` is not looked at.

    Raises DamagedFileError, here and in every method that reads, for bytes that contradict each other.
    """

    def __init__(
        self,
        header: bytes,
        rows: int,
        read_list: ReadList,
        find_codec: FindCodec | None = None,
        cache: BlockCache = DECODED_LISTS,
        far: FarLists | None = None,
        opened: OpenedIndex | None = None,
    ) -> None:
        if opened is None:
            opened = OpenedIndex(header, rows, find_codec, cache)
        self.opened = opened
        self._read_list = read_list
        self._cache = opened.cache
        self._far = far
        self._header = parsed = opened.header
        #: The reach of a search among all rows, where nobody says another; None if lists are near.
        self.reach = far.reach if far is not None and parsed.metric == COSINE else None
        self.codec = opened.codec
        #: int64 (lists,), the vectors of each list.
        self.counts = opened.counts
        self._order, self._starts = opened.order, opened.starts
        self._visits = Visits(opened.centres, self.counts, parsed.metric, far)
        self._few = self.count <= FEW_VECTORS
        self._queries = PlacedQueries(self.dimensions, parsed.metric, parsed.scale, self.codec)

    def __del__(self, ending: Callable[[], bool] = sys.is_finalizing) -> None:  # globals may be gone by then
        if not ending():
            KNOWN_INDEXES.trim()

    @property
    def dimensions(self) -> int:
        """d, the numbers of a vector."""
        return self._header.dimensions

    @property
    def rows(self) -> int:
        """Rows of the segment, with and without vectors."""
        return len(self._header.membership)

    @property
    def lists(self) -> int:
        """Number of lists."""
        return self._header.lists

    @property
    def count(self) -> int:
        """Vectors that a search can find: all but those of zeros, which have no direction."""
        return int(self.counts.sum())

    @property
    def metric(self) -> str:
        """What nearness is: cosine, l2 or ip."""
        return self._header.metric

    @property
    def scale(self) -> float:
        """How long its vectors are, about; 1 by cosine."""
        return self._header.scale

    @property
    def undirected(self) -> I64Array:
        """int64 (n,), the rows whose vector is zeros, which no search by cosine finds."""
        return np.flatnonzero(self._header.membership == self.lists + 1)

    @property
    def present(self) -> BoolArray:
        """bool (rows,): whether a row has a vector."""
        present: BoolArray = self._header.membership != self.lists
        return present

    # -- search ---------------------------------------------------------------------------------------------

    def search(
        self,
        queries: F32Array,
        k: int,
        allowed: BoolArray | None = None,
        probes: int | None = None,
        reach: float | None = None,
        reached: int | None = None,
        lists: BoolArray | None = None,
        of_many: bool = False,
    ) -> tuple[I64Array, F32Array]:
        """The ``k`` rows nearest to each query by the metric of the index; of cosine, by 1 - cosine.

        Parameters
        ----------
        queries: float32 (m, d); by cosine of any length but 0.
        allowed: bool (rows,); rows that are not do not exist for this search. If k of them have vectors, k
            come back.
        probes: lists to look through; ``lists`` of them is exhaustive. By default as many as hold a fifth of
            the vectors, 50,000 vectors, and 4,000 allowed ones.
        reach: by cosine, instead of probes: look through the lists whose nearness is at least this share, of
            0 to 1, of the nearest one's, and through those that k rows need. So a query that is near few
            lists reads few.
        reached: of lists that are far away, how many vectors those have at least that are read by default.
        lists: bool (lists,), these and no others, see :func:`~audiomem_sql.indexes.vectors.lists_of_several`.
        of_many: whether several indexes that are searched have more than FEW_VECTORS together.

        Rows int64 (m, k), nearest first, equally near ones by number, -1 where there are fewer. Distances
        float32 (m, k), those of the decoded vectors, infinite there. Raises DataTypeError for queries that
        are no directions or have another d, MissingExtraError for more than FEW_VECTORS without FAISS.
        """
        metric, scale = self._header.metric, self._header.scale
        directions, rotated = self._queries.of(queries)
        if allowed is not None and allowed.shape != (self.rows,):
            raise DataTypeError(f"a filter of {len(allowed)} rows, of an index of {self.rows}")
        allowed_counts = None if allowed is None else self.allowed_counts(allowed)
        counts = self.counts if allowed_counts is None else allowed_counts
        if lists is None:
            visits = self._visits.of(rotated, k, allowed_counts, probes, reach, reached)
        else:
            visits = np.tile(lists & (counts > 0), (len(rotated), 1))
        scaled = rotated * self.codec.steps
        shift = rotated @ self.codec.offset
        visited: BoolArray = np.any(visits, axis=0)
        together = self._together(visited, of_many)
        if together is None:
            rows, scores = self._one_by_one(scaled, shift, visits, counts, k, allowed)
        else:
            with OneThread(faiss()):
                rows, scores = search_together(together, metric, scaled, shift, visits, counts, k, allowed)
        return rows, distances_of_scores(scores, directions, metric, scale)

    def _one_by_one(
        self,
        scaled: F32Array,
        shift: F32Array,
        visits: BoolArray,
        counts: I64Array,
        k: int,
        allowed: BoolArray | None,
    ) -> tuple[I64Array, F32Array]:
        """``search_together`` of lists that are not side by side."""
        pool = Pool(len(scaled), k)
        self._prefetch(np.flatnonzero(visits.any(axis=0)))
        with OneThread(None if self._few else faiss()):
            fetched = k + max(8, k // 2)
            for number in map(int, np.flatnonzero(visits.any(axis=0))):
                check_interrupt()
                query_rows, count = np.flatnonzero(visits[:, number]), int(counts[number])
                self._search_list(number, query_rows, scaled, shift, allowed, count, fetched, pool)
            while unsure := pool.unsure():
                for number, query_rows, before in unsure:
                    check_interrupt()
                    count = int(counts[number])
                    self._search_list(number, query_rows, scaled, shift, allowed, count, 4 * before, pool)
        return pool.result()

    def nearness(self, query: F32Array) -> F32Array:
        """How near its lists are to float32 (d,), float32 (lists,): greater is nearer, of all indexes."""
        units = np.float32(1 if self.metric == COSINE else self._header.scale**2)
        nearness: F32Array = units * self._visits.nearness(self._queries.of(query[np.newaxis])[1])[0]
        return nearness

    def ahead(self, lists: BoolArray) -> BoolArray:
        """Lists bool (lists,) that will be searched, and those along; where they are far, asks for them."""
        if self._far is None:
            return lists
        lists, together = self._far.along(lists), self.opened.lists_together()
        self._prefetch(np.flatnonzero(lists if together is None else lists & ~together.held))
        return lists

    def allowed_counts(self, allowed: BoolArray) -> I64Array:
        """int64 (lists,): the rows of each list that bool (rows,) allows.

        Many rows are counted list by list: to pick them by a mask takes longer.
        """
        membership = self._header.membership
        if not self.lists or np.count_nonzero(allowed) * _FEW_ALLOWED <= self.rows:
            counts = np.bincount(membership[allowed], minlength=self.lists + 2)[: self.lists]
            return counts.astype(np.int64)
        if self.opened.by_list is None:
            self.opened.by_list = self._order[: self.count].astype(np.int32)
        marks = np.take(allowed.view(np.uint8), self.opened.by_list)
        return (
            np.add.reduceat(marks, self._starts[: self.lists], dtype=np.int64) if self.lists else self.counts
        )

    def _together(self, visited: BoolArray, of_many: bool) -> ListsTogether | None:
        """The lists bool (lists,) side by side; None where there is no room, or little to look at."""
        if self._few and not (of_many and has_faiss()):
            return None
        with self.opened.lock:
            lists = kept = self.opened.lists_together()
            if lists is None:
                lists = self.opened.empty_lists()
            missing = np.flatnonzero(visited & ~lists.held)
            if kept is not None and not len(missing):
                return kept
            if not self.opened.keep(lists, lists.bytes_of(int(self.counts[missing].sum()))):
                return None
            for number, codes, sizes, lengths in self._read_many(missing):
                lists.add(number, self._rows(number), codes, sizes, lengths)
        return lists

    def _search_list(
        self,
        number: int,
        query_rows: I64Array,
        scaled: F32Array,
        shift: F32Array,
        allowed: BoolArray | None,
        count: int,
        fetched: int,
        pool: Pool,
    ) -> None:
        """Give ``pool`` the ``fetched`` greatest products of a list for the queries int64 (q,).

        The order of products is not that of scores, because the decoded vectors have different
        lengths: so more than k are fetched, with a bound on the scores of all others.
        """
        decoded = self._decoded(number)
        rows = self._rows(number)
        mask = allowed[rows] if allowed is not None and count < len(rows) else None
        fetched = min(fetched, count)
        products, positions = decoded.scanner.greatest(scaled[query_rows], fetched, mask)
        if positions.min() < 0:
            raise DamagedFileError(f"list {number} of vectors has fewer than it should")
        products = products + shift[query_rows, None]
        if fetched == count:
            others = np.full(len(query_rows), -np.inf, np.float32)
        else:
            others = decoded.scores.bound(products[:, -1])
        scores = decoded.scores.of(products, positions)
        pool.add(number, fetched, query_rows, scores, rows[positions], others)

    # -- vectors --------------------------------------------------------------------------------------------

    def vectors(self, rows: I64Array) -> F32Array:
        """float32 (n, d), the vectors of int64 (n,) rows.

        NaN for a row that has none. IndexError beyond the rows.
        """
        coded = self.coded(rows)
        decoded = coded.decoded()
        if self.metric != COSINE:
            decoded *= np.float32(self._header.scale)
        decoded[self._header.membership[rows] == self.lists] = np.nan
        return decoded

    def coded(self, rows: I64Array) -> CodedVectors:
        """The vectors of int64 (n,) rows as they are stored; length 0 for a row that has none, or zeros."""
        if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < self.rows:
            raise IndexError(f"rows {rows.min()} to {rows.max()} of an index of {self.rows}")
        codes = np.zeros((len(rows), self.dimensions), np.int8)
        lengths = np.zeros(len(rows), np.float32)
        numbers = self._header.membership[rows]
        visited = distinct(numbers[numbers < self.lists])
        self._prefetch(visited.astype(np.int64))
        for number in visited:
            check_interrupt()
            decoded = self._decoded(int(number))
            selected = np.flatnonzero(numbers == number)
            positions = np.searchsorted(self._rows(int(number)), rows[selected])
            codes[selected] = decoded.scanner.codes(positions)
            lengths[selected] = 1.0 if decoded.lengths is None else decoded.lengths[positions]
        return CodedVectors(self.codec, codes, lengths)

    # -- lists ----------------------------------------------------------------------------------------------

    def _rows(self, number: int) -> I64Array:
        """int64 (n,), the rows of a list, rising."""
        return np.asarray(self._order[self._starts[number] : self._starts[number + 1]])

    def _prefetch(self, numbers: I64Array) -> None:
        """Tell that lists will be read next, where that is of use."""
        if self._far is not None:
            self._far.prefetch(
                [each for each in numbers.tolist() if self._cache.get((id(self.opened), each)) is None]
            )

    def _decoded(self, number: int) -> DecodedList:
        key = (id(self.opened), number)
        decoded: DecodedList | None = self._cache.get(key)
        if decoded is None:
            decoded = self._decode(number)
            self._cache.put(key, decoded, decoded.sizes.size * (self.dimensions + 8))
        return decoded

    def _decode(self, number: int) -> DecodedList:
        codes, sizes, lengths = self._read(number)
        scores = Scores(self.metric, sizes, lengths)
        return DecodedList(scanner(codes, few=self._few), sizes, scores, lengths)

    def _read(self, number: int) -> tuple[I8Array, F32Array, F32Array | None]:
        """Codes int8 (n, d), their sizes float32 (n,), and the vectors' lengths, if the index has them."""
        return self._decoded_lists([number], [self._read_list(number)])

    def _read_many(self, numbers: I64Array) -> Iterator[tuple[int, I8Array, F32Array, F32Array | None]]:
        """The number of each list, and the same of it."""
        if not len(numbers):
            return
        groups = self._groups(numbers, _READ_TOGETHER if self._far is not None else _DECODED_TOGETHER)
        if self._far is not None and len(groups) > 1:
            self._far.prefetch(numbers.tolist())
        for group in groups:
            if self._far is not None:
                pieces = self._far.read(group.tolist())
            else:
                pieces = [self._read_list(number) for number in group.tolist()]
            at = 0
            for part in self._groups(group, _DECODED_TOGETHER):
                check_interrupt()
                codes, sizes, lengths = self._decoded_lists(part.tolist(), pieces[at : at + len(part)])
                at += len(part)
                ends = np.cumsum(self.counts[part])
                for number, start, end in zip(part, ends - self.counts[part], ends, strict=True):
                    own = None if lengths is None else lengths[start:end]
                    yield int(number), codes[start:end], sizes[start:end], own

    def _groups(self, numbers: I64Array, vectors: int) -> list[I64Array]:
        """Lists in groups of about so many vectors."""
        before = np.cumsum(self.counts[numbers]) - self.counts[numbers]
        return np.split(numbers, np.flatnonzero(np.diff(before // vectors)) + 1)

    def _decoded_lists(
        self, numbers: list[int], pieces: list[bytes]
    ) -> tuple[I8Array, F32Array, F32Array | None]:
        """What :meth:`_read` gives of one list, of several, one behind the other."""
        header, counts = self._header, self.counts[numbers].tolist()
        codes, lengths = decode_lists(pieces, numbers, counts, header, self.codec.trellis)
        sizes = self.codec.sizes(codes)
        if self.metric == COSINE and not (sizes > 0).all():
            wrong = int(np.searchsorted(np.cumsum(counts), np.flatnonzero(~(sizes > 0))[0], side="right"))
            raise DamagedFileError(f"list {numbers[wrong]} has a vector without a direction")
        return codes, sizes, lengths
