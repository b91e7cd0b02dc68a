"""A snapshot: the segments of one version, each with the rows that later segments deleted from it.

Immutable: a reader that holds one sees the same rows for as long as it likes, whatever is committed meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from audiomem_sql.catalog import Version
from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.segment import Segment
from audiomem_sql.types import BoolArray, I64Array


@dataclass(frozen=True, slots=True, eq=False)
class SegmentView:
    """A segment and its deleted rows: int64 (n,), places in the segment, ascending."""

    segment: Segment
    deleted: I64Array

    @property
    def live_rows(self) -> int:
        """Rows that are not deleted."""
        return self.segment.rows - len(self.deleted)

    def live(self, start: int, stop: int) -> BoolArray | None:
        """Which of rows start … stop - 1 are not deleted, bool; None when all are."""
        low, high = np.searchsorted(self.deleted, [start, stop])
        if low == high:
            return None
        live = np.ones(stop - start, bool)
        live[self.deleted[low:high] - start] = False
        return live

    def is_live(self, row: int) -> bool:
        """Whether ``row`` is not deleted."""
        place = int(np.searchsorted(self.deleted, row))
        return place == len(self.deleted) or int(self.deleted[place]) != row

    def find(self, rowid: int) -> int:
        """The live row with ``rowid``, or -1."""
        row = self.segment.find(rowid)
        return row if row >= 0 and self.is_live(row) else -1


class Snapshot:
    """The rows of one version. ``segments`` are in the order of their versions."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self.segments = tuple(segments)
        self.schema: Schema = self.segments[-1].schema
        self.version = self.segments[-1].catalog.last_version
        self.views = self._views()
        self.rows = sum(view.live_rows for view in self.views)
        self.pending = None

    def _views(self) -> tuple[SegmentView, ...]:
        views: list[SegmentView] = []
        deleted = np.empty(0, np.int64)
        for segment in reversed(self.segments):
            views.append(SegmentView(segment, segment.find_many(deleted)))
            tombstones = segment.tombstones()
            if len(tombstones):
                deleted = np.union1d(deleted, tombstones)
        return tuple(reversed(views))

    @property
    def versions(self) -> list[Version]:
        """Every commit that is in the files, oldest first."""
        return [version for segment in self.segments for version in segment.catalog.versions]

    @cached_property
    def ordered(self) -> bool:
        """Whether going through the segments in order goes through the rowids in order."""
        ranges = [(s.catalog.low_rowid, s.catalog.high_rowid) for s in self.segments if s.rows]
        return all(left[1] < right[0] for left, right in pairwise(ranges))

    @cached_property
    def high_rowid(self) -> int:
        """The greatest rowid that was ever given out in these files; 0 when there was none above."""
        return max((s.catalog.high_rowid for s in self.segments if s.rows), default=0)

    def find(self, rowid: int) -> tuple[SegmentView, int] | None:
        """The segment and row of ``rowid``, or None."""
        for view in reversed(self.views):
            row = view.find(rowid)
            if row >= 0:
                return view, row
        return None

    def close(self) -> None:
        """Close the files. Scans that are still running fail."""
        for segment in self.segments:
            segment.close()

    def column_bytes(self, column: int) -> int:
        """Bytes of ``column`` before compression, from the catalogs alone."""
        directories = (segment.directory(column) for segment in self.segments)
        return sum(int(directory.raw.sum()) for directory in directories if directory is not None)


def check_chain(segments: Sequence[Segment], base: str) -> None:
    """Raise DamagedFileError unless the segments are of one table and their versions follow each other."""
    for before, after in pairwise(segments):
        if after.catalog.table_id != segments[0].catalog.table_id:
            raise DamagedFileError(
                f"belongs to another table than {base}",
                file=after.path,
                remedy="Move it out of the folder of deltas.",
            )
        if after.schema != before.schema:
            raise DamagedFileError(
                f"has other columns than {before.path}",
                file=after.path,
                remedy="Restore both files from the same copy.",
            )
        expected = before.catalog.last_version + 1
        if after.catalog.first_version != expected:
            raise DamagedFileError(
                f"the delta with version {expected} is missing: the next one is {after.path}",
                file=base,
                remedy="Restore the missing file from a copy.",
            )
