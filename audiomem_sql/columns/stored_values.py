"""Lists of stored values (see affinity) as Arrow arrays, and stored values as SQL sees them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from audiomem_sql.columns.affinity import StoredValue
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.sql_values import sql_values
from audiomem_sql.columns.timestamps import render
from audiomem_sql.columns.types import ColumnType, Kind, arrow_type


def array_of(values: Sequence[StoredValue], column_type: ColumnType) -> pa.Array:
    """An array of the column's Arrow type."""
    if column_type.kind is not Kind.FLOAT:
        return pa.array(values, arrow_type(column_type))
    blank = bytes(4 * column_type.width)
    data = b"".join(blank if value is None else value for value in values)  # type: ignore[misc]
    flat = pa.Array.from_buffers(pa.float32(), len(values) * column_type.width, [None, pa.py_buffer(data)], 0)
    present = np.array([value is not None for value in values], bool)
    validity = None if present.all() else pa.py_buffer(np.packbits(present, bitorder="little").tobytes())
    return pa.Array.from_buffers(
        arrow_type(column_type), len(values), [validity], int((~present).sum()), children=[flat]
    )


def stored_rows(table: pa.Table, schema: Schema) -> Iterator[tuple[StoredValue, ...]]:
    """The rows of an Arrow table with the schema's types, as stored values."""
    columns: list[list[StoredValue]] = []
    for column, chunks in zip(schema.columns, table.columns, strict=True):
        array = chunks.combine_chunks()
        if column.type.kind is Kind.TIMESTAMP:
            array = array.cast(pa.int64())
        columns.append(
            sql_values(array, column.type) if column.type.kind is Kind.FLOAT else array.to_pylist()
        )
    return zip(*columns, strict=True)


def as_sql(value: StoredValue, column_type: ColumnType) -> int | float | str | bytes | None:
    """A stored value as SQL sees it."""
    if value is None:
        return None
    if column_type.kind is Kind.BOOLEAN:
        return int(value)
    if column_type.kind is Kind.TIMESTAMP:
        return render(value)  # type: ignore[arg-type]
    return value
