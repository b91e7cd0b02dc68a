"""Rows that arrive as a stream, into a new table without having all of them in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.arrow_types import is_list
from audiomem_sql.columns.batch import Batch
from audiomem_sql.columns.checks import checks_of
from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import AudioMemError, DataTypeError
from audiomem_sql.versions import Snapshot
from audiomem_sql.writing.appending import as_batches, check_sizes, following_rowids
from audiomem_sql.writing.transaction import MAX_ROWID

#: Rows that are asked of the source at a time: of 10 kB each they are 160 MB.
STREAM_ROWS = 1 << 14

#: Gives a table of the visible columns those of vectors.
Complete = Callable[[pa.Table], pa.Table]


class UnorderedError(Exception):
    """There are no rows, or not in the order of their keys: whoever wants them needs all.

    It never leaves the package.
    """


def is_stream(data: Any) -> bool:
    """Whether data gives its rows in batches, as often as it is asked: a relation of DuckDB, a dataset."""
    return _is_relation(data) or _is_dataset(data)


def stream_of(data: Any) -> pa.RecordBatchReader:
    """All rows of what :func:`is_stream`."""
    if _is_relation(data):
        from audiomem_sql.writing.relations import exact_reader

        return exact_reader(data, STREAM_ROWS)
    return data.scanner(batch_size=STREAM_ROWS).to_reader()


def example_of(data: Any) -> pa.Table:
    """A table with the columns of a stream.

    It has the first rows, too, where they tell how long a vector is. They also tell the categories of an
    ENUM.
    """
    schema = stream_of(data.limit(0)).schema if _is_relation(data) else data.schema
    if any(_needs_rows(field.type) for field in schema):
        with stream_of(data) as reader:
            first = next((batch for batch in _read(reader) if batch.num_rows), None)
        if first is not None:
            return pa.Table.from_batches([first])
    return schema.empty_table()


def _needs_rows(column_type: pa.DataType) -> bool:
    return pa.types.is_dictionary(column_type) or (
        is_list(column_type) and not pa.types.is_fixed_size_list(column_type)
    )


def _is_relation(data: Any) -> bool:
    if type(data).__name__ != "DuckDBPyRelation":
        return False
    columns = data.columns
    return len(set(columns)) == len(columns)  # DuckDB would rename the second of two that are called the same


def _is_dataset(data: Any) -> bool:
    if not (hasattr(data, "scanner") and hasattr(data, "schema")):
        return False
    if type(data).__name__ == "InMemoryDataset":
        return False  # it may give its rows only once
    return not any(pa.types.is_dictionary(field.type) for field in data.schema)  # each batch may have its own


def can_stream(snapshot: Snapshot) -> bool:
    """Whether the table is new, and a row can be checked alone, but for the order of the rowids."""
    empty = len(snapshot.segments) == 1 and not snapshot.segments[0].rows
    return empty and snapshot.log is None and not snapshot.logged and can_follow(snapshot)


def can_follow(snapshot: Snapshot) -> bool:
    """Whether a row with a rowid above all others can be checked alone."""
    schema = snapshot.schema
    return not schema.key_columns and not schema.combined_keys and checks_of(schema) is None


def numbered(
    reader: pa.RecordBatchReader, schema: Schema, path: str, complete: Complete, high: int = 0
) -> Iterator[Batch]:
    """The rows of a stream as a commit takes them, with rowids above ``high``.

    UnorderedError if their keys do not rise, or are NULL, or none comes.

    Errors name the row as if all had come at once.
    """
    from audiomem_sql.columns.arrow_input import to_table

    key_column, last_rowid, rows_before = schema.rowid_column, high, 0
    for batch in _read(reader):
        try:
            table, _ = to_table(batch, schema)
            check_sizes(table, path)
        except AudioMemError as error:
            kind, number = (error.place or "").partition("row ")[::2]
            if not kind and number.isdigit():
                raise type(error)(
                    error.what, file=path, place=f"row {int(number) + rows_before}", remedy=error.remedy
                ) from error
            raise
        count = table.num_rows
        if not count:
            continue
        if key_column is None:
            rowids: I64Array = following_rowids(high + rows_before + 1, count)
        else:
            keys = table.column(key_column).combine_chunks()
            if keys.null_count:
                raise UnorderedError
            rowids = np.asarray(keys, np.int64)
            # Keys below 1 are rare, and not worth a second rule.
            if (
                int(rowids[0]) <= last_rowid
                or (rowids[1:] <= rowids[:-1]).any()
                or int(rowids[-1]) > MAX_ROWID
            ):
                raise UnorderedError
            last_rowid = int(rowids[-1])
        rows_before += count
        yield from as_batches(rowids, complete(table))
    if not rows_before:
        raise UnorderedError


def _read(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    while True:
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            return
        except (pa.ArrowException, OSError) as error:
            raise DataTypeError(f"the Arrow data cannot be read: {error}") from error
        yield batch
