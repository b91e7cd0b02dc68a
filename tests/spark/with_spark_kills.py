"""Drivers that are killed. Each has a Spark of its own, so that this file is run by itself."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pyarrow as pa
import pytest

import audiomem_sql
from audiomem_sql.table.staged_rows import StagedRows
from audiomem_sql.table.staging import staging_folder
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import problems

COLUMNS = ["id INTEGER PRIMARY KEY", "body TEXT"]
OLD, NEW = 100, 60_000
DRIVER = """
import os, sys
import audiomem_sql.spark
from pyspark.sql import SparkSession

os.environ["PYSPARK_PYTHON"] = sys.executable
session = SparkSession.builder.master("local[2,3]").config("spark.ui.enabled", "false")
session = session.config("spark.driver.memory", "1g").config("spark.local.dir", os.path.dirname(sys.argv[1]))
spark = session.getOrCreate()
audiomem_sql.spark.register(spark)
rows = spark.range(1001, 1001 + int(sys.argv[2]), numPartitions=4)
rows = rows.selectExpr("id", "repeat(hex(id), 20) AS body")
frame = audiomem_sql.spark.by_shard(rows, sys.argv[1], 4)
frame.write.format("audiomem").mode("append").save(sys.argv[1])
"""
#: The same commit without Spark: its kills cost no start of one.
COMMIT = """
import sys
import audiomem_sql
from audiomem_sql.table.staged_rows import StagedRows
path, folder, *files = sys.argv[1:]
with audiomem_sql.open(path) as table:
    schema = table.schema
print("ready", flush=True)
StagedRows(path, folder, schema).commit(files)
"""


def _table(path: Path) -> None:
    with Table.create(path, COLUMNS, {"shards": 8, "profile": "embedded", "compression_level": 1}) as table:
        table.append([{"id": number, "body": f"b{number}"} for number in range(OLD)])


def _check(path: Path) -> bool:
    """Whether the new version is there; anything but the old and the new one is an error."""
    with audiomem_sql.open(path) as table:
        version, count = table.version, len(table)
        assert (version, count) in ((2, OLD), (3, OLD + NEW))
        assert table.to_arrow(["id"]).num_rows == count
    with Table(path) as table:  # the next write goes through, and undoes what nobody names
        table.append([{"id": 999, "body": "next"}])
        assert [str(problem) for problem in problems(table)] == []
        assert len(table.to_arrow(where="id >= 1001")) == count - OLD
    return version == 3


def _killed(command: list[str], when: Callable[[], bool]) -> bool:
    """Kill a program and all that it started as soon as something is so; False if it ended before."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    limit = time.monotonic() + 300
    try:
        while process.poll() is None and not when():
            assert time.monotonic() < limit
            time.sleep(0.002)
        return process.returncode is None
    finally:
        for each in _started(process.pid):  # Spark's workers have a group of their own, and would go on
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        process.wait()


def _started(pid: int) -> list[psutil.Process]:
    """A process and all that it started, which stand still."""
    found: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        left = [psutil.Process(pid)]
        while left:
            each = left.pop()
            with contextlib.suppress(psutil.NoSuchProcess):
                each.suspend()
                found.append(each)
                left += each.children()
    return found


@pytest.mark.parametrize("phase", ["tasks", "commit"])
def test_a_driver_that_is_killed(tmp_path: Path, phase: str) -> None:
    path = tmp_path / "kb.shards"
    _table(path)
    shards = sorted(path.glob("shard-*.flac"))
    sizes = [shard.stat().st_size for shard in shards]

    def begun() -> bool:
        if phase == "tasks":
            return any(Path(staging_folder(str(path))).glob("write-*/*.segment"))
        return any(shard.stat().st_size != size for shard, size in zip(shards, sizes, strict=True))

    assert _killed([sys.executable, "-c", DRIVER, str(path), str(NEW)], begun)
    done = _check(path)
    assert phase == "commit" or not done


def test_commits_that_are_killed(tmp_path: Path) -> None:
    outcomes = set()
    for number in range(0, 8, 2):
        path = tmp_path / f"{number}" / "kb.shards"
        path.parent.mkdir()
        _table(path)
        with audiomem_sql.open(path) as table:
            write = StagedRows.begin(str(path), table.schema).encoding()
        ids = range(1001, 1001 + NEW)
        rows = pa.table({"id": list(ids), "body": [f"{number:x}" * 20 for number in ids]})
        files = write.stage(rows.to_batches())
        manifest, shards = path / "manifest", sorted(path.glob("shard-*.flac"))
        before, sizes = manifest.stat().st_mtime_ns, [shard.stat().st_size for shard in shards]

        def written(
            count: int = number,
            manifest: Path = manifest,
            before: int = before,
            shards: list[Path] = shards,
            sizes: list[int] = sizes,
        ) -> bool:
            """So many shards are, or the manifest is."""
            changed = sum(shard.stat().st_size != size for shard, size in zip(shards, sizes, strict=True))
            return changed > count or (count == 6 and manifest.stat().st_mtime_ns != before)

        _killed([sys.executable, "-c", COMMIT, str(path), write.folder, *files], written)
        outcomes.add(_check(path))
        write.remove()
    assert False in outcomes
