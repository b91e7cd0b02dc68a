"""What a query asks a store for, and how often one after the other; and bytes that are wrong on the way."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha512
from pathlib import Path
from typing import Any

import numpy as np
import obstore
import pytest
from obstore.store import S3Store

import audiomem_sql as am
from audiomem_sql.errors import AudioMemError, DamagedFileError, OptionError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.remote import RemoteFile, memory_store
from audiomem_sql.table.table import Table
from remote.conftest import put
from remote.proxy import FaultyProxy

COLUMNS = ["id INTEGER PRIMARY KEY", "kind TEXT", "body TEXT INDEXED", "x REAL", "vec FLOAT[16] INDEXED"]
FIXTURES = Path(__file__).parents[1] / "fixtures"


def rows() -> list[dict[str, Any]]:
    centres, noise = np.random.default_rng(1).normal(size=(2, 2500, 16)).astype("f4")
    vectors = centres[np.arange(2500) % 40] + noise / 4
    return [
        {
            "id": n,
            "kind": f"kind {n % 7}",
            "body": f"row{n % 900} word{n % 31} {sha512(bytes(n)).hexdigest()}",
            "x": n / 8,
            "vec": vectors[n - 1].tolist(),
        }
        for n in range(1, 2501)
    ]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("planned") / "kb.flac"
    with am.Table.create(path, COLUMNS) as made:
        made.append(rows())
        made.vacuum()
    return path


@pytest.fixture
def url(path: Path, store: S3Store) -> str:
    return put(store, "kb.flac", path.read_bytes())


def counts_of(table: am.Table) -> RemoteFile:
    source = table.snapshot.segments[0].file.source.file
    assert isinstance(source, RemoteFile)
    return source


def test_trips(path: Path, url: str, proxy: FaultyProxy) -> None:
    """A trip is what is asked for at once. The answers are those of the local file."""
    local = am.open(path)
    vector = local.get(77)["vec"]  # type: ignore[index]
    queries: list[tuple[int, Callable[[am.Table], Any]]] = [
        (1, lambda table: table.get(2222)),
        (1, lambda table: table.get(2499)),
        (3, lambda table: table.search("words: word7 row38", columns=["id"]).to_pylist()),
        (1, lambda table: table.search("words: word7 row38").to_pylist()),
        (3, lambda table: table.search(vector=vector, column="vec", columns=["id"]).to_pylist()),
        (1, lambda table: table.search(vector=vector, column="vec").to_pylist()),
    ]
    with Table(url, cache=BlockCache(64 << 20)) as table:
        assert proxy.gets() == ["bytes=0-65535"]
        steps = counts_of(table).counts.steps
        for trips, query in queries:
            assert query(table) == query(local)
            assert counts_of(table).counts.steps - steps <= trips
            steps = counts_of(table).counts.steps
        proxy.log = []
        for _, query in queries:
            query(table)
        assert proxy.gets() == []
    local.close()


def test_a_search_for_vectors_reads_the_lists_within_reach(
    path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a file that is far away, unless the environment says otherwise."""
    reaches = []
    for place, reach in ((url, ""), (url, "0.9"), (path, "0.9")):
        monkeypatch.setenv("AUDIOMEM_REMOTE_REACH", reach)
        with Table(place) as table:
            index = table.snapshot.segments[0].vector_index(table.schema.names.index("vec"))
            assert index is not None
            reaches.append(index._reach)
    assert reaches == [0.68, 0.9, None]
    monkeypatch.setenv("AUDIOMEM_REMOTE_REACH", "1.1")
    with pytest.raises(OptionError, match="AUDIOMEM_REMOTE_REACH is a number from 0 to 1"):
        am.open(url)


def test_cells_are_read_rather_than_pages(path: Path, url: str, proxy: FaultyProxy) -> None:
    """Of a table without dictionaries that were read before."""
    with Table(url, cache=BlockCache(0)) as table:
        table.get(10)
        page = table.snapshot.segments[0].file.layout.page_size
        before = proxy.sent
        assert table.to_arrow(["x"], "id = ?", [2000])["x"].to_pylist() == [250.0]
        assert proxy.sent - before < page
    with Table(url) as table:
        assert table.to_arrow() == am.open(path).to_arrow()


def test_a_wrong_byte_on_the_way_is_read_anew(path: Path, url: str, proxy: FaultyProxy) -> None:
    """By a request that caches pass on: each other answer is wrong here. Nothing is repaired."""
    with Table(url, cache=BlockCache(64 << 20)) as table:
        proxy.always = "wrong"
        assert table.to_arrow() == am.open(path).to_arrow()
        assert table.snapshot.segments[0].file.corrections.inner == 0


@pytest.mark.damages
def test_a_wrong_byte_in_the_store(store: S3Store, tmp_path: Path) -> None:
    """Parity repairs it, and without parity it is an error that names the place."""
    for protection in ("standard", "none"):
        path = tmp_path / f"{protection}.flac"
        with am.Table.create(path, COLUMNS, {"protection": protection}) as made:
            made.append(rows()[:900])
            made.vacuum()
        data = bytearray(path.read_bytes())
        for offset in range(20_000, len(data) - 20_000, 20_000):
            data[offset] ^= 1
        with Table(put(store, path.name, bytes(data)), cache=BlockCache(64 << 20)) as table:
            if protection == "standard":
                assert table.to_arrow().num_rows == 900
                assert table.snapshot.segments[0].file.corrections.inner > 0
            else:
                with pytest.raises(DamagedFileError, match=r"none\.flac: page \d+, cell \d+"):
                    table.to_arrow()


def outcome(place: str) -> Any:
    """The rows of a table, or the kind of error that it is."""
    try:
        with am.open(place) as table:
            return table.to_arrow()
    except AudioMemError as error:
        return type(error)


@pytest.mark.damages  # without their logs and deltas some of them are not whole
def test_files_of_earlier_formats(tmp_path: Path) -> None:
    paths = sorted(path for path in FIXTURES.glob("v*/**/*.flac") if path.parent.suffix != ".d")
    tables = 0
    for number, path in enumerate(paths):
        data = path.read_bytes()
        (tmp_path / f"{number}.flac").write_bytes(data)
        obstore.put(memory_store(), f"fixtures/{number}.flac", data)
        local = outcome(str(tmp_path / f"{number}.flac"))
        assert outcome(f"memory://fixtures/{number}.flac") == local, path
        tables += not isinstance(local, type)
    assert tables > 8


@pytest.mark.parametrize(
    "options", [{"modulation": "spectrum", "profile": "embedded"}, {"protection": "archive"}], ids=str
)
def test_other_sound_and_changed_columns(options: dict[str, str], tmp_path: Path) -> None:
    with am.Table.create(tmp_path / "t.flac", ["id INTEGER PRIMARY KEY", "body TEXT"], options) as table:
        table.append([{"id": n, "body": f"row {n}" * 9} for n in range(1, 500)])
        table.vacuum()
        table.alter("add column more INTEGER DEFAULT 7")
    obstore.put(memory_store(), "changed.flac", (tmp_path / "t.flac").read_bytes())
    with am.open("memory://changed.flac") as remote, am.open(tmp_path / "t.flac") as local:
        assert remote.get(77) == {"id": 77, "body": "row 77" * 9, "more": 7}
        assert remote.to_arrow() == local.to_arrow()
