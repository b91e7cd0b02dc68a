"""The nearest rows to a vector: filtered first, then ranked, and handed over as far as somebody asks for more.

Every segment is ranked by the index of its vectors, and rows outside the segments, or with vectors of the user's own, one by
one; what is nearest overall comes first. Rows without a vector are not found. Distances are cosine distances: 0 for the same direction, 2 for the opposite.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np

from audiomem_sql.arrays import BoolArray, F32Array, F64Array, I64Array
from audiomem_sql.columns.batch import Batch
from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import DamagedFileError, DataTypeError
from audiomem_sql.indexes.vectors.index import VectorIndex
from audiomem_sql.indexes.vectors.scanning import products_of
from audiomem_sql.indexes.words.bm25 import coverage
from audiomem_sql.indexes.words.fts_query import Expression
from audiomem_sql.indexes.words.match import KeywordSource, Matches, match
from audiomem_sql.indexes.words.rows_in_memory import KeywordRows
from audiomem_sql.predicates import Op, Predicate, bind
from audiomem_sql.scan.scan import Filter, Readable, RowFilter, scan
from audiomem_sql.search.fusion import reciprocal_rank_fusion
from audiomem_sql.storage.segment.reader import Segment
from audiomem_sql.storage.segment.vector_extents import matrix
from audiomem_sql.versions.snapshot import SegmentView
from audiomem_sql.warn_once import warn_once

#: Rows that are handed over at once, to begin with; then more and more.
_FIRST = 16
#: The best rows by meaning, and by words, that are fused.
_FUSED = 1000
_MOST = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Rows, best first: int64 (n,). distances: float32 (n,), NaN where there is none. ranks: float64 (n,), lower is better;
    None where they are the distances.
    """

    rowids: I64Array
    distances: F32Array
    ranks: F64Array | None = None

    def __len__(self) -> int:
        return len(self.rowids)


def nearest(
    readable: Readable,
    place: int,
    query: F32Array,
    filters: Sequence[Filter] = (),
    *,
    row_filter: RowFilter | None = None,
    k: int | None = None,
    first: int = _FIRST,
) -> Iterator[Neighbours]:
    """The rows that pass the filters, nearest first; all of them, or ``k``.

    place: a column of type FLOAT[n]. query: float32 (n,). DataTypeError for one of another length, or that is not finite.
    first: rows that are handed over at once to begin with.
    """
    query = checked(query, readable.schema.columns[place].type.width)
    ranking = _Ranking(readable, place, query, tuple(filters), row_filter)
    seen: set[int] = set()
    left, step = k, first
    while left is None or left > 0:
        wanted = len(seen) + (step if left is None else min(step, left))
        rowids, values = ranking.best(wanted)
        new = np.array([rowid not in seen for rowid in rowids.tolist()], bool)
        rowids, values = rowids[new], values[new]
        if not len(rowids):
            return
        if left is not None:
            rowids, values = rowids[:left], values[:left]
            left -= len(rowids)
        yield Neighbours(rowids, values)
        seen.update(rowids.tolist())
        step = min(4 * step, _MOST)


def checked(query: F32Array, width: int) -> F32Array:
    """``query`` with length 1. DataTypeError unless it is ``width`` finite numbers, not all of them 0."""
    query = np.ascontiguousarray(query, np.float32).reshape(-1)
    if len(query) != width:
        raise DataTypeError(f"the query has {len(query)} numbers, the vectors have {width}")
    length = float(np.linalg.norm(query.astype(np.float64)))
    if not np.isfinite(query).all() or not np.isfinite(length) or length == 0:
        raise DataTypeError("the query must be finite numbers, not all of them 0")
    return (query / np.float32(length)).astype(np.float32)


def by_words(
    readable: Readable,
    columns: Mapping[str, int],
    expression: Expression,
    filters: Sequence[Filter] = (),
    *,
    row_filter: RowFilter | None = None,
) -> tuple[I64Array, F64Array, float]:
    """The rows that hold the words and pass the filters, best first: rowids int64 (n,), BM25 scores (lower is better).

    Third, how much of what is asked the best of them holds, 0 to 1 (bm25.coverage). columns: the places of those that the expression speaks of. The statistics are those of all rows of the segments,
    deleted ones included until a vacuum.
    """
    asked = (readable, columns, expression, filters, row_filter)
    try:
        return _by_words(*asked, use_indexes=True)
    except DamagedFileError as error:
        found = _by_words(
            *asked, use_indexes=False
        )  # fails, too, unless it was an index of words that is damaged
        warn_once(
            ("words", error.file, error.place),
            f"{error.file}: an index of words is damaged, and all texts are read instead: {error.place}: {error.what}",
        )
        return found


