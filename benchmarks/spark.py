"""Spark writes and reads a sharded table, and Parquet: ``python -m benchmarks.spark --data FILE.parquet``.

``--rows 16000000 --only write --runs 0`` writes many rows once; it needs 25 GB of disk and 4 GB of memory.

The file has the columns id, source, title, created_at and body. Both are written and read in turn, by one
session on ``local[2,3]``; the figures are medians, and how many times as long as Parquet's ours are. Then
many queries are asked of vectors in 16 shards, at once and one after the other.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from audiomem_sql.table.table import Table
from benchmarks.__main__ import repeated, rows_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

DEFINITIONS = "id INTEGER PRIMARY KEY, source TEXT, title TEXT, created_at TEXT, body TEXT"
SHARDS = 16
#: Rows that Spark holds in memory.
HELD_ROWS = 400_000
#: name: (columns, filter, what is asked)
READS: dict[str, tuple[str, str | None, str]] = {
    "scan": ("body", None, "SELECT sum(length(body)) FROM t"),
    "filter": ("id,body", "id BETWEEN 5000 AND 9000", "SELECT sum(length(body)) FROM t"),
    "point": ("id,source,title,created_at,body", "id = 77777", "SELECT * FROM t"),
    "group by": ("source", None, "SELECT source, count(*) FROM t GROUP BY source"),
    "top-k": ("id,title", None, "SELECT id, title FROM t ORDER BY length(title) DESC, id LIMIT 10"),
}


def session(folder: str) -> SparkSession:
    """A session of two cores."""
    from pyspark.sql import SparkSession

    from audiomem_sql.spark import register

    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master("local[2,3]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.driver.memory", "1g").config("spark.local.dir", folder)
    spark = builder.config("spark.sql.shuffle.partitions", "4").getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    register(spark)
    return spark


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def writes(frame: DataFrame, folder: str, run: int, level: int) -> dict[str, Callable[[], Any]]:
    """The ways to write ``frame``."""
    from audiomem_sql.spark import by_shard

    options = {"definitions": DEFINITIONS, "shards": SHARDS, "compression_level": level}

    def ours(rows: DataFrame, path: str) -> None:
        rows.write.format("audiomem").mode("append").options(**options).save(path)

    target = f"{folder}/by-shard-{run}.shards"
    return {
        "Parquet": lambda: frame.write.mode("overwrite").parquet(f"{folder}/out.parquet"),
        "audiomem": lambda: ours(frame, f"{folder}/plain-{run}.shards"),
        "audiomem by shard": lambda: ours(by_shard(frame, target, **options), target),
    }


def read(spark: SparkSession, folder: str, name: str, *, ours: bool) -> list[Any]:
    """The answer of one question."""
    columns, where, sql = READS[name]
    if ours:
        reader = spark.read.format("audiomem").option("columns", columns)
        if where is not None:
            reader = reader.option("filter", where)
        frame = reader.load(f"{folder}/by-shard-0.shards")
    else:
        frame = spark.read.parquet(f"{folder}/out.parquet")
        frame = frame if where is None else frame.filter(where)
    frame.createOrReplaceTempView("t")
    return sorted(map(tuple, spark.sql(sql).collect()), key=str)


def searches(spark: SparkSession, folder: str, rows: int, queries: int) -> dict[str, float]:
    """Queries a second, asked at once and one after the other."""
    from audiomem_sql.spark import search

    width, random = 64, np.random.default_rng(7)
    vectors = random.normal(size=(rows, width)).astype(np.float32)
    path = f"{folder}/vectors.shards"
    columns = ["id INTEGER PRIMARY KEY", f"v FLOAT[{width}] INDEXED"]
    with Table.create(path, columns, {"shards": SHARDS}) as table:
        flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), width)
        table.append(pa.table({"id": np.arange(rows), "v": flat}))
        table.search(vectors[0], 10, columns=["id"])  # opens the shards
        alone = seconds(lambda: [table.search(vector, 10, columns=["id"]) for vector in vectors[:50]])
    given = random.normal(size=(queries, width)).astype(np.float32)
    asked = pa.table({"n": np.arange(queries), "query": list(given)})
    pq.write_table(asked, f"{folder}/asked.parquet")
    frame = spark.read.parquet(f"{folder}/asked.parquet").repartition(2)
    spent = seconds(lambda: search(frame, path, 10, columns=["id"]).count())
    return {"one after the other": 50 / alone, "at once": queries / spent}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="a Parquet file; by default the docstrings of this Python")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--level", type=int, default=3, help="compression level")
    parser.add_argument("--vectors", type=int, default=64_000)
    parser.add_argument("--queries", type=int, default=20_000)
    parser.add_argument("--only", choices=["write", "read", "search"], help="do that alone")
    parser.add_argument("--json", help="where the figures are put, too")
    given = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="audiomem-spark-")
    try:
        figures = measure(given, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if given.json:
        with open(given.json, "w") as file:
            json.dump(figures, file, indent=1)


def rows(given: argparse.Namespace, spark: SparkSession, folder: str) -> DataFrame:
    """The rows to write: held by Spark, so that only writing counts, or in a file where they are many."""
    some = repeated(rows_of(given.data, None), min(given.rows, HELD_ROWS))
    some = some.set_column(3, "created_at", pc.cast(some["created_at"], pa.string()))
    path = f"{folder}/in.parquet"
    with pq.ParquetWriter(path, some.schema) as file:
        for first in range(0, given.rows, HELD_ROWS):
            part = repeated(some, min(HELD_ROWS, given.rows - first))
            ids = pc.add(part["id"], pa.scalar(first, pa.int64()))
            file.write_table(part.set_column(0, "id", ids), row_group_size=min(given.rows // 6 + 1, 100_000))
    frame = spark.read.parquet(path)
    if given.rows <= HELD_ROWS:
        frame = frame.repartition(6).persist()
        frame.count()
    return frame


def measure(given: argparse.Namespace, folder: str) -> dict[str, Any]:
    """All figures, printed as they come."""
    spark = session(folder)
    figures: dict[str, Any] = {}
    if given.only != "search":
        frame = rows(given, spark, folder)
        figures["write"] = written(given, frame, folder)
    if given.only not in ("write", "search"):
        figures |= questions(given, spark, folder)
    if given.only in (None, "search"):
        figures["search"] = searches(spark, folder, given.vectors, given.queries)
        for name, rate in figures["search"].items():
            print(f"queries {name}: {rate:,.0f} a second", flush=True)
    spark.stop()
    return figures


def written(given: argparse.Namespace, frame: DataFrame, folder: str) -> dict[str, float]:
    """Seconds of each way to write ``frame``."""
    spent: dict[str, list[float]] = {}
    runs = 0 if given.only == "read" else given.runs
    for run in range(runs + 1):  # the first one starts workers
        for name, work in writes(frame, folder, run, given.level).items():
            spent.setdefault(name, []).append(seconds(work))
            print(f"  {name}, run {run}: {spent[name][-1]:.2f} s", flush=True)
            if given.only == "write":
                for made in [*glob.glob(f"{folder}/*.shards"), f"{folder}/out.parquet"]:
                    shutil.rmtree(made, ignore_errors=True)
    usual = {name: statistics.median(times[1:] or times) for name, times in spent.items()}
    for name, time_spent in usual.items():
        rate, share = given.rows / time_spent, usual["Parquet"] / time_spent
        print(f"write {name}: {rate:,.0f} rows/s, {share:.2f} x the rows/s of Parquet", flush=True)
    return usual


def questions(given: argparse.Namespace, spark: SparkSession, folder: str) -> dict[str, Any]:
    """Seconds of each question, to Parquet and to the table."""
    figures: dict[str, Any] = {}
    for name in READS:
        pairs: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(given.runs + 1):
            answers = {}
            for ours in pairs:
                start = time.perf_counter()
                answers[ours] = read(spark, folder, name, ours=ours)
                pairs[ours].append(time.perf_counter() - start)
            assert answers[True] == answers[False], name
        parquet, own = (statistics.median(times[1:] or times) for times in (pairs[False], pairs[True]))
        figures[name] = {"Parquet": parquet, "audiomem": own}
        print(f"{name}: {own:.2f} s, Parquet {parquet:.2f} s, {own / parquet:.2f} x as long", flush=True)
    return figures


if __name__ == "__main__":
    main()
