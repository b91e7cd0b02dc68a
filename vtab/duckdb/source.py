"""What a table function of DuckDB gives: columns at once, and rows when they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import pyarrow as pa

from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.stored_values import array_of
from audiomem_sql.columns.timestamps import parse
from audiomem_sql.columns.types import BIT, FLOAT32, INT8, ColumnType, Kind
from audiomem_sql.errors import QueryError, SchemaError
from audiomem_sql.table.reader import TableReader
from audiomem_sql.vtab.duckdb.open_tables import OpenTables
from audiomem_sql.vtab.rows import version_of

#: Makes the batches of a source, with the columns whose indexes are given, ascending.
Batches = Callable[[list[int]], Iterator[pa.RecordBatch]]

#: The same, with fewer of the rows for which a condition is not true.
FilteredBatches = Callable[..., Iterator[pa.RecordBatch]]

_TABLES = OpenTables()


class Source:
    """The rows of one call of a table function."""

    def __init__(
        self,
        schema: Callable[[], pa.Schema],
        batches: Batches,
        *,
        rows: int | None = None,
        table: TableReader | None = None,
        tables: Sequence[TableReader] = (),
        filtered: FilteredBatches | None = None,
        constant_columns: frozenset[int] = frozenset(),
    ) -> None:
        self._schema = schema
        self.batches = batches
        #: How many rows there are; None: not known.
        self.rows = rows
        #: The table whose rows these are, all of them and as they are; None for everything else.
        self.table = table
        #: The tables whose rows these are, one behind the other, with the same columns; empty as above.
        self.tables = tuple(tables)
        #: Makes the batches of the rows that an expression may be true for; None where nothing is pruned.
        self.filtered = filtered
        #: The columns with one value in each file: ``filtered`` takes what a condition says of others.
        self.constant_columns = constant_columns

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns, worked out when they are asked for."""
        return self._schema()


class NamedTable:
    """A table that a statement names by its path, when it is bound and whenever it is run."""

    def __init__(
        self,
        path: Any,
        version: Any = None,
        as_of: Any = None,
        replicas: Any = None,
        *,
        partial: bool = False,
    ) -> None:
        if not isinstance(path, str):
            raise QueryError("there is no path", remedy="Pass the path of a FLAC file as text.")
        if version is not None and as_of is not None:
            raise QueryError("version and as_of exclude each other", file=path, remedy="Pass one of them.")
        self.path = path
        self._version = None if version is None else version_of(version, path)
        self._as_of, self._replicas, self._partial = as_of, replicas, partial
        #: The table when the statement was bound.
        self.bound = open_table(path, self._version, as_of, replicas, partial=partial)

    def now(self) -> TableReader:
        """The table with the commits that there are by now.

        SchemaError if it has other columns than it had.
        """
        reader = open_table(self.path, self._version, self._as_of, self._replicas, partial=self._partial)
        if not reader.schema.is_same(self.bound.schema):
            raise SchemaError(
                "the columns of the table were changed since the statement was prepared",
                file=self.path,
                remedy="Prepare it again.",
            )
        return reader


def open_table(
    path: str,
    version: int | str | None = None,
    as_of: str | None = None,
    replicas: str | None = None,
    *,
    partial: bool = False,
) -> TableReader:
    """The table at ``path``, see :meth:`~audiomem_sql.vtab.duckdb.open_tables.OpenTables.at`."""
    return _TABLES.at(path, version, as_of, replicas, partial=partial)


def source_of_rows(schema: pa.Schema, rows: Callable[[], list[tuple[Any, ...]]]) -> Source:
    """A source of rows of Python values, as SQL sees them, that are made when they are read."""

    def batches(column_indexes: list[int]) -> Iterator[pa.RecordBatch]:
        columns: Sequence[Sequence[Any]] = list(zip(*rows(), strict=True)) or [()] * len(schema)
        arrays = [_array(values, field.type) for values, field in zip(columns, schema, strict=True)]
        table = pa.Table.from_arrays(arrays, schema=schema).combine_chunks()
        return iter(table.select(column_indexes or [0]).to_batches())

    return Source(lambda: schema, batches)


def values_by_column(old: Schema, new: Schema, values: Sequence[Any]) -> Iterator[Any]:
    """The values of a row of schema ``old`` by the columns of ``new``; None for those that were not there."""
    known = {column.id: value for column, value in zip(old.columns, values, strict=True)}
    return (known.get(column.id) for column in new.columns)


def _array(values: Sequence[Any], arrow_type: pa.DataType) -> pa.Array:
    """An array of values as SQL sees them, or of what is stored for them."""
    if pa.types.is_fixed_size_list(arrow_type):
        element = {pa.int8(): INT8, pa.uint8(): BIT}.get(arrow_type.value_type, FLOAT32)
        width = arrow_type.list_size * (8 if element == BIT else 1)
        return array_of(values, ColumnType(Kind.FLOAT, width, element))
    if pa.types.is_timestamp(arrow_type):
        values = [parse(value) if isinstance(value, str) else value for value in values]
    elif pa.types.is_boolean(arrow_type):
        values = [None if value is None else bool(value) for value in values]
    return pa.array(values, arrow_type)
