"""Announce pages: one intact cell is enough, and no other page is taken for one."""

from __future__ import annotations

import numpy as np
import pytest

from audiomem_sql.arrays import U8Array
from audiomem_sql.protection.levels import LEVELS
from audiomem_sql.storage.pages import (
    PageHeader,
    PageKind,
    PageLayout,
    announce_page,
    announcement_as_written,
    cell_seed,
)
from audiomem_sql.storage.pages.announcement import read_announcement
from audiomem_sql.storage.pages.headers import copies_in
from storage.pages.page_files import (
    PAGE_SIZE,
    PagesInMemory,
    announcement,
    header_of,
    record_of,
    segment_pages,
)

SESSION = b"session!"
RECORD = record_of(b"segment1", 3, 2, SESSION)
PROTECTIONS = pytest.mark.parametrize("protection", ["none", "standard", "archive"])


def page_and_header(protection: str) -> tuple[U8Array, PageHeader]:
    page = announcement(RECORD, LEVELS[protection])
    header = next(each for each in copies_in(page[:64].tobytes()) if each)
    return page, header


@PROTECTIONS
def test_what_is_in_one(protection: str) -> None:
    page, header = page_and_header(protection)
    level = LEVELS[protection]
    assert header == PageHeader(PageKind.ANNOUNCE, level.code, 0, SESSION, 0, 1, 4096, 0, 0)
    assert read_announcement(page[np.newaxis], header, level) == RECORD
    layout = PageLayout(PAGE_SIZE, level)
    for cell in layout.cells_of(page[np.newaxis]):
        data = cell.tobytes()
        assert data[:88] == RECORD.pack()
        assert int.from_bytes(data[88:96], "little") == 1234
        assert data[96:160] == b"host:1".ljust(64, b"\0")
        assert not any(data[160 : layout.cell_payload])


def test_a_long_name_of_the_writer() -> None:
    layout = PageLayout(PAGE_SIZE, LEVELS["none"])
    page = announce_page(RECORD, header_of(b"segment1", 2), layout, 1, "w" * 100)
    assert layout.cells_of(page)[0].tobytes()[96:160] == b"w" * 63 + b"\0"


@PROTECTIONS
def test_one_intact_cell_is_enough(protection: str) -> None:
    page, header = page_and_header(protection)
    level = LEVELS[protection]
    layout = PageLayout(PAGE_SIZE, level)
    for kept in range(layout.cells):
        spoiled = page.copy()
        for cell in range(layout.cells):
            at = layout.header_bytes + cell * level.cell_bytes
            if cell != kept:
                spoiled[at : at + level.cell_bytes] = 0
        assert read_announcement(spoiled[np.newaxis], header, level) == RECORD


@PROTECTIONS
def test_no_intact_cell(protection: str) -> None:
    """A byte of each cell is wrong: the inner code corrects that, where there is one."""
    page, header = page_and_header(protection)
    level = LEVELS[protection]
    layout = PageLayout(PAGE_SIZE, level)
    for cell in range(layout.cells):
        page[layout.header_bytes + cell * level.cell_bytes + 7] ^= 1
    found = read_announcement(page[np.newaxis], header, level)
    assert found == (None if protection == "none" else RECORD)
    page[layout.header_bytes :] = 0
    assert read_announcement(page[np.newaxis], header, level) is None


def test_a_record_of_another_session() -> None:
    """Its cells are intact as those of another session, and are not believed."""
    page, header = page_and_header("none")
    level = LEVELS["none"]
    layout = PageLayout(PAGE_SIZE, level)
    other = record_of(b"segment1", 3, 2, b"another!")
    content = other.pack().ljust(layout.cell_payload, b"\0") * layout.cells
    mixed = layout.assemble([header], content, cell_seed(SESSION))
    assert read_announcement(mixed, header, level) is None
    assert read_announcement(page[np.newaxis], header, level) == RECORD


@PROTECTIONS
def test_as_it_was_written(protection: str) -> None:
    level = LEVELS[protection]
    page, _ = page_and_header(protection)
    other = segment_pages(header_of(b"segment1", 3, level), level)[0]
    source = PagesInMemory([other, page, np.zeros(PAGE_SIZE, np.uint8)])
    layout = PageLayout(PAGE_SIZE, level)
    for spoiled in (None, layout.header_bytes + 1, 40):
        if spoiled is not None:
            source.pages[1] = page.copy()
            source.pages[1][spoiled] ^= 1
        again = announcement_as_written(source, 1, level)
        assert again is not None
        assert again.shape == (1, PAGE_SIZE)
        assert (again[0] == page).all()
    assert announcement_as_written(source, 0, level) is None
    assert announcement_as_written(source, 2, level) is None
    assert announcement_as_written(source, 3, level) is None
    source.pages[1] = page.copy()
    source.pages[1][layout.header_bytes :] = 0
    assert announcement_as_written(source, 1, level) is None
