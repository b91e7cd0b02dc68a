"""The contract, kept by a local file and by bytes in memory; and a table that is read through the second."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import audiomem_sql as am
from audiomem_sql.audio import PROFILES, open_pages
from audiomem_sql.bytes import ByteSource, ByteStream, LocalFile, open_source
from audiomem_sql.errors import DamagedFileError, NotAudioMemoryError, StorageError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.storage.pages import PagedFile
from audiomem_sql.storage.segment import Segment
from audiomem_sql.storage.segment.catalog_copies import any_catalog
from bytes.contract import ByteSourceContract
from bytes.memory_source import MemorySource

ROWS = [{"id": n, "body": f"row {n} " * (n % 9), "x": n / 8} for n in range(1, 2001)]


class TestLocalFile(ByteSourceContract):
    """A file of the operating system."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def make(self, data: bytes) -> LocalFile:
        (self.folder / "bytes").write_bytes(data)
        return LocalFile(self.folder / "bytes")

    def replace(self, source: ByteSource, data: bytes) -> LocalFile:
        (self.folder / "new").write_bytes(data)
        os.replace(self.folder / "new", source.name)
        return LocalFile(source.name)

    def test_a_file_that_was_written_to_is_another(self) -> None:
        source = self.make(b"before")
        os.utime(source.name, ns=(0, 0))
        other = LocalFile(source.name)
        assert other.identity != source.identity

    def test_what_is_no_file_of_bytes(self) -> None:
        with pytest.raises(StorageError, match="no such file"):
            open_source(self.folder / "nothing")
        with pytest.raises(StorageError, match="is a folder"):
            open_source(self.folder)
        (self.folder / "empty").touch()
        with pytest.raises(NotAudioMemoryError, match="empty"):
            open_source(self.folder / "empty")


class TestMemorySource(ByteSourceContract):
    """Bytes in memory."""

    def make(self, data: bytes) -> MemorySource:
        return MemorySource(data)

    def replace(self, source: ByteSource, data: bytes) -> MemorySource:
        return MemorySource(data, source.name)


def table(path: Path, **options: str) -> bytes:
    """A table of ``ROWS`` at ``path``; its bytes."""
    with am.Table.create(path, ["id INTEGER PRIMARY KEY", "body TEXT", "x REAL"], options) as made:
        made.append(ROWS)
        made.vacuum()
    return path.read_bytes()


def rows_of(source: ByteSource) -> list[dict[str, object]]:
    """The rows of the segment in ``source``."""
    file = PagedFile.open(source)
    stored = any_catalog(file)
    segment = Segment(file, stored.catalog, stored.data_cell, BlockCache(1 << 20))
    columns = [segment.slice(place, 0, segment.rows).to_pylist() for place in range(3)]
    segment.close()
    return [dict(zip(("id", "body", "x"), row, strict=True)) for row in zip(*columns, strict=True)]


OPTIONS = [
    {"profile": "mobile"},
    {"profile": "desktop", "protection": "standard"},
    {"profile": "embedded", "modulation": "spectrum", "band_plan": "mission"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options.values()))
def test_a_segment_is_read_from_any_source(tmp_path: Path, options: dict[str, str]) -> None:
    data = table(tmp_path / "t.flac", **options)
    (tmp_path / "t.flac").unlink()
    assert rows_of(MemorySource(data)) == ROWS


@pytest.mark.parametrize("cut", [1, 1001])
def test_pages_that_moved_are_looked_for_in_any_source(tmp_path: Path, cut: int) -> None:
    """The path leads nowhere: what is looked for anew is looked for in the same bytes."""
    data = table(tmp_path / "t.flac", profile="embedded", protection="standard")
    (tmp_path / "t.flac").unlink()
    middle = len(data) // 4
    source = MemorySource(data[:middle] + data[middle + cut :])
    assert rows_of(source) == ROWS
    assert any(len(ranges) > 1 for ranges in source.requests)


def test_what_was_encoded_again_is_decoded_from_any_source(tmp_path: Path) -> None:
    """By libsndfile, which is given a stream of the source behind an ID3 tag."""
    table(tmp_path / "t.flac", profile="desktop")
    subprocess.run(
        ["flac", "-s", "-8", "-f", tmp_path / "t.flac", "-o", tmp_path / "smaller.flac"], check=True
    )
    tag = b"ID3\4\0\0\0\0\0\x0a" + bytes(10)
    assert rows_of(MemorySource(tag + (tmp_path / "smaller.flac").read_bytes())) == ROWS


def test_music_from_any_source_is_no_table(tmp_path: Path) -> None:
    music = tmp_path / "music.flac"
    subprocess.run(["sox", "-n", "-r", "48000", "-b", "24", music, "synth", "2", "pinknoise"], check=True)
    with pytest.raises(NotAudioMemoryError, match="holds sound"):
        PagedFile.open(MemorySource(music.read_bytes()))


class Failing(MemorySource):
    """Of whose bytes those behind the first 4,096 cannot be read once ``fails``."""

    fails = False

    def read_at(self, offset: int, length: int) -> bytes:
        if self.fails and offset + length > 4096:
            raise StorageError("the network is down", file=self.name)
        return super().read_at(offset, length)

    def reopen(self) -> Failing:
        return self


def test_a_failure_below_a_decoder_is_no_damage(tmp_path: Path) -> None:
    """The decoder sees only that the stream ends; the error is that of the source all the same."""
    table(tmp_path / "t.flac", profile="mobile")
    subprocess.run(["flac", "-s", "-8", "-f", tmp_path / "t.flac", "-o", tmp_path / "s.flac"], check=True)
    source = Failing((tmp_path / "s.flac").read_bytes())
    stream = ByteStream(source, 10)
    assert stream.read(20) == (tmp_path / "s.flac").read_bytes()[10:30]
    source.fails = True
    stream.seek(5000)
    assert stream.read(20) == b""
    assert isinstance(stream.fault, StorageError)
    with pytest.raises(StorageError, match="the network is down") as raised:
        PagedFile.open(source)
    assert not isinstance(raised.value, DamagedFileError)


def test_pages_are_the_same_from_both(tmp_path: Path) -> None:
    data = table(tmp_path / "t.flac", profile="embedded")

    def probe(head: bytes) -> int:
        return PROFILES["embedded"].block_size

    local, memory = open_pages(tmp_path / "t.flac", probe), open_pages(MemorySource(data), probe)
    assert local.present == memory.present
    assert np.array_equal(local.read(0, local.present), memory.read(0, memory.present))
    assert isinstance(local.file, LocalFile)
    for pages in (local, memory):
        pages.close()


def test_a_stream_is_a_file_object() -> None:
    data = bytes(range(200))
    stream = ByteStream(MemorySource(data), 50)
    assert stream.readable()
    assert stream.seekable()
    assert stream.seek(-10, os.SEEK_END) == stream.tell() == 140
    assert stream.read() == data[190:]
    assert stream.seek(-20, os.SEEK_CUR) == 130
    assert stream.read(5) == data[180:185]
    assert stream.seek(3) == 3
    assert stream.read(2) == data[53:55]
    assert stream.seek(-1) == 0
    stream.close()
    assert stream.closed
