"""docs/FORMAT.md says how the log is written: logs made from the document alone are read."""

from __future__ import annotations

import hashlib
import re
import shutil
import struct
from pathlib import Path

import msgpack
import pytest
import reedsolo
from fixtures.make_v1 import FOLDER

from audiomem_sql.errors import DamagedFileError
from audiomem_sql.machine.limits import LIMITS
from audiomem_sql.protection.levels import LEVELS
from audiomem_sql.protection.piece_code import PAYLOAD_BYTES
from audiomem_sql.storage.log import copies as log_copies
from audiomem_sql.storage.log import protected as protected_log
from audiomem_sql.storage.log import reader as log
from audiomem_sql.storage.log.record import LogRecord
from audiomem_sql.storage.pages.front import HEAD_AT
from audiomem_sql.table.reader import TableReader
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep import compaction
from audiomem_sql.upkeep.merge_plan import UNIT_BYTES
from audiomem_sql.writing import log_limits, placement
from storage.format_document import TEXT, keys, reference_crc, table


def test_when_the_log_is_folded() -> None:
    assert f"Of up to {log_limits.LOGGED_COMMIT_BYTES >> 10} KiB:" in TEXT
    assert f"It comes at {log_limits.CHECKPOINT_BYTES >> 20} MiB" in TEXT
    assert f"at {log_limits.CHECKPOINT_COMMITS:,} commits" in TEXT
    small, large = compaction.SMALL_TABLE_BYTES >> 10, compaction.HURRIED_BYTES >> 20
    assert f"have no more than {small} KiB of data, and the log no more than {large} MiB" in TEXT
    few, fan = compaction.SMALL_DELTA_BYTES >> 20, compaction.MERGED_AT_ONCE
    assert f"In a store, {compaction.SMALL_DELTAS} or more that have up to {few} MiB of data each" in TEXT
    assert f"{UNIT_BYTES >> 10} KiB for each version" in TEXT
    assert (
        f"when {fan} of them are of tier t, or when there are more than {fan - 1} × (t + 1) of them" in TEXT
    )
    usual, many, last = (
        size >> 20
        for size in (
            compaction.COMMIT_MERGE_BYTES,
            compaction.MANY_MERGE_BYTES,
            compaction.LAST_MERGE_BYTES,
        )
    )
    assert f"up to {usual} MiB, or {many} MiB where there are more than {compaction.MANY_DELTAS};" in TEXT
    assert f"up to {last} MiB when the last session closes" in TEXT
    own = [LIMITS[name].log_bytes >> 20 for name in ("mobile", "embedded")]
    assert f"mobile\nthe log has {own[0]} MiB, of embedded {own[1]} MiB" in TEXT
    assert f"files of up to {placement.REWRITTEN_BYTES >> 20} MiB with protection `none`" in TEXT
    assert f"of up to {placement.REWRITTEN_PROTECTED_BYTES >> 20} MiB with any other" in TEXT


def base_of_version_1(folder: Path) -> tuple[Path, bytes]:
    """A table of version 1 that ends with version 2, and its id."""
    path = folder / "t.flac"
    shutil.copyfile(FOLDER / "versions.flac", path)
    with TableReader(path) as table:
        assert (table.version, len(table), len(table.schema.columns)) == (2, 10, 3)
        return path, table.snapshot.segments[0].catalog.table_id


@pytest.mark.filterwarnings("ignore::audiomem_sql.DamageWarning")
def test_a_log_made_from_the_document_alone(tmp_path: Path) -> None:
    """Header and two records, by the tables of the document; then a record out of order, and a torn one."""
    path, table_id = base_of_version_1(tmp_path)
    length, crc, _ = table("Log record")
    assert int(crc["offset"]) == int(length["size"])
    assert int(length["size"]) + int(crc["size"]) == log.OLD_RECORD_HEADER.size
    assert set(LogRecord(1, 0).__dataclass_fields__) == keys("Log record", 1)

    def packed(number: int, salt: int = 7, **changes: object) -> bytes:
        content: dict[str, object] = {
            "version": number, "time": 1_700_000_000_000_000,
            "inserted": [[100 + number, [100 + number, f"{number}", None]]],
            "deleted": [], "message": None, "sources": None, "tags": {},
        }  # fmt: skip
        data = msgpack.packb(content | changes)
        return struct.pack("<II", len(data), reference_crc(data, (salt + number) % 2**32)) + data

    head = b"AuML" + struct.pack("<I16sQI", 1, table_id, 2, 7)
    head += reference_crc(head, 0).to_bytes(4, "little")
    whole = head + packed(3, tags={"three": 3}) + packed(4, deleted=[1], message="four")
    for behind in (bytes(100), packed(6), packed(5, salt=8), packed(5)[:-1], b"", packed(5, version=7)):
        (tmp_path / "t.flac-wal").write_bytes(whole + behind)
        with Table(path) as opened:
            found = opened.to_arrow(where="id > 100").to_pylist()
            assert found == [{"id": 103, "word": "3", "n": None}, {"id": 104, "word": "4", "n": None}]
            assert (len(opened), opened.get(1)) == (11, None)
            assert opened.tags == {"three": 3}
            assert (opened.version, opened.versions[-1].message) == (4, "four")
    group = msgpack.packb([msgpack.unpackb(packed(number)[8:]) for number in (5, 6, 7)])
    together = struct.pack("<II", len(group), reference_crc(group, 7 + 5)) + group
    for behind, versions in (
        (together, [3, 4, 5, 6, 7]),
        (together[:-1], [3, 4]),
        (packed(5) + together, [3, 4, 5]),
    ):
        (tmp_path / "t.flac-wal").write_bytes(whole + behind)
        with Table(path) as opened:
            assert [version.number for version in opened.versions[2:]] == versions
            ids = opened.to_arrow(["id"], where="id > 100").column(0).to_pylist()
            assert ids == [100 + number for number in versions]
    (tmp_path / "t.flac-wal").write_bytes(whole)


