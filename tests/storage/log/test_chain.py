"""What ties a log together: chained records, watermarks, whole quanta; what crashes and damage leave of it.

Replay gives what was acknowledged, or an error that names the version. Only the newest record may be missing
without a word.
"""

from __future__ import annotations

import contextlib
import os
import random
from pathlib import Path

import pytest
from crash.faulty import FileLayer

from audiomem_sql.errors import AudioMemError, DamagedFileError, StorageError
from audiomem_sql.storage.log import copies as log_copies
from audiomem_sql.storage.log.chain import FIRST_RECORD, SLOTS, WATERMARK, Watermark, record_digest
from audiomem_sql.storage.log.content import LogContent
from audiomem_sql.storage.log.headers import HEADER_BYTES
from audiomem_sql.storage.log.reader import read_log
from audiomem_sql.storage.log.record import LogRecord, pack_commits
from audiomem_sql.storage.log.writer import LARGE_QUANTUM, SMALL_QUANTUM, LogWriter, quantum_for
from storage.log.test_log import (
    BEFORE,
    SESSION,
    TABLE_ID,
    header,
    made,
    plain,
    read,
    record,
    records_of,
    written,
)

SECTOR = 512
QUANTUM = 4096


@pytest.fixture(autouse=True)
def short_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log in copies grows by as little as the logs made here that are written once."""
    monkeypatch.setattr(log_copies, "STRIP_BYTES", QUANTUM)


def new(path: Path, copies: int = 1) -> tuple[LogWriter, LogContent]:
    path.unlink(missing_ok=True)
    writer = LogWriter(str(path), TABLE_ID, copies)
    return writer, writer.create(SESSION, BEFORE, QUANTUM)


def torn(rng: random.Random, old: bytes, new_bytes: bytes) -> bytes:
    """``new_bytes`` of which only some sectors reached the disk over ``old``; the size did or did not."""
    size = len(new_bytes) if rng.random() < 0.7 or len(old) > len(new_bytes) else len(old)
    image = bytearray(old.ljust(size, b"\0")[:size])
    share = rng.choice([0.1, 0.5, 0.9])
    for at in range(0, size, SECTOR):
        if rng.random() < share:
            image[at : at + SECTOR] = new_bytes[at : at + SECTOR]
    return bytes(image)


@pytest.mark.parametrize("copies", [1, 3])
@pytest.mark.parametrize("seed", range(4))
def test_a_write_of_which_any_sectors_are_missing(
    tmp_path: Path, copies: int, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that was acknowledged before is there, the new record is or is not, and the log goes on."""
    path, rng = tmp_path / "log", random.Random(seed)
    writer, content = new(path, copies)
    commits: list[LogRecord] = []
    seen, durable, mark = set(), [path.read_bytes()], LogWriter.mark

    def marked(self: LogWriter, content: LogContent) -> None:
        durable.append(path.read_bytes())  # what is written from here on is not
        mark(self, content)

    monkeypatch.setattr(LogWriter, "mark", marked)
    for _ in range(10):
        first = content.version + 1
        group = [record(first + n, seed) for n in range(rng.choice([1, 1, 3]))]
        before, acknowledged = durable[-1], list(commits)
        grown = writer.append_group(content, group)
        after, whole = durable[-1], path.read_bytes()
        assert len(after) % (QUANTUM * copies) == 0
        for _ in range(6):
            path.write_bytes(torn(rng, before, after))
            found = read(path)
            assert records_of(found) in (acknowledged, acknowledged + group)
            seen.add((found.count > len(acknowledged), found.torn))
            other = LogWriter(str(path), TABLE_ID, copies)
            following = other.append(found, LogRecord(found.version + 1, 7))
            other.close()
            again = read(path)
            assert records_of(again) == records_of(following)
            assert (again.digest, again.torn) == (following.digest, False)
        path.write_bytes(whole)
        durable.append(after)
        commits += group
        content = grown
        assert (read(path).digest, read(path).watermark) == (content.digest, content.version)
    writer.close()
    assert seen >= {(True, False), (False, True)}


