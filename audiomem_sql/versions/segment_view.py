"""A segment as one version shows it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audiomem_sql.arrays import BoolArray, I64Array
from audiomem_sql.storage.segment import ReadableSegment


@dataclass(frozen=True, slots=True, eq=False)
class SegmentView:
    """A segment and its deleted rows: int64 (n,), places in the segment, ascending."""

    segment: ReadableSegment
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
        if not len(self.deleted):
            return True
        position = int(np.searchsorted(self.deleted, row))
        return position == len(self.deleted) or int(self.deleted[position]) != row

    def live_ones(self, rows: I64Array) -> I64Array:
        """Those of ``rows``, int64 (n,), that are not deleted."""
        if not len(self.deleted):
            return rows
        places = np.searchsorted(self.deleted, rows)  # isin would look at all that are deleted
        is_live: BoolArray = self.deleted[np.minimum(places, len(self.deleted) - 1)] != rows
        return rows[is_live]

    def find(self, rowid: int) -> int:
        """The live row with ``rowid``, or -1."""
        for row in self.segment.find(rowid):
            if self.is_live(row):
                return row
        return -1
