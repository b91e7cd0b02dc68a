"""A table as a stream: the rows that its versions add, whose offset is the number of a version."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql.datasource import DataSourceStreamReader, InputPartition

from audiomem_sql.columns.shown import shown_arrays
from audiomem_sql.scan import fetch_rows
from audiomem_sql.spark.options import SourceOptions
from audiomem_sql.spark.reading import RowsPartition
from audiomem_sql.spark.spark_types import spark_batch
from audiomem_sql.table.partitions import Partition, plan_partitions
from audiomem_sql.table.reader import TableReader
from audiomem_sql.versions import changes

#: Changed rows that are read at once.
_ROWS = 1 << 14


class ChangesPartition(RowsPartition):
    """The rows that the versions from ``since`` on changed."""

    def __init__(self, rows: Partition, columns: list[str], since: int) -> None:
        super().__init__(rows, columns)
        self.since = since


class StreamReader(DataSourceStreamReader):
    """Reads the rows that versions add or change, as they are at the end of a batch of versions."""

    def __init__(self, options: SourceOptions, columns: Sequence[str]) -> None:
        self.options = options
        self.columns = list(columns)

    def initialOffset(self) -> dict[str, Any]:
        """Before the first version: the first batch has all rows."""
        return {"version": 0}

    def latestOffset(self, start: Any = None, limit: Any = None) -> dict[str, Any]:
        """The newest version."""
        with TableReader(self.options.path) as table:
            return {"version": table.version}

    def partitions(self, start: dict[str, Any], end: dict[str, Any]) -> Sequence[InputPartition]:
        """The parts of the rows that versions after ``start`` up to ``end`` added."""
        path, first, last = self.options.path, int(start["version"]), int(end["version"])
        if first == last:
            return []
        if first == 0:
            plan = plan_partitions(path, version=last)
            return [RowsPartition(part, self.columns) for part in plan.partitions]
        return [ChangesPartition(Partition(path, last), self.columns, first + 1)]

    def read(self, partition: RowsPartition) -> Iterator[pa.RecordBatch]:
        """The rows of a part."""
        rows = partition.rows
        if not isinstance(partition, ChangesPartition):
            yield from map(spark_batch, rows.batches(partition.columns))
            return
        with TableReader(rows.path, version=rows.version) as table:
            yield from _added(table, partition.since, rows.version, partition.columns)

    def commit(self, end: dict[str, Any]) -> None:
        """Nothing: the table keeps its versions."""

    def stop(self) -> None:
        """Nothing is open."""


def _added(table: TableReader, first: int, last: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
    snapshot = table.snapshot
    schema = snapshot.schema.visible
    rowids = np.array(sorted({change.rowid for change in changes(snapshot, first, last)}), np.int64)
    numbers = [schema.index(name) for name in columns]
    fields = pa.schema([schema.shown().field(number) for number in numbers])
    types = [schema.columns[number].type for number in numbers]
    for start in range(0, len(rowids), _ROWS):
        present = np.array(
            [rowid for rowid in rowids[start : start + _ROWS].tolist() if snapshot.contains(rowid)]
        )
        if len(present):
            _, arrays = fetch_rows(snapshot, present, numbers)
            yield spark_batch(pa.RecordBatch.from_arrays(shown_arrays(arrays, types), schema=fields))
