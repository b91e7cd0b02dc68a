"""Tables that Spark reads and writes as streams, and two writers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import LongType, StructType

import audiomem_sql
from audiomem_sql.errors import StorageError
from audiomem_sql.spark.options import SourceOptions
from audiomem_sql.spark.writing import Writer
from audiomem_sql.table.staged_rows import Batch, StagedRows
from audiomem_sql.table.table import Table

COLUMNS = ["id INTEGER PRIMARY KEY", "body TEXT"]


def _table(path: Path, first: int, stop: int) -> None:
    if not path.exists():
        Table.create(path, COLUMNS, {"profile": "embedded", "shards": 3}).close()
    with audiomem_sql.open(path) as table:
        table.append([{"id": number, "body": f"b{number}"} for number in range(first, stop)])


def _ids(path: Path) -> list[int]:
    with audiomem_sql.open(path) as table:
        return sorted(table.to_arrow(["id"])["id"].to_pylist())


def _run(frame: DataFrame, path: Path, checkpoint: Path) -> None:
    writer = frame.writeStream.format("audiomem").option("checkpointLocation", str(checkpoint))
    query = writer.option("definitions", "id INTEGER, body TEXT").option("shards", 2)
    assert query.trigger(availableNow=True).start(str(path)).awaitTermination(120)


def test_a_stream_from_a_table_to_a_table(spark: SparkSession, tmp_path: Path) -> None:
    source, target, checkpoint = tmp_path / "in.shards", tmp_path / "out.shards", tmp_path / "checkpoint"
    _table(source, 1, 31)
    frame = spark.readStream.format("audiomem").load(str(source))
    _run(frame, target, checkpoint)
    assert _ids(target) == list(range(1, 31))
    _table(source, 31, 51)
    _run(frame, target, checkpoint)
    _run(frame, target, checkpoint)  # nothing is new
    assert _ids(target) == list(range(1, 51))
    # the entry of the last batch is lost: Spark commits it again, under the same number
    last = max((checkpoint / "commits").glob("[0-9]*"), key=lambda path: int(path.name))
    last.unlink()
    (last.parent / f".{last.name}.crc").unlink()
    _run(frame, target, checkpoint)
    assert _ids(target) == list(range(1, 51))


def test_two_writers(spark: SparkSession, tmp_path: Path) -> None:
    """Rows that were planned on the same version are all there."""
    path = tmp_path / "kb.shards"
    _table(path, 1, 2)
    with audiomem_sql.open(path) as table:
        schema = table.schema
    writes = [StagedRows.begin(str(path), schema) for _ in range(2)]
    names: list[list[str]] = []
    for number, write in enumerate(writes):
        frame = spark.range(100 * (number + 1), 100 * (number + 2)).selectExpr("id", "string(id) AS body")
        names.append(write.stage(frame.toArrow().to_batches()))
    for write, name in zip(writes, names, strict=True):
        assert len(name) == 1
        write.commit(name, batch=Batch("app", 0) if write is writes[0] else None)
        write.remove()
    assert _ids(path) == [1, *range(100, 300)]
    again = StagedRows.begin(str(path), schema)
    assert again.commit([], batch=Batch("app", 0)) is None
    again.remove()
    shutil.rmtree(tmp_path / "kb.shards")


def test_an_overwrite_of_a_table_that_somebody_makes_meanwhile(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "kb.shards"
    columns = StructType().add("id", LongType())
    options = {"path": str(path), "definitions": "id INTEGER PRIMARY KEY", "shards": "2"}
    writer = Writer(SourceOptions.of(options), columns, overwrite=True)
    staged = writer.write(iter(spark.range(5, 8).toArrow().to_batches()))
    with Table.create(path, ["id INTEGER PRIMARY KEY"], {"shards": 2}) as table:
        table.append([{"id": 1}])
    writer.commit([staged])
    assert _ids(path) == [5, 6, 7]


def test_a_store_that_does_not_answer_is_not_an_absent_table(tmp_path: Path) -> None:
    options = {"path": "http://127.0.0.1:9/kb.shards", "definitions": "id INTEGER", "staging": str(tmp_path)}
    with pytest.raises(StorageError):
        Writer(SourceOptions.of(options), StructType().add("id", LongType()), overwrite=True)


def test_a_staged_file_that_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "kb.shards"
    _table(path, 1, 2)
    with audiomem_sql.open(path) as table:
        write = StagedRows.begin(str(path), table.schema)
    with pytest.raises(StorageError, match="cannot be read"):
        write.commit([str(tmp_path / "gone.arrow")])
    write.remove()
    assert _ids(path) == [1]
