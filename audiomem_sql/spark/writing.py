"""What Spark's tasks write: files that are staged, and a commit of them that is one version of the table."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
from pyspark.sql.datasource import DataSourceArrowWriter, DataSourceStreamArrowWriter, WriterCommitMessage
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from audiomem_sql.columns.arrow_input import to_table
from audiomem_sql.columns.schema import Schema, parse_columns
from audiomem_sql.errors import InFile, OptionError
from audiomem_sql.spark.options import SourceOptions
from audiomem_sql.table.existence import table_is_there
from audiomem_sql.table.reader import TableReader
from audiomem_sql.table.staged_rows import Batch, StagedRows


@dataclass
class Staged(WriterCommitMessage):
    """The files that a task staged."""

    names: list[str]


class _Target:
    """The table that is written to, which the commit makes if there is none."""

    def __init__(self, options: SourceOptions, given: StructType, overwrite: bool) -> None:
        path = options.path
        self.options = options
        self.is_new = not table_is_there(path)
        with InFile(path):
            schema = new_schema(options, given) if self.is_new else _schema_of(path)
        self.schema = schema
        rows = StagedRows.begin(
            path,
            schema,
            overwrite=overwrite,  # also of a table that somebody else makes meanwhile
            where=options.text("replacewhere"),
            staging=options.text("staging"),
        )
        try:
            self.rows = rows.encoding(options.of_table if self.is_new else None)
        except BaseException:
            rows.remove()
            raise

    def stage(self, iterator: Iterator[pa.RecordBatch]) -> Staged:
        return Staged(self.rows.stage(iterator))

    def commit(self, messages: Sequence[Staged | None], batch: Batch | None = None) -> None:
        names = [name for message in messages if message is not None for name in message.names]
        made = None
        try:
            if self.is_new and not table_is_there(self.rows.path):
                made = self.rows.create(self.options.of_table, names)
            self.rows.commit(names, batch=batch, message=self.options.text("message"))
        except BaseException:
            if made is not None:
                made.take_back_creation()
                made = None
            raise
        finally:
            if made is not None:
                made.close()
            # a stream's tasks have a folder of their own
            for folder in {self.rows.folder, *map(os.path.dirname, names)}:
                replace(self.rows, folder=folder).remove()


class Writer(DataSourceArrowWriter):
    """Writes the rows of a data frame in one version."""

    def __init__(self, options: SourceOptions, schema: StructType, overwrite: bool) -> None:
        self.target = _Target(options, schema, overwrite)

    def write(self, iterator: Iterator[pa.RecordBatch]) -> Staged:
        """Stage the rows of a task."""
        return self.target.stage(iterator)

    def commit(self, messages: list[Staged | None]) -> None:
        """Make the version."""
        self.target.commit(messages)

    def abort(self, messages: list[Staged | None]) -> None:
        """Remove what the tasks staged."""
        self.target.rows.remove()


class StreamWriter(DataSourceStreamArrowWriter):
    """Writes each batch of a stream in one version, once."""

    def __init__(self, options: SourceOptions, schema: StructType, overwrite: bool) -> None:
        if overwrite:
            raise OptionError("a stream adds rows", remedy='Write with outputMode("append").')
        name = options.text("application")
        if name is None:
            checkpoint = options.text("checkpointlocation")
            if checkpoint is None:
                raise OptionError(
                    "a stream needs an application id to be written once", remedy="Pass option application."
                )
            name = hashlib.blake2b(checkpoint.encode(), digest_size=8).hexdigest()
        self.application = name
        self.target = _Target(options, schema, overwrite=False)

    def write(self, iterator: Iterator[pa.RecordBatch]) -> Staged:
        """Stage the rows of a task."""
        os.makedirs(self.target.rows.folder, exist_ok=True)  # the batch before removed it
        return self.target.stage(iterator)

    def commit(self, messages: list[Staged | None], batchId: int) -> None:
        """Make the version, unless the table has the batch."""
        self.target.commit(messages, Batch(self.application, batchId))

    def abort(self, messages: list[Staged | None], batchId: int) -> None:
        """Remove what the tasks staged."""
        self.target.rows.remove()


def _schema_of(path: str) -> Schema:
    with TableReader(path) as table:
        return table.schema


def new_schema(options: SourceOptions, given: StructType) -> Schema:
    """The columns of a new table for a data frame."""
    definitions = options.definitions
    if definitions is not None:
        return parse_columns(definitions)
    empty = to_arrow_schema(given, timezone="UTC").empty_table()
    _, schema = to_table(empty, None, options.text("primary_key"), options.names("semantic") or ())
    return schema
