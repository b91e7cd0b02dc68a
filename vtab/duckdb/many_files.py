"""Several files as one table: globs and lists of paths, ``union_by_name`` and ``filename``.

The columns are those of the first file. Each other one must have them, with the same types; what it has more
is left out. With ``union_by_name`` they are those of all files, with NULL where a file has none.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from audiomem_sql.columns.column import fold
from audiomem_sql.errors import AudioMemError, NotAudioMemoryError, QueryError, SchemaError
from audiomem_sql.machine.urls import is_url
from audiomem_sql.shards import is_sharded
from audiomem_sql.table.arrow_dataset import FlacDataset
from audiomem_sql.vtab.duckdb.source import NamedTable, Source, open_table

_MAGIC = "*?["


def is_pattern(path: str) -> bool:
    """Whether a path is a glob, and no file is called so; a URL is none."""
    return not is_url(path) and any(letter in path for letter in _MAGIC) and not os.path.lexists(path)


def tables_of(pattern: str) -> Iterator[tuple[str, AudioMemError | None]]:
    """The tables that a glob finds, sorted by their paths, and why each cannot be opened, if it cannot.

    Files that hold sound are left out. ``**`` stands for any number of folders.
    """
    for path in sorted(glob.glob(pattern, recursive=True)):
        if os.path.isdir(path) and not is_sharded(path):
            continue
        try:
            open_table(path)
        except NotAudioMemoryError:
            continue
        except AudioMemError as error:
            yield path, error
        else:
            yield path, None


def matching(pattern: str) -> list[str]:
    """The tables that a glob finds, as above; the error of the first one that cannot be opened is raised."""
    found = []
    for path, error in tables_of(pattern):
        if error is not None:
            raise error
        found.append(path)
    return found


def paths_of(given: Any) -> list[str]:
    """The paths that an argument names: one, a glob, or a list of them. QueryError where there is none."""
    items = given if isinstance(given, list) else [given]
    paths: list[str] = []
    for item in items:
        if not isinstance(item, str):
            raise QueryError(
                "there is no path", remedy="Pass the path of a FLAC file as text, a glob, or a list of them."
            )
        found = matching(item) if is_pattern(item) else [item]
        if not found:
            raise QueryError("no table matches", file=item, remedy="Check the pattern.")
        paths += found
    if not paths:
        raise QueryError("the list of paths is empty", remedy="Name at least one FLAC file.")
    return paths


def source_of_files(
    paths: Sequence[str], version: Any, as_of: Any, filter: str | None, *, union: bool, filename: bool
) -> Source:
    """The rows of several tables, one after the other.

    union, filename: the arguments ``union_by_name`` and ``filename``.
    """
    tables = [NamedTable(path, version, as_of) for path in paths]
    fields = _fields(tables, union=union)
    for table in tables:
        table.bound.scan([], filter)  # a filter that is wrong is refused at once
    schema = pa.schema(fields)
    if filename:
        name = "filename"
        while fold(name) in {fold(each) for each in schema.names}:
            name = f"_{name}"
        schema = schema.append(pa.field(name, pa.string()))
    files = _Files(tables, schema, len(fields), filter)
    rows = sum(len(table.bound) for table in tables) if filter is None else None
    same = not filename and all(_same_columns(table, fields) for table in tables)
    return Source(
        lambda: schema,
        files.batches,
        rows=rows,
        tables=tuple(table.bound for table in tables) if same and filter is None else (),
        filtered=files.filtered if same and filter is None else None,
    )


@dataclass(frozen=True, slots=True)
class _Files:
    tables: Sequence[NamedTable]
    schema: pa.Schema
    #: Columns that may come from a file; behind them stands the one for its name.
    count: int
    filter: str | None

    def batches(self, column_indexes: list[int]) -> Iterator[pa.RecordBatch]:
        for table in self.tables:
            reader = table.now()
            names = {fold(name): name for name in reader.schema.names}
            wanted = [index for index in column_indexes if index < self.count]
            present = [index for index in wanted if fold(self.schema.names[index]) in names]
            scanned = [names[fold(self.schema.names[index])] for index in present]
            for batch in reader.scan(scanned, self.filter):
                if not column_indexes:
                    yield batch
                    continue
                arrays = [self._array(index, present, batch, table.path) for index in column_indexes]
                yield pa.RecordBatch.from_arrays(
                    arrays, schema=pa.schema([self.schema.field(index) for index in column_indexes])
                )

    def filtered(self, column_indexes: list[int], condition: pc.Expression) -> Iterator[pa.RecordBatch]:
        columns = [self.schema.names[index] for index in column_indexes]
        for table in self.tables:
            yield from FlacDataset(table.now()).scanner(columns=columns, filter=condition).to_reader()

    def _array(self, index: int, present: list[int], batch: pa.RecordBatch, path: str) -> pa.Array:
        kind = self.schema.field(index).type
        if index >= self.count:
            return pa.repeat(pa.scalar(path, kind), batch.num_rows)
        if index not in present:
            return pa.nulls(batch.num_rows, kind)
        values = batch.column(present.index(index))
        return values if values.type == kind else values.cast(kind)


def _fields(tables: Sequence[NamedTable], *, union: bool) -> list[pa.Field]:
    """The columns of all files together; SchemaError if they cannot be."""
    fields: dict[str, pa.Field] = {}
    for table in tables:
        own = {fold(each.name): each for each in table.bound.schema.to_arrow().remove_metadata()}
        if not union and table is not tables[0]:
            missing = next((each.name for key, each in fields.items() if key not in own), None)
            if missing is not None:
                raise SchemaError(
                    f"there is no column {missing}, which {tables[0].path} has",
                    file=table.path,
                    remedy="Pass union_by_name := true to have NULL there.",
                )
        for key, each in own.items():
            if key in fields:
                fields[key] = _together(fields[key], each, table.path, widen=union)
            elif union or table is tables[0]:
                fields[key] = pa.field(each.name, each.type)
    return list(fields.values())


def _together(one: pa.Field, other: pa.Field, path: str, *, widen: bool) -> pa.Field:
    if one.type == other.type:
        return one
    if widen and {one.type, other.type} == {pa.int64(), pa.float64()}:
        return pa.field(one.name, pa.float64())
    raise SchemaError(
        f"the column is {other.type} here, and {one.type} in a file before it",
        file=path,
        place=f"column {one.name}",
        remedy="Scan the files by themselves, and join them by UNION ALL with a CAST.",
    )


def _same_columns(table: NamedTable, fields: Sequence[pa.Field]) -> bool:
    own = table.bound.schema.to_arrow().remove_metadata()
    return bool(own.names == [each.name for each in fields] and own.types == [each.type for each in fields])
