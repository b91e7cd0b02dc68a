"""The payload streams of a segment: which pages carry them, and which cell has which bytes of them.

A segment has copies of its catalog, and a stream of data. The pages of a stream follow each other; in which
order it fills their cells, ``cell_order`` says.
"""

from __future__ import annotations

import numpy as np

from audiomem_sql.arrays import BoolArray, I64Array
from audiomem_sql.storage.pages.layout import PageHeader, PageLayout, SegmentMap


class Streams:
    """The streams of one segment. A stream is named by the page that it begins at.

    ``catalogs``: the first page of each copy of the catalog, and ``data``, the pages of the data stream; both
    None where only the pages of the catalog tell. by_bands: cells are filled by bands.
    """

    def __init__(
        self, layout: PageLayout, header: PageHeader, pages: SegmentMap | None, *, by_bands: bool
    ) -> None:
        self._layout = layout
        self._order = layout.order
        self._page_count = header.page_count
        self._catalog_pages = header.index
        self._by_bands = by_bands
        self.catalogs: tuple[int, ...] | None = None
        self.data: range | None = None
        if pages is not None:
            self.catalogs = pages.copies
            self.data = range(pages.catalog, pages.catalog + pages.data)
        elif by_bands:
            self.catalogs = (0, header.page_count - header.index)
            self.data = range(header.index, header.page_count - header.index)

    def pages_from(self, first_page: int) -> int:
        """The number of pages of the stream that begins at ``first_page``.

        Where cells are not filled by bands, that of all pages from there on: nothing depends on it.
        """
        if not self._by_bands:
            return self._page_count - first_page
        assert self.data is not None
        # Without data the next copy of the catalog begins where it would.
        return len(self.data) if self.data and first_page == self.data.start else self._catalog_pages

    def cells(self, first_page: int, first: int, count: int) -> I64Array:
        """Cells ``first …`` of a stream, int64 (count,), by their numbers in the segment."""
        numbers = self._order.places(np.arange(first, first + count), self.pages_from(first_page))
        return np.asarray(numbers + first_page * self._layout.cells)

    def page_at(self, first_page: int, place: int) -> int:
        """See ``PagedFile.page_at``."""
        cell = self.cells(first_page, place // self._layout.cell_payload, 1)
        return int(cell[0]) // self._layout.cells

    def places_in(self, first_page: int, cells: I64Array) -> I64Array:
        """See ``PagedFile.places_in``."""
        own = cells - first_page * self._layout.cells
        own = own[own >= 0]
        pages = self.pages_from(first_page)
        inside = own < pages * self._layout.cells
        own[inside] = self._order.numbers(own[inside], pages)
        return own * self._layout.cell_payload

    def holds(self, cells: I64Array) -> BoolArray:
        """See ``PagedFile.holds``."""
        if not self._by_bands or self.catalogs is None or not self._layout.catalog_cells:
            return np.ones(len(cells), np.bool_)
        page, cell = cells // self._layout.cells, cells % self._layout.cells
        first = np.array(self.catalogs)[:, None]
        of_catalog = ((page >= first) & (page < first + self._catalog_pages)).any(axis=0)
        return np.asarray(~of_catalog | (cell < self._layout.catalog_cells))
