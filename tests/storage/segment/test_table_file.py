"""A file with several segments: found from its end, tied to each other, never mistaken for another state."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from audiomem_sql.bytes.file_state import FRONT_BYTES as STATE_BYTES
from audiomem_sql.errors import DamagedFileError, DamageWarning, StorageError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.storage.pages import FRONT_BYTES, HeadRecord
from audiomem_sql.storage.pages.front import HEAD_AT, has_head
from audiomem_sql.storage.segment import (
    AppendedPages,
    FileState,
    TableFile,
    announce,
    can_append,
    open_table_file,
    retract,
)
from audiomem_sql.storage.segment.catalog_copies import first_cells, raw_catalog
from audiomem_sql.storage.segment.catalog_packing import parse_header
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep import compaction
from audiomem_sql.writing import placement

SESSION = b"session!"
WAYS = ("rewritten", "appended")
pytestmark = pytest.mark.damages


def chain(path: Path, way: str, protection: str, monkeypatch: pytest.MonkeyPatch, segments: int = 4) -> Path:
    """A table whose file has so many segments."""
    monkeypatch.setattr(compaction, "SMALL_TABLE_BYTES", 0)
    if way == "appended":
        monkeypatch.setattr(placement, "REWRITTEN_BYTES", 0)
        monkeypatch.setattr(placement, "REWRITTEN_PROTECTED_BYTES", 0)
    options = {"profile": "embedded", "protection": protection}
    with Table.create(path, ["id INTEGER PRIMARY KEY", "text TEXT"], options) as table:
        table.append(
            [{"id": number, "text": random.Random(number).randbytes(40).hex()} for number in range(900)]
        )
    for number in range(1, segments):
        with Table(path) as table:
            table.append([{"id": 1000 + number, "text": "x"}])
    return path


def opened(path: Path) -> TableFile:
    return open_table_file(str(path), BlockCache(0))


@pytest.mark.parametrize("protection", ["none", "archive"])
@pytest.mark.parametrize("way", WAYS)
class TestChain:
    """Files of both kinds, without and with protection."""

    @pytest.fixture
    def path(self, tmp_path: Path, way: str, protection: str, monkeypatch: pytest.MonkeyPatch) -> Path:
        return chain(tmp_path / "t.flac", way, protection, monkeypatch)

    def test_each_catalog_is_unpacked_once(self, path: Path) -> None:
        file = opened(path)
        copies = [next(first_cells(segment.file)) for segment in file.segments]
        headers = [
            parse_header(raw_catalog(segment.file, cell))
            for segment, cell in zip(file.segments, copies, strict=True)
        ]
        assert file.newest.file.shared.catalog_bytes == sum(raw for _, _, raw, _ in headers)
        file.close()

    def test_segments_name_those_before_them(self, path: Path) -> None:
        file = opened(path)
        assert len(file.segments) == 4
        for before, after in zip(file.segments, file.segments[1:], strict=False):
            seal = after.catalog.seal
            assert seal is not None
            assert seal.before is not None
            assert (seal.before.segment_id, seal.before.digest) == (before.catalog.segment_id, before.digest)
            assert after.catalog.first_version == before.catalog.last_version + 1
            assert seal.folded is not None
            assert seal.folded.version == after.catalog.last_version
        newest = file.newest.catalog.seal
        assert newest is not None
        assert [each.segment_id for each in newest.earlier] == [
            segment.catalog.segment_id for segment in file.segments[:-1]
        ]
        assert file.front == file.head
        assert file.head.sealed == file.stop == file.newest.file.source.present
        assert (file.announced, file.torn, file.mixed) == (None, False, "")
        file.close()

    def test_segments_that_are_open_are_used_again(self, path: Path) -> None:
        file = opened(path)
        again = open_table_file(str(path), BlockCache(0), file)
        assert again.segments == file.segments
        copy = shutil.copy(path, path.with_name("copy.flac"))
        other = open_table_file(str(copy), BlockCache(0), file)
        assert not set(other.segments) & set(file.segments)
        other.close()
        file.close()

    def test_closing_one_segment_leaves_the_others(self, path: Path) -> None:
        file = opened(path)
        file.newest.close()
        file.newest.close()
        assert file.segments[0].rowid(0) == 0
        file.close()
        with pytest.raises(StorageError, match="closed"):
            file.segments[0].block(1, 0)

    def test_announcement_and_retraction(self, path: Path) -> None:
        before = path.read_bytes()
        file = opened(path)
        assert can_append(file)
        record = announce(file, SESSION, "host:1")
        assert record.generation == file.generation + 1
        announced = opened(path)
        assert announced.announced == announced.front == record
        assert announced.generation == record.generation
        assert announced.head.session == bytes(8)
        assert path.stat().st_size > len(before)
        retract(announced)
        retracted = opened(path)
        assert retracted.announced is None
        assert retracted.front is not None
        assert not retracted.front.is_open
        assert retracted.front.generation == record.generation + 1
        assert path.stat().st_size == len(before)
        assert path.read_bytes()[FRONT_BYTES:] == before[FRONT_BYTES:]
        for each in (file, announced, retracted):
            each.close()

    def test_an_announcement_without_the_front(self, path: Path) -> None:
        """Metadata that were removed, or put back, do not hide a log."""
        old_front = path.read_bytes()[:FRONT_BYTES]
        file = opened(path)
        record = announce(file, SESSION, "host:1")
        file.close()
        with path.open("r+b") as target:
            target.write(old_front)
        behind = opened(path)
        assert behind.announced == record
        behind.close()
        with path.open("r+b") as target:
            target.seek(HEAD_AT)
            target.write(bytes(8))
        stripped = opened(path)
        assert (stripped.front, stripped.announced) == (None, record)
        stripped.close()

    def test_a_front_without_the_announcement(self, path: Path) -> None:
        file = opened(path)
        record = announce(file, SESSION, "host:1")
        size = file.state.size
        file.close()
        with path.open("r+b") as target:
            target.truncate(size)
        cut = opened(path)
        assert (cut.front, cut.announced) == (record, None)
        cut.close()

    def test_pages_behind_the_end_are_torn(self, path: Path) -> None:
        """What a fold wrote that never ended is passed over, whatever part of it is there."""
        whole = path.read_bytes()
        with Table(path) as table:
            table.append([{"id": 5000 + number, "text": "y" * 400} for number in range(100)])
        longer = path.read_bytes()
        if not longer[FRONT_BYTES:].startswith(whole[FRONT_BYTES:]):
            return  # written anew: there is nothing behind
        for size in range(len(whole) + 1, len(longer), 1777):
            path.write_bytes(
                longer[:FRONT_BYTES].replace(longer[:FRONT_BYTES], whole[:FRONT_BYTES])
                + longer[FRONT_BYTES:size]
            )
            torn = opened(path)
            assert torn.newest.catalog.last_version == 5
            torn.close()

    def test_another_segment_in_the_chain(
        self, path: Path, tmp_path: Path, way: str, protection: str
    ) -> None:
        """Pages of a sibling, which passed through the same versions, are told."""
        file = opened(path)
        place = file.segments[1].file
        size = place.source.profile.page_size
        first, count = place.first, place.own_pages
        offset: Callable[[int], int] = place.source.offset  # type: ignore[attr-defined]
        start, stop = offset(first), offset(first + count)
        file.close()
        assert stop - start >= size
        sibling = tmp_path / "sibling.flac"
        shutil.copy(path, sibling)
        data = bytearray(path.read_bytes())
        with Table(sibling) as table:
            table.append([{"id": 7000, "text": "z"}])
        other = opened(sibling)
        begin = other.newest.file.source.offset(other.newest.file.first)  # type: ignore[attr-defined]
        other.close()
        foreign = sibling.read_bytes()[begin : begin + stop - start]
        data[start:stop] = foreign.ljust(stop - start, b"\0")[: stop - start]
        path.write_bytes(data)
        if protection == "archive":
            healed = opened(path)
            assert healed.segments[1].rowid(0) == 1001
            assert "segment" in healed.mixed
            healed.close()
        else:
            with pytest.raises(DamagedFileError):
                opened(path)


def test_appended_pages_are_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = chain(tmp_path / "t.flac", "appended", "none", monkeypatch)
    before = path.read_bytes()
    with Table(path) as table:
        transaction = table.begin()
        for number in range(6000, 9000):
            transaction.insert(number, (number, "large" * 40))
        table.prepare()
        assert len(path.read_bytes()) > len(before)
        table.rollback()
        assert len(table) == 903
    assert path.read_bytes() == before


def test_states(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    assert FileState.of(str(path)) is None
    path.write_bytes(b"x" * STATE_BYTES)
    first = FileState.of(str(path))
    assert first == FileState.of(str(path))
    with path.open("r+b") as target:
        target.seek(STATE_BYTES - 1)
        target.write(b"y")
    assert FileState.of(str(path)) != first
    with path.open("ab") as target:
        target.write(b"z")
    longer = FileState.of(str(path))
    assert longer is not None
    assert longer.size == STATE_BYTES + 1


def test_a_foreign_front(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The front of another table's file is told, and the table is read all the same."""
    path = chain(tmp_path / "t.flac", "rewritten", "none", monkeypatch, segments=2)
    other = chain(tmp_path / "o.flac", "rewritten", "none", monkeypatch, segments=2)
    front = other.read_bytes()[:FRONT_BYTES]
    assert has_head(front)
    with path.open("r+b") as target:
        target.write(front)
    file = opened(path)
    assert "table" in file.mixed
    assert len(file.segments) == 2
    file.close()
    with pytest.warns(DamageWarning, match="mixed"):
        table = Table(path)
    with table, pytest.raises(DamagedFileError, match="mixed"):
        table.append([{"id": 5000, "text": "x"}])


