"""Writing beside the peers: ``python -m benchmarks.versions``. Commits, point reads across deltas, vacuums.

The stores take turns, commit by commit, so that a disk that is slow for a while is slow for all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import duckdb
import pyarrow as pa
from rich.console import Console

import audiomem_sql as am
from audiomem_sql.machine.block_cache import SHARED
from audiomem_sql.upkeep import compaction
from benchmarks.__main__ import machine, repeated, rows_of
from benchmarks.stores import COLUMNS
from benchmarks.timing import once, timed

DELTAS = (0, 10, 1000)
_DEFINITION = "id INTEGER PRIMARY KEY, source TEXT, title TEXT, created_at TEXT, body TEXT"


def commits(folder: Path, rows: pa.Table, count: int, size: int) -> dict[str, float]:
    """Median milliseconds of a durable commit of ``size`` rows, by store; each takes its turn."""
    ours = am.connect(am.write_flac(rows.slice(0, 1), folder / "ours.flac", primary_key="id").path)
    wal = apsw.Connection(str(folder / "wal.sqlite"))
    wal.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
    wal.execute(f"CREATE TABLE ours({_DEFINITION}) STRICT")
    duck = duckdb.connect(str(folder / "duck.duckdb"))
    duck.execute(
        "CREATE TABLE ours(id BIGINT PRIMARY KEY, source TEXT, title TEXT, created_at TEXT, body TEXT)"
    )

    def insert(connection: Any, values: list[tuple[Any, ...]]) -> None:
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO ours VALUES (?, ?, ?, ?, ?)", values)
        connection.execute("COMMIT")

    stores: dict[str, Callable[[list[tuple[Any, ...]]], None]] = {
        "AudioMemory": lambda values: insert(ours, values),
        "SQLite WAL FULL": lambda values: insert(wal, values),
        "DuckDB": lambda values: insert(duck, values),
    }
    if size > 1:  # row by row DuckDB takes seconds; it has a way of its own for many rows

        def arrow(values: list[tuple[Any, ...]]) -> None:
            batch = pa.table(dict(zip(COLUMNS, zip(*values, strict=True), strict=True)))
            duck.register("batch", batch)
            duck.execute("INSERT INTO ours SELECT * FROM batch")

        stores["DuckDB"] = arrow
    times: dict[str, list[float]] = {name: [] for name in stores}
    at = 1
    for _ in range(count):
        part = rows.slice(at, size)
        values = list(zip(*(part[name].to_pylist() for name in COLUMNS), strict=True))
        at += size
        for name, store in stores.items():
            start = time.perf_counter()
            store(values)
            times[name].append((time.perf_counter() - start) * 1e3)
    for connection in (ours, wal, duck):
        connection.close()
    return {name: statistics.median(runs) for name, runs in times.items()}


def point_reads(folder: Path, rows: pa.Table) -> dict[str, Any]:
    """Milliseconds to read a row by id, with so many deltas, and from a native table of the same rows.

    Small deltas are merged by themselves; here they are kept apart to show what they would cost.
    """
    figures: dict[str, Any] = {}
    small = compaction.MERGED_AT_ONCE
    for deltas in DELTAS:
        path = folder / f"deltas{deltas}.flac"
        base = len(rows) - 5 * deltas
        am.write_flac(rows.slice(0, base), path, primary_key="id").close()
        compaction.MERGED_AT_ONCE = 1 << 30
        try:
            with am.open(path) as table:
                for number in range(deltas):
                    table.append(rows.slice(base + 5 * number, 5))
                    table.checkpoint()
        finally:
            compaction.MERGED_AT_ONCE = small
        figures[str(deltas)] = _gets(am.connect(path), path.stem, len(rows))
        if deltas == DELTAS[-1]:
            with am.open(path) as table:
                table.checkpoint()
                table.merge()
            figures[f"{deltas}, merged"] = _gets(am.connect(path), path.stem, len(rows))
    native = apsw.Connection(str(folder / "native.sqlite"))
    native.execute(f"CREATE TABLE t({_DEFINITION}) STRICT")
    with native:
        native.executemany(
            "INSERT INTO t VALUES (?, ?, ?, ?, ?)",
            zip(*(rows[name].to_pylist() for name in COLUMNS), strict=True),
        )
    figures["SQLite"] = _gets(native, "t", len(rows))
    return figures


def _gets(connection: apsw.Connection, name: str, count: int) -> dict[str, float]:
    rng = random.Random(3)
    sql = f"SELECT * FROM {name} WHERE id = ?"
    opened = once(lambda: connection.execute(sql, (1,)).fetchone()) * 1e3
    times = timed(
        lambda key: connection.execute(sql, (key,)).fetchone(), [rng.randint(1, count) for _ in range(3000)]
    )
    connection.close()
    SHARED.clear()
    return {"first_ms": opened, "p50_ms": times.p50, "p99_ms": times.p99}


def vacuums(folder: Path, rows: pa.Table) -> dict[str, Any]:
    """MB of values a second of a vacuum after every tenth row was updated, by store; ours at three levels."""
    size = sum(rows[name].nbytes for name in COLUMNS) / 1e6
    figures: dict[str, Any] = {}
    for level in (3, 9, 19):
        path = folder / f"vacuum{level}.flac"
        am.write_flac(rows, path, primary_key="id").close()
        with am.connect(path) as connection:
            connection.execute(f"UPDATE {path.stem} SET title = title || '.' WHERE id % 10 = 0")
        connection.close()
        with am.open(path) as table:
            figures[f"AudioMemory, level {level}"] = size / once(
                lambda table=table, level=level: table.vacuum(level=level)  # type: ignore[misc]
            )
    native = apsw.Connection(str(folder / "vacuum.sqlite"))
    native.execute(f"CREATE TABLE t({_DEFINITION}) STRICT")
    with native:
        native.executemany(
            "INSERT INTO t VALUES (?, ?, ?, ?, ?)",
            zip(*(rows[name].to_pylist() for name in COLUMNS), strict=True),
        )
    native.execute("UPDATE t SET title = title || '.' WHERE id % 10 = 0")
    figures["SQLite VACUUM"] = size / once(lambda: native.execute("VACUUM"))
    native.close()
    duck = duckdb.connect(str(folder / "vacuum.duckdb"))
    duck.execute("CREATE TABLE t AS SELECT * FROM rows")
    duck.execute("UPDATE t SET title = title || '.' WHERE id % 10 = 0")
    duck.execute("CHECKPOINT")
    duck.execute(f"ATTACH '{folder}/copy.duckdb' AS copy")
    figures["DuckDB COPY FROM DATABASE"] = size / once(
        lambda: duck.execute("COPY FROM DATABASE vacuum TO copy")
    )
    duck.close()
    return figures


_PEAK = """
import re, sys, time
import audiomem_sql as am
def peak():  # of this process alone; what getrusage gives begins with the peak of the parent
    return int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1])
