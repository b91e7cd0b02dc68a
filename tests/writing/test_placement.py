"""Where a new segment goes: the thresholds, each kind of placement, and what its seal says."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.protection.levels import level_named
from audiomem_sql.storage.segment import (
    AppendedPages,
    Folded,
    NewFile,
    ReadableSegment,
    Segment,
    TableFile,
    open_table_file,
)
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep import compaction
from audiomem_sql.writing import placement
from audiomem_sql.writing.placement import generation_of, is_empty, place_beside, place_for

COLUMNS = ["id INTEGER PRIMARY KEY", "v TEXT"]
FOLDED = Folded(b"session!", 9, bytes(range(16)))


def make(path: Path, segments: int = 3, **options: str) -> Path:
    with Table.create(path, COLUMNS, {"profile": "embedded", **options}) as table:
        table.append([{"v": "first"}])
        table.checkpoint()
        for number in range(1, segments):
            table.append([{"v": str(number)}])
            table.checkpoint()
    return path


@pytest.fixture(autouse=True)
def segments_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "SMALL_TABLE_BYTES", 0)


@pytest.fixture(params=["none", "standard", "archive"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TableFile]:
    opened = open_table_file(str(make(tmp_path / "t.flac", protection=request.param)), BlockCache(0))
    assert len(opened.segments) == 3
    yield opened
    opened.close()


def limit_of(file: TableFile) -> int:
    level = file.newest.file.layout.level
    return placement.REWRITTEN_BYTES if level.share is None else placement.REWRITTEN_PROTECTED_BYTES


def sized(file: TableFile, size: int) -> TableFile:
    """The same as if the file had so many bytes."""
    return replace(file, state=replace(file.state, size=size))


def test_the_thresholds() -> None:
    assert placement.REWRITTEN_BYTES == 8 * 2**20
    assert placement.REWRITTEN_PROTECTED_BYTES == 64 * 2**20


@pytest.mark.parametrize("beyond", [0, 1])
def test_small_files_are_written_anew_and_larger_ones_appended_to(tmp_path: Path, beyond: int) -> None:
    for protection in ("none", "standard", "archive"):
        path = make(tmp_path / f"{protection}.flac", 1, protection=protection)
        with Table(path) as table:
            file = table.snapshot.table_file
            assert file is not None
            write = table.options.write_options()
            place = place_for(sized(file, limit_of(file) + beyond), file.segments, write)
            assert isinstance(place.placement, AppendedPages if beyond else NewFile)
            assert place.replaces == (not beyond)
            assert place.path == file.path


def test_rewritten(file: TableFile) -> None:
    """All that stays is copied to the front; the seal names the places there."""
    with Table(file.path) as table:
        write = table.options.write_options()
    place = place_for(file, file.segments, write, FOLDED)
    assert isinstance(place.placement, NewFile)
    assert (place.path, place.replaces) == (file.path, True)
    check_seal(place.seal, file, file.newest, FOLDED)
    first = 0
    for earlier, segment in zip(place.seal.earlier, file.segments, strict=True):
        catalog, header = segment.catalog, segment.file.header
        assert earlier.first == first
        assert earlier.pages == segment.file.own_pages
        assert (earlier.index, earlier.flags) == (header.index, int(header.flags))
        assert (earlier.segment_id, earlier.digest) == (catalog.segment_id, segment.digest)
        assert (earlier.first_version, earlier.last_version) == (catalog.first_version, catalog.last_version)
        first += segment.file.own_pages
    assert place.write.protection is file.newest.file.layout.level
    assert place.write.profile == file.newest.file.profile


def test_appended(file: TableFile) -> None:
    """Segments stay where they are. With protection the parity of the newest covers those in front of it."""
    with Table(file.path) as table:
        write = table.options.write_options()
    place = place_for(sized(file, limit_of(file) + 1), file.segments, write, FOLDED)
    assert isinstance(place.placement, AppendedPages)
    assert not place.replaces
    assert [earlier.first for earlier in place.seal.earlier] == [s.file.first for s in file.segments]
    assert [earlier.pages for earlier in place.seal.earlier] == [s.file.own_pages for s in file.segments]
    check_seal(place.seal, file, file.newest, FOLDED)


def check_seal(
    seal: object, file: TableFile, newest: Segment | ReadableSegment, folded: Folded | None
) -> None:
    link = seal.before  # type: ignore[attr-defined]
    assert link.segment_id == newest.catalog.segment_id
    assert link.digest == newest.digest
    assert link.generation == generation_of(newest) > 0
    assert seal.generation == file.next_generation > generation_of(newest)  # type: ignore[attr-defined]
    assert seal.folded == folded  # type: ignore[attr-defined]


def test_one_segment_of_all(file: TableFile) -> None:
    """Nothing stays: a file anew, with the options that are asked for, whatever the old one has."""
    with Table(file.path) as table:
        write = replace(table.options.write_options(), protection=level_named("archive"), level=19)
    for size in (1, limit_of(file) + 1):
        place = place_for(sized(file, size), (), write, FOLDED)
        assert isinstance(place.placement, NewFile)
        assert place.replaces
        assert place.write is write
        assert place.seal.earlier == ()
        check_seal(place.seal, file, file.newest, FOLDED)


def test_what_was_folded_goes_on(file: TableFile) -> None:
    """A segment that folds no log has what the one before it says: a leftover log is known for ever."""
    seal = file.newest.catalog.seal
    assert seal is not None
    assert seal.folded is not None
    with Table(file.path) as table:
        write = table.options.write_options()
    assert place_for(file, file.segments, write).seal.folded == seal.folded
    assert place_for(file, (), write).seal.folded == seal.folded
    assert place_for(sized(file, limit_of(file) + 1), file.segments, write).seal.folded == seal.folded
    beside = place_beside(file, "x", file.newest, write, None, file.newest)
    assert beside.seal.folded == seal.folded


def test_without_the_last_segments(file: TableFile) -> None:
    """A merge. Where those that stay are covered by the parity of one that does not, it is anew."""
    with Table(file.path) as table:
        write = table.options.write_options()
    kept = file.segments[:-1]
    large = place_for(sized(file, limit_of(file) + 1), kept, write)
    covered = file.newest.file.header.is_whole
    assert covered == (file.newest.file.layout.level.share is not None)
    assert isinstance(large.placement, NewFile if covered else AppendedPages)
    assert large.replaces == covered
    assert len(large.seal.earlier) == 2
    check_seal(large.seal, file, file.newest, file.newest.catalog.seal.folded)  # type: ignore[union-attr]


def test_a_copy_leaves_the_file_alone(file: TableFile, tmp_path: Path) -> None:
    """However large it is. It has the mode and owner of the file."""
    with Table(file.path) as table:
        write = table.options.write_options()
    target = str(tmp_path / "copy.flac")
    for kept in (file.segments, ()):
        place = place_for(sized(file, limit_of(file) + 1), kept, write, target=target)
        assert isinstance(place.placement, NewFile)
        assert place.placement._path == target
        assert not place.replaces
        assert place.placement._like == file.path


@pytest.mark.parametrize("change", ["spectrum", "encoded again", "foreign bytes in front", "mixed"])
def test_where_frames_cannot_be_appended(tmp_path: Path, change: str) -> None:
    options = {"modulation": "spectrum"} if change == "spectrum" else {}
    path = make(tmp_path / "t.flac", 2, **options)
    if change == "encoded again":
        subprocess.run(["flac", "-s", "-f", "-5", str(path), "-o", str(tmp_path / "u.flac")], check=True)
        path = tmp_path / "u.flac"
    elif change == "foreign bytes in front":
        path.write_bytes(b"ID3\x03\x00\x00\x00\x00\x00\x0a" + bytes(10) + path.read_bytes())
    file = open_table_file(str(path), BlockCache(0))
    if change == "mixed":
        file = replace(file, mixed="of another state")
    with Table(tmp_path / "t.flac" if change == "foreign bytes in front" else path) as table:
        write = table.options.write_options()
    place = place_for(sized(file, 1 << 40), file.segments, write)
    assert isinstance(place.placement, NewFile)
    assert place.replaces
    file.close()


def test_pages_of_what_stays(file: TableFile) -> None:
    """Copied as they were written, over the borders of segments, without the parity of each."""
    with Table(file.path) as table:
        place = place_for(file, file.segments, table.options.write_options())
    assert isinstance(place.placement, NewFile)
    earlier = place.placement._earlier
    assert earlier.count == sum(segment.file.own_pages for segment in file.segments)
    pages = earlier.read(0, earlier.count)
    assert pages.shape == (earlier.count, file.newest.file.layout.page_size)
    single = np.concatenate([earlier.read(number, 1) for number in range(earlier.count)])
    assert np.array_equal(single, pages)
    for first in range(earlier.count):
        rest = earlier.read(first, earlier.count - first)
        assert np.array_equal(rest, pages[first:])
    numbers = [page.tobytes() for page in pages]
    assert len(set(numbers)) == len(numbers)


def test_beside(file: TableFile, tmp_path: Path) -> None:
    """A file of its own, which continues the segment in front of it and is above every state before."""
    with Table(file.path) as table:
        write = table.options.write_options()
    before, newest = file.segments[0], file.segments[-1]
    path = str(tmp_path / "00000009.flac")
    ahead = replace(file, beside=replace(file.head, generation=50))
    front = replace(file, front=replace(file.head, generation=70))
    for state, generation in ((file, file.generation + 1), (ahead, 51), (front, 71)):
        place = place_beside(state, path, before, write, FOLDED, newest)
        assert isinstance(place.placement, NewFile)
        assert (place.path, place.placement._path, place.placement._like) == (path, path, file.path)
        assert place.placement._earlier.count == 0
        assert not place.replaces
        assert place.write is write
        seal = place.seal
        assert (seal.generation, seal.earlier, seal.folded) == (generation, (), FOLDED)
        assert seal.before is not None
        assert (seal.before.segment_id, seal.before.digest) == (before.catalog.segment_id, before.digest)
        assert seal.before.generation == generation_of(before)


def test_above_a_delta_beside(file: TableFile, tmp_path: Path) -> None:
    """A vacuum of a table with deltas beside it continues the newest of them."""
    other = make(tmp_path / "other.flac", 1)
    delta = Segment.open(str(other), BlockCache(0))
    seal = delta.catalog.seal
    assert seal is not None
    delta.catalog = replace(delta.catalog, seal=replace(seal, generation=90, folded=FOLDED))
    with Table(file.path) as table:
        write = table.options.write_options()
    place = place_for(file, (), write, newest=delta)
    assert place.seal.generation == 91
    assert place.seal.before is not None
    assert (place.seal.before.segment_id, place.seal.before.generation) == (delta.catalog.segment_id, 90)
    assert place.seal.folded == FOLDED
    assert place_beside(file, "x", file.newest, write, None, delta).seal.generation == 91
    delta.close()


def test_the_first_rows_replace_an_empty_segment(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with Table.create(path, COLUMNS, {"profile": "embedded"}) as table:
        assert is_empty(table.snapshot)
        table.append([{"v": "first"}])
        table.checkpoint()
        assert not is_empty(table.snapshot)
        table.append([{"v": "second"}])
        table.checkpoint()
        assert not is_empty(table.snapshot)
