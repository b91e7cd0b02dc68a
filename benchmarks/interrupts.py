"""How long a statement goes on after it was interrupted: ``python -m benchmarks.interrupts``.

Every statement runs once to its end, and is then interrupted at random moments, by sqlite3_interrupt() or by
DuckDB's interrupt(), from another thread. Milliseconds count from the moment at which that thread wanted to
call it, so that waiting for Python's lock counts. The processor time of the process beside it tells a busy
machine from long work.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import duckdb
import pyarrow as pa

import audiomem_sql
from audiomem_sql.table.table import Table
from benchmarks.__main__ import repeated, rows_of

READ = {
    "scan that finds nothing": "SELECT count(*) FROM t WHERE body LIKE '%no such text%'",
    "scan of all": "SELECT sum(length(body)) FROM t",
    "lookup by another key": "SELECT count(*) FROM t WHERE title IN (SELECT title FROM t WHERE id % 50 = 0)",
    "join": "SELECT count(*) FROM t AS a JOIN t AS b ON b.id = a.id + 1",
    "sort": "SELECT body FROM t ORDER BY body LIMIT 1 OFFSET 100000",
    "words": "SELECT count(*) FROM t WHERE t MATCH 'keyword: the OR file'",
    "phrase": "SELECT id FROM t WHERE t MATCH 'keyword: \"the file\"' LIMIT 1",
    "meaning": "SELECT count(*) FROM t WHERE t MATCH 'semantic: reset a password'",
    "both": "SELECT count(*) FROM t WHERE t MATCH 'reset a password'",
    "filter": "SELECT id FROM t WHERE t MATCH 'semantic: file' AND filter = 'length(body) % 7 = 3' LIMIT 9",
    "verify": "SELECT count(*) FROM audiomem_verify('t')",
    "integrity_check": "PRAGMA integrity_check",
}
WRITE = {
    "INSERT … SELECT": "INSERT INTO t(body) SELECT body || '!' FROM t WHERE id <= 20000",
    "UPDATE": "UPDATE t SET title = 'x' WHERE id % 2 = 0",
    "DELETE": "DELETE FROM t",
    "repair": "INSERT INTO t(t) VALUES ('repair')",
    "merge": "INSERT INTO t(t) VALUES ('merge')",
    "vacuum": "INSERT INTO t(t) VALUES ('vacuum')",
}
DUCKDB = {
    "scan that finds nothing": "SELECT count(*) FROM audiomem_scan('{path}') WHERE body LIKE '%no such%'",
    "scan of all": "SELECT sum(length(body)) FROM audiomem_scan('{path}')",
    "sort": "SELECT max(body) FROM (SELECT body FROM audiomem_scan('{path}') ORDER BY body)",
    "join": "SELECT count(*) FROM audiomem_scan('{path}') a JOIN audiomem_scan('{path}') USING (body)",
    "filter": "SELECT count(*) FROM audiomem_scan('{path}', filter := 'length(body) = 77777')",
    "meaning": "SELECT count(*) FROM audiomem_search('{path}', 'semantic: reset a password', k := 100000)",
}


def made(folder: Path, data: str | None, count: int) -> Path:
    """A table of ``count`` rows with indexes of words and of vectors, in two segments."""
    rows = repeated(rows_of(data, None), count)
    path = folder / "t.flac"
    columns = ["id INTEGER PRIMARY KEY", "source TEXT", "title TEXT", "created_at TIMESTAMP"]
    options = {"model": "hashing", "protection": "standard"}
    with Table.create(path, [*columns, "body TEXT SEMANTIC INDEXED"], options) as table:
        for start in (0, count // 2):
            table.append(rows.slice(start, count // 2).cast(_plain(rows.schema)))
    return path


def _plain(schema: pa.Schema) -> pa.Schema:
    return pa.schema([(field.name, field.type) for field in schema])


@contextlib.contextmanager
def sqlite(path: Path) -> Iterator[tuple[Callable[[str], Any], Callable[[], None], type[Exception]]]:
    """A connection that has the table ``t``: what runs a statement, what interrupts it, and how that ends."""
    connection = apsw.Connection("")
    audiomem_sql.register(connection)
    connection.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{path}')")
    yield lambda sql: connection.execute(sql).fetchall(), connection.interrupt, apsw.InterruptError
    connection.close()


@contextlib.contextmanager
def duck(path: Path) -> Iterator[tuple[Callable[[str], Any], Callable[[], None], type[Exception]]]:
    """The same for DuckDB with the loadable extension."""
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    audiomem_sql.load(connection)

    def run(sql: str) -> Any:
        return connection.execute(sql.replace("{path}", str(path))).fetchall()

    yield run, connection.interrupt, duckdb.InterruptException
    connection.close()


def interrupted_at(
    run: Callable[[str], Any], interrupt: Callable[[], None], error: type[Exception], sql: str, after: float
) -> tuple[float, float] | None:
    """Milliseconds from the interrupt to the end, and processor time; None if the statement was faster."""
    wanted: list[float] = []

    def stop() -> None:
        due = time.perf_counter() + after
        time.sleep(after)
        wanted.extend((due, time.process_time()))
        interrupt()

    thread = threading.Thread(target=stop)
    thread.start()
    try:
        run(sql)
    except error:
        end = time.perf_counter(), time.process_time()
        thread.join()
        return (end[0] - wanted[0]) * 1e3, (end[1] - wanted[1]) * 1e3
    thread.join()
    return None


def measure(door: Any, path: Path, sql: str, tries: int, budget: float, *, writes: bool) -> str:
    """One line: how long the statement takes, how often it was interrupted, median and worst time."""
    folder = path.parent / "work"
    found: list[tuple[float, float]] = []
    end = time.perf_counter() + budget
    whole = None
    while whole is None or (len(found) < tries and time.perf_counter() < end):
        if writes:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            shutil.copy(path, folder / "t.flac")
        with door(folder / "t.flac" if writes else path) as (run, interrupt, error):
            if whole is None:
                start = time.perf_counter()
                run(sql)
                whole = time.perf_counter() - start
                continue
            while len(found) < tries and time.perf_counter() < end:
                one = interrupted_at(run, interrupt, error, sql, random.random() * whole * 0.9)
                if one is not None:
                    found.append(one)
                elif writes:
                    break
    if not found:
        return f"{whole:7.2f} s   never interrupted"
    walls, busy = zip(*found, strict=True)
    return (
        f"{whole:7.2f} s  {len(found):3} times   p50 {statistics.median(walls):6.0f} ms"
        f"   worst {max(walls):6.0f} ms   processor: p50 {statistics.median(busy):5.0f}"
        f"   worst {max(busy):5.0f} ms"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="Parquet file with the columns id, source, title, created_at, body")
    parser.add_argument("--table", type=Path, help="a table that was made before, which is copied")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--tries", type=int, default=20)
    parser.add_argument("--budget", type=float, default=120, help="seconds for one statement")
    parser.add_argument("--only", help="a part of the names of statements")
    parser.add_argument("--door", choices=["extension", "python", "duckdb"], default="extension")
    arguments = parser.parse_args()
    if arguments.door == "python":
        os.environ["AUDIOMEM_EXTENSION"] = "off"
    with tempfile.TemporaryDirectory(prefix="audiomem-interrupts-") as name:
        path = Path(name) / "t.flac"
        if arguments.table:
            shutil.copy(arguments.table, path)
        else:
            made(Path(name), arguments.data, arguments.rows)
        kinds = [(DUCKDB, False)] if arguments.door == "duckdb" else [(READ, False), (WRITE, True)]
        door = duck if arguments.door == "duckdb" else sqlite
        for statements, writes in kinds:
            for label, sql in statements.items():
                if arguments.only and arguments.only not in label:
                    continue
                line = measure(door, path, sql, arguments.tries, arguments.budget, writes=writes)
                print(f"{label:26}{line}", flush=True)


if __name__ == "__main__":
    main()
