"""What a scan of a far table has in flight: windows with the first stretch, of all segments."""

from __future__ import annotations

import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from obstore.store import S3Store

import audiomem_sql as am
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.remote import RemoteFile
from audiomem_sql.remote.coming import Coming
from audiomem_sql.scan import read_ahead, scanner
from audiomem_sql.scan.scanner import scan
from audiomem_sql.table.open_dataset import dataset
from audiomem_sql.table.table import Table
from audiomem_sql.vtab.duckdb.scanning import audiomem_scan
from remote.conftest import put
from remote.proxy import FaultyProxy

COLUMNS = ["id INTEGER PRIMARY KEY", "body TEXT"]


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_ahead, "WINDOW_BYTES", 100_000)
    monkeypatch.setattr(scanner, "BATCH_BYTES", 64 << 10)
    monkeypatch.setattr(scanner, "FIRST_BATCH_BYTES", 16 << 10)
    monkeypatch.setenv("AUDIOMEM_REMOTE_HEDGE", "0")


def texts(rows: int, seed: int = 4) -> list[str]:
    rng = np.random.default_rng(seed)
    return [rng.bytes(100).hex() for _ in range(rows)]


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("windows") / "long.flac"
    with am.Table.create(path, COLUMNS) as made:
        made.append([{"id": n, "body": body} for n, body in enumerate(texts(9000), 1)])
        made.vacuum(level=1, layout="remote")
    return path


def ranges(proxy: FaultyProxy) -> list[tuple[int, int]]:
    """(first, last) of each range that was asked for, in order of their places, each once."""
    asked = {each.removeprefix("bytes=") for each in proxy.gets()}
    return sorted((int(first), int(last)) for first, last in (each.split("-") for each in asked))


def asked_before_the_first_answer(
    table: Table, proxy: FaultyProxy, count: int, *, whole: bool
) -> tuple[list[tuple[int, int]], int, list[str]]:
    """What a scan asks for while the store answers nothing, at least ``count`` ranges.

    And how many rows it gives meanwhile, and then. It begins with the last rows: the first ones came with the
    head.
    """
    proxy.log, proxy.always = [], "stall"
    found: list[str] = []

    def run() -> None:
        for batch in scan(table.snapshot, [1], ahead=2, whole=whole, descending=True):
            found.extend(batch.arrays[0].to_pylist())

    thread = threading.Thread(target=run)
    thread.start()
    deadline = time.monotonic() + 20
    while len(ranges(proxy)) < count and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)  # nothing more comes
    asked, delivered = ranges(proxy), len(found)
    proxy.reset()
    thread.join(60)
    return asked, delivered, found


def test_windows_are_in_flight_before_the_first_batch(long: Path, store: S3Store, proxy: FaultyProxy) -> None:
    """Two of them beside the first stretch, where all rows will be wanted; else that alone."""
    size, expected = long.stat().st_size, texts(9000)
    url = put(store, "windows-first.flac", long.read_bytes())
    for whole, least, most in ((True, 150_000, 400_000), (False, 0, 60_000)):
        with Table(url, cache=BlockCache(64 << 20)) as table:
            count = 3 if whole else 1
            asked, delivered, found = asked_before_the_first_answer(table, proxy, count, whole=whole)
        assert not delivered
        assert found == expected[::-1]
        assert least < sum(last + 1 - first for first, last in asked) < most < size


def test_no_byte_is_asked_for_twice(long: Path, store: S3Store, proxy: FaultyProxy) -> None:
    """Windows share cells with their neighbours, and a dictionary with the first stretch."""
    url = put(store, "windows-once.flac", long.read_bytes())
    proxy.log, proxy.delay = [], 0.02
    with Table(url, cache=BlockCache(64 << 20)) as table:
        rows = [batch.arrays[0] for batch in scan(table.snapshot, [1], ahead=2, whole=True)]
        assert [body.as_py() for array in rows for body in array] == texts(9000)
    assert len(proxy.gets()) == len(ranges(proxy)) > 4  # how many, depends on how fast the store answers
    asked = ranges(proxy)
    assert all(last < first for (_, last), (first, _) in pairwise(asked))


def test_the_extension_of_duckdb_has_windows_with_the_first_batch(
    long: Path, store: S3Store, proxy: FaultyProxy
) -> None:
    """It does not say that it will stop early, either."""
    url = put(store, "windows-extension.flac", long.read_bytes())
    source, found = audiomem_scan(url, None, None, None), []
    proxy.log, proxy.always = [], "stall"
    rows = source.batches([1])
    thread = threading.Thread(
        target=lambda: found.extend(each for part in rows for each in part[0].to_pylist())
    )
    thread.start()
    deadline = time.monotonic() + 20
    while len(ranges(proxy)) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    asked = ranges(proxy)
    proxy.reset()
    thread.join(60)
    assert found == texts(9000)
    assert sum(last + 1 - first for first, last in asked) > 150_000


def test_windows_of_the_next_segments(tmp_path: Path, store: S3Store, proxy: FaultyProxy) -> None:
    """Small segments are asked for together, not one after the other."""
    path, bodies = tmp_path / "parts.flac", texts(11220, 5)
    with am.Table.create(path, COLUMNS) as made:
        for start, stop in ((0, 7800), (7800, 10380), (10380, 11220)):
            made.append([{"id": n + 1, "body": bodies[n]} for n in range(start, stop)])
            made.checkpoint()
    with Table(put(store, "windows-parts.flac", path.read_bytes()), cache=BlockCache(64 << 20)) as table:
        files = [segment.file for segment in table.snapshot.segments]
        assert len(files) == 3
        starts = [file.source.span(file.first, 1, 0, 1)[0] for file in files]
        asked, delivered, found = asked_before_the_first_answer(table, proxy, 5, whole=True)
    assert found == bodies[::-1]
    assert delivered <= 840  # of the last segment, which came with its head
    assert {1, 2} <= {sum(start <= first for start in starts) for first, _ in asked}


def test_the_first_rows_ask_for_no_windows(long: Path, store: S3Store) -> None:
    url = put(store, "windows-head.flac", long.read_bytes())
    with Table(url, cache=BlockCache(64 << 20)) as table:
        source = table.snapshot.segments[0].file.source.file
        assert isinstance(source, RemoteFile)
        assert dataset(table).head(3, columns=["body"])["body"].to_pylist() == texts(9000)[:3]
        assert source.counts.bytes < long.stat().st_size / 4
        assert dataset(table).to_table(columns=["body"]).num_rows == 9000


def test_stretches_that_somebody_else_asks_for() -> None:
    """They are waited for; and asked for by whoever waited, if they did not come."""
    coming, order = Coming(), []
    with coming.claimed([(10, 20), (30, 40)]) as (own, others):
        assert (own, others) == ([(10, 20), (30, 40)], [])

        def second() -> None:
            with coming.claimed([(0, 35), (50, 60)]) as claimed:
                order.append(claimed)
            order.append("waited")

        thread = threading.Thread(target=second)
        thread.start()
        while not order:
            time.sleep(0.001)
        time.sleep(0.05)
        assert order == [([(0, 10), (20, 30), (50, 60)], [(10, 20), (30, 35)])]
    thread.join(10)
    assert order[-1] == "waited"
    with pytest.raises(ValueError, match="lost"), coming.claimed([(0, 9)]):
        raise ValueError("lost")
    with coming.claimed([(0, 35)]) as claimed:
        assert claimed == ([(0, 35)], [])
