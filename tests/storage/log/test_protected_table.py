"""The log of a protected table in use: what it asks of the disk, its repair, and files made to be bad."""

from __future__ import annotations

from pathlib import Path

import pytest
from crash.faulty import FileLayer
from samples import arrow, create, rows

from audiomem_sql.errors import DamagedFileError
from audiomem_sql.protection.crc32c import crc32c
from audiomem_sql.protection.piece_code import encode_piece
from audiomem_sql.storage.log.chain import record_digest
from audiomem_sql.storage.log.content import LOG_HEADER, LOG_MAGIC
from audiomem_sql.storage.log.copies import STRIP_BYTES
from audiomem_sql.storage.log.protected import (
    RECORD_FIELDS,
    RECORD_HEADER_BYTES,
    RECORD_MAGIC,
    encode_record,
)
from audiomem_sql.storage.log.reader import commits_behind, read_log, record_form
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import problems
from storage.log.test_log import BLOBS, read, record, records_of
from storage.log.test_protected import written


@pytest.mark.parametrize(("protection", "writes"), [("none", 1), ("standard", 3), ("archive", 6)])
def test_what_a_commit_asks_of_the_disk(tmp_path: Path, protection: str, writes: int) -> None:
    path = tmp_path / "t.flac"
    with FileLayer(tmp_path) as layer, Table.create(path, ["v INTEGER"], {"protection": protection}) as table:
        table.append([{"v": 1}])
        layer.calls.clear()
        table.append([{"v": 2}])
        assert layer.calls == ["pwrite"] * writes + ["fdatasync"] + ["pwrite"] * writes


def test_the_level_of_the_table_decides(tmp_path: Path) -> None:
    path, log = tmp_path / "t.flac", tmp_path / "t.flac-wal"

    def format_of_log() -> tuple[int, int]:
        head = LOG_HEADER.unpack_from(log.read_bytes())
        assert head[0] == LOG_MAGIC
        assert head[5] == crc32c(log.read_bytes()[:36])  # so every older version can tell that it is too old
        found = read_log(str(log), head[2])
        assert found is not None
        return head[1], found.copies

    with Table.create(path, ["v INTEGER"]) as table, Table(path) as other:
        for level, expected in (
            ("none", (3, 1)),
            ("archive", (4, 6)),
            ("standard", (4, 3)),
            ("none", (3, 1)),
        ):
            table.vacuum(protection=level)
            for writer in (table, other):
                writer.append([{"v": 1}])
                assert format_of_log() == expected
                assert len(other) == len(table) or other.refresh() or table.refresh()


@pytest.mark.damages
def test_verify_says_that_it_is_repairable_and_the_next_write_repairs(tmp_path: Path) -> None:
    path, log = tmp_path / "t.flac", tmp_path / "t.flac-wal"
    create(path, 5, protection="archive").close()
    with Table(path) as table:
        for first in range(6, 9):
            table.append(arrow(rows(1, 0, first)))
        assert list(problems(table)) == []
        data = bytearray(log.read_bytes())
        data[STRIP_BYTES : STRIP_BYTES + 4096] = bytes(4096)
        data[30] ^= 1
        log.write_bytes(data)
        found = list(problems(table))
        assert {(problem.file, problem.repair) for problem in found} == {(str(log), "parity")}
        assert found[0].what == "the header of the log: 2 of 6 copies are damaged; repairable by the others"
        assert "version 5: 1 of 6 copies are damaged" in found[-1].what
        with Table(path) as other:  # without a warning
            assert len(other) == 8
            other.append(arrow(rows(1, 0, 9)))
            assert list(problems(other)) == []


# -- hostile bytes


def test_a_header_that_promises_much(tmp_path: Path) -> None:
    path = tmp_path / "log"
    content = written(path, [record(2)], 3)
    for length in (0, 1, 2**31, 2**32 - 1):
        fields = RECORD_FIELDS.pack(RECORD_MAGIC, length, 3, 7, bytes(16))
        with path.open("r+b") as file:
            file.seek(content.end)
            file.write(encode_piece(fields, content.salt))
        found = read(path)
        assert (records_of(found), found.torn) == ([record(2)], True)


def test_many_headers_of_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log"
    content = written(path, [record(2)], 3)
    fake = encode_piece(RECORD_FIELDS.pack(RECORD_MAGIC, 100_000, 4, 7, bytes(16)), content.salt)
    assert len(fake) == RECORD_HEADER_BYTES
    with path.open("r+b") as file:
        file.seek(content.end)
        file.write(fake * ((STRIP_BYTES - content.end) // len(fake)))
    found = read(path)
    assert (records_of(found), found.torn) == ([record(2)], True)
    assert not commits_behind(str(path), found)


@pytest.mark.parametrize("payload", BLOBS)
def test_a_whole_record_that_makes_no_sense(tmp_path: Path, payload: bytes) -> None:
    path = tmp_path / "log"
    content = written(path, [record(2)], 3)
    digest = record_digest(content.digest, payload)
    with path.open("r+b") as file:
        file.seek(content.end)
        file.write(encode_record(payload, record_form(content), 3, digest))
    with pytest.raises(DamagedFileError, match=f"log: byte {content.end}"):
        read(path)
