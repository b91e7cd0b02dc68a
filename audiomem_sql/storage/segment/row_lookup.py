"""Which rows of a segment have a rowid."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from audiomem_sql.arrays import I64Array
from audiomem_sql.storage.segment.catalog import Catalog
from audiomem_sql.storage.segment.hidden_columns import HiddenColumns

_NO_ROWS = range(0)
#: A segment with fewer rows reads its rowids rather than a Bloom filter.
_FILTERED_ROWS = 4096


class RowLookup:
    """Finds rows by rowid: by arithmetic where rowids are a run, by binary search where they are stored."""

    def __init__(self, catalog: Catalog, hidden: HiddenColumns) -> None:
        self._catalog = catalog
        self._hidden = hidden

    def rowid(self, row: int) -> int:
        """The rowid of ``row``."""
        first = self._catalog.first_rowid
        return int(self._hidden.rowids()[row]) if first is None else first + row

    def find(self, rowid: int, may_contain: Callable[[int], bool]) -> range:
        """The rows that have ``rowid``: one at most, unless the segment holds several commits.

        may_contain: whether the Bloom filter of the rowids lets a rowid through.
        """
        catalog = self._catalog
        if not catalog.rows or not catalog.low_rowid <= rowid <= catalog.high_rowid:
            return _NO_ROWS
        if catalog.first_rowid is not None:
            row = rowid - catalog.first_rowid
            return range(row, row + 1)
        if not self._hidden.are_rowids_kept and catalog.rows > _FILTERED_ROWS and not may_contain(rowid):
            return _NO_ROWS
        rowids = self._hidden.rowids()
        row = int(np.searchsorted(rowids, rowid))
        if row == catalog.rows or rowids[row] != rowid:
            return _NO_ROWS
        return range(row, int(np.searchsorted(rowids, rowid, side="right")))

    def find_many(self, rowids: I64Array) -> I64Array:
        """The rows that have ``rowids``, int64 (n,), ascending; rowids that are not here are left out."""
        catalog = self._catalog
        if not catalog.rows or not len(rowids):
            return np.empty(0, np.int64)
        if catalog.first_rowid is not None:
            inside = (rowids >= catalog.low_rowid) & (rowids <= catalog.high_rowid)
            return np.sort(rowids[inside] - catalog.first_rowid)
        own, wanted = self._hidden.rowids(), np.unique(rowids)
        if catalog.created is not None:  # a rowid may be there several times
            places = np.minimum(np.searchsorted(wanted, own), len(wanted) - 1)
            return np.flatnonzero(wanted[places] == own)
        rows = np.minimum(np.searchsorted(own, wanted), catalog.rows - 1)
        present: I64Array = rows[own[rows] == wanted]
        return present
