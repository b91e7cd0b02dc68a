"""The nearest rows to a vector: filtered first, then ranked, and handed over as far as somebody asks for more.

Every segment is ranked by the index of its vectors, and rows outside the segments, or with vectors of the user's own, one by
one; what is nearest overall comes first. Rows without a vector are not found. Distances are cosine distances: 0 for the same direction, 2 for the opposite.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiomem_sql.batch import Batch
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.views import valid
from audiomem_sql.errors import DataTypeError, QueryError
from audiomem_sql.scan import Filter, Readable, RowFilter, scan
from audiomem_sql.segment import Segment
from audiomem_sql.semantic.index import VectorIndex
from audiomem_sql.snapshot import SegmentView
from audiomem_sql.types import BoolArray, I64Array
from audiomem_sql.vector_extents import matrix

F32Array = npt.NDArray[np.float32]
#: Rows that are handed over at once, to begin with; then more and more.
_FIRST = 16
_MOST = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Rows in the order of their distances: int64 (n,), float32 (n,)."""

    rowids: I64Array
    distances: F32Array

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
) -> Iterator[Neighbours]:
    """The rows that pass the filters, nearest first; all of them, or ``k``.

    place: a column of type FLOAT[n]. query: float32 (n,). DataTypeError for one of another length, or that is not finite.
    """
    query = checked(query, readable.schema.columns[place].type.width)
    ranking = _Ranking(readable, place, query, tuple(filters), row_filter)
    seen: set[int] = set()
    left, step = k, _FIRST
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
        self._filtered = bool(filters) or row_filter is not None
        self._indexed: list[tuple[Segment, VectorIndex, BoolArray | None]] = []
        rowids: list[I64Array] = [np.empty(0, np.int64)]
        found: list[F32Array] = [np.empty(0, np.float32)]
        for part in _parts(readable):
            index = None if part.pending is not None else part.views[0].segment.vector_index(place)
            if index is not None:
                view = part.views[0]
                self._indexed.append((view.segment, index, self._allowed(part, filters, row_filter)))
                continue
            for batch in scan(part, (place,), filters, row_filter=row_filter):
                there = np.flatnonzero(valid(batch.arrays[0]))
                if len(there):
                    rowids.append(batch.rowids[there])
                    found.append(distances(matrix(batch.arrays[0])[there], query))
        self._rowids, self._distances = np.concatenate(rowids), np.concatenate(found)

    def _allowed(
        self, part: _Part, filters: tuple[Filter, ...], row_filter: RowFilter | None
    ) -> BoolArray | None:
        """Which rows of a segment may be found, bool (rows,); None for all."""
        view = part.views[0]
        if not self._filtered:
            return view.live(0, view.segment.rows)
        allowed = np.zeros(view.segment.rows, bool)
        for batch in scan(part, (), filters, row_filter=row_filter):
            rows = view.segment.find_many(batch.rowids)
            allowed[rows] = True
        live = view.live(0, view.segment.rows)
        return allowed if live is None else allowed & live

    def best(self, k: int) -> tuple[I64Array, F32Array]:
        """The ``k`` nearest of all, int64 (n,) rowids and float32 (n,) distances; fewer if there are no more."""
        rowids, values = [self._rowids], [self._distances]
        for segment, index, allowed in self._indexed:
            rows, near = index.search(self._query[np.newaxis], min(k, segment.rows), allowed)
            there = rows[0] >= 0
            own = rows[0][there]
            first = segment.catalog.first_rowid
            rowids.append(segment.rowids()[own] if first is None else own + first)
            values.append(near[0][there])
        ids, ranked = np.concatenate(rowids), np.concatenate(values)
        order = np.lexsort((ids, ranked))[:k]
        return ids[order], ranked[order]


@dataclass(frozen=True, slots=True)
class _Part:
    """One segment of what is searched, or the rows outside the segments; see scan.Readable."""

    schema: Schema
    views: tuple[SegmentView, ...]
    pending: Batch | None
    ordered: bool = True


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
        vectors @ query, lengths, out=np.full(len(vectors), -1, np.float32), where=lengths > 0
    )
    found: F32Array = np.maximum(1 - cosines, 0).astype(np.float32)
    return found


def searched_column(names: Sequence[str], vectors: Mapping[int, int], path: str) -> int:
    """The place of the column that a search of the whole table looks at: the only one that has vectors.

    QueryError where there are none, or several to choose from.
    """
    if not vectors:
        raise QueryError(
            "no column is searched by meaning",
            file=path,
            remedy="Declare one as TEXT SEMANTIC, or name a column of vectors: WHERE vec MATCH :query.",
        )
    if len(vectors) > 1:
        several = ", ".join(names[place] for place in vectors)
        raise QueryError(
            f"several columns are searched by meaning: {several}",
            file=path,
            remedy="Name one of them: WHERE body MATCH :query.",
        )
    return next(iter(vectors))
