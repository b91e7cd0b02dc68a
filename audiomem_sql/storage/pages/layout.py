"""Where things are in a page: its header area, its cells, and the parity of the inner code.

A page is one FLAC frame. It begins with a header area of ``page_size / 256`` bytes, filled with copies of the
32-byte page header (see ``header``); the rest is one cell for each KiB of the page and, in a protected
segment, the parity of the inner code.

    page n   | header, header, … | cell 0 | cell 1 | … | cell m-1 | parity |
    cell     | payload | CRC-32C |

Where the pages of a segment are, ``segment_map`` says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from audiomem_sql.arrays import BoolArray, U8Array
from audiomem_sql.protection.crc32c import crc32c
from audiomem_sql.protection.levels import PAGE_BYTES_PER_CELL, Level
from audiomem_sql.protection.page_code import PageCode
from audiomem_sql.storage.pages.cell_order import CellOrder
from audiomem_sql.storage.pages.header import (
    FORMAT_VERSION,
    PAGE_BYTES_PER_HEADER_BYTE,
    PAGE_HEADER,
    PageHeader,
)

if TYPE_CHECKING:
    from audiomem_sql.audio import Shape

HIGH = 8_000.0
"""Hz. Bands that begin below hold catalogs."""


@dataclass(frozen=True, slots=True)
class PageLayout:
    """Where things are inside a page of ``page_size`` bytes at a protection level.

    tiers: as in ``CellOrder``. catalog_cells: so many cells of a page hold a catalog, the first ones; 0 for
    all. version: of the format.
    """

    page_size: int
    level: Level
    tiers: tuple[int, ...] = (0,)
    catalog_cells: int = 0
    version: int = FORMAT_VERSION

    @classmethod
    def banded(cls, shape: Shape, level: Level, version: int = FORMAT_VERSION) -> PageLayout:
        """For pages whose cells are filled by bands.

        A cell that lies in two bands counts as one of the higher.
        """
        plain = cls(shape.page_size, level)
        tiers, catalog = {0}, 0
        for slot, _, stop in shape.parts:
            below = min(plain.cells, max(0, stop - plain.header_bytes) // level.cell_bytes)
            tiers.add(below)
            if slot.band.low < HIGH:
                catalog = below
        return cls(shape.page_size, level, tuple(sorted(tiers - {plain.cells})), catalog, version)

    @property
    def order(self) -> CellOrder:
        """In which order a stream fills the cells."""
        return CellOrder(self.cells, self.tiers)

    @property
    def header_bytes(self) -> int:
        """Bytes of the header area."""
        return self.page_size // PAGE_BYTES_PER_HEADER_BYTE

    @property
    def cells(self) -> int:
        """Cells in a page."""
        return self.page_size // PAGE_BYTES_PER_CELL

    @property
    def cell_payload(self) -> int:
        """Bytes of payload in a cell."""
        return self.level.cells.payload_bytes

    @property
    def payload_bytes(self) -> int:
        """Bytes of the payload stream in a page."""
        return self.cells * self.cell_payload

    @property
    def code(self) -> PageCode | None:
        """The inner code of the page behind its header area."""
        if self.level.code_word is None:
            return None
        return PageCode(self.level.code_word, self.header_bytes, turned=self.version > 1)

    def cells_for(self, length: int) -> int:
        """Cells that ``length`` bytes of payload take."""
        return -(-length // self.cell_payload)

    def pages_for(self, length: int) -> int:
        """Pages that ``length`` bytes of payload take."""
        return -(-length // self.payload_bytes)

    @property
    def catalog_bytes(self) -> int:
        """Bytes of a catalog in a page."""
        return (self.catalog_cells or self.cells) * self.cell_payload

    def catalog_pages_for(self, length: int) -> int:
        """Pages that a copy of a catalog of ``length`` bytes takes."""
        return -(-length // self.catalog_bytes)

    def assemble(self, headers: list[PageHeader], payload: bytes, seed: int) -> U8Array:
        """Whole pages, uint8 (n, page_size), for n headers and at most n pages of payload.

        The rest is zeros.
        """
        count, codec = len(headers), self.level.cells
        body = np.zeros((count * self.cells, codec.payload_bytes), np.uint8)
        body.reshape(-1)[: len(payload)] = np.frombuffer(payload, np.uint8)
        pages = np.zeros((count, self.page_size), np.uint8)
        cells = codec.encode(body, seed, headers[0].page_number * self.cells).reshape(count, -1)
        code = self.code
        behind = cells if code is None else code.encode(cells)
        pages[:, self.header_bytes : self.header_bytes + behind.shape[1]] = behind
        copies = self.header_bytes // PAGE_HEADER.size
        heads = b"".join(header.pack() * copies for header in headers)
        pages[:, : copies * PAGE_HEADER.size] = np.frombuffer(heads, np.uint8).reshape(count, -1)
        return pages

    def body(self, pages: U8Array) -> U8Array:
        """What stands behind the header area of pages: cells, then parity, uint8 (n, …).

        pages: uint8 (n, page_size).
        """
        return np.ascontiguousarray(pages[:, self.header_bytes :])

    def spoiled_parity(self, pages: U8Array) -> BoolArray:
        """Whether the inner code's parity is not that of the cells, bool (n,), of uint8 (n, page_size)."""
        code = self.code
        if code is None:
            return np.zeros(len(pages), bool)
        body = self.body(pages)
        return np.asarray((code.encode(body[:, : code.data_bytes]) != body).any(axis=1))

    def cells_of(self, pages: U8Array) -> U8Array:
        """The cells of pages, uint8 (n * cells, cell_bytes)."""
        stop = self.header_bytes + self.cells * self.level.cell_bytes
        return np.ascontiguousarray(pages[:, self.header_bytes : stop]).reshape(-1, self.level.cell_bytes)


def cell_seed(segment_id: bytes) -> int:
    """The number that ties the CRCs of a segment's cells to this segment."""
    return crc32c(segment_id)