def test_head_records() -> None:
    record = HeadRecord(7, b"t" * 16, 12, b"s" * 8, b"d" * 16, 5)
    assert HeadRecord.unpack(record.pack()) == record
    assert not record.is_open
    opened_record = record.announcing(SESSION, 8)
    assert opened_record.is_open
    assert opened_record.generation == 8
    assert HeadRecord.unpack(opened_record.pack() + b"more") == opened_record
    packed = record.pack()
    for at in range(len(packed)):
        broken = bytearray(packed)
        broken[at] ^= 1
        assert HeadRecord.unpack(bytes(broken)) is None
    assert HeadRecord.unpack(packed[:-1]) is None


def test_where_appended_pages_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = chain(tmp_path / "t.flac", "appended", "none", monkeypatch, segments=2)
    file = opened(path)
    assert AppendedPages(file).first == file.stop
    announce(file, SESSION, "host:1")
    file.close()
    file = opened(path)
    assert AppendedPages(file).first == file.stop + 1
    file.close()


def test_a_file_of_version_1() -> None:
    """It has no generation, and the first change makes the first."""
    file = opened(Path(__file__).parents[2] / "fixtures" / "v1" / "small.flac")
    assert (file.format_version, file.generation, file.next_generation) == (1, 0, 1)
    assert (file.front, file.announced, len(file.segments)) == (None, None, 1)
    assert not can_append(file)
    file.close()
