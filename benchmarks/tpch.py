"""TPC-H in DuckDB: our tables beside Parquet zstd, with exact decimals and dates.

``python -m benchmarks.tpch --queries FOLDER --scale 0.1`` makes the eight tables with ``tpchgen-cli`` (``pip
install tpchgen-cli``), writes each as a FLAC file and as Parquet zstd, and runs the 22 queries, whose texts
``q01.sql`` to ``q22.sql`` come with DuckDB's source distribution, in ``extension/tpch/dbgen/queries``. Every
answer must be the same to the last digit. Each query runs ``--repeat`` times in turns, ours and Parquet's,
and the shortest time counts. Then single columns are scanned: decimals, dates, texts of few values, lists.
``--door`` says how DuckDB reads our tables: ``extension`` or ``dataset``.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table as Grid

import audiomem_sql as am

TABLES = ("customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier")
#: Columns of lineitem, and lists made of them, as they are asked for.
SCANS = {
    "decimals": "SELECT sum(l_extendedprice), sum(l_tax) FROM lineitem",
    "dates": "SELECT min(l_shipdate), max(l_receiptdate) FROM lineitem",
    "few texts": "SELECT l_shipmode, count(*) FROM lineitem GROUP BY ALL ORDER BY ALL",
    "lists": "SELECT sum(len(prices)), sum(list_sum(prices)) FROM lists",
}
#: Rows of lineitem for each list.
_LISTED = "SELECT l_orderkey, list(l_extendedprice) AS prices FROM lineitem GROUP BY l_orderkey ORDER BY 1"


def generate(folder: Path, scale: float) -> None:
    """The eight tables as Parquet files, made by tpchgen-cli."""
    program = shutil.which("tpchgen-cli")
    if program is None:
        raise SystemExit("This needs tpchgen-cli: pip install tpchgen-cli")
    command = [program, "parquet", "-s", f"{scale:g}", "--output-dir", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def write(generated: Path, folder: Path) -> dict[str, dict[str, float]]:
    """Each table as both; bytes, and the seconds that ours took."""
    figures: dict[str, dict[str, float]] = {}
    with duckdb.connect() as connection:
        for name in TABLES:
            connection.execute(f"CREATE VIEW {name} AS FROM '{generated / name}.parquet'")
        for name in (*TABLES, "lists"):
            query = _LISTED if name == "lists" else f"FROM {name}"
            parquet, ours = folder / f"{name}.parquet", folder / f"{name}.flac"
            connection.execute(f"COPY ({query}) TO '{parquet}' (FORMAT parquet, COMPRESSION zstd)")
            start = time.perf_counter()
            am.write_flac(pq.read_table(parquet), ours).close()
            figures[name] = {
                "seconds": time.perf_counter() - start,
                "ours": ours.stat().st_size,
                "parquet": parquet.stat().st_size,
            }
    return figures


def connections(folder: Path, threads: int, door: str) -> dict[str, Any]:
    """A connection for each store, in which the tables have their names."""
    made = {}
    for store in ("ours", "parquet"):
        config = {"threads": threads, "allow_unsigned_extensions": "true"}
        connection = made[store] = duckdb.connect(config=config)
        if store == "ours" and door == "extension":
            am.load(connection)
        for name in (*TABLES, "lists"):
            if store == "ours" and door == "dataset":
                am.attach(connection, folder / f"{name}.flac", name)
            else:
                ending = "flac" if store == "ours" else "parquet"
                connection.execute(f"CREATE VIEW {name} AS FROM '{folder / name}.{ending}'")
    return made


def measure(opened: Mapping[str, Any], questions: Mapping[str, str], repeat: int) -> dict[str, Any]:
    """Milliseconds of each question, the least of each store, and whether the answers are the same."""
    figures: dict[str, Any] = {}
    for label, sql in questions.items():
        times: dict[str, list[float]] = {store: [] for store in opened}
        answers: dict[str, Any] = {}
        for _ in range(repeat):
            for store, connection in opened.items():
                start = time.perf_counter()
                answers[store] = connection.execute(sql).fetchall()
                times[store].append((time.perf_counter() - start) * 1e3)
        same = answers["ours"] == answers["parquet"]
        figures[label] = {"same": same, **{store: min(each) for store, each in times.items()}}
    return figures


def queries_in(folder: Path) -> dict[str, str]:
    """The texts of the queries, by their names."""
    return {path.stem: path.read_text().strip().rstrip(";") for path in sorted(folder.glob("q*.sql"))}


def show(console: Console, sizes: Mapping[str, Any], figures: Mapping[str, Any]) -> None:
    """Both as tables."""
    grid = Grid("table", "ours, bytes", "Parquet zstd", "ratio", "written, s")
    for name, each in sizes.items():
        ratio = f"{each['ours'] / each['parquet']:.3f}"
        grid.add_row(name, f"{each['ours']:,}", f"{each['parquet']:,}", ratio, f"{each['seconds']:.2f}")
    both = [sum(sizes[name][store] for name in TABLES) for store in ("ours", "parquet")]
    grid.add_row("the eight", f"{both[0]:,}", f"{both[1]:,}", f"{both[0] / both[1]:.3f}", "")
    console.print(grid)
    grid = Grid("query", "ours, ms", "Parquet, ms", "ratio", "same")
    for label, each in figures.items():
        ratio = each["ours"] / each["parquet"]
        grid.add_row(
            label, f"{each['ours']:.1f}", f"{each['parquet']:.1f}", f"{ratio:.2f}", str(each["same"])
        )
    console.print(grid)
    asked = [each for label, each in figures.items() if label not in SCANS]
    ours, parquet = (sum(each[store] for each in asked) for store in ("ours", "parquet"))
    mean = math.exp(sum(math.log(each["ours"] / each["parquet"]) for each in asked) / len(asked))
    console.print(f"sum {ours / parquet:.2f}, geometric mean {mean:.2f}, {len(asked)} queries")


def main() -> None:
    """Measure and print; exit with 1 where an answer differs."""
    parser = argparse.ArgumentParser(description="TPC-H in DuckDB: our tables beside Parquet zstd.")
    parser.add_argument("--queries", type=Path, required=True, help="folder with q01.sql to q22.sql")
    parser.add_argument("--scale", type=float, default=0.1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--door", choices=("extension", "dataset"), default="extension")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generated = folder / "generated"
        generate(generated, given.scale)
        sizes = write(generated, folder)
        opened = connections(folder, given.threads, given.door)
        figures = measure(opened, {**queries_in(given.queries), **SCANS}, given.repeat)
        for connection in opened.values():
            connection.close()
    show(Console(width=110), sizes, figures)
    if given.json is not None:
        given.json.write_text(json.dumps({"sizes": sizes, "queries": figures}, indent=1))
    if not all(each["same"] for each in figures.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