@pytest.mark.parametrize("copies", [1, 3])
def test_a_file_that_was_cut(tmp_path: Path, copies: int) -> None:
    path = tmp_path / "log"
    writer, content = new(path, copies)
    ends = {content.end: content.version}
    for version in range(2, 40):
        content = writer.append(content, record(version, 5))
        ends[content.end] = version
    writer.close()
    data = path.read_bytes()
    assert len(data) >= 3 * QUANTUM * copies
    near = {at + n for at in ends for n in (-1, 0, 1)} | set(range(HEADER_BYTES - 2, HEADER_BYTES + 2))
    whole = set(range(0, len(data), QUANTUM))
    newest = {
        (end // QUANTUM * copies) * QUANTUM + end % QUANTUM: version
        for end, version in ends.items()
        if version > 38
    }
    near |= set(newest)
    for size in sorted(near | whole | set(range(0, len(data), 19 if copies == 1 else 463)), reverse=True):
        if size >= len(data):
            continue
        os.truncate(path, size)
        if size < HEADER_BYTES:
            with contextlib.suppress(DamagedFileError):
                assert read_log(str(path), TABLE_ID) is None
            continue
        if size in newest:  # nothing but zeros is missing
            assert read(path).version == newest[size]
            continue
        with pytest.raises(DamagedFileError) as told:
            read_log(str(path), TABLE_ID)
        assert told.value.file == str(path)
        if "cut short" in str(told.value):
            unreadable: list[str] = []
            found = read_log(str(path), TABLE_ID, unreadable=unreadable)
            assert found is not None
            assert f"at version {found.version + 1}. " in unreadable[0]
            assert f"byte {found.end}: " in unreadable[0]
            assert ends[found.end] == found.version
    path.write_bytes(data)
    assert read(path).version == 39


@pytest.mark.parametrize("copies", [1, 3])
def test_every_sector_that_is_lost(tmp_path: Path, copies: int) -> None:
    """Zeros, noise, or what stood there earlier, in every copy: an error, or the newest is missing."""
    path, rng = tmp_path / "log", random.Random(2)
    writer, content = new(path, copies)
    images, every = [path.read_bytes()], []
    for version in range(2, 20):
        every.append(record(version, 3))
        content = writer.append(content, every[-1])
        images.append(path.read_bytes())
    writer.close()
    data, files = images[-1], list[object]()
    for offset in range(0, content.end, SECTOR):
        for other in (bytes(len(data)), rng.randbytes(len(data)), *images[-4:-1], images[1]):
            image = bytearray(data)
            for copy in range(copies):
                at = (offset // QUANTUM * copies + copy) * QUANTUM + offset % QUANTUM
                image[at : at + SECTOR] = other[at : at + SECTOR].ljust(SECTOR, b"\0")
            path.write_bytes(image)
            try:
                found = read_log(str(path), TABLE_ID)
            except AudioMemError as error:
                files.append(error.file)
                continue
            assert records_of(found)[:-1] in (every[:-1], every[:-2])
            assert records_of(found) == every[: len(records_of(found))]
    assert len(files) > content.end // SECTOR
    assert set(files) == {str(path)}


@pytest.mark.parametrize("copies", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_two_copies_of_a_log_that_both_went_on(tmp_path: Path, copies: int, seed: int) -> None:
    """Same session, same salt: sectors of one in the other are told by the chain and the watermark."""
    path, rng = tmp_path / "log", random.Random(seed)
    common = [record(version, seed) for version in range(2, 6)]
    writer, content = new(path, copies)
    for each in common:
        content = writer.append(content, each)
    writer.close()
    data = path.read_bytes()
    sides: list[tuple[list[LogRecord], bytes]] = []
    for number in range(2):
        path.write_bytes(data)
        own = [plain(LogRecord(version, 10 * number + version)) for version in range(6, 30)]
        content = read(path)
        for each in own:
            content = writer.append(content, each)
        writer.close()
        sides.append((common + own, path.read_bytes()))
    assert len(sides[0][1]) == len(sides[1][1])
    files = set[object]()
    for _ in range(60):
        image = bytearray(sides[0][1])
        for at in range(0, len(image), SECTOR):
            if rng.random() < 0.3:
                image[at : at + SECTOR] = sides[1][1][at : at + SECTOR]
        path.write_bytes(image)
        try:
            found = records_of(read_log(str(path), TABLE_ID))
        except DamagedFileError as error:
            files.add(error.file)
            continue
        assert any(found in (whole, whole[:-1]) for whole, _ in sides)
    assert files == {str(path)}


def test_a_whole_record_of_a_sibling(tmp_path: Path) -> None:
    """At the same byte, with the same length, under the same salt: its digest tells."""
    path = tmp_path / "log"
    writer, empty = new(path)
    first = writer.append(empty, LogRecord(2, 1))
    ours = writer.append(first, LogRecord(3, 2))
    writer.append(ours, LogRecord(4, 3))
    data = path.read_bytes()
    writer.cut(empty)
    sibling = writer.append(writer.append(empty, LogRecord(2, 9)), LogRecord(3, 2))
    assert sibling.end == ours.end
    image = bytearray(data)
    image[first.end : ours.end] = path.read_bytes()[first.end : ours.end]
    path.write_bytes(image)
    with pytest.raises(DamagedFileError, match="version 3 does not continue") as told:
        read(path)
    assert told.value.place == f"byte {first.end}"
    assert records_of(read_log(str(path), TABLE_ID, unreadable=[])) == [LogRecord(2, 1, [], [])]
    writer.close()


def test_a_record_of_another_log(tmp_path: Path) -> None:
    """Another salt and session: it is no record at all."""
    path, other = tmp_path / "log", tmp_path / "other"
    records = [LogRecord(version, version) for version in range(2, 6)]
    end = written(path, records[:1]).end
    written(path, records)
    written(other, records, session=b"session2")
    image = bytearray(path.read_bytes())
    image[end : end + 600] = other.read_bytes()[end : end + 600]
    path.write_bytes(image)
    with pytest.raises(DamagedFileError, match="cut short or is damaged at version 3"):
        read(path)
    image[:HEADER_BYTES] = other.read_bytes()[:HEADER_BYTES]  # under its header: no watermark is its own
    path.write_bytes(image)
    with pytest.raises(DamagedFileError, match="cut short or is damaged at version 2"):
        read(path)


@pytest.mark.parametrize("copies", [1, 3])
def test_watermarks_that_are_damaged(tmp_path: Path, copies: int) -> None:
    """One is enough; without both nobody can tell where the log ended."""
    path = tmp_path / "log"
    writer, content = new(path, copies)
    for version in range(2, 6):
        content = writer.append(content, record(version))
    writer.close()
    data = path.read_bytes()
    for slots in ([0], [1], [0, 1]):
        for fill in (bytes(SECTOR), b"\xff" * SECTOR):
            image = bytearray(data)
            for slot in slots:
                for start in range(0, QUANTUM * copies, QUANTUM):
                    image[start + SLOTS[slot] : start + SLOTS[slot] + SECTOR] = fill
            path.write_bytes(image)
            if len(slots) == 1:
                found = read(path)
                assert (found.version, found.slot) == (5, 1 - slots[0])
                other = LogWriter(str(path), TABLE_ID, copies)
                other.append(found, record(6))
                other.close()
                assert (read(path).version, read(path).watermark) == (6, 6)
            else:
                with pytest.raises(DamagedFileError, match="cut short or is damaged at version 6"):
                    read(path)


def test_a_watermark_of_other_bytes(tmp_path: Path) -> None:
    path = tmp_path / "log"
    content = written(path, [record(2), record(3)])
    data = path.read_bytes()
    whole = Watermark(2, 0, bytes(16), SESSION)
    for changed in (
        whole,
        Watermark(3, content.end, bytes(16), SESSION),
        Watermark(3, 1, content.digest, SESSION),
    ):
        image = bytearray(data)
        image[SLOTS[0] : SLOTS[0] + WATERMARK.size] = changed.pack(content.salt)
        image[SLOTS[1] : SLOTS[1] + WATERMARK.size] = bytes(WATERMARK.size)
        path.write_bytes(image)
        with pytest.raises(DamagedFileError, match=f"version {changed.version} does not continue"):
            read(path)


# -- taking back


@pytest.mark.parametrize("copies", [1, 3])
def test_taking_back_several_records_with_a_crash_in_between(tmp_path: Path, copies: int) -> None:
    """The watermark is lowered first, durably: whatever is lost of the rest is no damage."""
    path, rng = tmp_path / "log", random.Random(4)
    writer, empty = new(path, copies)
    kept = writer.append(empty, record(2))
    content = kept
    for version in range(3, 30):
        content = writer.append(content, record(version))
    every, before = records_of(content), path.read_bytes()
    writer._lower(kept)
    lowered = path.read_bytes()
    writer.cut(kept)
    after = path.read_bytes()
    assert len(after) == QUANTUM * copies < len(before)
    assert (read(path).version, read(path).watermark, read(path).torn) == (2, 2, False)
    for _ in range(40):
        path.write_bytes(torn(rng, before, lowered))
        assert records_of(read(path)) == every
        path.write_bytes(torn(rng, lowered, after))
        found = records_of(read(path))
        assert found == every[: max(1, len(found))]
    path.write_bytes(after)
    grown = writer.append(kept, record(3, 9))
    assert records_of(read(path)) == records_of(grown) == [record(2), record(3, 9)]
    writer.close()


def test_a_write_that_fails_leaves_whole_quanta(tmp_path: Path) -> None:
    path = tmp_path / "log"
    writer, empty = new(path)
    content = writer.append(empty, record(2))
    for failing in range(4):
        calls = 0

        def fails(name: str, failing: int = failing) -> bool:
            nonlocal calls
            calls += name in ("pwrite", "fdatasync")
            return name in ("pwrite", "fdatasync") and calls > failing

        writer.close()
        large = LogRecord(3, 0, [(1, (b"x" * 3 * QUANTUM, None, None))])
        with FileLayer(tmp_path, fails), pytest.raises(StorageError):
            writer.append(content, large)
        assert path.stat().st_size % QUANTUM == 0
        found = read(path)
        assert (records_of(found), found.torn) == ([record(2)], False)
    assert records_of(read(path)) == [record(2)]
    assert writer.append(content, record(3)).version == read(path).version == 3
    writer.close()


# -- making


def test_what_a_new_log_says(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for copies, version in ((1, 3), (3, 4)):
        writer, content = new(path, copies)
        assert path.stat().st_size == QUANTUM * copies
        found = read(path)
        for each in (content, found):
            assert (each.format, each.session, each.predecessor) == (version, SESSION, BEFORE)
            assert (each.version, each.after, each.digest, each.watermark) == (1, 1, BEFORE.digest, 1)
            assert each.folded == (SESSION, 1, BEFORE.digest)
            assert (each.end, each.count, each.torn) == (FIRST_RECORD, 0, False)
        content = writer.append_group(content, [record(2), record(3)])
        digest = record_digest(BEFORE.digest, pack_commits([record(2), record(3)]))
        assert content.folded == read(path).folded == (SESSION, 3, digest)
        content = writer.append(content, record(4))
        assert read(path).folded == (SESSION, 4, record_digest(digest, record(4).pack()))
        assert read(path).watermark == 4
        assert content.emptied().folded == (SESSION, 1, BEFORE.digest)
        writer.close()


def test_it_never_takes_the_place_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    writer = LogWriter(str(path), TABLE_ID)
    for version in (1, 3):
        if version == 1:
            path.write_bytes(header())
        else:
            written(path, [record(2)])
        data = path.read_bytes()
        with pytest.raises(StorageError, match="File exists"):
            writer.create(SESSION, BEFORE, QUANTUM)
        assert path.read_bytes() == data
        path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError):
        writer.create(SESSION, BEFORE, QUANTUM)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("failing", ["pwrite", "fsync", "ftruncate"])
@pytest.mark.parametrize("copies", [1, 3])
def test_nothing_is_left_of_one_that_cannot_be_made(tmp_path: Path, failing: str, copies: int) -> None:
    path = tmp_path / "log"
    writer = LogWriter(str(path), TABLE_ID, copies)
    with FileLayer(tmp_path, lambda name: name == failing), pytest.raises(StorageError):
        writer.create(SESSION, BEFORE, QUANTUM)
    assert os.listdir(tmp_path) == []
    writer.create(SESSION, BEFORE, QUANTUM)
    writer.close()


@pytest.mark.parametrize("copies", [1, 3])
def test_a_crash_while_it_is_made(tmp_path: Path, copies: int) -> None:
    """Any sectors of it: no log, or an empty one."""
    path, rng = tmp_path / "log", random.Random(1)
    writer, _ = new(path, copies)
    writer.close()
    data = path.read_bytes()
    seen = set()
    for _ in range(100):
        path.write_bytes(torn(rng, b"", data))
        found = read_log(str(path), TABLE_ID)
        assert found is None or (found.count, found.torn) == (0, False)
        seen.add(found is None)
    assert seen == {True, False}


def test_the_quantum() -> None:
    assert [quantum_for(size) for size in (0, (1 << 20) - 1, 1 << 20, 1 << 40)] == [
        SMALL_QUANTUM, SMALL_QUANTUM, LARGE_QUANTUM, LARGE_QUANTUM,
    ]  # fmt: skip


def test_a_log_without_its_first_sectors(tmp_path: Path) -> None:
    """Zeros where the header was, and records behind: that is damage, not a log that never was."""
    path = tmp_path / "log"
    for copies in (1, 3):
        writer = LogWriter(str(path), TABLE_ID, copies)
        writer.append(made(writer), record(2))
        writer.close()
        image = bytearray(path.read_bytes())
        for start in range(0, len(image), QUANTUM):
            image[start : start + 3 * SECTOR] = bytes(3 * SECTOR)
        path.write_bytes(image)
        with pytest.raises(DamagedFileError, match="its header is damaged"):
            read(path)


@pytest.mark.parametrize("copies", [1, 3])
def test_the_name_of_a_log_is_durable_with_its_first_commit(tmp_path: Path, copies: int) -> None:
    """Whoever named it may have been killed, or told that the disk failed, before the folder was flushed."""
    path, failing = tmp_path / "log", ["fsync"]
    with FileLayer(tmp_path, lambda name: name in failing) as layer:

        def flushes_the_folder(accepted: bool) -> bool:
            found, writer = read(path), LogWriter(str(path), TABLE_ID, copies)
            layer.calls.clear()
            writer.append_group(found, [record(found.version + 1)], accepted=accepted)
            writer.close()
            return "fsync" in layer.calls

        writer = LogWriter(str(path), TABLE_ID, copies)
        content = writer.create(SESSION, BEFORE, QUANTUM, durable=False)
        with pytest.raises(StorageError):
            writer.append(content, record(2))
        writer.close()
        assert read(path).count == 0
        failing.clear()
        assert flushes_the_folder(accepted=True)
        assert not flushes_the_folder(accepted=False)  # this one is killed
        assert flushes_the_folder(accepted=True)
        assert not flushes_the_folder(accepted=True)
