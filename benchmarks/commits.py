"""Many small commits: ``python -m benchmarks.commits``. What threads gain by sharing flushes, and what commits leave behind.

Not part of ``make bench``: nothing here is compared with a peer.
"""

from __future__ import annotations

import os
import random
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from audiomem_sql.table import Table
from benchmarks.timing import once, timed

COLUMNS = ["id INTEGER PRIMARY KEY", "who INTEGER", "text TEXT"]
COMMITS = 4000
ROWS = 10_000


class SlowDisk:
    """Counts fdatasyncs and lets each take ``seconds`` longer: what a flush costs differs from disk to disk."""

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


def row(number: int) -> dict[str, Any]:
    """A row of some words."""
    return {"id": number, "who": number % 7, "text": f"row {number}: " + "la " * (number % 40)}


def many_commits(folder: Path) -> None:
    """Files, and how fast they are read, after 10,000 one-row commits; beside the same rows in one file."""
    (folder / "many").mkdir()
    path, most = folder / "many" / "many.flac", 0
    table = Table.create(path, COLUMNS)
    started = time.perf_counter()
    for number in range(1, ROWS + 1):
        table.append([row(number)])
        if number % 97 == 0:
            table.close()
            table = Table(path)
        most = max(most, files(path))
    print(
        f"{ROWS:,} commits in {time.perf_counter() - started:.1f} s, at most {most} files, {files(path)} now"
    )
    table.close()
    one = folder / "one.flac"
    with Table.create(one, COLUMNS) as written:
        written.append(pa.Table.from_pylist([row(number) for number in range(1, ROWS + 1)]))
    keys = random.Random(0).choices(range(1, ROWS + 1), k=2000)
    for what, measure in (("open", opening), ("point read", gets(keys)), ("full scan", scans)):
        ours, single = measure(path), measure(one)
        print(f"{what}: {ours:.3f} ms after the commits, {single:.3f} ms in one file, {ours / single:.2f} ×")


def files(path: Path) -> int:
    """In the folder of the table at ``path``."""
    return sum(len(names) for _, _, names in os.walk(path.parent))


def opening(path: Path) -> float:
    return min(once(lambda: Table(path).close()) for _ in range(20)) * 1e3


def gets(keys: list[int]) -> Callable[[Path], float]:
    def measure(path: Path) -> float:
        with Table(path) as table:
            return timed(table.get, keys, budget=20).p50

    return measure


def scans(path: Path) -> float:
    def scan() -> None:
        with Table(path) as table:
            assert table.to_arrow().num_rows == ROWS

    return min(once(scan) for _ in range(10)) * 1e3


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        group_commit(Path(name))
    with tempfile.TemporaryDirectory() as name:
        many_commits(Path(name))
