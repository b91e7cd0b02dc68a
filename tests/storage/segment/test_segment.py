"""A segment file: opened from either end, at any damage that leaves one catalog; the same bytes each time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from samples import COLUMNS, SCHEMA, arrow, content, create, rows, same

from audiomem_sql.audio import PROFILES
from audiomem_sql.audio.flac.frames import frame_size
from audiomem_sql.audio.flac.metadata import read_metadata
from audiomem_sql.bytes.local_file import LocalFile
from audiomem_sql.columns.schema import parse_columns
from audiomem_sql.errors import DamagedFileError, StorageError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.protection.levels import NONE
from audiomem_sql.storage.segment import ROWID, Segment, SegmentWriter, Version, WriteOptions
from audiomem_sql.table.table import Table

VERSIONS = [Version(1, 0, 0, 0)]


def writer(
    path: Path, schema: list[str] | None = None, threads: int = 2, block_bytes: int = 4096
) -> SegmentWriter:
    options = WriteOptions(PROFILES["embedded"], NONE, level=3, block_bytes=block_bytes, threads=threads)
    return SegmentWriter(
        str(path), parse_columns(schema or COLUMNS), options, table_id=b"t" * 16, segment_id=b"s" * 8
    )


def write(path: Path, rowids: list[int], data: pa.Table, step: int = 100, **options: int) -> None:
    target = writer(path, **options)  # type: ignore[arg-type]
    for start in range(0, len(rowids), step):
        part = data.slice(start, step).combine_chunks()
        target.add(np.array(rowids[start : start + step], np.int64), [c.chunk(0) for c in part.columns])
    target.finish(VERSIONS)
    target.publish()


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """A table whose catalog takes several pages: 1,500 columns."""
    path = tmp_path / "wide.flac"
    names = [f"column_{n}_{'x' * (n % 40)}" for n in range(1500)]
    with Table.create(path, [f"{name} INTEGER" for name in names], {"profile": "embedded"}) as table:
        rng = np.random.default_rng(1)
        table.append(pa.table({name: pa.array(rng.integers(-(2**62), 2**62, 20)) for name in names}))
    return path


def pages_of(path: Path) -> tuple[int, int]:
    """Where frame 0 is, and the size of a frame."""
    file = LocalFile(path)
    start = read_metadata(file, 0).audio_start
    file.close()
    return start, frame_size(PROFILES["embedded"], 0)


def wipe(path: Path, pages: range) -> None:
    start, size = pages_of(path)
    data = bytearray(path.read_bytes())
    for page in pages:
        at = start + page * size
        data[at : at + size] = bytes(len(data[at : at + size]))
    path.write_bytes(data)


@pytest.mark.damages
def test_opened_from_the_end(wide: Path) -> None:
    with Table(wide) as table:
        expected = table.to_arrow()
        segment = table.snapshot.segments[0]
        pages = segment.data_cell // segment.file.layout.cells
        count = table.snapshot.segments[0].file.page_count
    assert pages > 2
    original = wide.read_bytes()
    for lost in (
        range(1),
        range(pages),
        range(pages - 1, pages),
        range(count - pages, count),
        range(count - 1, count),
    ):
        wide.write_bytes(original)
        wipe(wide, lost)
        with Table(wide) as table:
            assert table.to_arrow().equals(expected)


@pytest.mark.damages
def test_both_catalogs_lost(wide: Path) -> None:
    with Table(wide) as table:
        segment = table.snapshot.segments[0]
        pages = segment.data_cell // segment.file.layout.cells
        count = table.snapshot.segments[0].file.page_count
    wipe(wide, range(1))
    wipe(wide, range(count - pages, count - pages + 1))
    with pytest.raises(DamagedFileError, match=r"wide\.flac: page 0, cell 0: CRC-32C"):
        Table(wide)


@pytest.mark.damages
def test_metadata_lost(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    create(path, 30).close()
    start, _ = pages_of(path)
    data = path.read_bytes()
    for spoiled in (bytes(start) + data[start:], data[start:], data[:100] + data[start:]):
        path.write_bytes(spoiled)
        with Table(path) as table:
            assert same(content(table), rows(30))


@pytest.mark.parametrize(
    "rowids", [list(range(5, 705)), [n * n for n in range(700)], [-5, *range(700, 1399)]], ids=str
)
def test_rows_by_place_and_by_id(tmp_path: Path, rowids: list[int]) -> None:
    path = tmp_path / "s.flac"
    data = arrow(rows(700)).set_column(0, "id", pa.array(rowids))
    write(path, rowids, data)
    segment = Segment.open(str(path), BlockCache(1 << 20))
    assert segment.rowids().tolist() == rowids
    assert segment.slice(0, 0, 700).to_pylist() == rowids
    for number in range(1, len(SCHEMA)):
        column = data.column(number).combine_chunks()
        assert segment.slice(number, 0, 700).equals(column)
        assert segment.slice(number, 333, 334).equals(column.slice(333, 1))
        assert segment.slice(number, 5, 5).to_pylist() == []
        places = np.array([0, 1, 2, 99, 100, 350, 699])
        assert segment.take(number, places).equals(column.take(pa.array(places)))
        assert segment.take(number, places[:0]).to_pylist() == []
    for row in (0, 1, 350, 699):
        assert segment.find(rowids[row]) == range(row, row + 1)
        assert segment.rowid(row) == rowids[row]
    absent = [n for n in (-6, -4, 2, 3, 4, 10**6, 2**63 - 1, -(2**63)) if n not in rowids]
    assert [segment.find(n) for n in absent] == [range(0)] * len(absent)
    wanted = np.array(sorted([*absent, rowids[7], rowids[699]]), np.int64)
    assert segment.find_many(wanted).tolist() == [7, 699]
    for key in ("K000001", "K000700"):
        assert segment.may_contain(10, key)
    segment.close()


@pytest.mark.parametrize("rowids", [list(range(1, 601)), list(range(0, 1800, 3))], ids=["run", "spread"])
def test_bytes_do_not_depend_on_threads(tmp_path: Path, rowids: list[int]) -> None:
    data = arrow(rows(600)).set_column(0, "id", pa.array(rowids))
    found = set()
    for threads, step in [(1, 100), (2, 100), (3, 100), (8, 100)]:
        path = tmp_path / f"{threads}-{step}" / "s.flac"
        path.parent.mkdir()
        write(path, rowids, data, step, threads=threads)
        found.add(path.read_bytes())
    assert len(found) == 1


def test_a_segment_without_rows(tmp_path: Path) -> None:
    path = tmp_path / "s.flac"
    write(path, [], arrow([]))
    segment = Segment.open(str(path), BlockCache())
    assert segment.rowids().tolist() == []
    assert segment.slice(3, 0, 0).type == pa.string()
    assert segment.find(1) == range(0)
    assert segment.find_many(np.array([1])).tolist() == []
    assert segment.slice(ROWID, 0, 0).to_pylist() == []
    segment.close()


def test_nothing_is_left_of_what_is_abandoned(tmp_path: Path) -> None:
    path = tmp_path / "s.flac"
    path.write_bytes(b"precious")
    target = writer(path)
    target.finish(VERSIONS)
    assert len(list(tmp_path.iterdir())) == 2
    target.abandon()
    assert [file.name for file in tmp_path.iterdir()] == ["s.flac"]
    assert path.read_bytes() == b"precious"
    path.unlink()


def test_publishing_does_not_replace_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "s.flac"
    write(path, [], arrow([]))
    before = path.read_bytes()
    target = writer(path)
    target.finish([Version(5, 0, 0, 0)])
    with pytest.raises(StorageError, match=r"s\.flac: File exists"):
        target.publish(replace=False)
    target.abandon()
    assert path.read_bytes() == before


def test_cached_blocks_belong_to_their_file(tmp_path: Path) -> None:
    cache = BlockCache(1 << 20)
    for seed in range(20):
        path = tmp_path / f"{seed}.flac"
        write(path, list(range(1, 51)), arrow(rows(50, seed)))
        segment = Segment.open(str(path), cache)
        assert segment.slice(3, 0, 50).to_pylist() == [row["title"] for row in rows(50, seed)]
        del segment
    assert cache.bytes == 0


def test_the_cache_keeps_to_its_size() -> None:
    cache = BlockCache(1000)
    array = pa.array(range(10))
    for number in range(50):
        cache.put(("a", number), array, 100)
    assert cache.bytes == 1000
    assert cache.get(("a", 0)) is None
    assert cache.get(("a", 49)) is array
    cache.put(("b", 0), array, 251)
    assert cache.get(("b", 0)) is None
    cache.put(("a", 49), array, 100)
    assert cache.bytes == 1000
    cache.discard("a")
    assert cache.bytes == 0
