"""The write-ahead log: round trips, torn tails, damage, other logs in its place, and no room for a record."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from samples import INTEGERS, REALS, TEXTS, arrow, content, create, rows, same

from audiomem_sql.errors import (
    AudioMemError,
    DamagedFileError,
    FormatVersionError,
    LimitError,
    StorageError,
)
from audiomem_sql.protection.crc32c import crc32c
from audiomem_sql.storage.log import record as log_record
from audiomem_sql.storage.log.chain import (
    FIRST_RECORD,
    SLOTS,
    WATERMARK,
    Predecessor,
    record_crc,
    record_digest,
)
from audiomem_sql.storage.log.content import LOG_HEADER, LOG_MAGIC, LogContent
from audiomem_sql.storage.log.headers import HEADER_BYTES
from audiomem_sql.storage.log.reader import (
    RECORD_HEADER,
    check_rows,
    has_more,
    read_log,
)
from audiomem_sql.storage.log.record import LogRecord
from audiomem_sql.storage.log.writer import SMALL_QUANTUM, LogWriter
from audiomem_sql.table.table import Table

TABLE_ID = bytes(range(16))
SESSION = b"session1"
BEFORE = Predecessor(b"segment1", bytes(range(100, 116)), 1)
BLOBS = [b"", b"\0", b"\xff" * 1000, bytes(range(256))]
VALUES = [None, *INTEGERS, *REALS, *TEXTS, *BLOBS, "\U0010ffff", "e\u0301", "x" * 100_000]


def record(version: int, seed: int = 0) -> LogRecord:
    """A commit with something of everything."""
    rng = random.Random(f"{seed}:{version}")
    limits = [1, -1, 2**63 - 1, -(2**63)]
    return LogRecord(
        version,
        1_700_000_000_000_000 + version,
        [(rng.choice(limits) + 0, tuple(rng.choices(VALUES[:-1], k=3))) for _ in range(rng.randrange(4))],
        [rng.choice(limits) for _ in range(rng.randrange(4))],
        rng.choice([None, "", "naïve 🎼"]),
        rng.choice([None, b"\x80"]),
        rng.choice([{}, {"tag é": 1}]),
    )


def made(writer: LogWriter, session: bytes = SESSION) -> LogContent:
    """A new log without records, in place of what is there."""
    Path(writer.path).unlink(missing_ok=True)
    return writer.create(session, BEFORE, SMALL_QUANTUM)


def written(path: Path, records: list[LogRecord], copies: int = 1, session: bytes = SESSION) -> LogContent:
    """A new log with these records, in place of what is there."""
    writer = LogWriter(str(path), TABLE_ID, copies)
    content = made(writer, session)
    for each in records:
        content = writer.append(content, each)
    writer.close()
    return content


def flushed(path: Path, records: list[LogRecord]) -> LogContent:
    """The same, as it is when the last record is durable, and its watermark is not written yet."""
    content, before = written(path, records[:-1]), path.read_bytes()
    writer = LogWriter(str(path), TABLE_ID)
    content = writer.append(content, records[-1])
    writer.close()
    image = bytearray(path.read_bytes())
    for start in SLOTS:
        image[start : start + WATERMARK.size] = before[start : start + WATERMARK.size]
    path.write_bytes(image)
    return content


def read(path: Path, known: LogContent | None = None) -> LogContent:
    found = read_log(str(path), TABLE_ID, known)
    assert found is not None
    return found


def records_of(found: LogContent | None) -> list[LogRecord]:
    """Those of this content, comparable with others."""
    return [] if found is None else [plain(each) for each in found.records[: found.count]]


def plain(each: LogRecord) -> LogRecord:
    return replace(each, inserted=list(each.inserted), deleted=list(each.deleted))


def test_every_value_comes_back(tmp_path: Path) -> None:
    every = [LogRecord(2 + n, n, [(n, (value, value, value))], []) for n, value in enumerate(VALUES)]
    written(tmp_path / "log", every)
    assert repr(records_of(read(tmp_path / "log"))) == repr(every)


@pytest.mark.parametrize("seed", range(20))
def test_every_record_comes_back(tmp_path: Path, seed: int) -> None:
    every = [record(version, seed) for version in range(2, 40)]
    end = written(tmp_path / "log", every)
    found = read(tmp_path / "log")
    assert records_of(found) == every
    assert (found.end, found.version, found.torn) == (end.end, 39, False)


def test_records_larger_than_the_room_kept_free(tmp_path: Path) -> None:
    large = LogRecord(3, 0, [(1, ("x" * (SMALL_QUANTUM + 10), b"y" * SMALL_QUANTUM, None))], [])
    every = [record(2), large, record(4), replace(large, version=5), record(6)]
    end = written(tmp_path / "log", every)
    assert records_of(read(tmp_path / "log")) == every
    size = (tmp_path / "log").stat().st_size
    assert size % SMALL_QUANTUM == 0
    assert 4 * SMALL_QUANTUM < end.end <= size < 3 * end.end  # with room for more of the large ones


def test_a_record_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_record, "MAX_RECORD_BYTES", 1000)
    before = written(tmp_path / "log", [record(2)])
    data = (tmp_path / "log").read_bytes()
    writer = LogWriter(str(tmp_path / "log"), TABLE_ID)
    with pytest.raises(LimitError, match="too large for the log"):
        writer.append(before, LogRecord(3, 0, [(1, ("x" * 1000, None, None))]))
    with pytest.raises(LimitError, match="cannot be logged"):
        writer.append(before, LogRecord(3, 0, [(1, (2**64, None, None))]))
    writer.close()
    assert (tmp_path / "log").read_bytes() == data


def test_only_what_is_new_is_read(tmp_path: Path) -> None:
    writer = LogWriter(str(tmp_path / "log"), TABLE_ID)
    first = writer.append(made(writer), record(2))
    known = read(tmp_path / "log")
    assert not has_more(str(tmp_path / "log"), known)
    writer.append(first, record(3))
    assert has_more(str(tmp_path / "log"), known)
    again = read(tmp_path / "log", known)
    assert records_of(again) == [record(2), record(3)]
    assert again.records[0] is known.records[0]
    assert records_of(known) == [record(2)]
    writer.close()


@pytest.mark.parametrize("length", [1, 4_000, 4_096, 50_000])
def test_every_byte_that_tells_a_log_is_looked_at(tmp_path: Path, length: int) -> None:
    """What names the log, the header of its last record, and what stands behind that, short or long."""
    path = tmp_path / "log"
    known = written(path, [record(2), LogRecord(3, 1, [(1, ("x" * length, None, None))])])
    assert not has_more(str(path), known)
    data = path.read_bytes()
    start, header = known.last
    named = [*range(32, 36), *range(LOG_HEADER.size, LOG_HEADER.size + len(SESSION))]
    last = [*range(start, start + len(header)), *range(known.end, known.end + 8)]
    for place in [*named, *last]:
        changed = bytearray(data)
        changed[place] ^= 1
        path.write_bytes(changed)
        assert has_more(str(path), known), place
    path.write_bytes(data[: known.end])  # whether it was cut is asked by who reads it
    assert not has_more(str(path), known)
    path.write_bytes(data[: start + len(header) - 1])
    assert has_more(str(path), known)


def test_torn_at_every_byte(tmp_path: Path) -> None:
    """Of the last record only the beginning reached the disk: it is as if it had never been."""
    path = tmp_path / "log"
    before = written(path, [record(2), record(3)])
    end = flushed(
        path, [record(2), record(3), LogRecord(4, 0, [(1, ("abc", 300, b"xyz"))], [7], "message")]
    ).end
    data = path.read_bytes()
    for cut in range(before.end, end):
        path.write_bytes(data[:cut].ljust(SMALL_QUANTUM, b"\0"))
        found = read(path)
        assert records_of(found) == [record(2), record(3)]
        assert found.torn == any(data[before.end : cut])
        writer = LogWriter(str(path), TABLE_ID)
        writer.append(found, record(4))
        writer.close()
        assert records_of(read(path)) == [record(2), record(3), record(4)]
        assert not read(path).torn


def test_the_middle_of_the_last_record_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "log"
    before = written(path, [record(2)])
    end = flushed(path, [record(2), LogRecord(3, 0, [(1, (b"x" * 20_000, None, None))])]).end
    data = path.read_bytes()
    for start in range(before.end // 512 * 512 + 512, end, 512):
        path.write_bytes(data[:start] + bytes(512) + data[start + 512 :])
        assert records_of(read(path)) == [record(2)]
    path.write_bytes(data[: before.end] + bytes(8192) + data[before.end + 8192 :])
    found = read(path)
    assert records_of(found) == [record(2)]
    writer = LogWriter(str(path), TABLE_ID)
    for length in (10, 4000, 9000):
        grown = writer.append(found, LogRecord(3, 0, [(1, ("y" * length, None, None))]))
        assert records_of(read(path)) == records_of(grown)
        writer.cut(found)
        assert records_of(read(path)) == [record(2)]
    writer.close()


def flip(path: Path, data: bytes, bit: int) -> None:
    """Make the file ``data``, but for one bit."""
    spoiled = bytearray(data)
    spoiled[bit // 8] ^= 1 << bit % 8
    path.write_bytes(spoiled)


def test_bits_that_flip(tmp_path: Path) -> None:
    """Whatever bit flips: all records, or an error that names the file.

    Before the watermark of the newest is there, it may be missing.
    """
    path = tmp_path / "log"
    every = [
        LogRecord(version, version, [(version, ("abc", version, b"x"))], [version]) for version in range(2, 6)
    ]
    found_end = written(path, every[:-1]).end
    end = flushed(path, every).end
    data = path.read_bytes()
    refused: list[tuple[int, object]] = []
    places = [*range(HEADER_BYTES), *(slot + n for slot in SLOTS for n in range(WATERMARK.size))]
    bits = [8 * at + at % 8 for at in [*places, *range(FIRST_RECORD, end + 10)]]
    for bit in bits:
        flip(path, data, bit)
        try:
            found = records_of(read(path))
        except (DamagedFileError, FormatVersionError) as error:
            refused.append((bit, error.file))
            continue
        in_last = 8 * found_end <= bit < 8 * end
        assert found == (every[:-1] if in_last else every)
    last = found_end
    assert refused == [
        (bit, str(path)) for bit in bits if bit < 8 * HEADER_BYTES or 8 * FIRST_RECORD <= bit < 8 * last
    ]


@pytest.mark.parametrize("seed", range(10))
def test_bytes_of_any_kind(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "log"
    every = [record(version, seed) for version in range(2, 9)]
    end = written(path, every).end
    data = path.read_bytes()
    rng = random.Random(seed)
    files: set[object] = set()
    for _ in range(100):
        spoiled = bytearray(data)
        for _ in range(rng.randrange(1, 4)):
            start = rng.randrange(end + 100)
            size = rng.choice([1, 4, 8, 64])
            spoiled[start : start + size] = rng.choice(
                [bytes(size), b"\xff" * size, rng.randbytes(size), b""]
            )
        path.write_bytes(spoiled)
        try:
            found = records_of(read_log(str(path), TABLE_ID))
        except AudioMemError as error:
            files.add(error.file)
        else:
            assert found == every[: len(found)]
    assert files <= {str(path)}


def test_a_whole_record_that_makes_no_sense(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for packed in (
        b"\xc0",
        b"\x80",
        b"\x93\1\2\3",
        b"\xc1",
        b"\x81\xa7version\xa1x",
        record(3).pack()[:-1] + b"\xc1",
    ):
        end = written(path, [record(2)])
        digest = record_digest(end.digest, packed)
        crc = record_crc(packed, end.salt, 3, digest)
        with path.open("r+b") as file:
            file.seek(end.end)
            file.write(RECORD_HEADER.pack(len(packed), crc, digest) + packed)
        with pytest.raises(DamagedFileError, match=f"log: byte {end.end}"):
            read(path)
        path.unlink()
    written(path, [record(2), LogRecord(3, 0, [(1, (1, 2, 3))])])
    with pytest.raises(DamagedFileError, match="another number of columns"):
        check_rows(str(path), read(path), 1, 4, lambda rowid, row: None)


def header(table_id: bytes = TABLE_ID, version: int = 1, after: int = 1) -> bytes:
    """The header of format 1, with which those of all later formats begin."""
    head = LOG_HEADER.pack(LOG_MAGIC, version, table_id, after, 77, 0)[:-4]
    return head + crc32c(head).to_bytes(4, "little")


def test_other_files_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert read_log(str(path), TABLE_ID) is None
    for nothing in (b"", b"\0", bytes(100), header()[:20], header()[:20] + bytes(5000), bytes(5000)):
        path.write_bytes(nothing)
        assert read_log(str(path), TABLE_ID) is None
        assert records_of(written(path, [record(2)])) == records_of(read(path)) == [record(2)]
    path.write_bytes(header(bytes(16)))
    with pytest.raises(DamagedFileError, match="log: the log belongs to another table"):
        read(path)
    path.write_bytes(header(version=5))
    with pytest.raises(FormatVersionError, match="log: the log is in format version 5"):
        read(path)
    foreign = b"something else entirely, for more than a header and a bit"
    for data in (
        foreign,
        b"key=1",
        b"Au\n",
        bytes(44) + b"x",
        bytes(8192) + foreign,
        bytes(2 << 20) + b"x",
    ):
        path.write_bytes(data)
        with pytest.raises(DamagedFileError, match="this is no write-ahead log"):
            read(path)
        with pytest.raises(StorageError, match="log: is no log, and not ours to overwrite"):
            LogWriter(str(path), TABLE_ID).create(SESSION, BEFORE, SMALL_QUANTUM)
        assert path.read_bytes() == data
    path.unlink()
    path.mkdir()
    with pytest.raises(StorageError):
        read(path)
    with pytest.raises(StorageError, match="is a folder"):
        LogWriter(str(path), TABLE_ID).create(SESSION, BEFORE, SMALL_QUANTUM)
    assert list(path.iterdir()) == []


def test_a_new_log_with_the_number_of_the_old(tmp_path: Path) -> None:
    """Same file number, same size, even the same offsets: the salt tells them apart."""
    path = tmp_path / "log"
    known = written(path, [record(2), record(3)])
    data = path.read_bytes()
    other = tmp_path / "other"
    written(other, [LogRecord(2, 5), record(3)])
    path.write_bytes(other.read_bytes())
    assert path.stat().st_ino == known.identity[1]  # type: ignore[index]
    assert has_more(str(path), known)
    assert records_of(read(path, known)) == [LogRecord(2, 5, [], []), record(3)]
    assert records_of(known) == [record(2), record(3)]
    path.write_bytes(data)
    assert records_of(read(path, known)) == [record(2), record(3)]
    path.unlink()
    assert has_more(str(path), known)


def test_a_record_taken_back(tmp_path: Path) -> None:
    """Whoever has read it notices, though the one in its place is as long."""
    path = tmp_path / "log"
    writer = LogWriter(str(path), TABLE_ID)
    first = writer.append(made(writer), LogRecord(2, 1, [(1, ("a", None, None))]))
    ghost = writer.append(first, LogRecord(3, 1, [(2, ("b", None, None))]))
    known = read(path)
    assert known.end == ghost.end
    writer.cut(first)
    assert has_more(str(path), known)
    assert records_of(read(path, known)) == records_of(first)
    other = writer.append(first, LogRecord(3, 1, [(2, ("c", None, None))]))
    assert other.end == known.end
    assert has_more(str(path), known)
    last = writer.append(other, LogRecord(4, 1))
    assert records_of(read(path, known)) == records_of(last)
    assert [r.inserted for r in records_of(last)] == [[(1, ("a", None, None))], [(2, ("c", None, None))], []]
    assert records_of(known)[1].inserted == [(2, ("b", None, None))]
    writer.cut(first.emptied())
    assert records_of(read(path)) == []
    assert has_more(str(path), known)
    writer.close()


# -- with a table


def test_a_rollback_of_what_others_have_seen(tmp_path: Path) -> None:
    """A commit is prepared, seen by another process, and rolled back.

    The other goes on without it, and loses nothing that it commits.
    """
    path = tmp_path / "t.flac"
    with create(path, 5) as table, Table(path) as other:
        for first in (6, 7):
            transaction = table.begin()
            transaction.insert(100 + first, (None, *[None] * 10))
            table.prepare()
            other.refresh()
            assert len(other) == first
            table.rollback()
            other.append(arrow(rows(1, 0, first)))
            assert same(content(other), [*rows(5), *(rows(1, 0, n)[0] for n in range(6, first + 1))])
            table.refresh()
            assert same(content(table), content(other))


def test_all_of_it_in_a_segment_already(tmp_path: Path) -> None:
    """A crash came between publishing the segment and removing the log."""
    path, log = tmp_path / "t.flac", tmp_path / "t.flac-wal"
    with create(path, 5) as table:
        table.append(arrow(rows(5, 0, 6)))
        saved = log.read_bytes()
        table.checkpoint()
        assert not log.exists()
        log.write_bytes(saved)
        with Table(path) as reader:
            assert same(content(reader), [*rows(5), *rows(5, 0, 6)])
            assert log.exists()
        table.append(arrow(rows(1, 0, 11)))
        assert log.exists()
    with Table(path) as table:
        assert same(content(table), [*rows(5), *rows(5, 0, 6), *rows(1, 0, 11)])
        assert [version.number for version in table.versions] == [1, 2, 3, 4]
    log.write_bytes(saved)  # of two sessions ago: nothing in the file speaks of it any more
    with pytest.raises(DamagedFileError, match="the log continues"):
        Table(path)
    log.unlink()
