"""What Spark's tasks read: partitions of a version that was pinned when they were planned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
from pyspark.sql.datasource import DataSourceReader, InputPartition

from audiomem_sql.errors import InFile, UnsupportedError
from audiomem_sql.spark.options import SourceOptions
from audiomem_sql.spark.spark_types import spark_batch
from audiomem_sql.table.partition_columns import chosen
from audiomem_sql.table.partitions import PARTITION_ROWS, Partition, plan_partitions, table_paths
from audiomem_sql.table.reader import TableReader


class RowsPartition(InputPartition):
    """Rows of a table; match: or the answers of a search of it."""

    def __init__(self, rows: Partition, columns: list[str], match: Match | None = None) -> None:
        super().__init__(None)
        self.rows, self.columns, self.match = rows, columns, match


class Match:
    """A search: the option ``match``, and what belongs to it."""

    def __init__(self, options: SourceOptions) -> None:
        self.query = options.text("match")
        self.k = options.number("k") or 10
        self.column = options.text("column")
        self.where = options.text("filter")

    def rows(self, path: str, version: int | str | None, columns: list[str], as_of: str | None) -> pa.Table:
        """The answers, the best first."""
        with TableReader(path, version=version, as_of=as_of) as table:
            return table.search(self.query, self.k, self.where, columns=columns, column=self.column)


class Reader(DataSourceReader):
    """Reads rows. Filters stay with Spark; the option ``filter`` is the table's."""

    def __init__(self, options: SourceOptions, columns: Sequence[str]) -> None:
        self.options = options
        self.columns = list(columns)

    def partitions(self) -> Sequence[InputPartition]:
        """The parts that tasks read. The versions of the tables are looked up here, once."""
        options = self.options
        rows = options.number("rows_per_partition")
        plan = plan_partitions(
            options.path,
            version=options.version,
            as_of=options.text("as_of"),
            where=options.text("filter"),
            rows=rows or PARTITION_ROWS,
            count=options.number("partitions"),
        )
        if options.text("match") is not None:
            path, version = plan.versions[0]
            columns = [name for name in self.columns if name != _distance(self.columns)]
            return [RowsPartition(Partition(path, version), columns, Match(options))]
        return [RowsPartition(part, self.columns) for part in plan.partitions]

    def read(self, partition: RowsPartition) -> Iterator[pa.RecordBatch]:
        """The rows of a part."""
        rows = partition.rows
        if partition.match is not None:
            found = partition.match.rows(rows.path, rows.version, partition.columns, None)
            yield from map(spark_batch, found.to_batches())
            return
        for batch in rows.batches(partition.columns):
            if batch.num_rows:
                yield spark_batch(batch)


def columns_of(options: SourceOptions) -> pa.Schema:
    """The columns that a read has."""
    plan_schema, columns = _schema(options), options.names("columns")
    if options.text("match") is not None:
        paths = table_paths(options.path)
        if len(paths) > 1:
            raise UnsupportedError("a search is of one table", file=options.path, remedy="Name one table.")
        names = list(plan_schema.names) if columns is None else columns
        match = Match(options)
        match.k = 1
        found = match.rows(paths[0], options.version, names, options.text("as_of"))
        return found.schema
    if columns is None:
        return plan_schema
    with InFile(options.path):
        return chosen(plan_schema, columns)


def _schema(options: SourceOptions) -> pa.Schema:
    path = table_paths(options.path)[0]
    with TableReader(path, version=options.version, as_of=options.text("as_of")) as table:
        return table.snapshot.schema.visible.shown()


def _distance(columns: Sequence[str]) -> str:
    return "audiomem_distance" if "audiomem_distance" in columns else "distance"
