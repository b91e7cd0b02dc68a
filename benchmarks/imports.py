"""Imports of CSV beside DuckDB's own: ``python -m benchmarks.imports``.

A file of ten columns (integers, texts, numbers, a date, a timestamp, truth values) becomes a table of DuckDB,
by CREATE TABLE AS SELECT from read_csv, and one of ours, by turns, each in a process of its own. Shown are
the least of the times, of wall clock and of processors, the peak of the resident memory, and what DuckDB's
times are to ours.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile

import duckdb

TURNS = 3
ROWS = """
SELECT i AS id, 'customer number ' || (hash(i) % 100000) AS customer,
(hash(i * 7) % 1000000) / 100.0 AS amount, hash(i * 3) / 1.8e19 AS ratio, hash(i * 5) % 2 = 0 AS active,
DATE '2015-01-01' + CAST(hash(i * 11) % 4000 AS INTEGER) AS day,
TIMESTAMP '2020-01-01' + INTERVAL (hash(i * 13) % 100000000) SECOND AS moment,
['red', 'green', 'blue', 'dark orange'][CAST(1 + hash(i * 17) % 4 AS INTEGER)] AS colour,
CASE WHEN i % 10 = 0 THEN NULL ELSE md5(i::VARCHAR) END AS code, hash(i * 19) % 1000 AS n
FROM range({rows}) t(i)
"""
WORK = {
    "duckdb": """
import duckdb
def work(source, target):
    with duckdb.connect(target + ".duckdb") as made:
        made.execute("SET enable_progress_bar_print = false")
        made.execute("CREATE TABLE t AS SELECT * FROM read_csv(?)", [source])
""",
    "audiomem": """
from audiomem_sql.importing import delimited
from audiomem_sql.importing.importing import import_files
def work(source, target):
    import_files([source], target + ".flac")
""",
    "audiomem --append": """
from audiomem_sql.importing import delimited
from audiomem_sql.importing.importing import Order, import_files
def work(source, target):
    import_files([source], target + ".flac", Order(append=True))
""",
}
MEASURE = """
import json, resource, sys, time
start, used = time.perf_counter(), time.process_time()
work(*sys.argv[1:])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([time.perf_counter() - start, time.process_time() - used, peak]))
"""


def measured(what: str, source: str, target: str) -> tuple[float, float, float]:
    """Seconds, seconds of processor time, and MiB of one import, in a process of its own."""
    program = [sys.executable, "-c", WORK[what] + MEASURE, source, target]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    seconds, used, peak = json.loads(done.stdout)
    return seconds, used, peak


def main() -> None:
    """Make the file, import it by turns, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_250_000, help="of the file; 300 MB by default")
    arguments = parser.parse_args()
    figures: dict[str, list[tuple[float, float, float]]] = {name: [] for name in WORK}
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "data.csv")
        with duckdb.connect() as made:
            made.execute(f"COPY ({ROWS.format(rows=arguments.rows)}) TO '{source}' (HEADER)")
        for turn in range(TURNS):
            target = os.path.join(folder, f"turn{turn}")
            for name in WORK:
                figures[name].append(measured(name, source, target))
            for name in os.listdir(folder):
                if name.startswith("turn"):
                    os.unlink(os.path.join(folder, name))
        size = os.path.getsize(source)
    print(f"{arguments.rows:,} rows, {size / 1e6:,.0f} MB of CSV")
    print("| import | s | processor s | peak MiB | speed of DuckDB's | of its processor time |")
    print("|---|---|---|---|---|---|")
    peer = [min(each) for each in zip(*figures["duckdb"], strict=True)]
    for name, found in figures.items():
        seconds, used, _ = (min(each) for each in zip(*found, strict=True))
        peak = max(each[2] for each in found)
        print(
            f"| {name} | {seconds:.2f} | {used:.2f} | {peak:.0f} | {peer[0] / seconds:.2f} | "
            f"{peer[1] / used:.2f} |"
        )


if __name__ == "__main__":
    main()