with am.open(sys.argv[1]) as table:
    before = peak()
    start = time.perf_counter()
    table.vacuum(level=int(sys.argv[2]))
    print(time.perf_counter() - start, before, peak())
"""


def vacuum_of_a_million(folder: Path, rows: pa.Table, level: int) -> dict[str, float]:
    """Seconds and peak MiB of a vacuum of a million rows with updates, in a process of its own."""
    path = folder / "million.flac"
    whole = repeated(rows, 1_000_000)
    am.write_flac(whole, path, primary_key="id").close()
    with am.open(path) as table:
        part = whole.slice(0, 50_000)
        table.append(part, replace="id <= 50000")
    del whole
    out = subprocess.run(
        [sys.executable, "-c", _PEAK, str(path), str(level)], check=True, capture_output=True, text=True
    ).stdout.split()
    return {"seconds": float(out[0]), "peak_mib": int(out[2]) / 1024, "before_mib": int(out[1]) / 1024}


def threads(folder: Path, rows: pa.Table) -> dict[str, float]:
    """Commits of one row a second, by one thread and by eight that share a table."""
    from concurrent.futures import ThreadPoolExecutor

    figures: dict[str, float] = {}
    for count in (1, 8):
        with am.write_flac(rows.slice(0, 1), folder / f"threads{count}.flac", primary_key="id") as table:
            each = 2000 // count

            def work(number: int, table: Any = table, each: int = each) -> None:
                for at in range(each):
                    table.append(rows.slice(1 + number * each + at, 1))

            with ThreadPoolExecutor(count) as pool:
                start = time.perf_counter()
                list(pool.map(work, range(count)))
                figures[f"{count} threads"] = 2000 / (time.perf_counter() - start)
    return figures


def main() -> None:
    """Measure, print, and write ``versions.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="Parquet file with the columns " + ", ".join(COLUMNS))
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out"), help="where the results go")
    parser.add_argument(
        "--million", type=int, metavar="LEVEL", help="also vacuum a million rows at this level"
    )
    arguments = parser.parse_args()
    console = Console()
    rows = repeated(rows_of(arguments.data, arguments.rows), arguments.rows)
    arguments.out.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="audiomem-bench-", dir=arguments.out))

    def folder(name: str) -> Path:
        (work / name).mkdir()
        return work / name

    try:
        report: dict[str, Any] = {"machine": machine(), "rows": len(rows)}
        steps: dict[str, Callable[[], Any]] = {
            "commit of 1 row, ms": lambda: commits(folder("one"), rows, 500, 1),
            "commit of 1,000 rows, ms": lambda: commits(folder("many"), rows, 20, 1000),
            "row by id, so many deltas": lambda: point_reads(folder("reads"), rows),
            "vacuum, MB/s of values": lambda: vacuums(folder("vacuum"), rows),
            "commits of 1 row a second": lambda: threads(folder("threads"), rows),
        }
        if arguments.million:
            steps["vacuum of a million rows"] = lambda: vacuum_of_a_million(
                folder("million"), rows, arguments.million
            )
        for name, step in steps.items():
            report[name] = step()
            console.print(name, json.dumps(report[name], indent=1))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    (arguments.out / "versions.json").write_text(json.dumps(report, indent=1) + "\n")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    console.print(f"written: {arguments.out}/versions.json; peak {peak} MiB, {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
