"""The log of a protected table, whatever happens to its copies.

A prefix of what was written is read, and all of it within capacity.
"""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from crash.faulty import FileLayer

from audiomem_sql.errors import AudioMemError, DamagedFileError, StorageError
from audiomem_sql.protection.piece_code import PAYLOAD_BYTES, SECTOR_BYTES
from audiomem_sql.storage.log import copies as log_copies
from audiomem_sql.storage.log.chain import FIRST_RECORD
from audiomem_sql.storage.log.content import LogContent
from audiomem_sql.storage.log.copies import STRIP_BYTES, Copies
from audiomem_sql.storage.log.reader import commits_behind, flawed_versions, has_more, read_log
from audiomem_sql.storage.log.record import LogRecord
from audiomem_sql.storage.log.writer import LogWriter
from audiomem_sql.table.table import Table
from storage.log.test_log import TABLE_ID, made, read, record, records_of

Damage = Callable[[bytearray, random.Random], None]


@pytest.fixture
def short_strips(monkeypatch: pytest.MonkeyPatch) -> int:
    """Strips of two sectors, so that few records fill several."""
    monkeypatch.setattr(log_copies, "STRIP_BYTES", 2 * SECTOR_BYTES)
    return 2 * SECTOR_BYTES


def written(
    path: Path, records: list[LogRecord], copies: int, content: LogContent | None = None
) -> LogContent:
    writer = LogWriter(str(path), TABLE_ID, copies)
    if content is None:
        content = made(writer)
    for each in records:
        content = writer.append(content, each)
    writer.close()
    return content


def of_size(version: int, size: int) -> LogRecord:
    return LogRecord(version, 0, [(version, (b"\xab" * size, None, None))], [])


# -- what damage does


def scattered(rate: float) -> Damage:
    def damage(data: bytearray, rng: random.Random) -> None:
        for _ in range(int(len(data) * rate)):
            data[rng.randrange(len(data))] = rng.randrange(256)

    return damage


def lost_sectors(rate: float) -> Damage:
    def damage(data: bytearray, rng: random.Random) -> None:
        for start in range(0, len(data), SECTOR_BYTES):
            if rng.random() < rate:
                lost = rng.choice([bytes(SECTOR_BYTES), b"\xff" * SECTOR_BYTES, rng.randbytes(SECTOR_BYTES)])
                data[start : start + SECTOR_BYTES] = lost[: len(data) - start]

    return damage


def both(data: bytearray, rng: random.Random) -> None:
    scattered(0.005)(data, rng)
    lost_sectors(0.1)(data, rng)


