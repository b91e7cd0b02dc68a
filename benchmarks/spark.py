"""Spark writes and reads a sharded table, and Parquet: ``python -m benchmarks.spark --data FILE.parquet``.

The file has the columns id, source, title, created_at and body. Both are written and read in turn, by one
session on ``local[2,3]``; the figures are medians, and how many times as long as Parquet's ours are. Then
many queries are asked of vectors in 16 shards, at once and one after the other.
"""

from __future__ import annotations

import argparse
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
        alone = seconds(lambda: [table.search(vector, 10, columns=["id"]) for vector in vectors[:50]])
    asked = pa.table({"n": np.arange(queries), "query": list(vectors[:queries])})
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


def measure(given: argparse.Namespace, folder: str) -> dict[str, Any]:
    """All figures, printed as they come."""
    table = repeated(rows_of(given.data, None), given.rows)
    table = table.set_column(3, "created_at", pc.cast(table["created_at"], pa.string()))
    pq.write_table(table, f"{folder}/in.parquet", row_group_size=given.rows // 6 + 1)
    spark = session(folder)
    frame = spark.read.parquet(f"{folder}/in.parquet").repartition(6).persist()
    frame.count()
    spent: dict[str, list[float]] = {}
    for run in range(given.runs + 1):  # the first one starts workers
        for name, work in writes(frame, folder, run, given.level).items():
            spent.setdefault(name, []).append(seconds(work))
            print(f"  {name}, run {run}: {spent[name][-1]:.2f} s", flush=True)
    usual = {name: statistics.median(times[1:]) for name, times in spent.items()}
    figures: dict[str, Any] = {"write": usual}
    for name, time_spent in usual.items():
        rate, share = given.rows / time_spent, usual["Parquet"] / time_spent
        print(f"write {name}: {rate:,.0f} rows/s, {share:.2f} x the rows/s of Parquet", flush=True)
    for name in READS:
        pairs: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(given.runs + 1):
            answers = {}
            for ours in pairs:
                start = time.perf_counter()
                answers[ours] = read(spark, folder, name, ours=ours)
                pairs[ours].append(time.perf_counter() - start)
            assert answers[True] == answers[False], name
        parquet, own = (statistics.median(times[1:]) for times in (pairs[False], pairs[True]))
        figures[name] = {"Parquet": parquet, "audiomem": own}
        print(f"{name}: {own:.2f} s, Parquet {parquet:.2f} s, {own / parquet:.2f} x as long", flush=True)
    figures["search"] = searches(spark, folder, given.vectors, given.queries)
    for name, rate in figures["search"].items():
        print(f"queries {name}: {rate:,.0f} a second", flush=True)
    spark.stop()
    return figures


if __name__ == "__main__":
    main()
