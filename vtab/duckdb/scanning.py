"""``audiomem_scan``: the rows of a table, or of several, as they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from audiomem_sql.errors import QueryError
from audiomem_sql.table.arrow_dataset import FlacDataset
from audiomem_sql.table.arrow_form import STORED_FORM
from audiomem_sql.vtab.duckdb.hive import types_named
from audiomem_sql.vtab.duckdb.many_files import is_pattern, paths_of, source_of_files
from audiomem_sql.vtab.duckdb.source import NamedTable, Source


def audiomem_scan(
    path: Any,
    version: Any,
    as_of: Any,
    filter: Any,
    union_by_name: Any = None,
    filename: Any = None,
    partial: Any = None,
    replicas: Any = None,
    hive_partitioning: Any = None,
    hive_types_autocast: Any = None,
    hive_types: Any = None,
) -> Source:
    """The rows of a table, of its newest version or of another one; path: also a glob, a folder, or a list.

    partial: those that have arrived of one table that is on its way.
    """
    union, named, in_part = _flag(union_by_name), _flag(filename), _flag(partial)
    hive = None if hive_partitioning is None else _flag(hive_partitioning)
    many = isinstance(path, list) or (isinstance(path, str) and is_pattern(path))
    types = None if hive_types is None else types_named(str(hive_types))
    if many or union or named or hive or types:
        if in_part:
            raise QueryError("partial is for one file", remedy="Name one file, or leave partial out.")
        if replicas is not None:
            raise QueryError("replicas belong to one table", remedy="Name one path.")
        return source_of_files(
            paths_of(path),
            version,
            as_of,
            filter,
            union=union,
            filename=named,
            hive=hive if many or hive or types else False,
            autocast=hive_types_autocast is None or _flag(hive_types_autocast),
            hive_types=types,
        )
    table = NamedTable(path, version, as_of, replicas, partial=in_part)
    reader = table.bound
    names = reader.schema.names

    logical = frozenset(place for place, column in enumerate(reader.schema.columns) if column.type.logical)

    def batches(column_indexes: list[int]) -> Iterator[pa.RecordBatch]:
        if filter is None and not in_part and not logical.isdisjoint(column_indexes):
            columns = [names[index] for index in column_indexes]
            return FlacDataset(table.now(), form=STORED_FORM).scanner(columns=columns).to_batches()
        return table.now().scan([names[index] for index in column_indexes], filter, whole=True)

    def filtered(column_indexes: list[int], condition: pc.Expression) -> Iterator[pa.RecordBatch]:
        columns = [names[index] for index in column_indexes]
        return (
            FlacDataset(table.now(), form=STORED_FORM).scanner(columns=columns, filter=condition).to_batches()
        )

    if filter is None:
        return Source(reader.schema.to_arrow, batches, rows=len(reader), table=reader, filtered=filtered)
    reader.scan([], filter)  # a filter that is wrong is refused at once
    return Source(reader.schema.to_arrow, batches)


def _flag(value: Any) -> bool:
    """An argument that is true or false; the doors pass other types than theirs as text."""
    return value is not None and str(value).lower() in ("true", "1", "t")
