"""Run the benchmark: ``python -m benchmarks --data FILE.parquet``.

The file has the columns id, source, title, created_at and body.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table as Grid

from benchmarks.corpus import docstrings
from benchmarks.picture import draw
from benchmarks.stores import COLUMNS, STORES, AudioMemory, Store
from benchmarks.timing import once, timed

SCANS = {
    "sum(length(body))": "SELECT sum(length(body)) FROM t",
    "count by source": "SELECT count(*), source FROM t GROUP BY source ORDER BY 1 DESC LIMIT 1",
    "LIKE '%kernel%'": "SELECT count(*) FROM t WHERE body LIKE '%kernel%'",
    "range of ids, bodies": "SELECT sum(length(body)) FROM t WHERE id BETWEEN 5000 AND 6000",
}
PACKAGES = ("apsw", "duckdb", "numpy", "pyarrow", "zstandard")


def rows_of(path: str | None, count: int | None) -> pa.Table:
    """The rows to measure with: of a Parquet file, or the docstrings of this Python."""
    table = docstrings() if path is None else pq.read_table(path, columns=list(COLUMNS))
    table = table.combine_chunks()
    return table if count is None else table.slice(0, count)


def repeated(table: pa.Table, count: int) -> pa.Table:
    """``count`` rows, made by repeating ``table`` with ids of their own."""
    copies = -(-count // len(table))
    whole = pa.concat_tables([table] * copies).slice(0, count)
    return whole.set_column(0, "id", pa.array(range(1, count + 1), pa.int64()))


def measure(store: Store, table: pa.Table, extra: pa.Table) -> dict[str, Any]:
    """All figures of one store; milliseconds, seconds, bytes."""
    figures: dict[str, Any] = {"load_s": once(lambda: store.load(table)), "bytes": store.size()}
    figures["rows_per_s"] = len(table) / figures["load_s"]
    opens: list[float] = []
    for _ in range(5):
        opens.append(once(store.open) * 1e3)
        if len(opens) < 5:
            store.close()
    figures["open_ms"] = sorted(opens)[2]
    rng = random.Random(0)
    keys = [rng.randint(1, len(table)) for _ in range(1000)]
    first = timed(store.get, keys[:1])
    figures["first_get_ms"] = first.p50
    gets = timed(store.get, keys, budget=15)
    figures |= {"get_p50_ms": gets.p50, "get_p99_ms": gets.p99}
    figures["cached_get_ms"] = timed(store.get, [keys[0]] * 200, budget=5).p50
    store.close()
    figures["scans"] = {}
    for name, sql in SCANS.items():
        store.open()
        cold = timed(store.query, [sql]).p50
        warm = timed(store.query, [sql] * 5, budget=20).p50
        figures["scans"][name] = {"cold_ms": cold, "warm_ms": warm, "answer": str(store.query(sql)[0])}
        store.close()
    if store.appends:
        store.open()
        at = 0

        def append(count: int) -> None:
            nonlocal at
            store.append(extra.slice(at, count))
            at += count

        append(1)
        figures["append_1_ms"] = timed(append, [1] * 30).p50
        figures["append_1000_ms"] = timed(append, [1000] * 5).p50
        store.close()
    return figures


def million(folder: Path, table: pa.Table) -> dict[str, Any]:
    """Opening and point reads of a million rows, ours alone."""
    store = AudioMemory(folder)
    rows = repeated(table, 1_000_000)
    load = once(lambda: store.load(rows))
    opens = []
    for _ in range(5):
        opens.append(once(store.open) * 1e3)
        store.close()
    store.open()
    rng = random.Random(1)
    gets = timed(store.get, [rng.randint(1, 1_000_000) for _ in range(2000)], budget=30)
    store.close()
    return {
        "rows_per_s": 1_000_000 / load,
        "bytes": store.size(),
        "open_ms": sorted(opens)[2],
        "get_p50_ms": gets.p50,
        "get_p99_ms": gets.p99,
    }


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    model = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gib": round(memory),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "sqlite": __import__("apsw").sqlite_lib_version(),
        "date": time.strftime("%Y-%m-%d"),
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


#: (label, path into the figures, unit, whether less is better)
ROWS: tuple[tuple[str, tuple[str, ...], str, bool], ...] = (
    ("size", ("bytes",), "MB", True),
    ("load", ("rows_per_s",), "rows/s", False),
    ("open", ("open_ms",), "ms", True),
    ("first row after open", ("first_get_ms",), "ms", True),
    ("row by id, p50", ("get_p50_ms",), "ms", True),
    ("row by id, p99", ("get_p99_ms",), "ms", True),
    ("same row again", ("cached_get_ms",), "ms", True),
    *((f"{name}, first time", ("scans", name, "cold_ms"), "ms", True) for name in SCANS),
    *((f"{name}, again", ("scans", name, "warm_ms"), "ms", True) for name in SCANS),
    ("commit of 1 row", ("append_1_ms",), "ms", True),
    ("commit of 1,000 rows", ("append_1000_ms",), "ms", True),
)


def value_of(figures: dict[str, Any], path: tuple[str, ...]) -> float | None:
    """A figure by its path, or None."""
    value: Any = figures
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return None if value is None else float(value)


def _shown(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    if unit == "MB":
        return f"{value / 1e6:.2f} MB"
    return f"{value:,.0f} /s" if unit == "rows/s" else f"{value:.3g} ms"


def show(console: Console, results: dict[str, dict[str, Any]]) -> None:
    """The figures, and in brackets how ours compares: 2.0 x means ours is twice as good."""
    grid = Grid(title="x: how many times better ours is (level 19 for the size, level 9 for the rest)")
    grid.add_column("what")
    for name in results:
        grid.add_column(name, justify="right")
    for label, path, unit, less in ROWS:
        ours = value_of(results["AudioMemory, level 19" if label == "size" else "AudioMemory"], path)
        cells = []
        for name, figures in results.items():
            value = value_of(figures, path)
            text = _shown(value, unit)
            if value and ours and not name.startswith("AudioMemory"):
                text += f" ({value / ours if less else ours / value:.2f} x)"
            cells.append(text)
        grid.add_row(label, *cells)
    console.print(grid)


def main() -> None:
    """Measure, print, and write ``results.json`` and ``results.png``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="Parquet file with the columns " + ", ".join(COLUMNS))
    parser.add_argument("--rows", type=int, help="use only so many rows")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out"), help="where the results go")
    parser.add_argument("--no-million", action="store_true", help="leave out the table of a million rows")
    arguments = parser.parse_args()

    console = Console(width=None if sys.stdout.isatty() else 160)
    table = rows_of(arguments.data, arguments.rows)
    extra = repeated(table, 7000)
    extra = extra.set_column(0, "id", pc.add(extra["id"], len(table)))
    raw = sum(table[name].nbytes for name in COLUMNS)
    console.print(f"{len(table):,} rows, {raw / 1e6:.1f} MB")
    arguments.out.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="audiomem-bench-", dir=arguments.out))
    try:
        results = {}
        for number, kind in enumerate(STORES):
            console.print(f"measuring {kind.name} …")
            results[kind.name] = measure(kind(work / str(number)), table, extra)
        answers = {name: {figures["scans"][name]["answer"] for figures in results.values()} for name in SCANS}
        for name, rows in answers.items():
            if len(rows) != 1:
                raise SystemExit(f"the stores disagree on {name}: {rows}")
        report: dict[str, Any] = {
            "machine": machine(),
            "rows": len(table),
            "raw_bytes": raw,
            "stores": results,
        }
        if not arguments.no_million:
            console.print("measuring a million rows …")
            report["million"] = million(work / "million", table)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    show(console, results)
    if "million" in report:
        console.print(
            "a million rows:", ", ".join(f"{key} {value:,.3g}" for key, value in report["million"].items())
        )
    console.print("machine:", json.dumps(report["machine"]))
    (arguments.out / "results.json").write_text(json.dumps(report, indent=1) + "\n")
    draw(report, ROWS, arguments.out / "results.png")
    console.print(f"written: {arguments.out}/results.json and results.png")


if __name__ == "__main__":
    main()
