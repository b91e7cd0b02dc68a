"""Many commits: ``python -m benchmarks.commits [--data FILE.parquet]``.

What threads gain by sharing flushes, what commits leave behind, and how long commits of 1,000 rows take that
come one after another, beside SQLite with a write-ahead log and synchronous=FULL.

Not part of ``make bench``. With a file, the rows of the last part are those of it; it has the columns of
``benchmarks.analysis``.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import audiomem_sql as am
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.table.table import Table
from benchmarks.timing import timed

COLUMNS = ["id INTEGER PRIMARY KEY", "who INTEGER", "text TEXT"]
COMMITS = 4000
ROWS = 10_000
#: Rows of a commit where they come in a row.
PART = 1000


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


def in_a_row(folder: Path, data: pa.Table) -> None:
    """Commits of 1,000 rows without a pause, each store in a loop of its own, so that upkeep counts."""
    parts = [data.slice(at, PART) for at in range(0, len(data) - PART + 1, PART)]
    values = [list(zip(*(column.to_pylist() for column in part.columns), strict=True)) for part in parts]
    holes = ",".join("?" * data.num_columns)
    path = folder / "arrow.flac"
    am.write_flac(parts[0], path, primary_key=data.column_names[0]).close()
    with Table(path) as table:
        took("append of an Arrow table", table.append, parts[1:])
        print(f"  {len(table.snapshot.segments)} segments while it is open")
    resting = path.stat().st_size
    with Table(path) as table:
        print(f"  {len(table.snapshot.segments)} segments at rest")
        table.vacuum(level=table.options.compression_level)
    print(f"  {resting / 1e6:.1f} MB at rest, {path.stat().st_size / 1e6:.1f} MB after a vacuum at its level")
    inserted = folder / "inserts.flac"
    am.write_flac(parts[0], inserted, primary_key=data.column_names[0]).close()
    ours = am.connect(inserted)
    native = sqlite3.connect(folder / "native.sqlite", isolation_level=None)
    native.executescript("PRAGMA journal_mode=wal; PRAGMA synchronous=full")
    columns = ", ".join([f"{data.column_names[0]} INTEGER PRIMARY KEY", *data.column_names[1:]])
    native.execute(f"CREATE TABLE inserts({columns})")
    for name, connection in (("INSERTs", ours), ("INSERTs, SQLite", native)):

        def insert(part: list[tuple[Any, ...]], connection: Any = connection) -> None:
            connection.execute("BEGIN")
            connection.executemany(f"INSERT INTO inserts VALUES ({holes})", part)
            connection.execute("COMMIT")

        took(name, insert, values[1:])
        connection.close()


def took(name: str, commit: Callable[[Any], object], parts: Sequence[Any]) -> None:
    """Print how long each of the commits took."""
    seconds = []
    processor = time.process_time()
    for part in parts:
        started = time.perf_counter()
        commit(part)
        seconds.append(time.perf_counter() - started)
    processor = (time.process_time() - processor) / len(parts)
    median, slowest = statistics.median(seconds), max(seconds)
    print(
        f"{name}, {len(parts)} commits of {PART:,} rows: median {median * 1e3:.1f} ms, "
        f"mean {statistics.mean(seconds) * 1e3:.1f}, slowest {slowest * 1e3:.0f} ({slowest / median:.1f} ×), "
        f"{processor * 1e3:.1f} ms of processor time"
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    given = parser.parse_args().data
    with tempfile.TemporaryDirectory() as name:
        whole = pa.Table.from_pylist(rows(81 * PART)) if given is None else pq.read_table(given)
        in_a_row(Path(name), whole.slice(0, 81 * PART))
    with tempfile.TemporaryDirectory() as name:
        group_commit(Path(name))
    with tempfile.TemporaryDirectory() as name:
        many_commits(Path(name))
