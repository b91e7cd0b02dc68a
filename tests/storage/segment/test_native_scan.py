"""Scans with the library in C, and without it: the same rows, the same errors, the same repairs."""

from __future__ import annotations

import gc
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from audiomem_sql.audio import VerbatimPages
from audiomem_sql.blocks import native_strings
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.machine import native
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.storage.pages import file as paged_file
from audiomem_sql.storage.segment import Segment
from audiomem_sql.table.table import Table

ROWS = 3000
COLUMNS = ["id INTEGER PRIMARY KEY", "name TEXT", "body TEXT", "octets BLOB"]


def row(number: int) -> dict[str, Any]:
    words = " ".join(f"wörd{(number * k) % 97}" for k in range(number % 60))
    octets = bytes((number * k) % 256 for k in range(number % 300))
    return {"id": number, "name": f"n{number % 50}", "body": f"{number} {words}", "octets": octets}


def made(path: Path, protection: str) -> Path:
    with Table.create(path, COLUMNS, {"protection": protection}) as table:
        table.append([row(number) for number in range(1, ROWS + 1)])
        table.vacuum(level=1)
    return path


@pytest.fixture(scope="module", params=["standard", "none"])
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("native") / "t.flac", request.param)


@pytest.fixture(autouse=True)
def not_spared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another test may have opened a table whose profile spares memory."""
    monkeypatch.setattr(native, "is_spared", lambda: False)


@pytest.fixture(params=["c", "python"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which of both does it."""
    if request.param == "python":
        monkeypatch.setattr(native, "_loaded", lambda: None)
    else:
        assert native.library() is not None, "it was not built: on Debian, apt install libzstd-dev"
    return str(request.param)


def read(path: Path) -> Any:
    with Table(path, cache=BlockCache(64 << 20)) as table:
        return table.to_arrow().to_pylist()


def test_the_same_rows(stored: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the library wherever it is there, which both parts of it say."""
    decoded, checked = [], []
    decode, cells = native_strings.NativeStrings.decode, paged_file.intact_cells

    def watched_decode(*arguments: Any, **options: Any) -> Any:
        decoded.append(decode(*arguments, **options))
        return decoded[-1]

    def watched_cells(*arguments: Any) -> Any:
        checked.append(cells(*arguments))
        return checked[-1]

    monkeypatch.setattr(native_strings.NativeStrings, "decode", watched_decode)
    monkeypatch.setattr(paged_file, "intact_cells", watched_cells)
    assert read(stored) == [row(number) for number in range(1, ROWS + 1)]
    assert decoded
    assert len(checked) > 3
    assert {each is not None for each in (*decoded, *checked)} == {way == "c"}


def damage(path: Path, stored: Path, column: int, number: int) -> None:
    """Write a copy of ``stored`` in which each cell of a block is damaged."""
    data = bytearray(stored.read_bytes())
    segment = Segment.open(os.fspath(stored), BlockCache(1 << 20))
    directory, file = segment.directory(column), segment.file
    assert directory is not None
    assert isinstance(file.source, VerbatimPages)
    low, size = int(directory.offsets[number]), file.layout.cell_payload
    for place in range(low, low + int(directory.stored[number]), size):
        page, cell = divmod(segment.data_cell + place // size, file.layout.cells)
        at = file.layout.header_bytes + cell * file.layout.level.cell_bytes
        data[file.source.span(file.first + page, 1, at, at + 1)[0]] ^= 4
    segment.close()
    path.write_bytes(data)


@pytest.mark.damages
def test_damage_is_repaired(tmp_path: Path, way: str) -> None:
    """One block among several that are decoded together."""
    damage(tmp_path / "bad.flac", made(tmp_path / "good.flac", "standard"), 2, 1)
    assert read(tmp_path / "bad.flac") == [row(number) for number in range(1, ROWS + 1)]


@pytest.mark.damages
def test_damage_is_told_as_python_tells_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = made(tmp_path / "good.flac", "none"), tmp_path / "bad.flac"
    for column in (1, 2, 3):
        damage(bad, good, column, 0)
        with pytest.raises(DamagedFileError, match=r"page [0-9]+, cell [0-9]+: CRC-32C mismatch") as in_c:
            read(bad)
        with monkeypatch.context() as patch:
            patch.setattr(native, "_loaded", lambda: None)
            with pytest.raises(DamagedFileError) as in_python:
                read(bad)
        assert str(in_c.value) == str(in_python.value)


def test_areas_are_shared_and_few(stored: Path) -> None:
    """Threads take turns with them; they go with what they belong to."""
    assert native.library() is not None
    areas = native_strings._areas
    tables = [Table(stored, cache=BlockCache(0)) for _ in range(4)]
    expected = tables[0].to_arrow()
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda number: tables[number % 4].to_arrow(), range(24)):
            assert found.equals(expected)
    assert 0 < len(areas._free) <= native_strings._KEPT
    while tables:
        tables.pop().close()
    gc.collect()
    assert all(owner() is not None for owner, _ in areas._free)


def test_a_library_that_cannot_be_loaded(tmp_path: Path) -> None:
    path = tmp_path / "broken.so"
    path.write_bytes(b"no library")
    assert native.bound(os.fspath(path)) is None
