"""Rows of a table into a file, which has its name when all of them are in it."""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import IO, Any, cast

import pyarrow as pa

from audiomem_sql.errors import AudioMemError, InFile, OptionError, StorageError, did_you_mean
from audiomem_sql.exporting.contract import Shape, Writer
from audiomem_sql.importing.kinds import PACKED, kind_of_name
from audiomem_sql.machine.durable import fsync_folder, storage_error
from audiomem_sql.machine.urls import is_url
from audiomem_sql.table.reader import TableReader

STDOUT = "-"
#: A workbook with macros, which is read and not written.
_MACROS = ".xlsm"
#: Module, class and further arguments of what writes each kind.
_WRITERS: dict[str, tuple[str, str, tuple[Any, ...]]] = {
    "csv": ("delimited", "DelimitedWriter", (",",)),
    "tsv": ("delimited", "DelimitedWriter", ("\t",)),
    "json": ("json_lines", "JsonWriter", (True,)),
    "jsonl": ("json_lines", "JsonWriter", ()),
    "parquet": ("parquet", "ParquetWriter", ()),
    "xlsx": ("workbook", "WorkbookWriter", ()),
    "sqlite": ("sqlite_file", "SqliteWriter", ()),
    "duckdb": ("duckdb_file", "DuckDBWriter", ()),
}
#: Kinds that are written to a stream.
STREAMED = ("csv", "tsv", "json", "jsonl", "parquet")


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written. bytes: of the file, None for stdout."""

    file: str
    kind: str
    rows: int
    columns: Sequence[str]
    version: int
    bytes: int | None

    def facts(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)


def export_table(
    table: TableReader,
    target: str,
    *,
    kind: str | None = None,
    columns: Sequence[str] | None = None,
    where: str | None = None,
    name: str | None = None,
    stdout: IO[bytes] | None = None,
    told: Callable[[int, int | None], object] | None = None,
) -> Exported:
    """Write the rows of ``table`` to the file ``target``, which must be free, or ``-``, ``stdout``.

    kind: of the file, by default as its name says. columns, where: as of ``TableReader.scan``. name: of the
    table in a database, or the sheet. told: called with rows done and in all, None where that is not known.
    After an error there is no file. OptionError for a kind that is not known, SchemaError and QueryError for
    columns and filters, StorageError if something is there.
    """
    chosen, packing = kind_of(target, kind)
    batches = table.scan(columns, where, whole=True)  # what is wrong with columns and filter shows now
    whole = table.schema
    order = [whole[each] for each in (whole.names if columns is None else columns)]
    names = [column.name for column in order]
    arrow = whole.shown()
    fields = pa.schema([arrow.field(each) for each in names], arrow.metadata if columns is None else None)
    shape = Shape(name or table.name, order, fields)
    total = None if where is not None else len(table)
    rows = 0
    with _target(target, chosen, packing, shape, stdout) as writer:
        for batch in batches:
            writer.write(batch)
            rows += batch.num_rows
            if told is not None:
                told(rows, total)
    size = None if target == STDOUT else os.path.getsize(target)
    return Exported(target, chosen, rows, names, table.version, size)


def kind_of(target: str, kind: str | None) -> tuple[str, str | None]:
    """What is written to ``target``, and how it is compressed: ``.gz``, ``.zst`` or not at all."""
    named, packing = kind_of_name(target)
    chosen = kind or (None if target.lower().endswith(_MACROS) else named)
    known = ", ".join(_WRITERS)
    if chosen is None and target == STDOUT:
        raise OptionError("the format of stdout is not said", remedy="Say it: --format csv.")
    if chosen not in _WRITERS:
        what = f"there is no format {kind}" if kind else "the name does not say what is to be written"
        hint = did_you_mean(kind, _WRITERS) if kind else ""
        raise OptionError(what, file=target, remedy=f"{hint}--format is one of {known}.")
    if target == STDOUT and chosen not in STREAMED:
        raise OptionError(f"{chosen} is no stream", remedy="Name a file.")
    if packing and chosen not in PACKED:
        raise OptionError(f"{chosen} is not compressed again", file=target, remedy=f"Leave out {packing}.")
    return chosen, packing


@contextlib.contextmanager
def _target(
    target: str, kind: str, packing: str | None, shape: Shape, stdout: IO[bytes] | None
) -> Iterator[Writer]:
    module, name, more = _WRITERS[kind]
    opener = getattr(import_module(f"audiomem_sql.exporting.{module}"), name)
    if target == STDOUT:
        assert stdout is not None
        with _completed(cast(Writer, opener(stdout, shape, *more))) as writer:
            yield writer
        stdout.flush()
        return
    if is_url(target):
        raise OptionError("files are written, not URLs", file=target, remedy="Name a file, and upload it.")
    with InFile(target), _new_file(target) as path, contextlib.ExitStack() as stack:
        if kind in STREAMED:
            stream: Any = stack.enter_context(open(path, "wb"))
            if packing == ".gz":
                stream = stack.enter_context(gzip.GzipFile(fileobj=stream, mode="wb"))
            elif packing == ".zst":
                import zstandard

                stream = stack.enter_context(zstandard.ZstdCompressor().stream_writer(stream, closefd=False))
            writer = cast(Writer, opener(stream, shape, *more))
        else:
            writer = cast(Writer, opener(path, shape, *more))
        with _completed(writer):
            yield writer


@contextlib.contextmanager
def _completed(writer: Writer) -> Iterator[Writer]:
    """Complete the file behind the block; after an error let go of it."""
    try:
        yield writer
        writer.close()
    except BaseException:
        with contextlib.suppress(Exception):  # the first error is told
            writer.abandon()
        raise


@contextlib.contextmanager
def _new_file(target: str) -> Iterator[str]:
    """A path in a folder beside; behind the block it is at ``target``. After an error there is none."""
    if os.path.lexists(target):
        raise StorageError("the file exists already", file=target, remedy="Choose another name.")
    parent, name = os.path.split(os.path.abspath(target))
    try:
        folder = tempfile.mkdtemp(prefix=f".{name}.", suffix=".export", dir=parent)
    except OSError as error:
        raise storage_error(error, target) from error
    try:
        path = os.path.join(folder, name)
        yield path
        try:
            os.link(path, target)
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            os.rename(path, target)
        fsync_folder(parent)
    except AudioMemError:
        raise
    except OSError as error:
        raise storage_error(error, target) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
