"""Files of rows into a table: a new one, or one that is there, in one commit."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from typing import IO, Any, cast

import pyarrow as pa

from audiomem_sql.columns.arrow_input import schema_of_arrow
from audiomem_sql.columns.column import Column, fold, quote
from audiomem_sql.columns.schema import Schema, parse_columns
from audiomem_sql.errors import AudioMemError, OptionError, SchemaError, StorageError, did_you_mean
from audiomem_sql.importing.bad_lines import REFUSE, BadLines
from audiomem_sql.importing.contract import MisfitError, Opener, RowSource, Wishes
from audiomem_sql.importing.draft import draft
from audiomem_sql.importing.inputs import Inputs, inputs_of
from audiomem_sql.importing.rows import Rows, UnsortedError
from audiomem_sql.machine.file_names import is_there
from audiomem_sql.machine.urls import is_url
from audiomem_sql.table.sharded_creation import options_at, takes_shards
from audiomem_sql.table.table import Table

#: Level of zstd that a new table is written with, unless its options say another: that of pyarrow's Parquet.
#: A vacuum packs it harder.
COMPRESSION_LEVEL = 1
#: Bytes of files whose rows are a commit in the log, if there are few.
_SMALL_BYTES = 1 << 20
_MODULES = {
    "csv": "delimited",
    "tsv": "delimited",
    "json": "json_files",
    "jsonl": "json_files",
    "parquet": "parquet",
    "xlsx": "workbook",
    "sqlite": "sqlite_file",
    "duckdb": "duckdb_file",
}

#: Called with the bytes of the files that are read, and all of them; None where that is not known yet.
Told = Callable[[int, int | None], object]


@dataclass(frozen=True, slots=True)
class Order:
    """How files are imported; the options of ``audiomem import``.

    types: definitions by column, such as ``DOUBLE``. append: to a table that is there. bad_lines: the file
    for lines that are kept.
    """

    key: str | None = None
    types: Mapping[str, str] | None = None
    append: bool = False
    on_bad_line: str = REFUSE
    bad_lines: str | None = None
    format: str | None = None
    table: str | None = None
    header: bool = True
    options: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """What was imported. columns: of the table, as SQL has them. bytes: of the files that were read."""

    file: str
    kind: str
    files: int
    bytes: int
    rows: int
    version: int
    columns: Sequence[str]
    bad_lines: int
    first_bad_line: str | None
    bad_lines_file: str | None

    def facts(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)


def import_files(
    sources: Sequence[str],
    target: str | os.PathLike[str],
    order: Order | None = None,
    *,
    stdin: IO[bytes] | None = None,
    told: Told | None = None,
) -> Imported:
    """Read ``sources``, files, folders, globs or ``-``, into the table at ``target``, in one commit.

    The columns are those of the files; each has a type that holds all its values without loss. After an
    error, and when the process is killed, there is no new table, and one that is there is as it was.

    Raises OptionError for options that contradict the files or each other, SchemaError for columns that the
    table does not have, DataTypeError for bad lines and values, naming the file and the place, StorageError
    for a file that is not there or changed, MissingExtraError for a package that reads such files.
    """
    order, path = order or Order(), os.fspath(target)
    tell = told or (lambda done, total: None)
    if order.append and (order.key or order.types or order.options):
        raise OptionError(
            "--key, --types and options are those of a new table", remedy="Leave them out with --append."
        )
    if not order.append and not is_url(path) and is_there(path):
        raise StorageError(
            "the file exists already", file=path, remedy="Choose another name, or add rows: --append."
        )
    with contextlib.ExitStack() as stack:
        inputs = stack.enter_context(inputs_of(sources, order.format, stdin, lambda count: tell(count, None)))
        place = order.bad_lines or f"{path.removesuffix('.flac')}.bad{inputs.suffix}"
        bad = stack.enter_context(BadLines(order.on_bad_line, place if order.on_bad_line == "keep" else None))
        if order.append:
            table = stack.enter_context(Table(path))
            return _Work(inputs, order, path, bad, tell).appended(table)
        return _Work(inputs, order, path, bad, tell).created()


class _Work:
    """One import."""

    def __init__(self, inputs: Inputs, order: Order, path: str, bad: BadLines, tell: Told) -> None:
        self._inputs, self._order, self._path, self._bad, self._tell = inputs, order, path, bad, tell
        self._message = f"imported from {inputs.label}"

    def created(self) -> Imported:
        """A new table with the rows."""
        order = self._order
        declared = _declared(order.types or {})
        options = {"compression_level": str(COMPRESSION_LEVEL), **(order.options or {})}

        def write(source: RowSource, fields: pa.Schema, wishes: Wishes) -> Imported:
            schema = self._schema(source, fields, declared)
            rows = self._rows(source, fields, schema, wishes)
            if is_url(self._path) or takes_shards(options_at(self._path, options)):
                table = Table.create(self._path, schema, options)
                try:
                    version = table.append_stream(rows, message=self._message)
                except BaseException:
                    table.take_back_creation()
                    raise
                table.close()
            else:
                with draft(self._path) as place, Table.create(place, schema, options) as table:
                    version = table.append_stream(rows, message=self._message)
                    table.close()
            return self._done(rows, schema, version)

        return self._attempted(declared, write)

    def appended(self, table: Table) -> Imported:
        """The rows in a table that is there."""
        declared = {fold(column.name): column for column in table.schema.columns}

        def write(source: RowSource, fields: pa.Schema, wishes: Wishes) -> Imported:
            unknown = [name for name in fields.names if name not in table.schema]
            if unknown:
                raise SchemaError(
                    f"the table has no column {', '.join(unknown)}",
                    file=self._inputs.label,
                    remedy=f"{did_you_mean(unknown[0], table.schema.names)}Its columns are "
                    f"{', '.join(table.schema.names)}.",
                )
            rows = self._rows(source, fields, table.schema, wishes)
            if self._inputs.size <= _SMALL_BYTES:
                version = table.append(rows.to_table(), message=self._message)
            else:
                version = table.append_stream(rows, message=self._message)
            return self._done(rows, table.schema, version)

        return self._attempted(declared, write)

    def _attempted(
        self,
        declared: Mapping[str, Column],
        write: Callable[[RowSource, pa.Schema, Wishes], Imported],
    ) -> Imported:
        """Write with the columns that the first rows tell; if others differ, with those that all tell."""
        wishes = Wishes(declared, self._order.table, self._order.header)
        whole = False
        while True:
            with self._opened(wishes) as source:
                fields = source.schema(whole)
                self._check_declared(declared, fields)
                try:
                    return write(source, fields, wishes)
                except MisfitError:
                    if whole:
                        raise StorageError(
                            "the file changed while it was read",
                            file=self._inputs.label,
                            remedy="Import it again when nobody writes to it; nothing was imported.",
                        ) from None
                    whole = True
                except UnsortedError as error:
                    wishes = replace(wishes, sorted_by=error.column)
                except AudioMemError as error:
                    raise self._placed(error) from error.__cause__

    def _opened(self, wishes: Wishes) -> contextlib.AbstractContextManager[RowSource]:
        module = import_module(f"audiomem_sql.importing.{_MODULES[self._inputs.kind]}")
        opener = cast(Opener, module.open_rows)
        return cast("contextlib.AbstractContextManager[RowSource]", opener(self._inputs, wishes, self._bad))

    def _check_declared(self, declared: Mapping[str, Column], fields: pa.Schema) -> None:
        """OptionError for a type of a column that is not there."""
        there = {fold(name) for name in fields.names}
        for name, column in () if self._order.append else declared.items():
            if name not in there:
                raise OptionError(
                    f"there is no column {column.name}",
                    file=self._inputs.label,
                    remedy=f"{did_you_mean(column.name, fields.names)}The columns are "
                    f"{', '.join(fields.names)}.",
                )

    def _schema(self, source: RowSource, fields: pa.Schema, declared: Mapping[str, Column]) -> Schema:
        """The columns of the new table."""
        key = self._key_of(source)
        shown = pa.schema(
            [pa.field(f.name, pa.string()) if fold(f.name) in declared else f for f in fields],
            fields.metadata,
        )
        with _named(self._inputs.label):
            schema = schema_of_arrow(shown, key)
            return schema.changed(
                [
                    replace(column, type=declared[fold(column.name)].type)
                    if fold(column.name) in declared
                    else column
                    for column in schema.columns
                ]
            )

    def _key_of(self, source: RowSource) -> str | None:
        """The key of a new table: that of the order, or of the source."""
        return self._order.key or source.key

    def _rows(self, source: RowSource, fields: pa.Schema, table: Schema, wishes: Wishes) -> Rows:
        key = None if table.rowid_column is None else fold(table.columns[table.rowid_column].name)
        sortable = [item.name for item in fields if fold(item.name) == key and pa.types.is_integer(item.type)]
        sorted_by = sortable[0] if sortable and source.sorts and wishes.sorted_by is None else None
        return Rows(source, fields, table, self._inputs, sorted_by, self._tell)

    def _placed(self, error: AudioMemError) -> AudioMemError:
        """An error of a value names the file that it is in, and rows are counted from 1."""
        kind, number = (error.place or "").partition("row ")[::2]
        if not kind and number.isdigit() and error.file == self._path:
            error.file, error.place = None, f"row {int(number) + 1}"
            error.at(file=self._inputs.label)
        return error

    def _done(self, rows: Rows, schema: Schema, version: int) -> Imported:
        return Imported(
            self._path,
            self._inputs.kind,
            len(self._inputs.files),
            self._inputs.size,
            rows.count,
            version,
            [column.sql() for column in schema.visible.columns],
            self._bad.count,
            self._bad.first,
            self._bad.path,
        )


def _declared(types: Mapping[str, str]) -> dict[str, Column]:
    """Columns of the types that the user says. OptionError for what is no type."""
    found: dict[str, Column] = {}
    for name, definition in types.items():
        try:
            (column,) = parse_columns([f"{quote(name)} {definition}"]).columns
        except SchemaError as error:
            raise OptionError(f"--types {name}={definition}: {error.what}", remedy=error.remedy) from None
        found[fold(name)] = column
    return found


@contextlib.contextmanager
def _named(label: str) -> Iterator[None]:
    """Errors of columns name the file that they come from."""
    try:
        yield
    except AudioMemError as error:
        error.at(file=label)
        raise
