"""Whole segments: where catalog and data are, at every length near an edge, and what damage may cost."""

from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
import pytest

from audiomem_sql.arrays import U8Array
from audiomem_sql.audio import PROFILES, STREAM_HEAD_BYTES, changed_streaminfo, frame_offset, open_pages
from audiomem_sql.audio.flac.frames import frame_size
from audiomem_sql.bytes import open_source
from audiomem_sql.protection.levels import ARCHIVE, LEVELS, NONE
from audiomem_sql.storage.pages import (
    EarlierPages,
    FileSpec,
    PagedFile,
    PageFlag,
    PageHeader,
    lay_out,
    laying_out,
)
from audiomem_sql.storage.pages.headers import Probe, page_number

PROFILE = PROFILES["embedded"]
pytestmark = pytest.mark.damages  # no tables: their catalogs are any bytes
CELLS = 8


def spec(level: str = "archive", segment: bytes = b"segment1") -> FileSpec:
    return FileSpec(PROFILE, LEVELS[level], segment, {"TITLE": "t"})


def written(path: Path, file: FileSpec, catalog: bytes, data: bytes) -> bytes:
    with path.open("wb") as sink:
        lay_out(sink, file, catalog, io.BytesIO(data), len(data))
    return path.read_bytes()


def check(file: PagedFile, catalog: bytes, data: bytes) -> None:
    """All copies of the catalog and the data stream are what was written."""
    copies, cells = file.catalog_copies(), file.data_cells()
    assert copies is not None
    assert cells is not None
    assert file.fits(len(catalog), len(data))
    for copy in copies:
        assert file.read(copy, 0, len(catalog)) == catalog
    assert file.read(cells.start, 0, len(data)) == data
    assert cells.start == file.header.index * (1 if file.header.is_compact else CELLS)


