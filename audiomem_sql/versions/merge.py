"""Several segments as one: rows in rowid order, with the versions that made and that ended each.

Works through windows of rowids, so that memory is bounded by a window and by the rowids, not by the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.batch import Batch
from audiomem_sql.columns.selection import taken
from audiomem_sql.columns.stored_values import filled, int64_view
from audiomem_sql.storage.segment import CREATED, ENDED, NEVER, ReadableSegment

#: Rows, and bytes of values before compression, in a window.
WINDOW_ROWS = 1 << 16
WINDOW_BYTES = 8 << 20


@dataclass(frozen=True, slots=True, eq=False)
class VersionedBatch:
    """Rows with the version that made each and the one that ended it (NEVER for none), int64 (n,) each."""

    batch: Batch
    created: I64Array
    ended: I64Array


@dataclass(frozen=True, slots=True, eq=False)
class Tombstones:
    """Rowids and the versions that deleted them, int64 (n,) each, ascending by rowid, then version."""

    rowids: I64Array
    versions: I64Array

    @classmethod
    def of(cls, segments: Sequence[ReadableSegment]) -> Tombstones:
        """All that the segments' commits deleted from segments before their own."""
        parts = [segment.tombstones() for segment in segments]
        rowids = np.concatenate([np.empty(0, np.int64), *(rowids for rowids, _ in parts)])
        versions = np.concatenate([np.empty(0, np.int64), *(versions for _, versions in parts)])
        order = np.lexsort((versions, rowids))
        return cls(rowids[order], versions[order])

    def ends(self, rowids: I64Array, created: I64Array) -> I64Array:
        """For each row the first version after ``created`` that deleted its rowid, or NEVER."""
        ended = np.full(len(rowids), NEVER, np.int64)
        if not len(self.rowids):
            return ended
        low = np.searchsorted(self.rowids, rowids, side="left")
        high = np.searchsorted(self.rowids, rowids, side="right")
        open_rows = np.flatnonzero(low < high)
        while len(open_rows):
            version = self.versions[low[open_rows]]
            after = version > created[open_rows]
            ended[open_rows[after]] = version[after]
            open_rows = open_rows[~after]
            low[open_rows] += 1
            open_rows = open_rows[low[open_rows] < high[open_rows]]
        return ended


def merged_rows(segments: Sequence[ReadableSegment]) -> Iterator[VersionedBatch]:
    """All rows of consecutive segments, ascending by rowid, then version.

    A row that a later one of the segments deleted has ended; one that only a segment outside deleted has not.
    """
    filled = [segment for segment in segments if segment.rows]
    if not filled:
        return
    tombstones = Tombstones.of(segments)
    rowids = [segment.rowids() for segment in filled]
    bytes_per_row = [_bytes_per_row(segment) for segment in filled]
    starts = [0] * len(filled)
    while any(row < segment.rows for row, segment in zip(starts, filled, strict=True)):
        bound = _window_end(filled, rowids, starts, bytes_per_row)
        stops = [int(np.searchsorted(own, bound, side="right")) for own in rowids]
        parts = [
            _part(segment, start, stop)
            for segment, start, stop in zip(filled, starts, stops, strict=True)
            if start < stop
        ]
        starts = stops
        yield _combined(parts, tombstones)


def _bytes_per_row(segment: ReadableSegment) -> float:
    catalog = segment.catalog
    raw = sum(entry.blocks.raw_bytes for entry in catalog.entries if entry is not None)
    columns = catalog.schema.columns
    vectors = sum(4 * columns[place].type.width for place in catalog.vectors if catalog.is_index_only(place))
    passages = [place for place in catalog.schema.passages.values() if place in catalog.vectors]
    codes = sum(extent.raw for place in passages for extent in catalog.vectors[place].lists)
    return max(8.0, (raw + 4 * codes) / segment.rows + vectors)


def _window_end(
    segments: Sequence[ReadableSegment],
    rowids: Sequence[I64Array],
    starts: Sequence[int],
    bytes_per_row: Sequence[float],
) -> int:
    """The greatest rowid of the next window, so that no segment has too many rows or bytes in it."""
    ends = []
    window = min(WINDOW_BYTES, *(segment.limits.window_bytes for segment in segments))
    for segment, own, start, size in zip(segments, rowids, starts, bytes_per_row, strict=True):
        if start < segment.rows:
            step = max(1, min(WINDOW_ROWS, int(window / size / len(segments))))
            ends.append(int(own[min(start + step, segment.rows) - 1]))
    return min(ends)


def _part(segment: ReadableSegment, start: int, stop: int) -> VersionedBatch:
    arrays = tuple(segment.slice(column, start, stop) for column in range(len(segment.schema)))
    if segment.catalog.created is None:
        created = np.full(stop - start, segment.catalog.last_version, np.int64)
    else:
        created = int64_view(segment.slice(CREATED, start, stop))
    if segment.catalog.ended is None:
        ended = np.full(stop - start, NEVER, np.int64)
    else:
        ended = filled(segment.slice(ENDED, start, stop), NEVER)
    return VersionedBatch(Batch(segment.rowids()[start:stop], arrays), created, ended)


def _combined(parts: Sequence[VersionedBatch], tombstones: Tombstones) -> VersionedBatch:
    rowids = np.concatenate([part.batch.rowids for part in parts])
    created = np.concatenate([part.created for part in parts])
    ended = np.concatenate([part.ended for part in parts])
    arrays = [
        pa.concat_arrays(list(column)) for column in zip(*(part.batch.arrays for part in parts), strict=True)
    ]
    if len(parts) > 1:
        order = np.lexsort((created, rowids))
        if (np.diff(order) != 1).any():
            rowids, created, ended = rowids[order], created[order], ended[order]
            arrays = [taken(array, order) for array in arrays]
    ended = np.minimum(ended, tombstones.ends(rowids, created))
    return VersionedBatch(Batch(rowids, tuple(arrays)), created, ended)


def kept_rows(
    rows: VersionedBatch, oldest: int, *, ended: bool = False, after: int = 0
) -> VersionedBatch | None:
    """The rows that some version from ``oldest`` on shows.

    What was made before counts as made by ``oldest``. ended: those alone that ended. after: but for those
    that ended up to this version.
    """
    created = np.maximum(rows.created, oldest)
    keep = rows.ended > max(oldest, after)
    if ended:
        keep &= rows.ended != NEVER
    if keep.all():
        return VersionedBatch(rows.batch, created, rows.ended)
    chosen = np.flatnonzero(keep)
    if not len(chosen):
        return None
    arrays = tuple(taken(array, chosen) for array in rows.batch.arrays)
    return VersionedBatch(Batch(rows.batch.rowids[chosen], arrays), created[chosen], rows.ended[chosen])
