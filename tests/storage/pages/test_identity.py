"""Whose page each page of a file is, by its header."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from samples import arrow, rows

from audiomem_sql.audio import VerbatimPages
from audiomem_sql.frames.read_write import write_flac
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.storage.pages import ForeignPages, HeaderFaults, foreign_at, header_faults
from audiomem_sql.storage.pages.header import PAGE_HEADER
from audiomem_sql.storage.segment import TableFile, open_table_file

pytestmark = pytest.mark.damages
OTHER = bytes(range(8))


@pytest.fixture(params=["embedded", "desktop"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file with more than 128 frames, behind which frame numbers have two bytes; a header a page, or 3."""
    path = tmp_path / "t.flac"
    count = 11_000 if request.param == "embedded" else 34_000
    write_flac(
        arrow(rows(count)), path, primary_key="id", profile=request.param, protection="archive"
    ).close()
    return path


def source_of(file: TableFile) -> VerbatimPages:
    source = file.newest.file.source
    assert isinstance(source, VerbatimPages)
    return source


def foreign(file: TableFile) -> list[ForeignPages]:
    """The pages of others among all pages of a file of one segment."""
    return list(header_faults(source_of(file), [file.newest.file.place]).foreign)


def stamp(
    path: Path, file: TableFile, page: int, copies: range, *, number: int = 0, segment: bytes = b""
) -> None:
    """Give copies of the header of a page another segment id, or a number that is so much higher."""
    source, pages = source_of(file), file.newest.file
    header = pages.page_header(page)
    assert header is not None
    changed = replace(header, segment_id=segment or header.segment_id, page_number=page + number)
    with open(path, "r+b") as handle:
        handle.seek(source.offset(page))
        start = source.offset(page) + handle.read(64).index(b"AuMP")
        for copy in copies:
            handle.seek(start + copy * PAGE_HEADER.size)
            handle.write(changed.pack())


def test_every_foreign_page_is_found(path: Path) -> None:
    file = open_table_file(str(path), BlockCache(0))
    source, place = source_of(file), file.newest.file.place
    copies = range(file.newest.file.layout.header_bytes // PAGE_HEADER.size)
    last = place.stop - 1
    assert last > 130
    assert foreign(file) == []
    for page in (0, 5, 6, 127, 128, 129, last):
        stamp(path, file, page, copies, segment=OTHER)
    stamp(path, file, 9, copies, number=3)
    own = place.segment_id
    expected = [
        ForeignPages(0, 0, OTHER, own),
        ForeignPages(5, 6, OTHER, own),
        ForeignPages(9, 9, own, own),
        ForeignPages(127, 129, OTHER, own),
        ForeignPages(last, last, OTHER, own),
    ]
    assert foreign(file) == expected
    found = [page for page in range(-1, place.stop + 2) if foreign_at(source, page, place)]
    assert found == [0, 5, 6, 9, 127, 128, 129, last]
    assert "of another place in segment" in str(expected[2])
    file.close()


def test_damaged_headers_say_nothing(path: Path) -> None:
    """Nor do foreign ones behind one that is right: the first copy counts, damaged or not."""
    file = open_table_file(str(path), BlockCache(0))
    source, place = source_of(file), file.newest.file.place
    with open(path, "r+b") as handle:
        for page in (3, 130):
            handle.seek(source.offset(page))
            handle.write(np.random.default_rng(page).bytes(200))
    assert header_faults(source, [place]) == HeaderFaults((), 2)
    copies = file.newest.file.layout.header_bytes // PAGE_HEADER.size
    if copies > 1:
        stamp(path, file, 20, range(1, copies), segment=OTHER)
        assert foreign(file) == []
        stamp(path, file, 20, range(1), segment=OTHER)
        assert len(foreign(file)) == 1
    file.close()


def test_a_file_that_was_cut_since(path: Path) -> None:
    file = open_table_file(str(path), BlockCache(0))
    os.truncate(path, source_of(file).offset(100) + 10)
    assert foreign(file) == []
    file.close()
