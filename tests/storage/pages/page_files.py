"""Pages in memory, as a file of segments and announce pages would have them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audiomem_sql.arrays import BoolArray, U8Array
from audiomem_sql.audio import PROFILES, PageSource
from audiomem_sql.protection.levels import LEVELS, Level
from audiomem_sql.storage.pages import HeadRecord, PageHeader, PageKind, PageLayout, announce_page
from audiomem_sql.storage.pages.layout import cell_seed
from audiomem_sql.storage.pages.segment_map import SegmentMap

PAGE_SIZE = 16384  # the header stands twice
TABLE = b"table id 16 byte"


class PagesInMemory(PageSource):
    """A file that consists of ``pages``."""

    def __init__(self, pages: Sequence[U8Array], application: bytes | None = None) -> None:
        self.pages = [page.copy() for page in pages]
        self.path = "memory.flac"
        self.profile = PROFILES["embedded"]
        self.page_size, self.mode, self.verbatim, self.in_place = PAGE_SIZE, None, True, True
        self.application, self.comments = application, {}

    @property
    def present(self) -> int:  # type: ignore[override]
        return len(self.pages)

    @property
    def page_count(self) -> int:  # type: ignore[override]
        return len(self.pages)

    def read_checked(self, first: int, count: int) -> tuple[U8Array, BoolArray]:
        pages = np.zeros((count, PAGE_SIZE), np.uint8)
        there = np.zeros(count, np.bool_)
        for number in range(count):
            if 0 <= first + number < len(self.pages):
                pages[number], there[number] = self.pages[first + number], True
        return pages, there

    def close(self) -> None:
        pass


def header_of(
    segment: bytes, own: int, level: Level = LEVELS["none"], index: int = 1, flags: int = 0
) -> PageHeader:
    """That of page 0 of a segment of so many own pages."""
    return PageHeader(PageKind.DATA, level.code, 0, segment, 0, own, 4096, index, int(flags))


def segment_pages(header: PageHeader, level: Level = LEVELS["none"], first: int = 0) -> list[U8Array]:
    """All pages of a segment, the trailer included; what is in them is of no matter."""
    layout = PageLayout(PAGE_SIZE, level)
    total = header.page_count if level.share is None else SegmentMap.told(layout, header, first).total
    headers = [
        PageHeader(
            header.kind, header.protection, 0, header.segment_id, page, header.page_count,
            header.block_size, header.index, header.flags,
        )
        for page in range(total)
    ]  # fmt: skip
    return [layout.assemble([each], b"", cell_seed(header.segment_id))[0] for each in headers]


def record_of(segment: bytes, sealed: int, generation: int = 1, session: bytes = bytes(8)) -> HeadRecord:
    """The head record of a file that ends with ``segment``."""
    return HeadRecord(generation, TABLE, sealed, segment, b"digest of 16 by.", 5, session)


def announcement(record: HeadRecord, level: Level = LEVELS["none"]) -> U8Array:
    """The announce page of a record with a session."""
    layout = PageLayout(PAGE_SIZE, level)
    return announce_page(record, header_of(record.segment_id, 2, level), layout, 1234, "host:1")[0]


def application_of(header: PageHeader, record: HeadRecord | None) -> bytes:
    """The payload of the APPLICATION block."""
    return header.pack() + (b"" if record is None else record.pack())
