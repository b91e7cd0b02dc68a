"""Searches of a sharded table by one process and by several, beside the same table in one file.

``python -m benchmarks.shards VECTORS.npy QUERIES.npy [--rows 300000] [--shards 16] [--processes 1 2]`` makes
both tables in a folder, of the vectors again and again with noise, and prints for each the milliseconds of a
nearest-ten on the clock and of the processor (of all processes), both in proportion to those of one file, the
searches a second of as many clients as there are processes, and the recall. Tables are measured in turn.
``--folder`` keeps them for the next time. Not part of ``make bench``: it needs files of vectors.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa

from audiomem_sql.search.ranking.processes import ENVIRONMENT, Workers, workers_of
from audiomem_sql.table.table import Table
from benchmarks.vectors import Array, K, exact, grown, normal, recall

COLUMNS = ["id INTEGER PRIMARY KEY", "vec FLOAT[{width}] INDEXED"]
#: Rows of one append.
STEP = 100_000
_TICK = os.sysconf("SC_CLK_TCK")


class Measured:
    """A table that is searched by so many processes; they have started."""

    def __init__(self, path: Path, processes: int) -> None:
        os.environ[ENVIRONMENT] = str(processes)
        self.processes = processes
        self.table = Table(path)
        self.workers: Workers | None = None
        found = workers_of(self.table.snapshot)
        if found is not None:
            self.workers = found[1]
            while not self.workers.ready():
                time.sleep(0.01)
        self.clock: list[float] = []
        self.processor: list[float] = []
        self.rows: list[list[int]] = []

    @property
    def name(self) -> str:
        """The file and its processes."""
        return f"{Path(self.table.path).name}, {self.processes} process{'es' if self.processes > 1 else ''}"

    def _used(self) -> float:
        """Seconds of the processor so far, of this process and of those beside it."""
        used = time.process_time()
        for process in self.workers.ids if self.workers is not None else ():
            fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
            used += (int(fields[11]) + int(fields[12])) / _TICK
        return used

    def search(self, query: Array) -> list[int]:
        """The ids of the nearest."""
        found: list[int] = self.table.search(query, K, column="vec", columns=["id"])["id"].to_pylist()
        return found

    def measure(self, queries: Array) -> None:
        """Search for each of some queries."""
        before = self._used()
        for query in queries:
            started = time.perf_counter()
            self.rows.append(self.search(query))
            self.clock.append((time.perf_counter() - started) * 1e3)
        self.processor.append((self._used() - before) * 1e3 / len(queries))

    def throughput(self, queries: Array, clients: int) -> float:
        """Searches a second."""
        with ThreadPoolExecutor(clients) as threads:
            started = time.perf_counter()
            list(threads.map(self.search, queries))
            return len(queries) / (time.perf_counter() - started)


def make(path: Path, vectors: Array, shards: int) -> None:
    """A table of vectors, unless it is there."""
    if path.exists():
        return
    columns = [each.format(width=vectors.shape[1]) for each in COLUMNS]
    options = {"protection": "none", **({"shards": shards} if shards else {})}
    with Table.create(path, columns, options) as table:
        for start in range(0, len(vectors), STEP):
            part = vectors[start : start + STEP]
            ids = pa.array(np.arange(start, start + len(part)))
            flat = pa.FixedSizeListArray.from_arrays(pa.array(part.reshape(-1)), part.shape[1])
            table.append(pa.table({"id": ids, "vec": flat}))
        table.vacuum()


def report(measured: Sequence[Measured], queries: Array, truth: Array) -> None:
    """Print a line for each."""
    clients = max(each.processes for each in measured)
    first = measured[0]
    for each in measured:
        clock, processor = statistics.median(each.clock), statistics.median(each.processor)
        found = np.array([row + [-1] * (K - len(row)) for row in each.rows])
        print(
            f"{each.name:32} {clock:6.1f} ms ({clock / statistics.median(first.clock):.2f}), "
            f"processor {processor:6.1f} ms ({processor / statistics.median(first.processor):.2f}), "
            f"{clients} clients {each.throughput(queries, clients):5.1f}/s, "
            f"recall {recall(np.tile(truth, (len(found) // len(truth), 1)), found):.3f}",
            flush=True,
        )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("vectors", type=Path)
    parser.add_argument("queries", type=Path)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    queries = normal(np.load(given.queries))[:40]
    vectors = grown(normal(np.load(given.vectors)), given.rows)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        one, many = folder / f"{given.rows}.flac", folder / f"{given.rows}-{given.shards}.shards"
        make(one, vectors, 0)
        make(many, vectors, given.shards)
        truth = exact(vectors, queries)
        del vectors
        measured = [Measured(one, 1), *(Measured(many, processes) for processes in given.processes)]
        for each in measured:  # decodes the lists
            list(map(each.search, queries))
        for _ in range(given.rounds):
            for each in measured:
                each.measure(queries)
        report(measured, queries, truth)
        for each in measured:
            each.table.close()


if __name__ == "__main__":
    main()
