"""The cells that a segment is made of before there is parity: of its catalog, its data, and earlier pages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from audiomem_sql.arrays import U8Array
from audiomem_sql.storage.pages.header import PageKind
from audiomem_sql.storage.pages.layout import PageLayout


class Stream(Protocol):
    """Bytes that can be read anywhere."""

    def seek(self, place: int, /) -> int:
        """Read from this place on."""

    def read(self, size: int, /) -> bytes:
        """So many bytes, fewer where they end."""


@dataclass(frozen=True, slots=True)
class EarlierPages:
    """``count`` pages that stand in front of a segment as they are, and that its parity covers, too.

    read: uint8 (n, page_size) by the first page and the number of pages.
    """

    count: int
    read: Callable[[int, int], U8Array]


NO_PAGES = EarlierPages(0, lambda first, count: np.empty((0, 0), np.uint8))


class SegmentStreams:
    """The two streams of a segment, as the cells of its pages stand.

    The catalog, and ``length`` bytes of ``data``. compact: each begins at a cell; otherwise at a page.
    """

    def __init__(
        self, layout: PageLayout, catalog: bytes, data: Stream, length: int, *, compact: bool = False
    ) -> None:
        self.layout = layout
        self.length = length
        self._data = data
        cells, size = layout.cells, layout.cell_payload
        if compact:
            #: What ``index`` says: cells, or pages, of a copy of the catalog.
            self.index = layout.cells_for(len(catalog))
            self.pages = -(-(2 * self.index + layout.cells_for(length)) // cells)
            padded = np.frombuffer(catalog.ljust(self.index * size, b"\0"), np.uint8)
            self.catalog = padded.reshape(self.index, size)
        else:
            self.index = layout.catalog_pages_for(len(catalog))
            self.pages = 2 * self.index + layout.pages_for(length)
            self.catalog = layout.order.arranged(
                0, self.index, self.index, size, lambda at, count: catalog[at : at + count]
            )
        self.data_cells = self.pages * cells - 2 * len(self.catalog)

    def _read(self, at: int, size: int) -> bytes:
        self._data.seek(at)
        return self._data.read(max(0, min(size, self.length - at)))

    def _data_of(self, first: int, count: int) -> U8Array:
        """Payload of cells ``first …`` of the data stream, uint8 (count, size)."""
        order, size = self.layout.order, self.layout.cell_payload
        if order.is_linear:
            stored = self._read(first * size, count * size)
            return np.frombuffer(stored.ljust(count * size, b"\0"), np.uint8).reshape(count, size)
        page = first // order.cells
        pages = -(-(first + count) // order.cells) - page
        whole = order.arranged(page, pages, self.data_cells // order.cells, size, self._read)
        return whole[first - page * order.cells :][:count]

    def cells(self, first: int, count: int) -> U8Array:
        """Payload of source cells ``first …``, uint8 (count, size).

        They are a copy of the catalog, the data, and copies of the catalog.
        """
        copy, stop = len(self.catalog), first + count
        behind = copy + self.data_cells
        parts = []
        while first < stop:
            if copy <= first < behind:
                end = min(stop, behind)
                parts.append(self._data_of(first - copy, end - first))
            else:
                at = first if first < copy else (first - behind) % copy
                end = min(stop, first + copy - at)
                parts.append(self.catalog[at : at + end - first])
            first = end
        return np.concatenate(parts) if len(parts) != 1 else parts[0]

    def kinds(self, first: int, count: int) -> list[PageKind]:
        """What pages ``first …`` begin with."""
        copy = len(self.catalog)
        starts = [page * self.layout.cells for page in range(first, first + count)]
        data = range(copy, copy + self.data_cells)
        return [PageKind.DATA if cell in data else PageKind.CATALOG for cell in starts]


@dataclass(frozen=True, slots=True)
class SourceCells:
    """What parity is made of: the cells of earlier pages, then those of a segment."""

    layout: PageLayout
    earlier: EarlierPages
    streams: SegmentStreams

    def cells(self, first: int, count: int) -> U8Array:
        """Payload of source cells ``first …``, uint8 (count, size)."""
        size, before = self.layout.cells, self.earlier.count * self.layout.cells
        if first >= before:
            return self.streams.cells(first - before, count)
        stop = min(first + count, before)
        page = first // size
        pages = self.earlier.read(page, -(-stop // size) - page)
        cells = self.layout.cells_of(pages)[first - page * size :][: stop - first, : self.layout.cell_payload]
        if stop == first + count:
            return cells
        return np.concatenate([cells, self.streams.cells(0, first + count - stop)])
