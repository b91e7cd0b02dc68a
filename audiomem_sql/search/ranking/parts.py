"""What is searched, part by part: a segment has its own indexes, the rows outside the segments have none.

A join searches the same rows again and again. What every one of its searches would work out anew, which rows
the filters let through and the vectors that no index has, a ``Kept`` remembers from one to the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from audiomem_sql.arrays import BoolArray, F32Array, I64Array
from audiomem_sql.columns.batch import Batch
from audiomem_sql.columns.schema import Schema
from audiomem_sql.machine.memory import check_room
from audiomem_sql.scan import Filter, Readable, RowFilter, narrowed, scan
from audiomem_sql.storage.segment import matrix
from audiomem_sql.versions import SegmentView

#: Vectors that a ``Kept`` remembers.
KEPT_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """One segment of what is searched, or the rows outside the segments; see scan.Readable."""

    schema: Schema
    views: tuple[SegmentView, ...]
    pending: Batch | None
    ordered: bool = True
    kept: _Memory | None = None
    number: int = 0


@dataclass(slots=True)
class _Memory:
    """What searches of the same rows with the same filters found out, by the number of the part."""

    allowed: dict[int, BoolArray | None] = field(default_factory=dict)
    vectors: dict[tuple[int, int], list[tuple[I64Array, F32Array]]] = field(default_factory=dict)
    room: int = KEPT_BYTES


class Kept:
    """A snapshot that is searched again and again, always with the same filters; a scan.Readable."""

    def __init__(self, readable: Readable) -> None:
        self.schema = readable.schema
        #: What is searched.
        self.searched = readable
        self.memory = _Memory()
        self._less: Kept | None = None

    @cached_property
    def views(self) -> Sequence[SegmentView]:
        """The segments, each with its deleted rows."""
        return self.searched.views

    @cached_property
    def pending(self) -> Batch | None:
        """Rows outside the segments."""
        return self.searched.pending

    @cached_property
    def ordered(self) -> bool:
        """Whether segments, then pending rows, are in rowid order."""
        return self.searched.ordered

    def narrowed(self, filters: Sequence[Filter]) -> Kept:
        """What has all rows that pass the filters, which remembers, too."""
        if self._less is None:
            less = narrowed(self.searched, filters)
            self._less = self if less is self.searched else Kept(less)
        return self._less


def parts(readable: Readable) -> Iterator[Part]:
    """The segments that have rows, in order; then the rows outside the segments."""
    memory = readable.memory if isinstance(readable, Kept) else None
    for number, view in enumerate(readable.views):
        if view.live_rows:
            yield Part(readable.schema, (view,), None, kept=memory, number=number)
    if readable.pending is not None:
        yield Part(readable.schema, (), readable.pending, kept=memory, number=-1)


def compared_vectors(
    part: Part, column: int, filters: Sequence[Filter], row_filter: RowFilter | None
) -> Iterator[tuple[I64Array, F32Array]]:
    """Rowids int64 (n,) and vectors float32 (n, d) of the rows that pass, a piece at a time.

    filters: one of them leaves out rows without a vector.
    """
    memory, key = part.kept, (part.number, column)
    if memory is not None and key in memory.vectors:
        yield from memory.vectors[key]
        return
    remembered: list[tuple[I64Array, F32Array]] | None = None if memory is None else []
    for batch in scan(part, (column,), filters, row_filter=row_filter):
        vectors = matrix(batch.arrays[0])
        if memory is not None and remembered is not None:
            memory.room -= vectors.nbytes
            remembered.append((batch.rowids, vectors))
            if memory.room < 0:
                memory.room += sum(piece.nbytes for _, piece in remembered)
                remembered = None
        yield batch.rowids, vectors
    if memory is not None and remembered is not None:
        memory.vectors[key] = remembered


def allowed_rows(part: Part, filters: Sequence[Filter], row_filter: RowFilter | None) -> BoolArray | None:
    """Which rows of the segment of ``part`` may be results, bool (rows,); None for all."""
    memory = part.kept
    if memory is None:
        return _allowed_rows(part, filters, row_filter)
    if part.number not in memory.allowed:
        memory.allowed[part.number] = _allowed_rows(part, filters, row_filter)
    return memory.allowed[part.number]


def _allowed_rows(part: Part, filters: Sequence[Filter], row_filter: RowFilter | None) -> BoolArray | None:
    view = part.views[0]
    live = view.live(0, view.segment.rows)
    if not filters and row_filter is None:
        return live
    check_room(view.segment.rows, view.segment.path)
    allowed = np.zeros(view.segment.rows, bool)
    for batch in scan(part, (), filters, row_filter=row_filter):
        allowed[view.segment.find_many(batch.rowids)] = True
    return allowed if live is None else allowed & live


def live_rows(part: Part) -> BoolArray | None:
    """Which rows of ``part`` are there in the version that is read, bool (rows,); None for all."""
    if not part.views:
        return None
    view = part.views[0]
    return view.live(0, view.segment.rows)
