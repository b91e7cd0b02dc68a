"""Two SQLite tables over one FLAC file, and a native one: ``python -m benchmarks.doors --data FILE.parquet``.

The extension's table and the one in Python are asked through apsw, one after the other, beside a native table
of the same rows; the least of six runs is shown, with the blocks decoded that fit the cache. Start-up is that
of the stock sqlite3 shell, from its start to its end. DuckDB reads the same file through its own extension,
beside a native table and Parquet (zstd).
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import apsw
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table as Grid

from audiomem_sql.connections import register
from audiomem_sql.frames.read_write import write_flac
from audiomem_sql.loadable import loadable_path
from audiomem_sql.machine.block_cache import SHARED
from benchmarks.__main__ import rows_of
from benchmarks.timing import once

QUERIES = {
    "count(*)": "SELECT count(*) FROM t",
    "sum(id)": "SELECT sum(id) FROM t",
    "max(created_at)": "SELECT max(created_at) FROM t",
    "sum(length(body))": "SELECT sum(length(body)) FROM t",
    "count by source": "SELECT source, count(*) FROM t GROUP BY 1",
    "LIKE '%kernel%'": "SELECT count(*) FROM t WHERE body LIKE '%kernel%'",
    "every value": "SELECT * FROM t",
}
TURNS, LOOKUPS, INSERTS = 5, 2000, 20_000


def connection(door: str, path: Path) -> apsw.Connection:
    """A connection whose table t is native, the extension's or Python's."""
    made = apsw.Connection(":memory:")
    os.environ["AUDIOMEM_EXTENSION"] = "on" if door == "extension" else "off"
    register(made)
    made.execute(f"CREATE VIRTUAL TABLE {'f' if door == 'native' else 't'} USING audiomem('{path}')")
    if door == "native":
        made.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, source, title, created_at, body)")
        made.execute("INSERT INTO t SELECT id, source, title, created_at, body FROM f")
    return made


def drained(connection: apsw.Connection, sql: str, bindings: tuple[Any, ...] = ()) -> None:
    """Every row, as Python values."""
    for _ in connection.execute(sql, bindings):
        pass


def measure(path: Path, table: pa.Table, folder: Path) -> dict[str, dict[str, float]]:
    """Seconds by what is asked and door."""
    doors = {name: connection(name, path) for name in ("native", "python", "extension")}
    found: dict[str, dict[str, float]] = {}
    for label, sql in QUERIES.items():
        found[label] = dict.fromkeys(doors, 1e9)
        for name, made in doors.items():
            SHARED.clear()  # it has room for the blocks of one of them
            times = [once(lambda m=made, s=sql: drained(m, s)) for _ in range(TURNS + 1)]
            found[label][name] = min(times)
    keys = random.Random(0).choices(table["id"].to_pylist(), k=LOOKUPS)

    def look_up(made: apsw.Connection) -> None:
        for key in keys:
            drained(made, "SELECT title FROM t WHERE id = ?", (key,))

    label = f"{LOOKUPS} rows by id"
    found[label] = {
        name: min(once(lambda m=made: look_up(m)) for _ in range(2)) for name, made in doors.items()
    }
    found[f"{INSERTS} rows inserted"] = {name: inserted(made, name, folder) for name, made in doors.items()}
    for made in doors.values():
        made.close()
    return found


def inserted(made: apsw.Connection, name: str, folder: Path, count: int = INSERTS) -> float:
    """Seconds of one transaction with ``count`` INSERTs."""
    columns = "id INTEGER PRIMARY KEY, a TEXT, b REAL"
    if name == "native":
        made.execute(f"ATTACH '{folder / 'native.db'}' AS disk; CREATE TABLE disk.w({columns})")
    else:
        made.execute(f"CREATE VIRTUAL TABLE w USING audiomem('{folder / name}.flac', {columns})")

    def insert() -> None:
        with made:
            made.executemany(
                "INSERT INTO w VALUES (?, ?, ?)", ((n, f"text {n}", n * 0.5) for n in range(count))
            )

    return once(insert)


def in_duckdb(path: Path, table: pa.Table, folder: Path) -> dict[str, dict[str, float]]:
    """Seconds in DuckDB by question and source.

    ``first`` is with no block decoded yet, ``again`` with those that fit into the cache.
    """
    made = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    made.execute(f"LOAD '{loadable_path('duckdb')}'")
    pq.write_table(table, folder / "t.parquet", compression="zstd")
    made.execute(f"CREATE TABLE native AS FROM '{folder / 't.parquet'}'")
    sources = {
        "native": "native",
        "parquet": f"'{folder / 't.parquet'}'",
        "first": f"'{path}'",
        "again": f"'{path}'",
    }
    found: dict[str, dict[str, float]] = {}
    for label in QUERIES:
        if label == "every value":
            continue
        sql = QUERIES[label]
        found[label] = dict.fromkeys(sources, 1e9)
        for _ in range(TURNS):
            for name, source in sources.items():
                if name == "first":
                    SHARED.clear()
                asked = sql.replace("FROM t", f"FROM {source}")
                seconds = once(lambda s=asked: made.execute(s).fetchall())
                found[label][name] = min(found[label][name], seconds)
    made.close()
    return found


def start_up(
    path: Path, runs: int = 9, environment: Mapping[str, str] | None = None
) -> dict[str, tuple[float, float]]:
    """Seconds of the stock sqlite3 shell, on the clock and of a processor: the least of several.

    environment: that of the shell, by default the one of this process.
    """
    loaded = [f".load {loadable_path()}", f"CREATE VIRTUAL TABLE t USING audiomem('{path}');"]
    scripts = {
        "the shell alone": ["SELECT 1;"],
        "with the extension": [loaded[0], "SELECT 1;"],
        "to the first row": [*loaded, "SELECT id, title FROM t LIMIT 1;"],
        "to a row by id": [*loaded, "SELECT id, title FROM t WHERE id = 77;"],
    }

    def run(lines: list[str]) -> tuple[float, float]:
        started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            ["sqlite3", "-batch"],
            input="\n".join(lines),
            text=True,
            check=True,
            capture_output=True,
            env=environment,
        )
        seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    figures = {}
    for name, script in scripts.items():
        times = [run(script) for _ in range(runs)]
        figures[name] = min(clock for clock, _ in times), min(used for _, used in times)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="a Parquet file with id, source, title, created_at, body")
    parser.add_argument("--rows", type=int)
    arguments = parser.parse_args()
    table = rows_of(arguments.data, arguments.rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t.flac")
        write_flac(table, path, primary_key="id").close()
        figures = measure(path, table, Path(folder))
        starts = start_up(path)
        ducks = in_duckdb(path, table, Path(folder))
    grid = Grid("", "native, ms", "Python, ms", "extension, ms", "extension / Python", "extension, rows/s")
    for label, seconds in figures.items():
        each = {name: seconds[name] * 1e3 for name in ("native", "python", "extension")}
        rows = LOOKUPS if "by id" in label else INSERTS if "inserted" in label else len(table)
        grid.add_row(
            label,
            *(f"{value:,.1f}" for value in each.values()),
            f"{each['extension'] / each['python']:.2f}",
            f"{rows / seconds['extension']:,.0f}",
        )
    console = Console()
    console.print(grid)
    grid = Grid(
        "in DuckDB", "native, ms", "Parquet, ms", "FLAC first, ms", "FLAC again, ms", "again / Parquet"
    )
    for label, seconds in ducks.items():
        values = (f"{value * 1e3:,.1f}" for value in seconds.values())
        grid.add_row(label, *values, f"{seconds['again'] / seconds['parquet']:.2f}")
    console.print(grid)
    console.print(
        ", ".join(
            f"{name} {clock:.2f} s ({used:.2f} s of a processor)" for name, (clock, used) in starts.items()
        )
    )


if __name__ == "__main__":
    main()
