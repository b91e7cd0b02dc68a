"""Lists of stored values (see affinity) as Arrow arrays, and stored values as SQL sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import BoolArray, I64Array
from audiomem_sql.columns.affinity import StoredValue
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.sql_values import sql_values
from audiomem_sql.columns.timestamps import MAX_MICROS, MIN_MICROS, render
from audiomem_sql.columns.types import ColumnType, Kind, arrow_type
from audiomem_sql.columns.views import integers, not_a_number, reals, valid
from audiomem_sql.errors import DamagedFileError


def array_of(values: Sequence[StoredValue], column_type: ColumnType) -> pa.Array:
    """An array of the column's Arrow type; of strings of over 2 GiB a chunked one.

    ``pa.array`` is not used: it imports pandas, if that is installed, which takes 36 MB and 0.3 s.
    """
    kind, target = column_type.kind, arrow_type(column_type)
    if kind is not Kind.FLOAT:
        there = np.array([value is not None for value in values], bool)
        nulls = len(there) - int(there.sum())
        validity = _bits(there) if nulls else None
        if kind in (Kind.INTEGER, Kind.TIMESTAMP, Kind.REAL):
            plain = [0 if value is None else value for value in values] if nulls else values
            numbers = np.array(plain, np.float64 if kind is Kind.REAL else np.int64)
            return pa.Array.from_buffers(target, len(values), [validity, pa.py_buffer(numbers)], nulls)
        if kind is Kind.BOOLEAN:
            truths = np.array([bool(value) for value in values], bool)
            return pa.Array.from_buffers(target, len(values), [validity, _bits(truths)], nulls)
        builder = pa.lib.StringBuilder()
        builder.append_values(values)
        made = builder.finish()
        if len(made) < len(values):  # beyond 2 GiB it leaves values out, and says nothing
            return pa.array(values, target)
        buffers = made.buffers()
        return pa.Array.from_buffers(target, len(values), buffers, nulls)
    blank = bytes(column_type.vector_bytes)
    data = b"".join(blank if value is None else value for value in values)  # type: ignore[misc]
    items = len(values) * column_type.items
    flat = pa.Array.from_buffers(target.value_type, items, [None, pa.py_buffer(data)], 0)
    present = np.array([value is not None for value in values], bool)
    validity = None if present.all() else _bits(present)
    return pa.Array.from_buffers(target, len(values), [validity], int((~present).sum()), children=[flat])


def _bits(values: BoolArray) -> pa.Buffer:
    return pa.py_buffer(np.packbits(values, bitorder="little"))


def nan_as_null(array: pa.Array) -> pa.Array:
    """A REAL array with NULL for NaN, which is how SQL sees it."""
    nan = not_a_number(array)
    if not nan.any():
        return array
    there = valid(array) & ~nan
    buffers = [_bits(there), pa.py_buffer(reals(array))]
    return pa.Array.from_buffers(array.type, len(array), buffers, len(there) - int(there.sum()))


def row_check(schema: Schema) -> Callable[[int, Sequence[object]], None]:
    """A function of (rowid, row) that raises DamagedFileError unless the table could have stored both.

    The error names no file.
    """
    checks = [(column, _STORED[column.type.kind]) for column in schema.columns]
    alias = schema.rowid_column

    def check(rowid: int, row: Sequence[object]) -> None:
        for (column, fits), value in zip(checks, row, strict=True):
            if not column.not_null if value is None else fits(value, column.type):
                continue
            raise DamagedFileError(f"row {rowid}, column {column.name}: it cannot hold what is there")
        if not _is_integer(rowid) or (alias is not None and row[alias] != rowid):
            raise DamagedFileError(f"row {rowid}: its key is another one")

    return check


def _is_integer(value: object, *_: ColumnType) -> bool:
    return type(value) is int and -(1 << 63) <= value < 1 << 63


def _is_text(value: object, *_: ColumnType) -> bool:
    return type(value) is str


#: Whether a value that is not NULL is one that a column of this kind stores.
_STORED: dict[Kind, Callable[[object, ColumnType], bool]] = {
    Kind.INTEGER: _is_integer,
    Kind.REAL: lambda value, _: type(value) is float,
    Kind.TEXT: _is_text,
    Kind.JSON: _is_text,
    Kind.BLOB: lambda value, _: type(value) is bytes,
    Kind.BOOLEAN: lambda value, _: type(value) is bool,
    Kind.TIMESTAMP: lambda value, _: type(value) is int and MIN_MICROS <= value <= MAX_MICROS,
    Kind.FLOAT: lambda value, kind: type(value) is bytes and len(value) == kind.vector_bytes,
}


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
    if column_type.logical is not None:
        from audiomem_sql.columns.logical.texts import sql_images

        return sql_images(column_type.logical, array_of([value], column_type))[0]  # type: ignore[no-any-return]
    if column_type.kind is Kind.BOOLEAN:
        return int(value)
    if column_type.kind is Kind.TIMESTAMP:
        return render(value)  # type: ignore[arg-type]
    return value


def integer_array(
    values: np.ndarray[Any, np.dtype[np.integer[Any]]], present: BoolArray | None = None
) -> pa.Array:
    """Integers (n,) as an array of Arrow, without importing pandas.

    ``present``, bool (n,), is False where a row is NULL.
    """
    contiguous = np.ascontiguousarray(values)
    nulls = 0 if present is None else len(contiguous) - int(present.sum())
    validity = None if present is None or not nulls else _bits(present)
    return pa.Array.from_buffers(
        pa.from_numpy_dtype(contiguous.dtype), len(contiguous), [validity, pa.py_buffer(contiguous)], nulls
    )


def filled(array: pa.Array, value: int) -> I64Array:
    """What an int64 array of Arrow holds, (n,), with ``value`` for NULL."""
    return np.where(valid(array), integers(array), value) if array.null_count else integers(array)


def int64_view(array: pa.Array) -> I64Array:
    """What an int64 array of Arrow without NULLs holds, (n,), not to be written to.

    It does not import pandas, either.
    """
    if not len(array):
        return np.empty(0, np.int64)
    return np.frombuffer(array.buffers()[1], np.int64, len(array), 8 * array.offset)
