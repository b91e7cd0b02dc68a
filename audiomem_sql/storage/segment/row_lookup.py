"""Which rows of a segment have a rowid."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from audiomem_sql.arrays import I64Array, distinct
from audiomem_sql.storage.segment.catalog import Catalog
from audiomem_sql.storage.segment.column_numbers import ROWID
from audiomem_sql.storage.segment.hidden_columns import HiddenColumns

_NO_ROWS = range(0)
#: A segment with fewer rows reads its rowids rather than a Bloom filter.
_FILTERED_ROWS = 4096


class Filtered(Protocol):
    """What has Bloom filters."""

    def may_contain(self, column: int, key: int | str | bytes) -> bool:
        """Whether ``column`` may hold ``key``."""


class RowLookup:
    """Finds rows by rowid: by arithmetic where rowids are a run, by binary search where they are stored."""

    def __init__(self, catalog: Catalog, hidden: HiddenColumns) -> None:
        self._rows = catalog.rows
        self._first = catalog.first_rowid
        self._low, self._high = catalog.low_rowid, catalog.high_rowid
        #: Whether a rowid may be there several times.
        self._repeating = catalog.created is not None
        self._hidden = hidden

    def rowid(self, row: int) -> int:
        """The rowid of ``row``."""
        return int(self._hidden.rowids()[row]) if self._first is None else self._first + row

    def find(self, rowid: int, filtered: Filtered) -> range:
        """The rows that have ``rowid``: one at most, unless the segment holds several commits.

        filtered: has the Bloom filter of the rowids.
        """
        if not self._rows or not self._low <= rowid <= self._high:
            return _NO_ROWS
        if self._first is not None:
            row = rowid - self._first
            return range(row, row + 1)
        unread = not self._hidden.are_rowids_kept and self._rows > _FILTERED_ROWS
        if unread and not filtered.may_contain(ROWID, rowid):
            return _NO_ROWS
        rowids = self._hidden.rowids()
        row = int(np.searchsorted(rowids, rowid))
        if row == self._rows or rowids[row] != rowid:
            return _NO_ROWS
        return range(row, int(np.searchsorted(rowids, rowid, side="right")))

    def find_many(self, rowids: I64Array) -> I64Array:
        """The rows that have one of ``rowids``, distinct int64 (n,); ascending int64."""
        if not self._rows or not len(rowids):
            return np.empty(0, np.int64)
        if self._first is not None:
            inside = (rowids >= self._low) & (rowids <= self._high)
            return np.sort(rowids[inside] - self._first)
        own, wanted = self._hidden.rowids(), distinct(rowids)
        if self._repeating:
            positions = np.minimum(np.searchsorted(wanted, own), len(wanted) - 1)
            return np.flatnonzero(wanted[positions] == own)
        rows = np.minimum(np.searchsorted(own, wanted), self._rows - 1)
        present: I64Array = rows[own[rows] == wanted]
        return present
