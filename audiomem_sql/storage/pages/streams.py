"""The payload streams of a segment: which pages carry them, and which cell has which bytes of them.

A segment has copies of its catalog, and a stream of data. A stream begins at a page, in a compact segment at
any cell, and its pages follow each other; in which order it fills their cells, ``cell_order`` says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from audiomem_sql.arrays import BoolArray, I64Array
from audiomem_sql.storage.pages.header import PageHeader, PageKind
from audiomem_sql.storage.pages.layout import PageLayout
from audiomem_sql.storage.pages.segment_map import SegmentMap


class Streams:
    """The streams of one segment. A stream is named by the cell that it begins at.

    ``catalogs``: the first cell of each copy of the catalog, and ``data``, the cells of the data stream; both
    None where only the pages of the catalog tell: in format version 1 without protection. by_bands: cells are
    filled by bands.
    """

    def __init__(
        self, layout: PageLayout, header: PageHeader, pages: SegmentMap | None, *, by_bands: bool
    ) -> None:
        self._layout = layout
        self._order = layout.order
        self._cells = (header.page_count if pages is None else pages.total) * layout.cells
        #: Cells of one copy of the catalog, as far as it is known.
        self._catalog = header.index * (1 if header.is_compact else layout.cells)
        self._compact = header.is_compact
        self._by_bands = by_bands
        self.catalogs: tuple[int, ...] | None = None
        self.data: range | None = None
        if pages is not None:
            self.catalogs = pages.copies
            self.data = range(self._catalog, pages.copies[1])
        elif by_bands or header.format_version > 1:
            self.catalogs = (0, self._cells - self._catalog)
            self.data = range(self._catalog, self._cells - self._catalog)

    def kind_of(self, page: int) -> PageKind:
        """What ``page`` begins with, where the headers tell where the streams are."""
        cell = page * self._layout.cells
        return PageKind.DATA if self.data is not None and cell in self.data else PageKind.CATALOG

    def fits(self, catalog_bytes: int, data_bytes: int) -> bool:
        """Whether a catalog and a data stream of so many bytes have their places here.

        Where the page headers do not tell the length of a catalog, whether both together fill the segment.
        """
        layout = self._layout
        if self._compact:
            assert self.data is not None
            spare = len(self.data) - layout.cells_for(data_bytes)
            return self._catalog == layout.cells_for(catalog_bytes) and 0 <= spare < layout.cells
        catalog = layout.catalog_pages_for(catalog_bytes) * layout.cells
        data = layout.pages_for(data_bytes) * layout.cells
        if self.data is None:
            return 2 * catalog + data == self._cells
        return (catalog, data) == (self._catalog, len(self.data))

    def pages_from(self, first: int) -> int:
        """The pages of the stream that begins at cell ``first``, where cells are filled by bands."""
        assert self.data is not None
        # Without data the next copy of the catalog begins where it would.
        cells = len(self.data) if self.data and first == self.data.start else self._catalog
        return cells // self._layout.cells

    def room(self, first: int) -> int:
        """The number of cells that a stream which begins at cell ``first`` may have.

        Where cells are not filled by bands, all from there on: nothing depends on it.
        """
        return self.pages_from(first) * self._layout.cells if self._by_bands else self._cells - first

    def cells(self, stream: int, first: int, count: int) -> I64Array:
        """Cells ``first …`` of a stream, int64 (count,), by their numbers in the segment."""
        numbers = np.arange(first, first + count)
        if self._by_bands:
            numbers = self._order.places(numbers, self.pages_from(stream))
        return np.asarray(numbers + stream)

    def runs(self, stream: int, ranges: Iterable[tuple[int, int]]) -> Iterator[I64Array]:
        """The cells that hold ranges of a stream, (place, length) each; those left out that cannot be."""
        size, room = self._layout.cell_payload, self.room(stream)
        for start, length in ranges:
            low, high = start // size, -(-(start + length) // size)
            if start >= 0 and length > 0 and high <= room:
                yield self.cells(stream, low, high - low)

    def page_at(self, stream: int, place: int) -> int:
        """See ``PagedFile.page_at``."""
        cell = self.cells(stream, place // self._layout.cell_payload, 1)
        return int(cell[0]) // self._layout.cells

    def last_pages(self, stream: int, places: I64Array, lengths: I64Array) -> I64Array:
        """See ``PagedFile.last_pages``."""
        size, cells = self._layout.cell_payload, self._layout.cells
        low, high = places // size, -(-(places + lengths) // size)
        if not self._by_bands:
            return np.asarray(np.where(lengths > 0, (stream + high - 1) // cells, -1))
        last = np.full(len(places), -1, np.int64)
        for number in np.flatnonzero(lengths > 0).tolist():
            own = self.cells(stream, int(low[number]), int(high[number] - low[number]))
            last[number] = own.max() // cells
        return last

    def places_in(self, stream: int, cells: I64Array) -> I64Array:
        """See ``PagedFile.places_in``."""
        own = cells - stream
        own = own[own >= 0]
        if self._by_bands:
            pages = self.pages_from(stream)
            inside = own < pages * self._layout.cells
            own[inside] = self._order.numbers(own[inside], pages)
        return own * self._layout.cell_payload

    def holds(self, cells: I64Array) -> BoolArray:
        """See ``PagedFile.holds``."""
        if not self._by_bands or self.catalogs is None or not self._layout.catalog_cells:
            return np.ones(len(cells), np.bool_)
        first = np.array(self.catalogs)[:, None]
        of_catalog = ((cells >= first) & (cells < first + self._catalog)).any(axis=0)
        return np.asarray(~of_catalog | (cells % self._layout.cells < self._layout.catalog_cells))
