"""DuckDB over 16 FLAC files and over a table of 16 shards, beside 16 Parquet files of the same rows.

``python -m benchmarks.many_files --data rows.parquet [--rows 200000] [--threads 1 2]``. The sources are asked
in turn, in new cursors of one connection; medians of several runs. ``first`` is with no block decoded yet,
``again`` with those that fit into the cache. Processor time is that of all threads.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from audiomem_sql.frames.read_write import write_flac
from audiomem_sql.loadable import loadable_path
from audiomem_sql.machine.block_cache import SHARED
from benchmarks.__main__ import rows_of

FILES = 16
QUERIES = {
    "count, sum(id)": "SELECT count(*), sum(id) FROM {0}",
    "sum(length(body))": "SELECT sum(length(body)) FROM {0}",
    "filter on a number": "SELECT count(*), max(title) FROM {0} WHERE id % 100 = 7",
    "range of a number": "SELECT count(*), max(title) FROM {0} WHERE id BETWEEN 5000 AND 9000",
    "LIKE '%kernel%'": "SELECT count(*) FROM {0} WHERE body LIKE '%kernel%'",
    "group by source": "SELECT source, count(*) FROM {0} GROUP BY 1 ORDER BY 2 DESC LIMIT 5",
    "a row by its key": "SELECT title, body FROM {0} WHERE id = 77777",
    "top 10 by a time": "SELECT id, title FROM {0} ORDER BY created_at DESC, id LIMIT 10",
}


def grown(table: pa.Table, rows: int) -> pa.Table:
    """``rows`` rows with the ids 1, 2, …; texts that are there again have their number behind them."""
    copies = -(-rows // len(table))
    whole = pa.concat_tables([table] * copies).slice(0, rows).combine_chunks()
    bodies = whole["body"].to_pylist()
    bodies[len(table) :] = [f"{body} ({number})" for number, body in enumerate(bodies[len(table) :])]
    order = list(range(1, rows + 1))
    random.Random(1).shuffle(bodies)
    return whole.set_column(whole.column_names.index("body"), "body", pa.array(bodies)).set_column(
        whole.column_names.index("id"), "id", pa.array(order, pa.int64())
    )


def made(table: pa.Table, folder: Path) -> dict[str, str]:
    """The sources, by name, as SQL has them."""
    part = -(-len(table) // FILES)
    for number in range(FILES):
        rows = table.slice(number * part, part)
        write_flac(rows, folder / f"part-{number:02d}.flac", primary_key="id").close()
        pq.write_table(rows, folder / f"part-{number:02d}.parquet", compression="zstd")
    write_flac(table, folder / "t.shards", primary_key="id", shards=FILES).close()
    return {
        "parquet": f"'{folder}/part-*.parquet'",
        "files": f"'{folder}/part-*.flac'",
        "shards": f"'{folder}/t.shards'",
    }


def connection(threads: int) -> duckdb.DuckDBPyConnection:
    """One with the extension and so many threads."""
    opened = duckdb.connect(config={"allow_unsigned_extensions": "true", "threads": threads})
    opened.execute(f"LOAD '{loadable_path('duckdb')}'")
    return opened


def asked(opened: duckdb.DuckDBPyConnection, sql: str, *, first: bool) -> tuple[float, float, object]:
    """Seconds on the clock, of the processors, and what came out."""
    if first:
        SHARED.clear()
    clock, worked = time.perf_counter(), time.process_time()
    found = opened.execute(sql).fetchall()
    return time.perf_counter() - clock, time.process_time() - worked, found


def measured(sources: dict[str, str], threads: int, turns: int, only: list[str]) -> None:
    """Print a table."""
    opened = connection(threads)
    print(f"\n{threads} threads; ms on the clock / of processors; × Parquet\n")
    print("| query | 16 Parquet | 16 FLAC, first | × | again | × | 16 shards, first | × | again | × |")
    print("|---" * 10 + "|")
    for label, query in QUERIES.items():
        if only and label not in only:
            continue
        runs: dict[str, list[tuple[float, float]]] = {}
        results = set()
        for _ in range(turns):
            for name, source in sources.items():
                for first in (True, False) if name != "parquet" else (False,):
                    clock, worked, found = asked(opened, query.format(source), first=first)
                    runs.setdefault(f"{name} {first}", []).append((clock, worked))
                    results.add(str(found))
        if len(results) > 1:
            raise SystemExit(f"{label}: the sources differ")
        medians = {
            name: [1e3 * statistics.median(column) for column in zip(*times, strict=True)]
            for name, times in runs.items()
        }
        parquet = medians.pop("parquet False")
        cells = [f"{parquet[0]:.0f} / {parquet[1]:.0f}"]
        for clock, worked in medians.values():
            cells += [f"{clock:.0f} / {worked:.0f}", f"{clock / parquet[0]:.1f}"]
        print(f"| {label} | " + " | ".join(cells) + " |", flush=True)
    opened.close()


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", help="a Parquet file with id, source, title, created_at, body")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=[], choices=list(QUERIES))
    parser.add_argument("--folder", type=Path, help="where the files are, or are to be kept")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        folder.mkdir(exist_ok=True)
        if (folder / "t.shards").exists():
            sources = {
                "parquet": f"'{folder}/part-*.parquet'",
                "files": f"'{folder}/part-*.flac'",
                "shards": f"'{folder}/t.shards'",
            }
        else:
            sources = made(grown(rows_of(chosen.data, None), chosen.rows), folder)
        for threads in chosen.threads:
            measured(sources, threads, chosen.turns, chosen.only)


if __name__ == "__main__":
    main()
