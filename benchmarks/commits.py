"""Many small commits: ``python -m benchmarks.commits``.

What threads gain by sharing flushes, and what commits leave behind.

Not part of ``make bench``: nothing here is compared with a peer.
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.table.table import Table
from benchmarks.timing import timed

COLUMNS = ["id INTEGER PRIMARY KEY", "who INTEGER", "text TEXT"]
COMMITS = 4000
ROWS = 10_000


class SlowDisk:
    """Counts fdatasyncs and makes each ``seconds`` longer: what a flush costs differs from disk to disk."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._real = os.fdatasync
        self.flushes = 0

    def __enter__(self) -> SlowDisk:
        os.fdatasync = self._sync
        return self

    def __exit__(self, *error: object) -> None:
        os.fdatasync = self._real

    def _sync(self, handle: Any) -> None:
        self.flushes += 1
        self._real(handle)
        if self._seconds:
            time.sleep(self._seconds)


def appended(path: Path, threads: int, commits: int) -> float:
    """Seconds that ``threads`` threads take for so many one-row appends to one table, closing apart."""
    with Table.create(path, COLUMNS) as table:

        def work(who: int) -> None:
            for number in range(commits // threads):
                table.append([{"who": who, "text": f"row {number} of thread {who}"}])

        running = [threading.Thread(target=work, args=(who,)) for who in range(threads)]
        started = time.perf_counter()
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        seconds = time.perf_counter() - started
        assert table.version == commits + 1
    return seconds


def group_commit(folder: Path) -> None:
    """Commits a second, by threads and by what a flush costs."""
    for extra in (0.0, 0.002, 0.005):
        commits = COMMITS // (5 if extra else 1)
        for threads in (1, 8, 32):
            with SlowDisk(extra) as disk:
                seconds = appended(folder / f"{extra}-{threads}.flac", threads, commits)
            print(
                f"flush + {extra * 1e3:.0f} ms, {threads:>2} threads: {commits / seconds:>6,.0f} commits/s, "
                f"{commits / disk.flushes:.1f} a flush"
            )


def rows(count: int) -> list[dict[str, Any]]:
    """Rows with some 500 bytes of text each, as a chunk of prose has."""
    rng = random.Random(0)
    words = ["".join(rng.choices("etaoinshrdlu", k=rng.randrange(2, 10))) for _ in range(5000)]
    return [
        {"id": number, "who": number % 7, "text": " ".join(rng.choices(words, k=85))}
        for number in range(1, count + 1)
    ]


def many_commits(folder: Path) -> None:
    """Files, and how fast they are read, after 10,000 one-row commits; beside the same rows in one file."""
    many, one, vacuumed = (folder / name / "t.flac" for name in ("many", "one", "vacuumed"))
    many.parent.mkdir()
    one.parent.mkdir()
    data = rows(ROWS)
    table, most = Table.create(many, COLUMNS), 0
    started = time.perf_counter()
    for number, row in enumerate(data, 1):
        table.append([row])
        most = max(most, files(many))
        if number % 97 == 0:
            table.close()
            table = Table(many)
    table.close()
    seconds = time.perf_counter() - started
    print(f"{ROWS:,} commits, opened again after every 97th, in {seconds:.1f} s: at most {most} files")
    with Table.create(one, COLUMNS) as table:
        table.append(pa.Table.from_pylist(data))
    shutil.copytree(many.parent, vacuumed.parent)
    with Table(vacuumed) as table:
        table.vacuum(level=table.options.compression_level)
    figures = [read(path) for path in (many, one, vacuumed)]
    for kind in figures[0]:
        ours, single, same = (figure[kind] for figure in figures)
        print(
            f"{kind}: {ours:.3f} ms in {files(many)} files, {single:.3f} ms in one ({ours / single:.2f} ×), "
            f"{same:.3f} ms in one with all versions ({ours / same:.2f} ×)"
        )


def read(path: Path) -> dict[str, float]:
    """Milliseconds, medians, with a cache that is empty at first."""
    samples: dict[str, list[float]] = {}
    for seed in range(15):
        cache = BlockCache()
        keys = random.Random(seed).choices(range(1, ROWS + 1), k=1000)
        started = time.perf_counter()
        with Table(path, cache=cache) as table:
            opened = time.perf_counter()
            table.to_arrow()
            scanned = time.perf_counter()
            table.to_arrow()
            again = time.perf_counter()
            cache.clear()
            gets = timed(table.get, keys).p50
        times = (opened - started, scanned - opened, again - scanned, gets / 1e3)
        for kind, seconds in zip(("open", "full scan", "full scan again", "point read"), times, strict=True):
            samples.setdefault(kind, []).append(seconds * 1e3)
    return {kind: statistics.median(times) for kind, times in samples.items()}


def files(path: Path) -> int:
    """In the folder of the table at ``path``."""
    return sum(len(names) for _, _, names in os.walk(path.parent))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        group_commit(Path(name))
    with tempfile.TemporaryDirectory() as name:
        many_commits(Path(name))