@pytest.mark.filterwarnings("ignore::audiomem_sql.DamageWarning")
@pytest.mark.parametrize("copies", [2, 3, 6])
def test_a_protected_log_made_from_the_document_alone(tmp_path: Path, copies: int) -> None:
    """Its pieces with the Reed-Solomon code of another package.

    One record is longer than a piece and one longer than a strip.
    """
    strip = int(re.findall(r"strips of (\d+) bytes", TEXT)[0])
    assert strip == log_copies.STRIP_BYTES
    assert f"p ≤ {PAYLOAD_BYTES}" in TEXT
    assert f"c is from 2 to {protected_log.MAX_COPIES}" in TEXT
    for name in ("standard", "archive"):
        assert f"{LEVELS[name].log_copies} with\n`{name}`" in TEXT or (
            f"{LEVELS[name].log_copies} with `{name}`" in TEXT
        )
    assert f"magic `{protected_log.RECORD_MAGIC.decode()}`" in {
        row["field"] for row in table("Header of a protected record")
    }
    code = reedsolo.RSCodec(32)
    path, table_id = base_of_version_1(tmp_path)

    def piece(payload: bytes, seed: int) -> bytes:
        data = payload + reference_crc(payload, seed % 2**32).to_bytes(4, "little")
        words = -(-len(data) // 223)
        padded = bytes(words * 223 - len(data)) + data
        parity = [code.encode(padded[word::words])[223:] for word in range(words)]
        return data + bytes(parity[i % words][i // words] for i in range(32 * words))

    def packed(number: int, size: int, salt: int = 9) -> bytes:
        commit = {
            "version": number, "time": 1_700_000_000_000_000,
            "inserted": [[100 + number, [100 + number, f"{number}" + "x" * size, None]]],
            "deleted": [], "message": None, "sources": None, "tags": {},
        }  # fmt: skip
        data = msgpack.packb(commit)
        crc = reference_crc(data, (salt + number) % 2**32)
        parts = [piece(struct.pack("<4sIQI", b"AuMR", len(data), number, crc), salt)]
        parts += [piece(data[n * 888 : n * 888 + 888], crc + n) for n in range(-(-len(data) // 888))]
        return b"".join(parts)

    head = b"AuML" + struct.pack("<I16sQI", 2, table_id, 2, 9)
    head += reference_crc(head, 0).to_bytes(4, "little")
    whole = piece(head + copies.to_bytes(4, "little"), 0)
    assert len(whole) == 80
    whole += packed(3, 10) + packed(4, 2000)
    large = whole + packed(5, 260_000)
    for stream, last in (
        (large, 5), (whole + packed(6, 1), 4), (whole + packed(5, 1, salt=8), 4), (large[:-200], 4),
        (large[:-20], 5),
    ):  # fmt: skip
        strips = [stream[start : start + strip].ljust(strip, b"\0") for start in range(0, len(stream), strip)]
        log_bytes = b"".join(each * copies for each in strips)
        (tmp_path / "t.flac-wal").write_bytes(log_bytes)
        with Table(path) as opened:
            assert opened.version == last
            ids = opened.to_arrow(["id"], where="id > 100").column(0).to_pylist()
            assert ids == list(range(103, 100 + last + 1))
    for copy in range(copies):  # one copy, and nothing else
        alone = b"".join(
            each.rjust((copy + 1) * strip, b"\0").ljust(copies * strip, b"\0") for each in strips
        )
        (tmp_path / "t.flac-wal").write_bytes(alone)
        with Table(path) as opened:
            assert opened.version == 5
    (tmp_path / "t.flac-wal").unlink()


def _made_from_the_document(
    predecessor: tuple[bytes, bytes, int], table_id: bytes, session: bytes = b"session!"
) -> bytes:
    """A log of format 3 with two records and the watermark of the first."""
    segment, digest, after = predecessor
    head = b"AuML" + struct.pack("<I16sQI", 3, table_id, after, 7)
    head += reference_crc(head, 0).to_bytes(4, "little")
    head += struct.pack("<8s8s16sII", session, segment, digest, 65536, 1)
    head += reference_crc(head, 0).to_bytes(4, "little")
    rows = {row["field"].split(":")[0]: int(row["offset"]) for row in table("Header of format 3")}
    assert head.index(session) == rows["session"]
    assert head.index(digest) == rows["digest of that segment"]
    assert len(head) == rows["CRC-32C of the 80 bytes before"] + 4
    first, ends, records = int(re.findall(r"first record is at byte (\d+)", TEXT)[0]), [], b""
    for number in (after + 1, after + 2):
        commit = {
            "version": number, "time": 1_700_000_000_000_000, "inserted": [[number, [number, "word"]]],
            "deleted": [], "message": None, "sources": None, "tags": {},
        }  # fmt: skip
        data = msgpack.packb(commit)
        digest = hashlib.blake2b(digest + data, digest_size=16).digest()
        crc = reference_crc(digest + data, 7 + number)
        records += struct.pack("<II16s", len(data), crc, digest) + data
        ends.append((number, first + len(records), digest))
    mark = struct.pack("<QQ16s8s", *ends[0], session)
    mark += reference_crc(mark, 7).to_bytes(4, "little")
    slots = [int(at) for at in re.findall(r"slots of a watermark, at bytes (\d+) and (\d+)", TEXT)[0]]
    return (head.ljust(slots[1], b"\0") + mark).ljust(first, b"\0") + records


def test_a_log_of_version_2_made_from_the_document_alone(tmp_path: Path) -> None:
    """By its tables; without its last record it is whole still, without the one before it is not.

    The file announces it: the session is that of its announce page.
    """
    work, path, log_path = tmp_path / "work.flac", tmp_path / "t.flac", tmp_path / "t.flac-wal"
    with Table.create(work, ["id INTEGER PRIMARY KEY", "word TEXT"]) as made:
        made.append([{"word": "another log"}])
        shutil.copyfile(work, path)
        base = made.snapshot.segments[0]
        predecessor = base.catalog.segment_id, base.digest, base.catalog.last_version
        table_id = base.catalog.table_id
    announced = path.read_bytes()
    session = announced[HEAD_AT:][72:80]
    assert announced.rindex(announced[HEAD_AT : HEAD_AT + 88]) > HEAD_AT  # in the announce page
    data = _made_from_the_document(predecessor, table_id, session)
    log_path.write_bytes(data.ljust(65536, b"\0"))
    with Table(path) as opened:
        assert opened.to_arrow(["id"]).column(0).to_pylist() == [2, 3]
    lengths = [int.from_bytes(data[1536:1540], "little") + 24]
    log_path.write_bytes(data[: 1536 + lengths[0]].ljust(65536, b"\0"))
    with Table(path) as opened:
        assert opened.version == 2
    for spoiled in (data[:-3], data[:1536].ljust(65536, b"\0")):
        log_path.write_bytes(spoiled)
        with pytest.raises(DamagedFileError, match=r"cut short or is damaged at version [23]"):
            Table(path)
    log_path.write_bytes(_made_from_the_document(predecessor, table_id).ljust(65536, b"\0"))
    with pytest.raises(DamagedFileError, match=f"{b'session!'.hex()}, but .* {session.hex()}"):
        Table(path)
    log_path.unlink()
    with pytest.raises(DamagedFileError, match=r"version 2 and those after it are in .*-wal, which is not"):
        Table(path)
    log_path.write_bytes(data.ljust(65536, b"\0"))
    with Table(path) as opened:
        opened.append([{"word": "next"}])
        assert opened.version == 4
    assert not log_path.exists()


def test_what_a_writer_makes_of_a_protected_log(tmp_path: Path) -> None:
    """The same bytes as from the document: the size of the file, and each copy alike."""
    with Table.create(tmp_path / "t.flac", ["v INTEGER"], {"protection": "standard"}) as made:
        made.append([{"v": 1}])
        data = (tmp_path / "t.flac-wal").read_bytes()
        strip = log_copies.STRIP_BYTES
        assert len(data) == 3 * strip
        assert data[:strip] == data[strip : 2 * strip] == data[2 * strip :]
        assert data[:8] == b"AuML" + (4).to_bytes(4, "little")
        assert data[1536:1540] == b"AuMR"
