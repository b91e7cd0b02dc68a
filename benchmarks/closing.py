"""What closing costs: ``python -m benchmarks.closing``.

A table of a million rows takes a thousand more, and is closed: seconds and bytes written, beside the
checkpoint of SQLite's write-ahead log and of DuckDB's, in one run. Then what segments behind the first one
cost whoever opens the file, reads a row and scans it; and how often a commit flushes.
"""

from __future__ import annotations

import argparse
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import duckdb
import pyarrow as pa

from audiomem_sql.machine import durable
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep import compaction

ADDED = 1_000
ROUNDS = 5


def rows(first: int, count: int) -> pa.Table:
    """Rows of about 100 bytes."""
    numbers = range(first, first + count)
    texts = [f"note {number}: {number * 2654435761 % 2**64:020d} of the day" for number in numbers]
    return pa.table({"id": list(numbers), "day": [number % 3650 for number in numbers], "text": texts})


def written() -> int:
    """Bytes that this process has handed to the system to be written."""
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("wchar:"):
            return int(line.split()[1])
    return 0


def measured(work: Callable[[], object]) -> tuple[float, int]:
    """Seconds, and bytes written."""
    before, started = written(), time.perf_counter()
    work()
    return time.perf_counter() - started, written() - before


def ours(path: Path, count: int, protection: str) -> list[tuple[float, int]]:
    """Closing after each of some appends."""
    with Table.create(
        path, ["id INTEGER PRIMARY KEY", "day INTEGER", "text TEXT"], {"protection": protection}
    ) as table:
        table.append(rows(0, count))
    results = []
    for number in range(ROUNDS):
        table = Table(path)
        table.append(rows(count + number * ADDED, ADDED))
        results.append(measured(table.close))
    return results


def sqlite(path: Path, count: int) -> list[tuple[float, int]]:
    """Closing the last connection, which checkpoints."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, day INTEGER, text TEXT)")
        connection.executemany("INSERT INTO t VALUES(?, ?, ?)", _tuples(0, count))
    connection.close()
    results = []
    for number in range(ROUNDS):
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA synchronous=FULL")
        with connection:
            connection.executemany("INSERT INTO t VALUES(?, ?, ?)", _tuples(count + number * ADDED, ADDED))
        results.append(measured(connection.close))
    return results


def duck(path: Path, count: int) -> list[tuple[float, int]]:
    """CHECKPOINT, and closing."""
    connection = duckdb.connect(str(path))
    connection.register("added", rows(0, count))
    connection.execute("CREATE TABLE t AS SELECT * FROM added")
    connection.close()
    results = []
    for number in range(ROUNDS):
        connection = duckdb.connect(str(path))
        connection.register("added", rows(count + number * ADDED, ADDED))
        connection.execute("INSERT INTO t SELECT * FROM added")

        def close(connection: duckdb.DuckDBPyConnection = connection) -> None:
            connection.execute("CHECKPOINT")
            connection.close()

        results.append(measured(close))
    return results


def _tuples(first: int, count: int) -> list[tuple[int, int, str]]:
    columns = rows(first, count).to_pydict()
    return list(zip(columns["id"], columns["day"], columns["text"], strict=True))


def told(name: str, results: list[tuple[float, int]], size: int) -> None:
    """One line: the median of the rounds."""
    seconds = statistics.median(seconds for seconds, _ in results)
    written_bytes = statistics.median(count for _, count in results)
    kib, mib = written_bytes / 1024, size / 2**20
    print(f"{name:<22} {seconds * 1e3:>9.1f} ms {kib:>10,.0f} KiB written, file {mib:>7.1f} MiB")


def closing(folder: Path, count: int) -> None:
    """The table of closing times."""
    print(f"closing after {ADDED:,} rows into {count:,}, median of {ROUNDS}:")
    for protection in ("none", "archive"):
        path = folder / f"{protection}.flac"
        told(f"audiomem {protection}", ours(path, count, protection), path.stat().st_size)
        assert [entry.name for entry in folder.iterdir() if entry.name.startswith(protection)] == [path.name]
    path = folder / "t.sqlite"
    told("SQLite, WAL", sqlite(path, count), path.stat().st_size)
    path = folder / "t.duckdb"
    told("DuckDB", duck(path, count), path.stat().st_size)


def opened_once(opening: Callable[[], Table]) -> None:
    """Open and close."""
    opening().close()


def segments(folder: Path, count: int) -> None:
    """Opening, a row, and a scan, of a file with more and more segments."""
    path = folder / "segments.flac"
    with Table.create(path, ["id INTEGER PRIMARY KEY", "day INTEGER", "text TEXT"]) as table:
        table.append(rows(0, count))
    compaction.MERGED_AT_ONCE = 1 << 30  # no merge, so that there are as many as are to be measured
    there = 0
    print(f"segments behind one of {count:,} rows:")
    for wanted in (0, 10, 100):
        while there < wanted:
            with Table(path) as table:
                table.append(rows(count + there * 10, 10))
            there += 1
        fresh = partial(Table, path, cache=BlockCache(0))
        opening = statistics.median(measured(partial(opened_once, fresh))[0] for _ in range(21))
        with fresh() as table:
            point = statistics.median(
                measured(partial(table.get, number))[0] for number in range(7, count, count // 50)
            )
            scan = min(measured(partial(table.to_arrow, columns=["day"]))[0] for _ in range(5))
            assert len(table.snapshot.segments) == 1 + wanted
        figures = f"open {opening * 1e3:6.2f} ms, row {point * 1e3:6.3f} ms, scan {scan * 1e3:6.1f} ms"
        print(f"  {wanted:>3}: {figures}")


class Flushes:
    """Counts flushes while it lasts."""

    def __enter__(self) -> Flushes:
        self.count = 0
        self._flush_drive = durable._flush_drive
        durable._flush_drive = self._counted
        return self

    def __exit__(self, *_: object) -> None:
        durable._flush_drive = self._flush_drive

    def _counted(self, handle: int) -> bool:
        self.count += 1
        return self._flush_drive(handle)


def flushes(folder: Path) -> None:
    """How often the first commit of a session, a later one, and closing flush."""
    for protection in ("none", "archive"):
        path = folder / f"flushes-{protection}.flac"
        with Table.create(path, ["id INTEGER PRIMARY KEY", "text TEXT"], {"protection": protection}) as table:
            table.append([{"id": 1, "text": "a"}])
        table = Table(path)
        first, second = ([{"id": number, "text": "b"}] for number in (2, 3))
        counts = []
        for work in (partial(table.append, first), partial(table.append, second), table.close):
            with Flushes() as flushed:
                work()
            counts.append(flushed.count)
        print(f"flushes, {protection}: first commit {counts[0]}, further {counts[1]}, closing {counts[2]}")


def main() -> None:
    """All of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=arguments.folder))
    try:
        flushes(folder)
        closing(folder, arguments.rows)
        segments(folder, min(arguments.rows, 200_000))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
