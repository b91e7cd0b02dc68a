"""Tables whose block directories are in two levels, in stores: drawn, verified, repaired, healed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import obstore
import pytest
from cli.conftest import Command, audiomem
from two_levels import directories, two_levels

import audiomem_sql as am
from audiomem_sql import warn_once
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.machine.block_cache import SHARED
from audiomem_sql.remote import memory_store

__all__ = ["audiomem"]  # a fixture
pytestmark = pytest.mark.damages
COLUMNS = ["id INTEGER PRIMARY KEY", "body TEXT INDEXED", "n INTEGER", "vec FLOAT[16] INDEXED"]
COUNT = 1500


def rows() -> list[dict[str, Any]]:
    rng, numbers = random.Random(1), np.random.default_rng(1)
    centres = numbers.normal(size=(12, 16))
    vectors = (centres[np.arange(COUNT) % 12] + numbers.normal(size=(COUNT, 16)) / 5).astype("f4")
    return [
        {
            "id": number,
            "body": f"word{number % 97} {rng.randbytes(60).hex()}",
            "n": number * 3 if number % 4 else None,
            "vec": vectors[number].tolist(),
        }
        for number in range(COUNT)
    ]


ROWS = rows()


def make(path: Path, protection: str, *, grouped: bool = True) -> bytes:
    options = {"profile": "embedded", "protection": protection}
    with two_levels() if grouped else nullcontext(), am.Table.create(path, COLUMNS, options) as table:
        table.append(ROWS)
        table.vacuum(layout="remote")
        assert bool(directories(table)) == grouped
    return path.read_bytes()


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Without protection, so that only copies can help."""
    return make(tmp_path_factory.mktemp("plain") / "kb.flac", "none")


@pytest.fixture(autouse=True)
def no_blocks_in_memory() -> Iterator[None]:
    SHARED.clear()
    warn_once.warned.clear()
    yield
    SHARED.clear()


def url(number: int, data: bytes) -> str:
    obstore.put(memory_store(), f"two-levels/{number}.flac", data)
    return f"memory://two-levels/{number}.flac"


def damaged(data: bytes, places: range) -> bytes:
    spoiled = bytearray(data)
    for place in places:
        spoiled[place] ^= 0xFF
    return bytes(spoiled)


def third(data: bytes, number: int) -> bytes:
    """With damage all over one of three parts of what is behind the head."""
    first = 3000
    step = (len(data) - first) // 3
    return damaged(data, range(first + number * step, first + (number + 1) * step, 900))


def directory(data: bytes, path: Path, copy: int) -> range:
    """Where a copy of the pages of all directories is in the file: a byte of every cell of it."""
    path.write_bytes(data)
    with am.open(path) as opened:
        segment = opened.snapshot.segments[0]
        pages = [blocks.groups.pages[:, [copy, 2]] for blocks in directories(opened).values()]
        low = min(int(own[:, 0].min()) for own in pages)
        high = max(int((own[:, 0] + own[:, 1]).max()) for own in pages)
        size = segment.file.layout.cell_payload
        cell = segment.file.read(segment.data_cell, low // size * size, 300)
        last = segment.file.read(segment.data_cell, (high - 1) // size * size, 300)
    return range(data.index(cell) + 100, data.index(last) + 101, 900)


def all_rows(*places: str) -> list[dict[str, Any]]:
    with am.open(places[0], replicas=list(places[1:]) or None) as opened:
        return list(opened.to_arrow().to_pylist())


def test_copies_heal_each_other(table: bytes, tmp_path: Path, audiomem: Command) -> None:
    """Each is damaged in another third; then one in both copies of its directories, and one between them."""
    whole = url(3, table)
    expected = all_rows(whole)
    assert [row["id"] for row in expected] == list(range(COUNT))
    places = [url(number, third(table, number)) for number in range(3)]
    with pytest.raises(DamagedFileError):
        all_rows(places[0])
    SHARED.clear()
    assert all_rows(*places) == expected
    with am.open(places[0], replicas=places[1:]) as opened:
        found = opened.search("words: word5", columns=["id"])["id"].to_pylist()
        vector = ROWS[700]["vec"]
        nearest = opened.search(vector=vector, column="vec", columns=["id"])["id"].to_pylist()
    assert found
    assert {number % 97 for number in found} == {5}
    assert nearest[0] == 700
    pages = [directory(table, tmp_path / "t.flac", copy) for copy in (0, 1)]
    between = range(pages[0].stop + 2000, pages[1].start - 2000, 900)
    assert len(between) > 50
    places = [url(0, damaged(damaged(table, pages[0]), pages[1])), url(1, damaged(table, between))]
    SHARED.clear()
    assert all_rows(*places) == expected
    given = [each for place in places[1:] for each in ("--replica", place)]
    assert audiomem("verify", places[0], *given, "--all-replicas").code == 1
    healed = audiomem("repair", places[0], *given)
    assert healed.code == 0, healed.err
    for number in (0, 1):
        key = f"two-levels/{number}.flac"
        assert bytes(obstore.get(memory_store(), key).bytes()) == table
    assert audiomem("verify", places[0], *given, "--all-replicas").code == 0


def test_repair_writes_the_bytes_that_were(tmp_path: Path, audiomem: Command) -> None:
    path = tmp_path / "kb.flac"
    data = make(path, "standard")
    for copy in (0, 1):
        cells = directory(data, tmp_path / "t.flac", copy)
        path.write_bytes(damaged(data, cells))
        assert audiomem("verify", str(path)).code == 1
        assert audiomem("repair", str(path)).code == 0
        assert path.read_bytes() == data
        assert audiomem("verify", str(path)).code == 0


def test_maps(table: bytes, tmp_path: Path, audiomem: Command) -> None:
    """Of the same rows in one level, and of those in a store, the same map."""
    path, flat = tmp_path / "kb.flac", tmp_path / "flat.flac"
    path.write_bytes(table)
    make(flat, "none", grouped=False)
    places = [str(path), str(flat), url(7, table)]
    shown = [audiomem("map", place, "-k", "4", "--column", "vec") for place in places]
    assert shown[0].code == 0, shown[0].err
    assert len(shown[0].out) > 200
    assert shown[0].out.replace("kb", "flat") == shown[1].out
    assert shown[0].out.replace("kb", "7") == shown[2].out