def _by_words(
    readable: Readable,
    columns: Mapping[str, int],
    expression: Expression,
    filters: Sequence[Filter],
    row_filter: RowFilter | None,
    *,
    use_indexes: bool,
) -> tuple[I64Array, F64Array, float]:
    """:func:`by_words`, with the indexes of the segments or with their texts. The answers are the same."""
    found: list[tuple[_Part, Matches]] = []
    for part in _parts(readable):
        sources: dict[str, KeywordSource] = {}
        for name, place in columns.items():
            if part.pending is not None:
                sources[name] = KeywordRows(part.pending.arrays[place])
                continue
            segment = part.views[0].segment
            index = segment.keyword_index(place) if use_indexes else None
            sources[name] = index or KeywordRows(segment.slice(place, 0, segment.rows))
        found.append((part, match(expression, sources)))
    if not found:
        return np.empty(0, np.int64), np.empty(0), 0.0
    statistics = reduce(add, (matches.statistics for _, matches in found))
    rowids: list[I64Array] = []
    scores: list[F64Array] = []
    for part, matches in found:
        if part.pending is not None:
            own = part.pending.rowids
            allowed: BoolArray | None = None
            if filters or row_filter is not None:
                passed = [batch.rowids for batch in scan(part, (), filters, row_filter=row_filter)]
                allowed = np.isin(own, np.concatenate([np.empty(0, np.int64), *passed]))
        else:
            own = part.views[0].segment.rowids()
            allowed = allowed_rows(part, filters, row_filter)
        rows, values = matches.score(statistics, None, allowed)
        rowids.append(own[rows])
        scores.append(values)
    ids, ranked = np.concatenate(rowids), np.concatenate(scores)
    order = np.lexsort((ids, ranked))
    return ids[order], ranked[order], coverage(statistics, float(ranked.min(initial=0)))


def fused(
    readable: Readable,
    place: int,
    query: F32Array,
    columns: Mapping[str, int],
    expression: Expression,
    filters: Sequence[Filter] = (),
    *,
    row_filter: RowFilter | None = None,
    k: int | None = None,
) -> Iterator[Neighbours]:
    """By meaning and by words: reciprocal-rank fusion of the best of both, then all others by meaning, then by words.

    Words weigh as much as the square of what the best row holds of them: a code or a name that stands in a row counts in full, a
    question of which the best row has half the words counts a quarter (docs/VECTORS.md has the figures).
    """
    depth = max(_FUSED, k or 0)
    by_meaning = nearest(readable, place, query, filters, row_filter=row_filter, first=depth)
    near = next(by_meaning, Neighbours(np.empty(0, np.int64), np.empty(0, np.float32)))
    worded, _, held = by_words(readable, columns, expression, filters, row_filter=row_filter)
    rowids, scores = reciprocal_rank_fusion([near.rowids, worded[:depth]], weights=[1.0, held**2], limit=k)
    known = dict(zip(near.rowids.tolist(), near.distances.tolist(), strict=True))
    values = np.array([known.get(rowid, np.nan) for rowid in rowids.tolist()], np.float32)
    yield from _in_steps(Neighbours(rowids, values, -scores))
    if k is not None:
        return
    shown = [rowids]
    for part in by_meaning:  # which gives no row twice
        new = ~np.isin(part.rowids, rowids)
        if new.any():
            yield Neighbours(part.rowids[new], part.distances[new], np.zeros(int(new.sum())))
            shown.append(part.rowids)
    rest = worded[depth:]
    rest = rest[~np.isin(rest, np.concatenate(shown))]
    yield from _in_steps(Neighbours(rest, np.full(len(rest), np.nan, np.float32), np.zeros(len(rest))))


def ranked_by_words(
    readable: Readable,
    columns: Mapping[str, int],
    expression: Expression,
    filters: Sequence[Filter] = (),
    *,
    row_filter: RowFilter | None = None,
    k: int | None = None,
) -> Iterator[Neighbours]:
    """The rows that hold the words, best first; all of them, or ``k``. They have a rank and no distance."""
    rowids, scores, _ = by_words(readable, columns, expression, filters, row_filter=row_filter)
    rowids, scores = rowids[:k], scores[:k]
    yield from _in_steps(Neighbours(rowids, np.full(len(rowids), np.nan, np.float32), scores))


