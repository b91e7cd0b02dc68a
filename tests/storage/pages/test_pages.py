"""Pages and cells: round trips, and whatever is not where it belongs is found."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from audiomem_sql.audio import PROFILES, FlacWriter, Profile, frame_offset
from audiomem_sql.audio.flac.frames import frame_size, header_size
from audiomem_sql.errors import (
    DamagedFileError,
    FormatVersionError,
    NotAudioMemoryError,
    TruncatedFileError,
)
from audiomem_sql.protection.levels import NONE
from audiomem_sql.storage.pages.file import PagedFile
from audiomem_sql.storage.pages.header import PAGE_HEADER, PageHeader, PageKind
from audiomem_sql.storage.pages.layout import PageLayout
from audiomem_sql.storage.pages.writer import FileSpec, Pages, PageWriter

SEGMENT = b"segment1"


def write(
    path: Path, profile: Profile, payload: bytes, segment: bytes = SEGMENT, catalog: bytes = b"front"
) -> None:
    layout = PageLayout(profile.page_size, NONE)
    copy = layout.pages_for(len(catalog))
    pages = Pages(2 * copy + layout.pages_for(len(payload)), copy)
    with path.open("wb") as sink:
        writer = PageWriter(sink, FileSpec(profile, NONE, segment, {"TITLE": "t"}), pages)
        writer.write(catalog, PageKind.CATALOG)
        writer.write(payload, PageKind.DATA)
        writer.write(catalog, PageKind.CATALOG)
        writer.close()


def place(path: Path, page: int, byte: int = 0) -> int:
    """Where byte ``byte`` of a page is in a file of one channel."""
    profile = PROFILES["embedded"]
    audio = path.stat().st_size - sum(
        frame_size(profile, n) for n in range(PagedFile.open(str(path)).page_count)
    )
    return frame_offset(profile, audio, page) + header_size(profile, page) + 1 + byte


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.damages
def test_every_range_of_the_payload(name: str, tmp_path: Path) -> None:
    profile, rng = PROFILES[name], random.Random(1)
    layout = PageLayout(profile.page_size, NONE)
    payload = rng.randbytes(3 * layout.payload_bytes + 777)
    path = tmp_path / "t.flac"
    write(path, profile, payload)
    file = PagedFile.open(str(path))
    assert (file.page_count, file.truncated, list(file.missing)) == (6, False, [])
    assert list(file.damage()) == []
    assert file.read(0, 0, 5) == file.read(5 * layout.cells, 0, 5) == b"front"
    size = layout.payload_bytes
    edges = [0, 1, 1015, 1016, 1017, size - 1, size, size + 1, 2 * size, len(payload) - 1]
    for start in edges:
        for length in (0, 1, 2, 1016, size, size + 1, len(payload)):
            wanted = payload[start : start + length]
            assert file.read(layout.cells, start, len(wanted)) == wanted
    kinds = [(header.kind, header.index) for header in map(file.page_header, range(6)) if header]
    assert kinds == [(PageKind.CATALOG, 1)] + [(PageKind.DATA, 1)] * 4 + [(PageKind.CATALOG, 1)]
    file.close()


@pytest.mark.damages
def test_every_page_says_how_long_a_catalog_is(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    write(path, PROFILES["embedded"], b"data", catalog=bytes(20_000))
    file = PagedFile.open(str(path))
    headers = [file.page_header(n) for n in range(file.page_count)]
    assert [header.index for header in headers if header] == [3] * 7
    file.close()


def test_header_of_32_bytes() -> None:
    header = PageHeader(PageKind.DATA, 0, 0, SEGMENT, 7, 9, 4096, 0)
    packed = header.pack()
    assert len(packed) == PAGE_HEADER.size == 32
    assert PageHeader.unpack(packed) == header
    for bit in range(256):
        spoiled = bytearray(packed)
        spoiled[bit // 8] ^= 1 << bit % 8
        assert PageHeader.unpack(bytes(spoiled)) is None
    assert PageHeader.unpack(packed[:-1]) is None


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "t.flac"
    write(path, PROFILES["embedded"], random.Random(1).randbytes(5 * 8128))
    return path


def swap(path: Path, one: int, other: int, size: int, source: Path | None = None) -> None:
    """Exchange two regions of a file, or copy the second from another file."""
    data, given = bytearray(path.read_bytes()), (source or path).read_bytes()
    if source is None:
        data[other : other + size] = given[one : one + size]
    data[one : one + size] = given[other : other + size]
    path.write_bytes(data)


@pytest.mark.damages
def test_two_pages_of_a_file_exchanged(small: Path) -> None:
    swap(small, place(small, 1), place(small, 4), 8192)
    file = PagedFile.open(str(small))
    assert [damage.page for damage in file.damage()] == [1, 4]
    assert all(len(damage.cells) == 8 and damage.headers for damage in file.damage())
    with pytest.raises(DamagedFileError, match=r"page 1, cell 0: two states are mixed .* of another place"):
        file.read(8, 0, 10)
    assert file.read(8, 8128, 100) == random.Random(1).randbytes(5 * 8128)[8128:8228]
    file.close()


@pytest.mark.damages
def test_two_cells_of_a_page_exchanged(small: Path) -> None:
    swap(small, place(small, 2, 32), place(small, 2, 32 + 3 * 1020), 1020)
    file = PagedFile.open(str(small))
    assert [(damage.page, damage.cells) for damage in file.damage()] == [(2, (0, 3))]
    file.close()


@pytest.mark.damages
def test_a_page_of_another_file(small: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.flac"
    write(other, PROFILES["embedded"], random.Random(1).randbytes(5 * 8128), b"segment2")
    swap(small, place(small, 3), place(small, 3), 8192, other)
    file = PagedFile.open(str(small))
    assert [(damage.page, len(damage.cells)) for damage in file.damage()] == [(3, 8)]
    file.close()


@pytest.mark.parametrize("page", [0, 6])
@pytest.mark.damages
def test_the_first_or_last_page_of_another_file(small: Path, tmp_path: Path, page: int) -> None:
    other = tmp_path / "other.flac"
    write(other, PROFILES["embedded"], random.Random(1).randbytes(5 * 8128), b"segment2")
    swap(small, place(small, page), place(small, page), 8192, other)
    file = PagedFile.open(str(small))
    assert file.header.segment_id == SEGMENT
    assert [(damage.page, len(damage.cells)) for damage in file.damage()] == [(page, 8)]
    file.close()


@pytest.mark.damages
def test_a_sector_of_zeros(small: Path) -> None:
    with small.open("r+b") as file:
        file.seek(place(small, 3, 100))
        file.write(bytes(4096))
    paged = PagedFile.open(str(small))
    ((damage),) = list(paged.damage())
    assert (damage.page, damage.headers, damage.cells, damage.frame) == (3, 0, (0, 1, 2, 3, 4), False)
    paged.close()


@pytest.mark.parametrize("page", range(7))
@pytest.mark.damages
def test_any_page_header_may_be_lost(small: Path, page: int) -> None:
    data = bytearray(small.read_bytes())
    at = place(small, page)
    data[at : at + 32] = bytes(32)
    small.write_bytes(data)
    file = PagedFile.open(str(small))
    assert file.header.segment_id == SEGMENT
    assert [(damage.page, damage.headers, damage.cells) for damage in file.damage()] == [(page, 1, ())]
    file.close()


@pytest.mark.damages
def test_a_bit_of_the_first_header(small: Path) -> None:
    for byte in range(32):
        data = bytearray(small.read_bytes())
        data[place(small, 0) + byte] ^= 4
        (small.parent / "copy.flac").write_bytes(data)
        file = PagedFile.open(str(small.parent / "copy.flac"))
        assert file.page_count == 7
        file.close()


@pytest.mark.damages
def test_all_page_headers_lost(small: Path) -> None:
    data = bytearray(small.read_bytes())
    for page in range(7):
        at = place(small, page) + 4
        data[at : at + 28] = bytes(28)
    small.write_bytes(data)
    with pytest.raises(DamagedFileError, match=r"t\.flac: "):
        PagedFile.open(str(small))


@pytest.mark.damages
def test_missing_pages_are_named(small: Path) -> None:
    data = small.read_bytes()
    small.write_bytes(data[: place(small, 5) + 1000])
    file = PagedFile.open(str(small))
    assert file.truncated
    assert file.missing == range(5, 7)
    assert list(file.damage()) == []
    with pytest.raises(TruncatedFileError, match=r"t\.flac: page 5:"):
        file.read(8, 4 * 8128, 10)
    file.close()


@pytest.mark.damages
def test_places_that_do_not_exist(small: Path) -> None:
    file = PagedFile.open(str(small))
    for start, length in [(6 * 8128, 1), (0, 2**40), (2**60, 1), (-1, 5)]:
        with pytest.raises(DamagedFileError, match=r"t\.flac"):
            file.read(8, start, length)
    file.close()


def sealed_header(path: Path, **changes: int) -> None:
    """Write a file whose page headers say something else, under right checksums."""
    profile = PROFILES["embedded"]
    fields = {"kind": 0, "protection": 0, "modulation": 0, "page_count": 2, "block_size": 4096, "index": 1}
    layout = PageLayout(profile.page_size, NONE)
    headers = [PageHeader(segment_id=SEGMENT, page_number=n, **{**fields, **changes}) for n in range(2)]
    with path.open("wb") as sink:
        writer = FlacWriter(sink, profile, 2, headers[0].pack(), {})
        writer.write_pages(np.concatenate([layout.assemble([header], b"x", 0) for header in headers]))
        writer.close()


@pytest.mark.damages
def test_headers_of_the_future(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    for changes in ({"format_version": 3}, {"protection": 9}, {"modulation": 200}, {"flags": 8}):
        sealed_header(path, **changes)
        with pytest.raises(FormatVersionError, match=r"t\.flac"):
            PagedFile.open(str(path))


@pytest.mark.damages
def test_headers_that_lie(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    sealed_header(path, page_count=2**32 - 1)
    file = PagedFile.open(str(path))
    assert file.missing == range(2, 2**32 - 1)
    assert file.truncated
    file.close()
    for changes in ({"page_count": 0}, {"page_count": 1}, {"index": 0}, {"index": 9, "flags": 1}):
        sealed_header(path, **changes)
        with pytest.raises(DamagedFileError, match=r"t\.flac: a page header says"):
            PagedFile.open(str(path))
    sealed_header(path, block_size=2048)
    with pytest.raises((DamagedFileError, NotAudioMemoryError), match=r"t\.flac"):
        PagedFile.open(str(path))


def test_music_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with path.open("wb") as sink:
        writer = FlacWriter(sink, PROFILES["embedded"], 3, b"", {})
        writer.write_pages(np.zeros((3, 8192), np.uint8))
        writer.close()
    with pytest.raises(NotAudioMemoryError, match=r"t\.flac"):
        PagedFile.open(str(path))
