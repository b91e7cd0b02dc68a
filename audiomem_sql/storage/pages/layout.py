"""Where things are: in a page, and the pages in a segment.

A page is one FLAC frame. It begins with a header area of ``page_size / 256`` bytes, filled with copies of the
32-byte page header; the rest is one cell for each KiB of the page and, in a protected segment, the parity of
the inner code.

    page n   | header, header, … | cell 0 | cell 1 | … | cell m-1 | parity |
    cell     | payload | CRC-32C |

The pages of a segment, in file order:

    none       | catalog | data | catalog |
    protected  | catalog | data | catalog | parity | catalog | parity | catalog |

All but the parity pages are the *source* of the outer code. How many pages there are of each kind follows
from the page count and the pages of one catalog, which every page header says.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np

from audiomem_sql.arrays import I64Array, U8Array
from audiomem_sql.audio import Shape
from audiomem_sql.errors import DamagedFileError, LimitError
from audiomem_sql.protection.crc32c import crc32c
from audiomem_sql.protection.levels import PAGE_BYTES_PER_CELL, Level
from audiomem_sql.protection.page_code import PageCode
from audiomem_sql.protection.parity import ParityPlan
from audiomem_sql.storage.pages.cell_order import CellOrder

PAGE_MAGIC = b"AuMP"
FORMAT_VERSION = 1
MODULATION_PCM = 0
MODULATION_SPECTRUM = 1
MODULATION_BANDS = 2
"""As 1, and streams fill the cells of their pages by bands (see ``cell_order``)."""

#: magic, format version, kind, protection, modulation, segment id, page number, page count, block size,
#: index, CRC-32C
PAGE_HEADER = struct.Struct("<4s B B B B 8s I I H H I")
PAGE_BYTES_PER_HEADER_BYTE = 256
#: Most pages of one copy of the catalog in a protected segment, and most pages of a segment.
MAX_CATALOG_PAGES = (1 << 16) - 1
MAX_PAGES = (1 << 32) - 1


HIGH = 8_000.0
"""Hz. Bands that begin below hold catalogs."""


class PageKind(IntEnum):
    """What a page carries."""

    CATALOG = 0
    DATA = 1
    PARITY = 2


@dataclass(frozen=True, slots=True)
class PageHeader:
    """The 32 bytes that every page begins with.

    ``index``: in a segment without protection, of a catalog page its place inside its copy of the catalog; in
    a protected segment, and in one whose cells are filled by bands, of every page the number of pages of one
    copy.
    """

    kind: int
    protection: int
    modulation: int
    segment_id: bytes
    page_number: int
    page_count: int
    block_size: int
    index: int
    format_version: int = FORMAT_VERSION

    def pack(self) -> bytes:
        """The 32 bytes, CRC-32C included."""
        head = PAGE_HEADER.pack(
            PAGE_MAGIC,
            self.format_version,
            self.kind,
            self.protection,
            self.modulation,
            self.segment_id,
            self.page_number,
            self.page_count,
            self.block_size,
            self.index,
            0,
        )[:-4]
        return head + crc32c(head).to_bytes(4, "little")

    @classmethod
    def unpack(cls, data: bytes) -> PageHeader | None:
        """The header in the first 32 bytes of ``data``; None if they are not one."""
        if len(data) < PAGE_HEADER.size or not data.startswith(PAGE_MAGIC):
            return None
        head = data[: PAGE_HEADER.size - 4]
        if crc32c(head) != int.from_bytes(data[PAGE_HEADER.size - 4 : PAGE_HEADER.size], "little"):
            return None
        _, version, kind, protection, modulation, segment, number, count, block, index, _ = (
            PAGE_HEADER.unpack_from(data)
        )
        return cls(kind, protection, modulation, segment, number, count, block, index, version)


@dataclass(frozen=True, slots=True)
class PageLayout:
    """Where things are inside a page of ``page_size`` bytes at a protection level.

    tiers: as in ``CellOrder``. catalog_cells: so many cells of a page hold a catalog, the first ones; 0 for
    all.
    """

    page_size: int
    level: Level
    tiers: tuple[int, ...] = (0,)
    catalog_cells: int = 0

    @classmethod
    def banded(cls, shape: Shape, level: Level) -> PageLayout:
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
        return cls(shape.page_size, level, tuple(sorted(tiers - {plain.cells})), catalog)

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
        return None if self.level.code_word is None else PageCode(self.level.code_word, self.header_bytes)

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

    def cells_of(self, pages: U8Array) -> U8Array:
        """The cells of pages, uint8 (n * cells, cell_bytes)."""
        stop = self.header_bytes + self.cells * self.level.cell_bytes
        return np.ascontiguousarray(pages[:, self.header_bytes : stop]).reshape(-1, self.level.cell_bytes)


@dataclass(frozen=True)
class SegmentMap:
    """The pages of a protected segment: ``total`` of them, ``catalog`` in each copy of the catalog."""

    layout: PageLayout
    total: int
    catalog: int

    def __post_init__(self) -> None:
        if self.catalog < 1 or self.data < 0 or self.parity < 1:
            raise DamagedFileError(
                f"a page header says that a catalog has {self.catalog} of {self.total} pages, which cannot be"
            )

    @classmethod
    def of(cls, layout: PageLayout, catalog: int, data: int) -> SegmentMap:
        """For so many pages of one catalog and of data. LimitError if they are too many."""
        assert layout.level.share is not None
        total = layout.level.share.total_pages(4 * catalog + data)
        check_pages(total, catalog)
        return cls(layout, total, catalog)

    @cached_property
    def parity(self) -> int:
        """Pages of parity."""
        assert self.layout.level.share is not None
        return self.layout.level.share.parity_pages(self.total)

    @property
    def source(self) -> int:
        """Pages that are not parity."""
        return self.total - self.parity

    @property
    def data(self) -> int:
        """Pages of the data stream."""
        return self.source - 4 * self.catalog

    @property
    def first_parity(self) -> int:
        """Pages of parity before the third copy of the catalog."""
        return -(-self.parity // 2)

    @property
    def copies(self) -> tuple[int, int, int, int]:
        """The first page of each copy of the catalog."""
        behind = self.catalog + self.data
        return (0, behind, behind + self.catalog + self.first_parity, self.total - self.catalog)

    def source_pages(self, numbers: I64Array) -> I64Array:
        """The pages that are source pages ``numbers``, int64 (n,)."""
        gaps = np.array([2, 3], np.int64) * self.catalog + self.data
        skipped = np.array([0, self.first_parity, self.parity], np.int64)
        return numbers + skipped[np.searchsorted(gaps, numbers, side="right")]

    def parity_pages(self, numbers: I64Array) -> I64Array:
        """The pages that are parity pages ``numbers``, int64 (n,)."""
        first = 2 * self.catalog + self.data
        return numbers + np.where(numbers < self.first_parity, first, first + self.catalog)

    @cached_property
    def kinds(self) -> tuple[tuple[PageKind, int, int], ...]:
        """The runs of pages of one kind, in file order.

        Of each its kind, its first page, and the number of that among the source or parity pages.
        """
        catalog, data, half = self.catalog, self.data, self.first_parity
        behind = 2 * catalog + data
        return (
            (PageKind.CATALOG, 0, 0),
            (PageKind.DATA, catalog, catalog),
            (PageKind.CATALOG, catalog + data, catalog + data),
            (PageKind.PARITY, behind, 0),
            (PageKind.CATALOG, behind + half, behind),
            (PageKind.PARITY, behind + half + catalog, half),
            (PageKind.CATALOG, self.total - catalog, behind + catalog),
        )

    def kind_of(self, page: int) -> tuple[PageKind, int]:
        """The kind of ``page``, and its number among the source pages, or among the parity pages."""
        kind, first, number = next(run for run in reversed(self.kinds) if run[1] <= page)
        return kind, number + page - first

    @cached_property
    def plan(self) -> ParityPlan:
        """Which cells stand in for each other."""
        return ParityPlan(self.source * self.layout.cells, self.parity * self.layout.cells)

    def cells_of_group(self, group: int) -> I64Array:
        """The source cells of a group, then its parity cells, by their numbers in the segment, int64 (n,)."""
        size = self.layout.cells
        sources, parities = self.plan.sources_of(group), self.plan.parities_of(group)
        return np.concatenate(
            [
                self.source_pages(sources // size) * size + sources % size,
                self.parity_pages(parities // size) * size + parities % size,
            ]
        )

    def group_of(self, cell: int) -> int:
        """The group of a cell of the segment."""
        size = self.layout.cells
        kind, number = self.kind_of(cell // size)
        own = number * size + cell % size
        place = self.plan.place_of_parity(own) if kind is PageKind.PARITY else self.plan.place_of_source(own)
        return place[0]


def check_pages(total: int, catalog: int) -> None:
    """LimitError if a file cannot have so many pages, or so many in a copy of the catalog."""
    if catalog > MAX_CATALOG_PAGES or total > MAX_PAGES:
        raise LimitError(
            f"{total:,} pages, {catalog:,} of them for the catalog, are more than a file can have",
            remedy="Divide the table, or choose a profile with larger pages.",
        )


def cell_seed(segment_id: bytes) -> int:
    """The number that ties the CRCs of a segment's cells to this segment."""
    return crc32c(segment_id)
