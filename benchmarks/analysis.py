"""Analysis in DuckDB: our dataset beside Parquet zstd, in one run.

``python -m benchmarks.analysis --data FILE.parquet`` runs it. Parquet is written by DuckDB with its zstd
default level and its row groups of 122,880 rows, in the same row order. Both are read by DuckDB on as many
threads as ``--threads`` says. Each query runs ``--repeat`` times in turns, ours and Parquet's, and the
shortest time counts: once "cold", where before each run our cache of decoded blocks is emptied and DuckDB's
cache of files is off, and once "warm", with both. The files lie in the page cache of the system.
``audiomem_top`` never gets a question twice, since it keeps answers.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table as Grid

import audiomem_sql as am
from audiomem_sql.machine.block_cache import SHARED
from benchmarks.__main__ import repeated, rows_of

#: What is asked of a table with the columns id, source, title, created_at, body, and a small one called
#: ``sources``.
QUERIES = {
    "aggregate over text": "SELECT sum(length(body)), max(title) FROM t",
    "aggregate over a number": "SELECT sum(id), min(created_at), max(created_at) FROM t",
    "filter, clustered": "SELECT count(*), sum(length(body)) FROM t WHERE created_at BETWEEN $low AND $high",
    "filter, unclustered": "SELECT count(*), sum(length(body)) FROM t WHERE title = $title",
    "LIKE on text": "SELECT count(*) FROM t WHERE body LIKE '%kernel%'",
    "group by": (
        "SELECT source, count(*) AS n, avg(length(title)) FROM t GROUP BY source "
        "ORDER BY n DESC, source LIMIT 10"
    ),
    "join": (
        "SELECT sources.kind, count(*), sum(t.id) FROM t JOIN sources USING (source) "
        "GROUP BY ALL ORDER BY ALL"
    ),
    "top-k": "SELECT id, title, body FROM t ORDER BY created_at DESC, id DESC LIMIT 10",
    "top-k, audiomem_top": "SELECT id, title, body FROM t ORDER BY created_at DESC, id DESC LIMIT 10",
    "row by id": "SELECT * FROM t WHERE id = $id",
}


def tiled(table: pa.Table, count: int) -> pa.Table:
    """``count`` rows with ids of their own, and a time that rises by 1 to 60 seconds from row to row."""
    rows = repeated(table, count)
    steps = np.random.default_rng(0).integers(1, 61, count)
    times = pa.array(1_500_000_000_000_000 + np.cumsum(steps) * 1_000_000).cast(pa.timestamp("us"))
    return rows.set_column(rows.column_names.index("created_at"), "created_at", times)


def write(folder: Path, rows: pa.Table, level: int) -> tuple[Path, Path]:
    """The rows as a FLAC file and as a Parquet file."""
    ours, parquet = folder / "t.flac", folder / "t.parquet"
    am.write_flac(rows, ours, primary_key="id", compression_level=level).close()
    with duckdb.connect() as connection:
        connection.register("new_rows", rows)
        connection.execute(f"COPY (FROM new_rows) TO '{parquet}' (FORMAT parquet, COMPRESSION zstd)")
    return ours, parquet


def arguments_of(rows: pa.Table) -> dict[str, Any]:
    """What the filters look for: 1 % of the rows by time, a title of medium length, a row in the middle."""
    middle = len(rows) // 2
    times = rows["created_at"]
    return {
        "low": times[middle].as_py(),
        "high": times[min(middle + len(rows) // 100, len(rows) - 1)].as_py(),
        "title": rows["title"][middle].as_py(),
        "id": middle,
    }


def top_of(path: Path, number: int) -> str:
    """The ten newest rows by ``audiomem_top``, asked in another way for each ``number``."""
    order, condition = "created_at DESC, id DESC", f"id >= {-number}"
    return f"SELECT id, title, body FROM audiomem_top('{path}', '{order}', condition := '{condition}')"


def measure(
    ours: Path, parquet: Path, values: dict[str, Any], sources: pa.Table, threads: int, repeat: int
) -> dict[str, dict[str, float]]:
    """Milliseconds of each query, cold and warm, the least of each store."""
    SHARED.clear()
    connections: dict[str, duckdb.DuckDBPyConnection] = {}
    for name in ("ours", "parquet"):
        connection = connections[name] = duckdb.connect(config={"threads": threads})
        connection.register("sources_arrow", sources)
        connection.execute("CREATE TABLE sources AS FROM sources_arrow")
        connection.execute("SELECT 1").fetchall()
    am.attach(connections["ours"], ours, "t")
    connections["parquet"].execute(f"CREATE VIEW t AS FROM '{parquet}'")
    am.register_duckdb(connections["ours"])
    counter = itertools.count(1)

    def seconds(name: str, label: str, sql: str) -> tuple[float, Any]:
        bindings = {key: value for key, value in values.items() if "$" + key in sql}
        if name == "ours" and label.endswith("audiomem_top"):
            sql = top_of(ours, next(counter))
        start = time.perf_counter()
        answer = connections[name].execute(sql, bindings).fetchall()
        return (time.perf_counter() - start) * 1e3, answer

    figures: dict[str, dict[str, float]] = {}
    for label, sql in QUERIES.items():
        times: dict[str, list[float]] = {}
        for kind in ("cold", "warm"):
            for connection in connections.values():
                connection.execute(f"SET enable_external_file_cache = {kind == 'warm'}")
            for _ in range(repeat):
                answers = {}
                for name in connections:
                    if kind == "cold":
                        SHARED.clear()
                    milliseconds, answers[name] = seconds(name, label, sql)
                    times.setdefault(f"{name}_{kind}", []).append(milliseconds)
                if answers["ours"] != answers["parquet"]:
                    raise SystemExit(f"the stores disagree on {label}: {answers}")
        figures[label] = {name: min(runs) for name, runs in times.items()}
    for connection in connections.values():
        connection.close()
    return figures


def sources_of(rows: pa.Table) -> pa.Table:
    """A small table to join with: each source and its kind."""
    names = pc.unique(rows["source"].combine_chunks())
    return pa.table({"source": names, "kind": pa.array([f"kind {i % 5}" for i in range(len(names))])})


def show(console: Console, count: int, figures: dict[str, dict[str, float]]) -> None:
    """The figures; 2.0 x means that ours took half the time."""
    grid = Grid(title=f"{count:,} rows; milliseconds, the shortest of several")
    for name in ("query", "ours, cold", "Parquet, cold", "x", "ours, warm", "Parquet, warm", "x"):
        grid.add_column(name, justify="left" if name == "query" else "right")
    for label, times in figures.items():
        cells = []
        for kind in ("cold", "warm"):
            ours, parquet = times[f"ours_{kind}"], times[f"parquet_{kind}"]
            cells += [f"{ours:.1f}", f"{parquet:.1f}", f"{parquet / ours:.2f}"]
        grid.add_row(label, *cells)
    console.print(grid)


# -- memory ------------------------------------------------------------------------------------------------


def peak_of(function: Any) -> tuple[int, int]:
    """(resident bytes before, most of them meanwhile), while ``function`` runs."""
    before = most = _resident()
    done = threading.Event()

    def look() -> None:
        nonlocal most
        while not done.wait(0.01):
            most = max(most, _resident())

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        function()
    finally:
        done.set()
        watcher.join()
    return before, most


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def memory(path: Path, source: str, raw: int, threads: int) -> dict[str, float]:
    """MiB that writing ``raw`` bytes from a relation of DuckDB takes, and a GROUP BY over them.

    In processes of their own.
    """
    figures = {}
    for step in ("write", "group"):
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "benchmarks.analysis",
                "--step",
                step,
                str(path),
                source,
                str(raw),
                str(threads),
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        figures |= json.loads(done.stdout.splitlines()[-1])
    return figures


def step(name: str, path: str, source: str, raw: str, threads: str) -> None:
    """One step of :func:`memory`, in this process."""
    connection = duckdb.connect(config={"threads": int(threads), "memory_limit": "300MB"})
    if name == "write":
        times = int(raw) // max(1, int(os.environ.get("AUDIOMEM_BENCH_TILE", "54000000"))) + 1
        relation = connection.sql(
            "SELECT (number * 1000000 + id)::BIGINT AS id, source, title, body "
            f"FROM range({times}) AS r(number), '{source}'"
        )
        before, most = peak_of(
            lambda: am.write_flac(relation, path, protection="none", compression_level=1).close()
        )
    else:
        am.attach(connection, path, "t")
        before, most = peak_of(
            lambda: connection.execute(
                "SELECT source, count(*), sum(length(body)), max(title) FROM t GROUP BY source"
            ).fetchall()
        )
    print(json.dumps({f"{name}_before_mib": before / 2**20, f"{name}_peak_mib": most / 2**20}))


def main() -> None:
    """Measure, print, and write ``analysis.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="Parquet file with the columns id, source, title, created_at, body")
    parser.add_argument(
        "--rows", type=int, nargs="+", default=[100_000, 1_000_000], help="how many rows to tile it to"
    )
    parser.add_argument("--threads", type=int, default=2, help="threads of DuckDB")
    parser.add_argument("--repeat", type=int, default=5, help="runs of each query")
    parser.add_argument("--level", type=int, default=9, help="our zstd level")
    parser.add_argument(
        "--memory", type=float, default=0, metavar="GB", help="also measure memory over so much raw data"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out"), help="where the results go")
    parser.add_argument("--step", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        step(*arguments.step)
        return
    console = Console(width=None if sys.stdout.isatty() else 140)
    table = rows_of(arguments.data, None)
    arguments.out.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {}
    for count in arguments.rows:
        work = Path(tempfile.mkdtemp(prefix="audiomem-bench-", dir=arguments.out))
        try:
            rows = tiled(table, count)
            ours, parquet = write(work, rows, arguments.level)
            sizes = {path.suffix: path.stat().st_size for path in (ours, parquet)}
            figures = measure(
                ours, parquet, arguments_of(rows), sources_of(rows), arguments.threads, arguments.repeat
            )
            report[str(count)] = {"bytes": sizes, "queries": figures}
            show(console, count, figures)
            console.print(", ".join(f"{suffix} {size / 1e6:.1f} MB" for suffix, size in sizes.items()))
        finally:
            shutil.rmtree(work, ignore_errors=True)
    if arguments.memory:
        work = Path(tempfile.mkdtemp(prefix="audiomem-bench-", dir=arguments.out))
        try:
            peaks = memory(work / "t.flac", arguments.data, int(arguments.memory * 1e9), arguments.threads)
            report["memory"] = peaks
            console.print("memory:", ", ".join(f"{name} {value:.0f}" for name, value in peaks.items()))
        finally:
            shutil.rmtree(work, ignore_errors=True)
    (arguments.out / "analysis.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
