"""Which rows of a segment can be read when only its first pages are there.

A row is there when the blocks of all columns that hold it are, and what is needed to decode them: the
columns' compression dictionaries, and the list of deleted rows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from audiomem_sql.arrays import I64Array
from audiomem_sql.storage.pages import PagedFile
from audiomem_sql.storage.segment.catalog import Catalog, ColumnEntry, Extent


class Arrival:
    """The pages that the rows of a segment need. A page is counted in its segment.

    rows_in_all: of the segment.
    """

    def __init__(self, file: PagedFile, catalog: Catalog, data_cell: int) -> None:
        self._file = file
        self._data_cell = data_cell
        self.rows_in_all = catalog.rows
        #: The last page of what every row needs.
        self._common = -1 if catalog.tombstones is None else self._last_page(catalog.tombstones)
        #: Of each column: the first row of each block, and of what comes behind the last one, int64 (n + 1,),
        #: and the last page of what the block and those before it need, int64 (n,).
        self._columns = [self._needed(entry) for entry in stored_entries(catalog)]

    def rows(self, pages: int) -> int:
        """How many rows, from the first one on, can be read of the first ``pages`` pages."""
        if pages <= self._common:
            return 0
        rows = self.rows_in_all
        for starts, needed in self._columns:
            rows = min(rows, int(starts[np.searchsorted(needed, pages)]))
        return rows

    def _needed(self, entry: ColumnEntry) -> tuple[I64Array, I64Array]:
        starts, needed = entry.blocks.stretches()
        pages = np.max([self._file.last_pages(self._data_cell, *places) for places in needed], axis=0)
        if entry.dictionary is not None and len(pages):
            pages[0] = max(int(pages[0]), self._last_page(entry.dictionary))
        return starts, np.maximum.accumulate(pages) if len(pages) else pages

    def _last_page(self, extent: Extent) -> int:
        places = np.array([extent.offset], np.int64), np.array([extent.stored], np.int64)
        return int(self._file.last_pages(self._data_cell, *places)[0])


def stored_entries(catalog: Catalog) -> Iterator[ColumnEntry]:
    """The entries of all columns that are stored as blocks, the hidden ones, too."""
    for entry in (*catalog.entries, catalog.rowids, catalog.created, catalog.ended):
        if entry is not None:
            yield entry
