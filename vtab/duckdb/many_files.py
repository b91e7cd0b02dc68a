"""Several files as one table: globs, lists of paths, folders, ``union_by_name`` and ``filename``.

The columns are those of the first file. Each other one must have them, with the same types; what it has more
is left out. With ``union_by_name`` they are those of all files, with NULL where a file has none. Behind them
come the name of the file and the keys of its folders, see :mod:`~audiomem_sql.vtab.duckdb.hive`; files of
which these say that they have no row for a condition are not read.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs as fs

from audiomem_sql.columns.column import fold
from audiomem_sql.columns.types import STORED_MARK, is_stored
from audiomem_sql.errors import AudioMemError, NotAudioMemoryError, QueryError, SchemaError
from audiomem_sql.machine.urls import is_url
from audiomem_sql.scan.arrow_expression import names_in, parse_expression
from audiomem_sql.shards import is_sharded
from audiomem_sql.table.arrow_dataset import FlacDataset
from audiomem_sql.table.arrow_form import STORED_FORM
from audiomem_sql.vtab.duckdb.files_ahead import may_read_ahead, one_after_another
from audiomem_sql.vtab.duckdb.hive import hive_columns
from audiomem_sql.vtab.duckdb.source import NamedTable, Source, open_table

_MAGIC = "*?["
_TYPE = b"audiomem:type"


def is_pattern(path: str) -> bool:
    """Whether a path is a glob, and no file is called so; or a folder that is no table. A URL is neither."""
    if is_url(path):
        return False
    if os.path.lexists(path):
        return os.path.isdir(path) and not is_sharded(path)
    return any(letter in path for letter in _MAGIC)


def tables_of(pattern: str) -> Iterator[tuple[str, AudioMemError | None]]:
    """The tables that a glob finds, sorted by their paths, and why each cannot be opened, if it cannot.

    Files that hold sound are left out. ``**`` stands for any number of folders. A folder stands for all
    tables in it and in the folders below it. What is part of a table is then none of its own.
    """
    is_folder = os.path.isdir(pattern)
    found = _below(pattern) if is_folder else glob.glob(pattern, recursive=True)
    for path in sorted(found):
        if os.path.isdir(path) and not is_sharded(path):
            continue
        if "**" in pattern and _is_part(path):
            continue
        try:
            open_table(path)
        except NotAudioMemoryError:
            continue
        except AudioMemError as error:
            yield path, error
        else:
            yield path, None


def _below(folder: str) -> list[str]:
    """What may be tables in a folder and below it; what is part of a table is not."""
    names = os.path.join(glob.escape(folder), "**", "*")
    paths = [path for ending in ("flac", "shards") for path in glob.glob(f"{names}.{ending}", recursive=True)]
    return [path for path in paths if not _is_part(path)]


def _is_part(path: str) -> bool:
    """Whether a path is that of a shard, or of a delta of a table beside its folder."""
    folder = os.path.dirname(path)
    return is_sharded(folder) or (folder.endswith(".d") and os.path.lexists(folder.removesuffix(".d")))


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
    paths: Sequence[str],
    version: Any,
    as_of: Any,
    filter: str | None,
    *,
    union: bool,
    filename: bool,
    hive: bool | None = None,
    autocast: bool = True,
    hive_types: Mapping[str, str] | None = None,
) -> Source:
    """The rows of several tables, one after the other.

    union, filename, hive, autocast: the arguments ``union_by_name``, ``filename``, ``hive_partitioning`` and
    ``hive_types_autocast``. hive_types: the types of some keys.
    """
    keys = hive_columns(paths, hive, typed=autocast, types=hive_types)
    tables = [NamedTable(path, version, as_of) for path in paths]
    fields = _fields(tables, union=union)
    for table in tables:
        table.bound.scan([], filter)  # a filter that is wrong is refused at once
    count = len(fields)
    constants: dict[int, list[pa.Scalar[Any]]] = {}
    if filename:
        taken = {fold(each.name) for each in fields} | {fold(key) for key in keys}
        name = "filename"
        while fold(name) in taken:
            name = f"_{name}"
        constants[len(fields)] = [pa.scalar(path) for path in paths]
        fields.append(pa.field(name, pa.string()))
    places = {fold(each.name): place for place, each in enumerate(fields[:count])}
    for key, values in keys.items():  # one takes the place of a column of the files
        place = places.get(fold(key), len(fields))
        fields[place : place + 1] = [
            pa.field(fields[place].name if place < len(fields) else key, values[0].type)
        ]
        constants[place] = values
    files = _Files(tables, pa.schema(fields), constants, filter)
    rows = sum(len(table.bound) for table in tables) if filter is None else None
    same = not constants and all(_same_columns(table, fields) for table in tables)
    return Source(
        lambda: files.schema,
        files.batches,
        rows=rows,
        tables=tuple(table.bound for table in tables) if same and filter is None else (),
        filtered=files.filtered,
        constant_columns=frozenset(constants),
    )


@dataclass(frozen=True, slots=True)
class _Files:
    tables: Sequence[NamedTable]
    schema: pa.Schema
    #: By the index of a column that no file has: its value for each.
    constants: dict[int, list[pa.Scalar[Any]]]
    filter: str | None

    def batches(self, column_indexes: list[int]) -> Iterator[pa.RecordBatch]:
        return self._of_all(range(len(self.tables)), column_indexes, None)

    def filtered(
        self, column_indexes: list[int], condition: pc.Expression, on_files: pc.Expression | None = None
    ) -> Iterator[pa.RecordBatch]:
        """The batches of files that may have rows for which ``condition`` is true.

        on_files: a condition that is true wherever that one is, and speaks of columns of files only.
        """
        if on_files is None and self._is_of_files(condition):
            on_files = condition
        return self._of_all(self._files_for(condition), column_indexes, on_files)

    def _of_all(
        self, numbers: Iterable[int], column_indexes: list[int], condition: pc.Expression | None
    ) -> Iterator[pa.RecordBatch]:
        files = [partial(self._of, number, column_indexes, condition) for number in numbers]
        return one_after_another(files, ahead=may_read_ahead(table.bound for table in self.tables))

    def _of(
        self, number: int, column_indexes: list[int], condition: pc.Expression | None
    ) -> Iterator[pa.RecordBatch]:
        """The rows of one file that may pass a condition on columns of its own."""
        reader = self.tables[number].now()
        names = {fold(name): name for name in reader.schema.names}
        present = [
            index
            for index in column_indexes
            if index not in self.constants and fold(self.schema.names[index]) in names
        ]
        scanned = [names[fold(self.schema.names[index])] for index in present]
        if (
            condition is None
            or self.filter is not None
            or not self._applies(condition, reader.schema.to_arrow())
        ):
            batches: Iterator[pa.RecordBatch] = reader.scan(scanned, self.filter, whole=True)
        else:
            rows = FlacDataset(reader, form=STORED_FORM)
            batches = rows.scanner(columns=scanned, filter=condition).to_batches()
        schema = pa.schema([self.schema.field(index) for index in column_indexes])
        for batch in batches:
            if column_indexes:
                arrays = [self._array(index, present, batch, number) for index in column_indexes]
                batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
            yield batch

    def _array(self, index: int, present: list[int], batch: pa.RecordBatch, number: int) -> pa.Array:
        kind = self.schema.field(index).type
        if index in self.constants:
            return pa.repeat(self.constants[index][number], batch.num_rows)
        if index not in present:
            return pa.nulls(batch.num_rows, kind)
        values = batch.column(present.index(index))
        return values if values.type == kind else values.cast(kind)

    def _is_of_files(self, condition: pc.Expression) -> bool:
        """Whether a condition is known to speak of columns of files only."""
        names = self._names(condition)
        given = {self.schema.names[index] for index in self.constants}
        return names is not None and not names & given

    def _applies(self, condition: pc.Expression, own: pa.Schema) -> bool:
        """Whether a condition means the same for the columns of a file as for those of all."""
        names = self._names(condition) or set()
        return bool(names) and all(
            name in own.names
            and own.field(name).type == self.schema.field(name).type
            and _logical(own.field(name)) == _logical(self.schema.field(name))
            for name in names
        )

    @staticmethod
    def _names(condition: pc.Expression) -> set[str] | None:
        node = parse_expression(condition)
        return None if node is None else names_in(node)

    def _files_for(self, condition: pc.Expression) -> list[int]:
        """The numbers of the files that may have rows for a condition: Arrow knows it of its partitions."""
        everything = list(range(len(self.tables)))
        names = self._names(condition)
        known = {self.schema.names[index]: values for index, values in self.constants.items()}
        if names is not None and not names & known.keys():
            return everything
        layout, here = ds.IpcFileFormat(), fs.LocalFileSystem()
        fragments = []
        for number in everything:
            partition = pc.scalar(True)
            for name, values in known.items():
                value = values[number]
                equal = pc.field(name) == value if value.is_valid else pc.field(name).is_null()
                partition = partition & equal
            fragments.append(layout.make_fragment(str(number), here, partition))
        partitioned = ds.FileSystemDataset(fragments, self.schema, layout, here)
        try:
            return [int(each.path) for each in partitioned.get_fragments(filter=condition)]
        except pa.ArrowException:
            return everything


def _fields(tables: Sequence[NamedTable], *, union: bool) -> list[pa.Field]:
    """The columns of all files together; SchemaError if they cannot be."""
    fields: dict[str, pa.Field] = {}
    for table in tables:
        own = {fold(each.name): each for each in table.bound.schema.to_arrow()}
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
                logical = _logical(each)
                metadata = None if logical is None else {_TYPE: logical, **STORED_MARK}
                fields[key] = pa.field(each.name, each.type, metadata=metadata)
    return list(fields.values())


def _together(one: pa.Field, other: pa.Field, path: str, *, widen: bool) -> pa.Field:
    if one.type == other.type and _logical(one) == _logical(other):
        return one
    if widen and {one.type, other.type} == {pa.int64(), pa.float64()}:
        return pa.field(one.name, pa.float64())
    raise SchemaError(
        f"the column is {_said(other)} here, and {_said(one)} in a file before it",
        file=path,
        place=f"column {one.name}",
        remedy="Scan the files by themselves, and join them by UNION ALL with a CAST.",
    )


def _logical(field: pa.Field) -> bytes | None:
    """The name of the logical type of a column; None if it has none."""
    metadata = field.metadata or {}
    return metadata.get(_TYPE) if is_stored(metadata) else None


def _said(field: pa.Field) -> str:
    logical = _logical(field)
    return str(field.type) if logical is None else logical.decode()


def _same_columns(table: NamedTable, fields: Sequence[pa.Field]) -> bool:
    own = table.bound.schema.to_arrow()
    return (
        own.names == [each.name for each in fields]
        and own.types == [each.type for each in fields]
        and list(map(_logical, own)) == list(map(_logical, fields))
    )
