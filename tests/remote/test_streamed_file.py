"""The contract of places of bytes, kept by the files of a stream, on a disk and in a store."""

from __future__ import annotations

import gc
import os
from hashlib import blake2b
from itertools import count, pairwise
from pathlib import Path

import obstore
import pytest
from bytes.contract import DATA, ByteSourceContract
from open_files import open_below

from audiomem_sql.audio import Part, index_playlist, media_playlist
from audiomem_sql.bytes import ByteSource
from audiomem_sql.errors import DamagedFileError, StorageError
from audiomem_sql.remote import memory_store
from audiomem_sql.remote.streamed_file import StreamedFile

_NUMBERS = count()
CUTS = (0, 4000, 4001, 30_000, len(DATA))


def stream_of(data: bytes, name: str = "kb.m3u8") -> dict[str, bytes]:
    """The files of a stream with ``data``, the playlist last."""
    prefix = blake2b(data).hexdigest()[:8]
    files, parts = {}, []
    for number, (start, stop) in enumerate(pairwise(CUTS)):
        part = Part(f"{prefix}-{number}.m4s", 7 * number, stop - start, 1.0)
        files[part.name] = bytes(part.place) + data[start:stop] + b"behind"
        parts.append(part)
    return files | {name: media_playlist(parts).encode()}


class TestFolder(ByteSourceContract):
    """A folder."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def make(self, data: bytes) -> ByteSource:
        for name, content in stream_of(data).items():
            (self.folder / name).write_bytes(content)
        return StreamedFile(str(self.folder / "kb.m3u8"))

    def replace(self, source: ByteSource, data: bytes) -> ByteSource:
        return self.make(data)


class TestStore(ByteSourceContract):
    """A store."""

    def make(self, data: bytes, folder: str = "") -> ByteSource:
        folder = folder or f"streams/{next(_NUMBERS)}"
        for name, content in stream_of(data).items():
            obstore.put(memory_store(), f"{folder}/{name}", content)
        return StreamedFile(f"memory://{folder}/kb.m3u8")

    def replace(self, source: ByteSource, data: bytes) -> ByteSource:
        return self.make(data, source.name.removeprefix("memory://").rpartition("/")[0])


@pytest.fixture(params=["folder", "store"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a stream of ``DATA`` is."""
    if request.param == "folder":
        for name, content in stream_of(DATA).items():
            (tmp_path / name).write_bytes(content)
        return str(tmp_path)
    folder = f"streams/{next(_NUMBERS)}"
    for name, content in stream_of(DATA).items():
        obstore.put(memory_store(), f"{folder}/{name}", content)
    return f"memory://{folder}"


def remove(place: str, number: int) -> None:
    name = next(name for name in stream_of(DATA) if name.endswith(f"-{number}.m4s"))
    if place.startswith("memory:"):
        obstore.delete(memory_store(), f"{place.removeprefix('memory://')}/{name}")
    else:
        os.unlink(f"{place}/{name}")


def put(place: str, name: str, content: bytes) -> None:
    if place.startswith("memory:"):
        obstore.put(memory_store(), f"{place.removeprefix('memory://')}/{name}", content)
    else:
        Path(place, name).write_bytes(content)


def test_a_file_that_is_missing_is_told(place: str) -> None:
    remove(place, 2)
    source = StreamedFile(f"{place}/kb.m3u8")
    assert source.size == len(DATA)
    assert source.read_at(0, CUTS[2]) == DATA[: CUTS[2]]
    assert source.read_at(CUTS[3], 9) == DATA[CUTS[3] : CUTS[3] + 9]
    with pytest.raises(StorageError, match=r"kb\.m3u8: \w+-2\.m4s, file 3 of the 4 .* has not arrived"):
        source.read_at(CUTS[2] - 1, 2)


def test_in_part_it_ends_where_the_first_file_is_missing(place: str) -> None:
    remove(place, 2)
    source = StreamedFile(f"{place}/kb.m3u8", partial=True)
    assert source.size == CUTS[2]
    assert source.size_in_all == len(DATA)
    assert source.read_at(0, len(DATA)) == DATA[: CUTS[2]]
    assert source.is_current()
    name, content = list(stream_of(DATA).items())[2]
    put(place, name, content[: len(content) - 40])  # it is still written
    assert source.is_current()
    put(place, name, content)
    assert not source.is_current()
    assert StreamedFile(f"{place}/kb.m3u8", partial=True).size == len(DATA)
    assert source.read_at(0, len(DATA)) == DATA[: CUTS[2]]


def test_an_index_leads_to_the_playlist(place: str) -> None:
    put(place, "index.m3u8", index_playlist("kb.m3u8", 1).encode())
    source = StreamedFile(f"{place}/index.m3u8")
    assert source.read_at(0, len(DATA)) == DATA
    put(place, "kb.m3u8", stream_of(DATA[::-1])["kb.m3u8"])
    assert not source.is_current()
    put(place, "kb.m3u8", index_playlist("index.m3u8", 1).encode())
    with pytest.raises(DamagedFileError, match="leads to another one"):
        StreamedFile(f"{place}/index.m3u8")


def test_few_files_are_open_at_once(tmp_path: Path) -> None:
    parts = [Part(f"{number}.m4s", 0, 10, 1.0) for number in range(200)]
    for number, part in enumerate(parts):
        (tmp_path / part.name).write_bytes(bytes([number]) * 10)
    (tmp_path / "kb.m3u8").write_text(media_playlist(parts))
    source = StreamedFile(str(tmp_path / "kb.m3u8"))
    for _ in range(2):
        assert source.read_at(5, 1990) == b"".join(bytes([number]) * 10 for number in range(200))[5:1995]
    gc.collect()  # what measures lines may hold frames, and so files, until then
    assert 0 < len(open_below(tmp_path)) <= 33
    source.close()
    gc.collect()
    assert not open_below(tmp_path)
