"""docs/FORMAT.md says how the log is written: logs made from the document alone are read."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import msgpack
import pytest
import reedsolo

from audiomem_sql.protection.levels import LEVELS
from audiomem_sql.protection.piece_code import PAYLOAD_BYTES
from audiomem_sql.storage.log import copies as log_copies
from audiomem_sql.storage.log import protected as protected_log
from audiomem_sql.storage.log import reader as log
from audiomem_sql.storage.log.record import LogRecord
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep import compaction
from audiomem_sql.writing import log_limits
from storage.format_document import TEXT, keys, reference_crc, table


def test_when_the_log_becomes_a_delta() -> None:
    assert f"a commit of up to {log_limits.LOGGED_COMMIT_BYTES >> 10} KiB" in TEXT
    assert f"It comes at {log_limits.CHECKPOINT_BYTES >> 20} MiB" in TEXT
    assert f"at {log_limits.CHECKPOINT_COMMITS:,} commits" in TEXT
    assert compaction.SMALL_DELTAS == 8
    assert "It comes when eight deltas in a row" in TEXT
    assert f"smaller than {compaction.SMALL_DELTA_BYTES >> 20} MiB each" in TEXT


@pytest.mark.filterwarnings("ignore::audiomem_sql.DamageWarning")
def test_a_log_made_from_the_document_alone(tmp_path: Path) -> None:
    """Header and two records, by the tables of the document; then a record out of order, and a torn one."""
    with Table.create(tmp_path / "t.flac", ["id INTEGER PRIMARY KEY", "word TEXT"]) as made:
        made.append([{"word": "one"}])
        table_id = made.snapshot.segments[0].catalog.table_id
    length, crc, _ = table("Log record")
    assert int(crc["offset"]) == int(length["size"])
    assert int(length["size"]) + int(crc["size"]) == log.RECORD_HEADER.size
    assert set(LogRecord(1, 0).__dataclass_fields__) == keys("Log record", 1)

    def packed(number: int, salt: int = 7, **changes: object) -> bytes:
        content: dict[str, object] = {
            "version": number, "time": 1_700_000_000_000_000, "inserted": [[number, [number, "word"]]],
            "deleted": [], "message": None, "sources": None, "tags": {},
        }  # fmt: skip
        data = msgpack.packb(content | changes)
        return struct.pack("<II", len(data), reference_crc(data, (salt + number) % 2**32)) + data

    head = b"AuML" + struct.pack("<I16sQI", 1, table_id, 2, 7)
    head += reference_crc(head, 0).to_bytes(4, "little")
    whole = head + packed(3, tags={"three": 3}) + packed(4, deleted=[1], message="four")
    for behind in (bytes(100), packed(6), packed(5, salt=8), packed(5)[:-1], b"", packed(5, version=7)):
        (tmp_path / "t.flac-wal").write_bytes(whole + behind)
        with Table(tmp_path / "t.flac") as opened:
            assert opened.to_arrow().to_pylist() == [{"id": 3, "word": "word"}, {"id": 4, "word": "word"}]
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
        with Table(tmp_path / "t.flac") as opened:
            assert [version.number for version in opened.versions[2:]] == versions
            assert opened.to_arrow(["id"]).column(0).to_pylist() == versions
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
    path = tmp_path / "t.flac"
    with Table.create(path, ["id INTEGER PRIMARY KEY", "b BLOB"]) as made:
        table_id = made.snapshot.segments[0].catalog.table_id

    def piece(payload: bytes, seed: int) -> bytes:
        data = payload + reference_crc(payload, seed % 2**32).to_bytes(4, "little")
        words = -(-len(data) // 223)
        padded = bytes(words * 223 - len(data)) + data
        parity = [code.encode(padded[word::words])[223:] for word in range(words)]
        return data + bytes(parity[i % words][i // words] for i in range(32 * words))

    def packed(number: int, size: int, salt: int = 9) -> bytes:
        commit = {
            "version": number, "time": 1_700_000_000_000_000, "inserted": [[number, [number, b"x" * size]]],
            "deleted": [], "message": None, "sources": None, "tags": {},
        }  # fmt: skip
        data = msgpack.packb(commit)
        crc = reference_crc(data, (salt + number) % 2**32)
        parts = [piece(struct.pack("<4sIQI", b"AuMR", len(data), number, crc), salt)]
        parts += [piece(data[n * 888 : n * 888 + 888], crc + n) for n in range(-(-len(data) // 888))]
        return b"".join(parts)

    head = b"AuML" + struct.pack("<I16sQI", 2, table_id, 1, 9)
    head += reference_crc(head, 0).to_bytes(4, "little")
    whole = piece(head + copies.to_bytes(4, "little"), 0)
    assert len(whole) == 80
    whole += packed(2, 10) + packed(3, 2000)
    large = whole + packed(4, 260_000)
    for stream, last in (
        (large, 4), (whole + packed(5, 1), 3), (whole + packed(4, 1, salt=8), 3), (large[:-200], 3),
        (large[:-20], 4),
    ):  # fmt: skip
        strips = [stream[start : start + strip].ljust(strip, b"\0") for start in range(0, len(stream), strip)]
        log_bytes = b"".join(each * copies for each in strips)
        (tmp_path / "t.flac-wal").write_bytes(log_bytes)
        with Table(path) as opened:
            assert opened.version == last
            assert opened.to_arrow(["id"]).column(0).to_pylist() == list(range(2, last + 1))
    for copy in range(copies):  # one copy, and nothing else
        alone = b"".join(
            each.rjust((copy + 1) * strip, b"\0").ljust(copies * strip, b"\0") for each in strips
        )
        (tmp_path / "t.flac-wal").write_bytes(alone)
        with Table(path) as opened:
            assert opened.version == 4
    (tmp_path / "t.flac-wal").unlink()


def test_what_a_writer_makes_of_a_protected_log(tmp_path: Path) -> None:
    """The same bytes as from the document: the size of the file, and each copy alike."""
    with Table.create(tmp_path / "t.flac", ["v INTEGER"], {"protection": "standard"}) as made:
        made.append([{"v": 1}])
        data = (tmp_path / "t.flac-wal").read_bytes()
        strip = log_copies.STRIP_BYTES
        assert len(data) == 3 * strip
        assert data[:strip] == data[strip : 2 * strip] == data[2 * strip :]
        assert data[:8] == b"AuML" + (2).to_bytes(4, "little")
        assert data[80:84] == b"AuMR"