def one_copy_gone(data: bytearray, rng: random.Random) -> None:
    strip = log_copies.STRIP_BYTES
    start = rng.randrange(len(data) // strip) * strip
    data[start : start + strip] = rng.randbytes(strip)


def anything(data: bytearray, rng: random.Random) -> None:
    """Beyond what can be borne."""
    rng.choice([scattered(0.1), lost_sectors(0.7), lost_sectors(0.95)])(data, rng)
    for _ in range(rng.randrange(3)):  # old bytes at new places
        a, b, size = rng.randrange(len(data)), rng.randrange(len(data)), rng.randrange(1, 3000)
        moved = data[a : a + size]
        data[b : b + len(moved)] = moved


@pytest.mark.parametrize("copies", [3, 6])
@pytest.mark.parametrize("seed", range(3))
def test_every_record_comes_back(tmp_path: Path, short_strips: int, copies: int, seed: int) -> None:
    """Also those around the size of a piece, of a strip, and beyond."""
    sizes = [0, 1, *range(PAYLOAD_BYTES - 75, PAYLOAD_BYTES - 60, 3), 5 * PAYLOAD_BYTES, 3 * short_strips]
    every = [record(version, seed) for version in range(2, 20)]
    every += [of_size(20 + n, size) for n, size in enumerate(sizes)]
    end = written(tmp_path / "log", every, copies)
    found = read(tmp_path / "log")
    assert records_of(found) == every
    assert (found.end, found.version, found.torn, found.copies) == (end.end, every[-1].version, False, copies)
    assert flawed_versions(str(tmp_path / "log"), found) == []
    size = (tmp_path / "log").stat().st_size
    assert size == -(-end.end // short_strips) * short_strips * copies


@pytest.mark.parametrize("damage", [scattered(0.001), scattered(0.01), one_copy_gone, both])
@pytest.mark.parametrize(("copies", "seed"), [(3, 1), (6, 2)])
def test_within_capacity_everything_is_there(
    tmp_path: Path, short_strips: int, damage: Damage, copies: int, seed: int
) -> None:
    path, rng = tmp_path / "log", random.Random(seed)
    every = [record(version, seed) for version in range(2, 12)] + [of_size(12, 9000), of_size(13, 3)]
    content = written(path, every, copies)
    data = path.read_bytes()
    for _ in range(5):
        spoiled = bytearray(data)
        while spoiled == data or (damage is both and not survivable(spoiled, data, content)):
            spoiled = bytearray(data)
            damage(spoiled, rng)
        path.write_bytes(spoiled)
        found = read(path)
        assert records_of(found) == every
        assert damage is both or not found.torn  # two of three sectors behind the end may be gone
        assert not has_more(str(path), content)
        flawed = flawed_versions(str(path), found)
        assert flawed or damage not in (scattered(0.01), one_copy_gone)
        grown = written(path, [record(14)], copies, found)  # the next write heals
        assert flawed_versions(str(path), grown) == []
        with path.open("rb") as file:
            mended = Copies(file.fileno(), copies)
            assert len(set(mended.all(0, mended.size()))) == 1
            assert mended.first(0, content.end)[FIRST_RECORD:] == content_of(data, copies, content)


def content_of(data: bytes, copies: int, content: LogContent) -> bytes:
    strip = log_copies.STRIP_BYTES
    first = b"".join(data[start : start + strip] for start in range(0, len(data), strip * copies))
    return first[FIRST_RECORD : content.end]


def survivable(spoiled: bytes, data: bytes, content: LogContent) -> bool:
    """Whether of every sector a copy is there, but for scattered bytes."""
    strip, copies = log_copies.STRIP_BYTES, content.copies
    for offset in range(0, content.end, SECTOR_BYTES):
        places = [(offset // strip * copies + copy) * strip + offset % strip for copy in range(copies)]
        wrong = [
            sum(a != b for a, b in zip(spoiled[at : at + 4096], data[at : at + 4096], strict=True))
            for at in places
        ]
        if min(wrong) > 100:
            return False
    return True


@pytest.mark.parametrize("seed", range(6))
def test_never_another_record(tmp_path: Path, short_strips: int, seed: int) -> None:
    """What is read is what was written, up to some version, whatever was done to it.

    Or an error names the file.
    """
    path, rng = tmp_path / "log", random.Random(seed)
    every = [record(version, seed) for version in range(2, 9)] + [of_size(9, 5000), record(10, seed)]
    content = written(path, every, rng.choice([2, 3, 6]))
    data, files = path.read_bytes(), set[object]()
    for _ in range(12):
        spoiled = bytearray(data)
        anything(spoiled, rng)
        path.write_bytes(spoiled)
        try:
            found = read_log(str(path), TABLE_ID)
        except AudioMemError as error:
            files.add(error.file)
            continue
        if found is None:
            continue
        kept = records_of(found)
        assert kept == every[: len(kept)]
        if len(kept) < len(every) and commits_behind(str(path), found):
            assert found.torn
        assert read_log(str(path), TABLE_ID, content) is not None
    assert files <= {str(path)}


def test_sectors_of_which_only_one_copy_is_left(tmp_path: Path) -> None:
    """All sectors but one of each, another one each time, never the same side of a record across two."""
    path, rng = tmp_path / "log", random.Random(1)
    every = [of_size(version, rng.choice([30, 700, 4000])) for version in range(2, 30)]
    content = written(path, every, 6)
    data = path.read_bytes()
    for _ in range(5):
        spoiled = bytearray(data)
        for offset in range(0, content.end, SECTOR_BYTES):
            kept = rng.randrange(6)
            for copy in set(range(6)) - {kept}:
                at = copy * STRIP_BYTES + offset
                spoiled[at : at + SECTOR_BYTES] = rng.choice([bytes(4096), rng.randbytes(4096)])
        path.write_bytes(spoiled)
        assert records_of(read(path)) == every


# -- what crashes leave


def test_a_record_whole_in_any_copy_counts(tmp_path: Path, short_strips: int) -> None:
    """Each copy of the last record got as far as chance would have it: it is there, or it never was."""
    path, rng = tmp_path / "log", random.Random(3)
    every = [record(2), of_size(3, 7900)]
    before = written(path, every, 3)
    old = path.read_bytes()
    after = written(path, [of_size(4, 1500)], 3, read(path))
    new = path.read_bytes()
    seen = set()
    for _ in range(60):
        torn = bytearray(old.ljust(len(new), b"\0"))
        whole = False
        for copy in range(3):
            got = rng.choice([0, after.end - before.end, rng.randrange(after.end - before.end)])
            whole = whole or got == after.end - before.end
            for offset in range(before.end, before.end + got):
                at = (offset // short_strips * 3 + copy) * short_strips + offset % short_strips
                torn[at] = new[at]
        path.write_bytes(torn)
        found = read(path)
        assert records_of(found) in ([*every], [*every, of_size(4, 1500)])
        assert found.count == 3 or not whole
        assert not commits_behind(str(path), found)
        grown = written(path, [LogRecord(found.version + 1, 5)], 3, found)
        again = read(path)
        assert records_of(again) == records_of(grown)
        assert not again.torn
        assert flawed_versions(str(path), again) == []
        seen.add((found.count, found.torn))
    assert seen >= {(2, True), (3, False)}


@pytest.mark.damages
@pytest.mark.filterwarnings("ignore::audiomem_sql.DamageWarning")
def test_a_lost_record_before_others_is_no_torn_end(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with Table.create(path, ["id INTEGER PRIMARY KEY", "b BLOB"], {"protection": "standard"}) as table:
        for _ in range(4):
            table.append([{"b": bytes(3000)}])
        log, data = tmp_path / "t.flac-wal", (tmp_path / "t.flac-wal").read_bytes()
        content = table.snapshot.log
        assert content is not None
        record_bytes = (content.end - FIRST_RECORD) // 4
        for sector in range(1, 4):
            # The record that begins in front of the sector is lost: version 1 is in the file.
            kept = 1 + (sector * SECTOR_BYTES - FIRST_RECORD) // record_bytes
            for zeros in (True, False):
                spoiled = bytearray(data)
                for copy in range(3):
                    at = copy * STRIP_BYTES + sector * SECTOR_BYTES
                    spoiled[at : at + SECTOR_BYTES] = bytes(4096) if zeros else os.urandom(4096)
                log.write_bytes(spoiled)
                with pytest.raises(DamagedFileError, match=rf"is damaged at version {kept + 1}\b"):
                    Table(path)
                with Table(path, salvage=True) as other:
                    assert other.version == kept
                    assert other.to_arrow()["id"].to_pylist() == list(range(1, kept))
                log.write_bytes(data)


def test_a_record_taken_back(tmp_path: Path, short_strips: int) -> None:
    path = tmp_path / "log"
    writer = LogWriter(str(path), TABLE_ID, 3)
    first = writer.append(made(writer), record(2))
    whole = path.read_bytes()
    for size in (10, 5000, 40_000):
        writer.append(first, of_size(3, size))
        known = read(path)
        assert known.version == 3
        writer.cut(first)
        assert len(path.read_bytes()) == len(whole)
        for start in range(0, len(whole), short_strips):
            behind = slice(start + FIRST_RECORD, start + short_strips)
            assert path.read_bytes()[behind] == whole[behind]
        assert has_more(str(path), known)
        assert records_of(read(path, known)) == [record(2)]
    writer.cut(first.emptied())
    assert records_of(read(path)) == []
    assert has_more(str(path), first)
    writer.close()


@pytest.mark.parametrize("at", range(3))
def test_a_write_that_fails_and_cannot_be_undone(tmp_path: Path, short_strips: int, at: int) -> None:
    """No byte more can be written: the record is cut off all the same, with the other copies.

    The next write makes these again.
    """
    path = tmp_path / "log"
    first = written(path, [record(2)], 3)
    calls = 0

    def fails(name: str) -> bool:
        nonlocal calls
        calls += name == "pwrite"
        return name == "pwrite" and calls > at

    for size in (10, 20_000):
        calls, writer = 0, LogWriter(str(path), TABLE_ID, 3)
        with FileLayer(tmp_path, fails), pytest.raises(StorageError):
            writer.append(first, of_size(3, size))
        found = read(path)
        assert (records_of(found), found.torn) == ([record(2)], False)
        writer.append(found, LogRecord(3, 1))
        assert flawed_versions(str(path), read(path)) == []
        writer.cut(found)
        writer.close()


@pytest.mark.parametrize("ends_at", range(8))
def test_copies_are_made_again_in_a_file_of_whole_strips(
    tmp_path: Path, short_strips: int, ends_at: int
) -> None:
    """Only copy 0 was left, and whoever made the others again was cut off: the log is no shorter for it."""
    path = tmp_path / "log"
    first = written(path, [record(2)], 3)
    with FileLayer(tmp_path, lambda name: name in ("pwrite", "ftruncate")), pytest.raises(StorageError):
        LogWriter(str(path), TABLE_ID, 3).append(first, record(3))
    os.truncate(path, first.end)  # as a failure to undo, and to make the file as long again, leaves it
    calls = 0

    def fails(name: str) -> bool:
        nonlocal calls
        calls += 1
        return calls > ends_at

    with contextlib.suppress(StorageError), FileLayer(tmp_path, fails):
        LogWriter(str(path), TABLE_ID, 3).append(first, record(3))
    assert records_of(read(path))[:1] == [record(2)]


# -- with a table