def _in_steps(found: Neighbours) -> Iterator[Neighbours]:
    """Few rows first, then more."""
    assert found.ranks is not None
    at, step = 0, _FIRST
    while at < len(found):
        part = slice(at, at + step)
        yield Neighbours(found.rowids[part], found.distances[part], found.ranks[part])
        at, step = at + step, min(4 * step, _MOST)


class _Ranking:
    """The rows of one search, ranked segment by segment: those with an index by that, all others one by one."""

    def __init__(
        self,
        readable: Readable,
        place: int,
        query: F32Array,
        filters: tuple[Filter, ...],
        row_filter: RowFilter | None,
    ) -> None:
        self._place = place
        self._query = query
        self._indexed: list[tuple[Segment, VectorIndex, BoolArray | None]] = []
        rowids: list[I64Array] = [np.empty(0, np.int64)]
        found: list[F32Array] = [np.empty(0, np.float32)]
        # Blocks without a vector, such as those of a column that was added, are not even made.
        present = Filter(
            place, bind(Predicate(place, Op.NOT_NULL, None), readable.schema.columns[place].type)
        )
        for part in _parts(readable):
            try:
                index = None if part.pending is not None else part.views[0].segment.vector_index(place)
            except DamagedFileError as error:
                raise self._with_remedy(error, part.views[0].segment) from None
            if index is not None:
                view = part.views[0]
                self._indexed.append((view.segment, index, allowed_rows(part, filters, row_filter)))
                continue
            for batch in scan(part, (place,), (*filters, present), row_filter=row_filter):
                rowids.append(batch.rowids)
                found.append(distances(matrix(batch.arrays[0]), query))
        self._rowids, self._distances = np.concatenate(rowids), np.concatenate(found)

    def best(self, k: int) -> tuple[I64Array, F32Array]:
        """The ``k`` nearest of all, int64 (n,) rowids and float32 (n,) distances; fewer if there are no more."""
        rowids, values = [self._rowids], [self._distances]
        for segment, index, allowed in self._indexed:
            try:
                rows, near = index.search(self._query[np.newaxis], min(k, segment.rows), allowed)
            except DamagedFileError as error:
                raise self._with_remedy(error, segment) from None
            there = rows[0] >= 0
            own = rows[0][there]
            first = segment.catalog.first_rowid
            rowids.append(segment.rowids()[own] if first is None else own + first)
            values.append(near[0][there])
        ids, ranked = np.concatenate(rowids), np.concatenate(values)
        order = np.lexsort((ids, ranked))[:k]
        return ids[order], ranked[order]

    def _with_remedy(self, error: DamagedFileError, segment: Segment) -> DamagedFileError:
        """``error``, which came up in the vectors of ``segment``: what they were made of is still there."""
        return DamagedFileError(
            error.what,
            file=error.file or segment.path,
            place=error.place or "the index of vectors",
            remedy=f"{error.remedy + ' ' if error.remedy else ''}`audiomem reembed` makes the vectors anew.",
        )


@dataclass(frozen=True, slots=True)
class _Part:
    """One segment of what is searched, or the rows outside the segments; see scan.Readable."""

    schema: Schema
    views: tuple[SegmentView, ...]
    pending: Batch | None
    ordered: bool = True


def allowed_rows(part: _Part, filters: Sequence[Filter], row_filter: RowFilter | None) -> BoolArray | None:
    """Which rows of a segment may be found, bool (rows,); None for all."""
    view = part.views[0]
    live = view.live(0, view.segment.rows)
    if not filters and row_filter is None:
        return live
    allowed = np.zeros(view.segment.rows, bool)
    for batch in scan(part, (), filters, row_filter=row_filter):
        allowed[view.segment.find_many(batch.rowids)] = True
    return allowed if live is None else allowed & live


def _parts(readable: Readable) -> Iterator[_Part]:
    for view in readable.views:
        if view.live_rows:
            yield _Part(readable.schema, (view,), None)
    if readable.pending is not None:
        yield _Part(readable.schema, (), readable.pending)


def distances(vectors: F32Array, query: F32Array) -> F32Array:
    """Cosine distances of vectors, float32 (n, d), from one of length 1, float32 (n,); 2 where a vector has no length."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    cosines = np.divide(
        products_of(query[np.newaxis], vectors)[0],
        lengths,
        out=np.full(len(vectors), -1, np.float32),
        where=lengths > 0,
    )
    found: F32Array = np.maximum(1 - cosines, 0).astype(np.float32)
    return found
