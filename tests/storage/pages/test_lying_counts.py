"""Headers that count what is not there: the work of refusing them does not grow with what they say."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

import audiomem_sql
from audiomem_sql.audio.finding.decoded import MOST_FAILURES
from audiomem_sql.audio.flac.decoder import Decoder
from audiomem_sql.audio.flac.metadata import MAX_BLOCKS
from audiomem_sql.bytes.local_file import LocalFile
from audiomem_sql.errors import AudioMemError
from audiomem_sql.protection.crc32c import crc32c
from audiomem_sql.storage.pages.header import PAGE_HEADER, PAGE_MAGIC
from audiomem_sql.storage.pages.recovery import Recovery

ATTEMPTS = 3
INFO = (34).to_bytes(3, "big") + struct.pack(">HH", 4096, 4096) + bytes(3) + b"\xff\xff\xff"
INFO += ((48000 << 44) | (1 << 41) | (23 << 36) | 2**36 - 1).to_bytes(8, "big") + bytes(16)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("counts") / "a.flac"
    rows = [{"id": number, "a": "x" * 50} for number in range(200)]
    audiomem_sql.write_flac(rows, path, primary_key="id", protection="archive").close()
    return path.read_bytes()


def counting(data: bytes, pages: int) -> bytes:
    """The file with page headers that say, under their CRC, that there are so many pages."""
    made, at = bytearray(data), 0
    while (at := made.find(PAGE_MAGIC, at)) >= 0:
        struct.pack_into("<I", made, at + 20, pages)
        struct.pack_into("<I", made, at + 28, crc32c(bytes(made[at : at + 28])))
        at += PAGE_HEADER.size
    return bytes(made)


def refused(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with pytest.raises(AudioMemError):
        audiomem_sql.open(path)
    assert path.read_bytes() == data
    path.unlink()  # no table is left to be verified


@pytest.mark.parametrize("pages", [40, 10_000, 10**6, 2**32 - 1])
def test_pages_that_are_not_there(
    archive: bytes, tmp_path: Path, pages: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    corrected: list[int] = []
    inner = Recovery._corrected
    monkeypatch.setattr(
        Recovery,
        "_corrected",
        lambda self, page, content: corrected.append(page) or inner(self, page, content),
    )
    refused(tmp_path / "t.flac", counting(archive, pages))
    present = len(archive) // 24_000
    assert len(corrected) <= 100 * ATTEMPTS * present


def test_frames_that_do_not_decode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    samples = Decoder.samples
    monkeypatch.setattr(
        Decoder, "samples", lambda self, at, count: tried.append(at) or samples(self, at, count)
    )
    for syncs in (1_000, 25_000):
        tried.clear()
        refused(tmp_path / "t.flac", b"fLaC\x80" + INFO + b"\xff\xf8\xca\x1c\x00+" * syncs)
        assert 0 < len(tried) <= ATTEMPTS * (MOST_FAILURES + 4)


def test_metadata_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    read_at = LocalFile.read_at
    monkeypatch.setattr(
        LocalFile, "read_at", lambda self, at, length: reads.append(at) or read_at(self, at, length)
    )
    for kind in (b"\x01", b"\x03", b"\x06"):
        reads.clear()
        refused(tmp_path / "t.flac", b"fLaC\x00" + INFO + (kind + bytes(3)) * 50_000 + b"\x81\0\0\0")
        assert len(reads) < ATTEMPTS * (MAX_BLOCKS + 200)
