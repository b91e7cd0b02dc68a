"""The door for polars: a lazy frame that reads the columns, rows and blocks that a query needs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from audiomem_sql.columns.arrow_types import ArrowType
from audiomem_sql.columns.column import Column
from audiomem_sql.columns.logical.node import Node
from audiomem_sql.columns.origins import Origin, parse_origin
from audiomem_sql.columns.shown import common_array, common_type
from audiomem_sql.columns.sql_values import sql_values
from audiomem_sql.errors import DataTypeError, MissingExtraError, SchemaError
from audiomem_sql.predicates import Condition
from audiomem_sql.scan import Filter, RowFilter, filters_of, scan
from audiomem_sql.table.reader import TableReader

try:
    import polars as pl
    from polars.io.plugins import register_io_source

    from audiomem_sql.frames.polars_filter import Target, condition_of
except ImportError:
    raise MissingExtraError(
        "polars is not installed, or is too old", remedy="Run: pip install 'audiomem-sql[polars]'"
    ) from None

if TYPE_CHECKING:
    from audiomem_sql.columns.schema import Schema

__all__ = ["scan_flac"]


def scan_flac(
    path: str | os.PathLike[str],
    *,
    version: int | str | None = None,
    as_of: str | datetime | None = None,
    stored_types: bool = False,
    replicas: str | Sequence[str] | None = None,
) -> pl.LazyFrame:
    """A table as a lazy frame.

    Nothing is read before ``collect``, and then only the columns that are asked for.

    Conditions that compare a column with a constant, ``is_in``, ``is_between``, ``is_null``, ``starts_with``,
    and what is made of them with ``&`` and ``|``, choose the blocks that are read; all others are polars' own
    work. Each ``collect`` sees the newest version, or the one that was asked for, and all of its rows come
    from the same.

    polars has no intervals: they are texts, and so are lists and structs with intervals, as SQL shows them.

    version, as_of, replicas: as in :func:`audiomem_sql.open`. stored_types: give each column the type that it
    is stored with; by default it has the one that it was written with, and DataTypeError says so if later
    values do not fit it.

    Raises what :func:`audiomem_sql.open` raises; SchemaError on ``collect``, if the columns are not the same
    any more.
    """
    with TableReader(path, version=version, as_of=as_of, replicas=replicas) as table:
        frame_columns = _columns_of(table.schema, stored_types)

    def source(
        columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, size: int | None
    ) -> Iterator[pl.DataFrame]:
        # polars takes the first rows before it filters them, where it asks for both.
        condition = None if predicate is None or rows is not None else condition_of(predicate, targets)
        names = list(schema) if columns is None else columns
        with TableReader(path, version=version, as_of=as_of, replicas=replicas) as table:
            if _columns_of(table.schema, stored_types) != frame_columns:
                raise SchemaError(
                    "the columns have changed since the scan was made",
                    file=path,
                    remedy="Call scan_flac again.",
                )
            for frame in _frames(table, names, frame_columns, condition, rows):
                yield frame if predicate is None else frame.filter(predicate)

    schema = {column.name: _dtype(column, origin) for column, origin in frame_columns.values()}
    targets = {
        name: Target(column, number, _seen_type(column, origin))
        for number, (name, (column, origin)) in enumerate(frame_columns.items())
    }
    return register_io_source(source, schema=schema)


def _columns_of(schema: Schema, stored_types: bool) -> dict[str, tuple[Column, Origin | None]]:
    found = {}
    for column in schema.columns:
        as_stored = stored_types or _has_interval(column.type.logical)
        origin = None if as_stored else parse_origin(column.origin)
        found[column.name] = (column, None if origin is None or origin.is_own else origin)
    return found


def _seen_type(column: Column, origin: Origin | None) -> ArrowType:
    if origin is None:
        return _plain_type(column)
    return pa.dictionary(pa.int32(), origin.type) if origin.category else origin.type


def _has_interval(node: Node | None) -> bool:
    """Whether its values are intervals, or have some in them: polars has none."""
    return node is not None and (node.name == "INTERVAL" or any(map(_has_interval, node.children)))


def _plain_type(column: Column) -> ArrowType:
    """The Arrow type of a column without regard to what it was written as. Intervals are texts."""
    return pa.string() if _has_interval(column.type.logical) else common_type(column.type)


def _dtype(column: Column, origin: Origin | None) -> Any:
    """The dtype of polars that a column is seen in."""
    if origin is not None and origin.category and pa.types.is_string(origin.type):
        return pl.Enum(origin.categories.to_pylist()) if origin.ordered else pl.Categorical()
    plain = _plain_type(column) if origin is None else origin.type
    return pl.Series(pl.from_arrow(pa.chunked_array([], plain))).dtype


def _frames(
    table: TableReader,
    names: Sequence[str],
    frame_columns: dict[str, tuple[Column, Origin | None]],
    condition: Condition | None,
    rows: int | None,
) -> Iterator[pl.DataFrame]:
    """The rows, batch by batch, with the dtypes of :func:`_dtype`."""
    schema = table.schema
    read = list(names) or [
        next(iter(frame_columns))
    ]  # a frame without columns does not know how many rows it has
    filters: list[Filter] = []
    row_filter: RowFilter | None = None
    if condition is not None:
        filters, row_filter = filters_of(condition, schema, nan_is_null=False)
    batches = scan(table.readable, [schema.index(name) for name in read], filters, row_filter=row_filter)
    remaining = rows
    empty = True
    for batch in batches if remaining != 0 else ():
        empty = False
        arrays = [array.slice(0, remaining) for array in batch.arrays]
        columns = [
            _series(name, array, *frame_columns[name]) for name, array in zip(read, arrays, strict=True)
        ]
        yield pl.DataFrame(columns).select(names)
        if remaining is not None:
            remaining -= len(arrays[0])
            if remaining <= 0:
                break
    if empty:
        yield pl.DataFrame(schema={name: _dtype(*frame_columns[name]) for name in names})


def _series(name: str, array: Any, column: Column, origin: Origin | None) -> pl.Series:
    if pa.types.is_fixed_size_list(array.type):  # polars misreads a part of an array of these
        array = array.take(pa.array(np.arange(len(array))))
    if _has_interval(column.type.logical):
        return pl.Series(name, sql_values(array, column.type), pl.String)
    chunked = pa.chunked_array([common_array(array, column.type)])
    if origin is None:
        return pl.Series(name, pl.from_arrow(chunked))
    if not origin.category:
        restored = origin.restored(chunked)
        if restored is None:
            raise _misfit(column, origin)
        return pl.Series(name, pl.from_arrow(restored))
    plain = pl.Series(name, pl.from_arrow(chunked.cast(origin.type)))
    try:
        return plain.cast(_dtype(column, origin))
    except pl.exceptions.PolarsError:
        raise _misfit(column, origin) from None


def _misfit(column: Column, origin: Origin) -> DataTypeError:
    return DataTypeError(
        f"column {column.name} was written as {origin.type}, "
        "and a value that was added later does not fit that",
        remedy="Pass stored_types=True to see it as it is stored",
    )