@pytest.mark.parametrize("compact", [True, False])
@pytest.mark.parametrize("level", LEVELS)
def test_lengths_near_the_edges(
    tmp_path: Path, level: str, compact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not compact:
        monkeypatch.setattr(laying_out, "_is_compact", lambda *_: False)
    rng, path = random.Random(1), tmp_path / "t.flac"
    size = LEVELS[level].cells.payload_bytes
    for catalog_cells in (1, 4, 8):
        for data_cells in (0, 1, 6, 7, 8, 16):
            for more in (-1, 0, 1):
                catalog = rng.randbytes(catalog_cells * size - rng.randrange(2))
                data = rng.randbytes(max(0, data_cells * size + more))
                written(path, spec(level), catalog, data)
                file = PagedFile.open(str(path))
                check(file, catalog, data)
                assert not list(file.damage())
                assert file.present == file.page_count
                assert not file.fits(len(catalog) + size, len(data) - size * CELLS)
                assert file.header.is_compact or not compact or level == "none"
                file.close()


@pytest.mark.parametrize("level", ["standard", "archive"])
@pytest.mark.parametrize("compact", [True, False])
def test_holes(tmp_path: Path, level: str, compact: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hole as large as the parity but a page: at the front, in the middle and at the end."""
    if not compact:
        monkeypatch.setattr(laying_out, "_is_compact", lambda *_: False)
    rng, path = random.Random(2), tmp_path / "t.flac"
    for length in (0, 900, 40_000, 300_000):
        catalog, data = rng.randbytes(1500), rng.randbytes(length)
        whole = written(path, spec(level), catalog, data)
        file = PagedFile.open(str(path))
        assert file.map is not None
        hole = (file.map.parity - 1) * frame_size(PROFILE, 0)
        file.close()
        for start in (0, (len(whole) - hole) // 2, len(whole) - hole):
            path.write_bytes(whole[:start] + rng.randbytes(hole) + whole[start + hole :])
            file = PagedFile.open(str(path))
            check(file, catalog, data)
            file.close()


@pytest.mark.parametrize(("level", "share"), [("standard", 0.05), ("archive", 0.15)])
def test_sectors_anywhere(tmp_path: Path, level: str, share: float) -> None:
    """Of a compact segment of a middling size; its frames begin anywhere in a sector."""
    rng, path = random.Random(5), tmp_path / "t.flac"
    catalog, data = rng.randbytes(1500), rng.randbytes(1_500_000)
    whole = written(path, spec(level), catalog, data)
    for _ in range(4):
        spoiled = bytearray(whole)
        sectors = range(4096, len(whole) - 4096, 4096)
        for at in rng.sample(sectors, int(len(sectors) * share)):
            spoiled[at : at + 4096] = rng.randbytes(4096)
        path.write_bytes(spoiled)
        file = PagedFile.open(str(path))
        check(file, catalog, data)
        file.close()


def earlier_of(path: Path) -> tuple[EarlierPages, bytes]:
    """The own pages of a file, and what they hold."""
    file = PagedFile.open(str(path))
    pages = file.source.read(0, file.own_pages)
    file.close()

    def read(first: int, count: int) -> U8Array:
        return pages[first : first + count]

    return EarlierPages(len(pages), read), pages.tobytes()


@pytest.mark.parametrize("compact", [True, False])
def test_parity_covers_earlier_pages(tmp_path: Path, compact: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not compact:
        monkeypatch.setattr(laying_out, "_is_compact", lambda *_: False)
    rng, path = random.Random(3), tmp_path / "t.flac"
    catalog, data = rng.randbytes(700), rng.randbytes(100_000)
    written(path, spec(segment=b"segment0"), catalog, data)
    earlier, before = earlier_of(path)
    with path.open("wb") as sink:
        lay_out(sink, spec(), catalog, io.BytesIO(data), len(data), earlier=earlier)
    whole = path.read_bytes()
    start = len(whole) - frame_offset(PROFILE, 0, (len(whole) - 300) // frame_size(PROFILE, 0))
    count = (len(whole) - start) // frame_size(PROFILE, 0)
    for lost in (range(3), range(earlier.count - 1, earlier.count + 2), range(count - 4, count)):
        spoiled = bytearray(whole)
        for page in lost:
            at = frame_offset(PROFILE, start, page)
            spoiled[at + 20 : at + 8000] = bytes(7980)
        path.write_bytes(spoiled)
        source = open_pages(open_source(str(path)), Probe(str(path)), page_number)
        pages, _ = source.read_checked(earlier.count + 5, 1)
        header = PageHeader.unpack(pages[0, :32].tobytes())
        assert header is not None
        assert header.is_whole
        file = PagedFile(source, header, ARCHIVE, earlier.count, ((0, b"segment0"),))
        assert file.first + file.page_count == count
        check(file, catalog, data)
        cells = np.arange(-earlier.count * CELLS, 0)
        numbers = cells[np.isin(cells // CELLS, np.array(lost) - earlier.count)]
        there, _ = file.recover(numbers)
        assert there.all()
        size = file.layout.level.cell_bytes
        assert file._recovery is not None
        for row, cell in zip(
            file._recovery.cells(numbers).payload, numbers + earlier.count * CELLS, strict=True
        ):
            at = int(cell) // CELLS * 8192 + 32 + int(cell) % CELLS * size
            assert row.tobytes() == before[at : at + size - 4]
        file.close()


OF_120_PAGES = {"none": 900_000, "standard": 750_000, "archive": 660_000}


@pytest.mark.parametrize("level", LEVELS)
def test_a_segment_appended_to_a_file(tmp_path: Path, level: str) -> None:
    """Frames that go on with the numbers of a file, at whatever number; STREAMINFO is changed for them."""
    rng, path = random.Random(4), tmp_path / "t.flac"
    catalog, data = rng.randbytes(700), rng.randbytes(50_000)
    whole = written(path, spec(level, b"segment0"), catalog, rng.randbytes(OF_120_PAGES[level]))
    file = PagedFile.open(str(path))
    first = file.page_count
    file.close()
    assert first < 128 <= first + 20  # the frame number grows by a byte
    with path.open("r+b") as sink:
        sink.seek(0, 2)
        lay_out(sink, spec(level), catalog, io.BytesIO(data), len(data), first=first)
        end = sink.tell()
        pages = first + (end - len(whole)) // 8200
        sink.seek(0)
        sink.write(changed_streaminfo(PROFILE, pages))
    assert path.read_bytes()[STREAM_HEAD_BYTES : len(whole)] == whole[STREAM_HEAD_BYTES:]
    source = open_pages(open_source(str(path)), Probe(str(path)), page_number)
    assert source.present == source.page_count == pages
    header = PageHeader.unpack(source.read(first, 1)[0, :32].tobytes())
    assert header is not None
    assert header.page_number == 0
    assert header.is_appended == (level != "none")
    file = PagedFile(source, header, LEVELS[level], first)
    check(file, catalog, data)
    assert file.page_count == pages - first
    assert not list(file.damage())
    file.close()


def test_small_pages_only_where_little_is_stored() -> None:
    file = FileSpec(PROFILES["desktop"], NONE, b"segment1", {})
    assert laying_out.fitted(file, 400, 400).profile.block_size == 2048
    assert laying_out.fitted(file, 400, 10_000_000).profile.block_size == 4096
    assert laying_out.fitted(spec(), 400, 400).profile == PROFILE
    assert PageFlag.COMPACT == 1
