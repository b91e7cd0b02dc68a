"""An index of vectors that is opened again in a process: nothing is read twice, and nothing is stale."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest
from indexes.vectors.clustered import clustered

import audiomem_sql as am
from audiomem_sql.indexes.vectors import KNOWN_INDEXES
from audiomem_sql.remote import RemoteFile, memory_store

URL = "memory://shared-indexes/kb.flac"
ROWS = 4500
QUERY = clustered(1, 24, 5)[0]


def make(path: Path, seed: int) -> Path:
    vectors = clustered(ROWS, 24, seed)
    with am.Table.create(path, ["id INTEGER PRIMARY KEY", "v FLOAT[24] INDEXED"]) as table:
        table.append([{"id": number, "v": vector.tolist()} for number, vector in enumerate(vectors)])
        table.vacuum(layout="remote")
    return path


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("shared")
    return [make(folder / f"{seed}.flac", seed) for seed in (1, 2)]


@pytest.fixture(autouse=True)
def none_known() -> Iterator[None]:
    KNOWN_INDEXES.clear()
    yield
    KNOWN_INDEXES.clear()


def put(path: Path) -> None:
    obstore.put(memory_store(), URL.removeprefix("memory://"), path.read_bytes())


def ask(table: am.Table) -> tuple[list[int], list[float]]:
    found = table.search(vector=QUERY, column="v", columns=["id"])
    return found["id"].to_pylist(), found["distance"].to_pylist()


def asked(*, clear: bool = False) -> tuple[tuple[list[int], list[float]], int]:
    """The answer of a table that is opened and closed, and the steps that it took."""
    if clear:
        KNOWN_INDEXES.clear()
    with am.open(URL) as table:
        source = table.snapshot.segments[0].file.source.file
        assert isinstance(source, RemoteFile)
        return ask(table), source.counts.steps


def test_a_table_that_is_opened_again_reads_no_index(paths: list[Path]) -> None:
    put(paths[0])
    first, steps = asked()
    again, fewer = asked()
    anew, as_many = asked(clear=True)
    assert first == again == anew
    assert (
        steps == as_many == fewer + 1
    )  # the lists; the header of so small a table comes with its first bytes
    with am.open(URL) as one, am.open(URL) as other:
        indexes = [table.snapshot.segments[0].vector_index(1) for table in (one, other)]
        assert indexes[0] is not None
        assert indexes[1] is not None
        assert indexes[0] is not indexes[1]
        assert indexes[0].opened is indexes[1].opened
        one.close()
        assert ask(other) == first


def test_an_object_that_was_replaced_has_an_index_of_its_own(paths: list[Path]) -> None:
    put(paths[0])
    with am.open(URL) as before:
        first = ask(before)
        put(paths[1])
        second, _ = asked()
        assert ask(before) == first
    assert second != first
    assert second == asked(clear=True)[0]
    put(paths[0])
    assert asked()[0] == first


def test_another_etag_is_another_object(paths: list[Path]) -> None:
    """Its index may lie in the same place, and be as long."""
    put(paths[0])
    with am.open(URL) as before:
        ask(before)
        put(paths[0])
        with am.open(URL) as after:
            ask(after)
            indexes = [table.snapshot.segments[0].vector_index(1) for table in (before, after)]
            assert indexes[0] is not None
            assert indexes[1] is not None
            assert indexes[0].opened is not indexes[1].opened


def test_without_an_etag_nothing_is_shared(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    put(paths[0])
    monkeypatch.setattr(RemoteFile, "has_lasting_identity", False)
    first, steps = asked()
    assert asked() == (first, steps)


@pytest.mark.parametrize(
    "options", [{"profile": "embedded"}, {"profile": "server"}, {"protection": "archive"}]
)
def test_ranges_that_are_read_at_once(options: dict[str, str], tmp_path: Path) -> None:
    """Over cells, channels and pages; where a cell is damaged, they are read one by one."""
    path, rng = tmp_path / "t.flac", random.Random(3)
    with am.Table.create(path, ["id INTEGER PRIMARY KEY", "raw BLOB"], options) as table:
        table.append([{"id": number, "raw": rng.randbytes(9000)} for number in range(200)])
        table.vacuum()
    data = bytearray(path.read_bytes())
    key = URL.removeprefix("memory://")
    obstore.put(memory_store(), key, bytes(data))
    with am.open(URL) as table:
        segment = table.snapshot.segments[0]
        file, stream = segment.file, segment.data_cell
        length = segment.catalog.data_bytes
        ranges = [(rng.randrange(length - 40_000), rng.choice([1, 700, 1021, 39_000])) for _ in range(30)]
        ranges += [(0, length)]
        expected = [file.read(stream, *each) for each in ranges]
        assert file.read_many(stream, ranges) == expected
        assert file.read_many(stream, [(length + (1 << 30), 10)]) is None
        assert file.layout.cells * 3 < length // file.layout.cell_payload
        cell = file.layout.cell_payload
        place = data.find(expected[-1][5 * cell : 5 * cell + 30])
    with am.open(path) as near:
        own = near.snapshot.segments[0]
        assert own.file.read_many(own.data_cell, ranges) is None
    assert place > 0
    data[place] ^= 255
    obstore.put(memory_store(), key, bytes(data))
    with am.open(URL) as table:
        segment = table.snapshot.segments[0]
        assert segment.file.read_many(segment.data_cell, ranges) is None
