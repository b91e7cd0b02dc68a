"""Rows that a database hands over vector by vector, into a new file.

:class:`FileWriter` runs the append of a table on a thread of its own, which takes batches from a queue that
holds a few: so neither all rows nor all blocks are in memory.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from audiomem_sql.columns.arrow_input import to_table
from audiomem_sql.columns.arrow_types import is_list
from audiomem_sql.errors import AudioMemError, OptionError, StorageError
from audiomem_sql.machine.durable import replace_durably
from audiomem_sql.shards import not_on_shards
from audiomem_sql.storage.segment import TableOptions
from audiomem_sql.table.sharded_creation import SHARD_OPTIONS, is_folder_name
from audiomem_sql.table.table import Table
from audiomem_sql.vtab.duckdb.replacing import Held, hold
from audiomem_sql.vtab.duckdb.vectors import BOOLEAN
from audiomem_sql.writing.streaming import STREAM_ROWS

#: Batches that wait for the thread that writes.
_WAITING = 4
#: In front of the name of a file that DuckDB puts in the place of another one when it is written.
_TEMPORARY = "tmp_"


@dataclass(frozen=True)
class NewTable:
    """What a file is to become.

    primary_key, semantic: as in ``write_flac``. options: see TableOptions, and those of a sharded table. What
    is called ``.shards`` becomes one.
    """

    schema: pa.Schema
    primary_key: str | None = None
    semantic: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, schema: pa.Schema, options: Mapping[str, Any], own: str) -> NewTable:
        """The table with the columns of ``schema`` and the options of a statement.

        options: ``primary_key``, ``semantic``, and those of TableOptions. own: one that the statement took
        already. Raises what ``write_flac`` raises, as far as it can be told without rows.
        """
        rest = dict(options)
        TableOptions.check_names(rest, ("primary_key", "semantic", *SHARD_OPTIONS, own))
        key, semantic = rest.pop("primary_key", None), rest.pop("semantic", [])
        if isinstance(key, list):
            key = key[0] if len(key) == 1 else ", ".join(map(str, key))
        names = [semantic] if isinstance(semantic, str) else list(semantic)
        made = cls(schema, key, names, rest)
        TableOptions.parse({name: value for name, value in rest.items() if name not in SHARD_OPTIONS})
        if not any(_tells_no_width(each.type) for each in schema):
            to_table(schema.empty_table(), None, key, names)
        return made

    def create(self, path: str, rows: pa.RecordBatch) -> Table:
        """The empty table at ``path``, which must be free. rows: the first ones, which tell widths."""
        _, schema = to_table(rows, None, self.primary_key, self.semantic)
        return Table.create(path, schema, self._options_at(path))

    def _options_at(self, path: str) -> Mapping[str, Any]:
        """The options of a table at ``path``. OptionError for shards of a file."""
        if is_folder_name(path):
            return self.options
        given = next((name for name in SHARD_OPTIONS if name in self.options), None)
        if given is not None:
            raise OptionError(
                f"{given} is for sharded tables, and this is a file",
                file=path,
                remedy="Call it .shards: COPY … TO 'kb.shards' (FORMAT audiomem, SHARDS 16).",
            )
        return self.options


class Stopped(Exception):
    """Nobody wants the rows any more. It never leaves this module."""


class FileWriter:
    """The rows of one file, in the order in which they are written.

    Several threads may write. A file that is there is replaced when all rows are written, and stays as it was
    after any error.
    """

    def __init__(self, table: NewTable, path: str) -> None:
        self._table = table
        self._path = path
        if is_folder_name(path) and os.path.lexists(path):
            raise not_on_shards("takes no other's place", path, "Drop that first, or choose another name.")
        self._made = _beside(path) if os.path.lexists(path) else path
        self._queue: queue.Queue[pa.RecordBatch | None] = queue.Queue(_WAITING)
        self._waiting: list[pa.RecordBatch] = []
        self._lock = threading.Lock()
        self._stopped = False
        self._error: BaseException | None = None
        self._held: Held | None = None
        self._finished = False
        self._thread = threading.Thread(target=self._run, name="audiomem COPY", daemon=True)
        self._thread.start()

    def write(self, rows: pa.RecordBatch) -> None:
        """Take rows; what went wrong with earlier ones is raised."""
        with self._lock:
            self._waiting.append(rows)
            if sum(map(len, self._waiting)) >= STREAM_ROWS:
                self._hand_over()

    def finish(self) -> None:
        """Make the file whole and durable, and put it in its place."""
        with self._lock:
            self._hand_over()
            self._put(None)
        self._thread.join()
        self._raise()
        self._held = _place(self._made, self._path)
        self._finished = True

    def close(self) -> None:
        """After ``finish`` let others write to the table; before it, leave everything as it was."""
        if self._held is not None:
            self._held.release()
            self._held = None
        if self._finished:
            return
        self._finished = True
        self._stopped = True
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)
        self._thread.join()
        if self._error is None or self._made != self._path:
            with contextlib.suppress(OSError):
                if os.path.isdir(self._made):
                    shutil.rmtree(self._made)
                else:
                    os.unlink(self._made)

    # -- inside ----------------------------------------------------------------------------------------------

    def _hand_over(self) -> None:
        if self._waiting:
            rows = pa.Table.from_batches(self._waiting, self._table.schema).combine_chunks()
            self._waiting = []
            for batch in rows.to_batches():
                self._put(batch)

    def _put(self, item: pa.RecordBatch | None) -> None:
        while self._error is None:
            try:
                self._queue.put(item, timeout=0.1)
            except queue.Full:
                continue
            return
        self._raise()

    def _raise(self) -> None:
        if self._error is None:
            return
        error = self._error
        if isinstance(error, AudioMemError) and error.file in (None, self._made):
            raise type(error)(error.what, file=self._path, place=error.place, remedy=error.remedy) from error
        raise error

    def _run(self) -> None:
        """What the thread does."""
        try:
            batches = self._batches()
            first = next(batches, None)
            example = self._table.schema.empty_table().to_batches()
            rows = first if first is not None else (example or [_no_rows(self._table.schema)])[0]
            table = self._table.create(self._made, rows)
            try:
                if first is not None:
                    self._append(table, first, batches)
            except BaseException:
                table.take_back_creation()
                raise
            table.close()
        except BaseException as error:
            self._error = error

    def _append(self, table: Table, first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> None:
        rows, is_folder = Rows(self._table.schema, first, rest), is_folder_name(self._path)
        if is_folder or self._table.primary_key is not None or any(map(_is_dictionary, self._table.schema)):
            table.append(pa.Table.from_batches(list(rows), self._table.schema))
        else:
            table.append_stream(rows)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        while True:
            batch = self._queue.get()
            if self._stopped:
                raise Stopped
            if batch is None:
                return
            yield batch


class Rows:
    """Rows that can be read once, with what a stream of an append needs of a dataset."""

    def __init__(self, schema: pa.Schema, first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> None:
        self.schema = schema
        self._first = first
        self._rest = rest

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        yield self._first
        yield from self._rest

    def scanner(self, **_options: Any) -> Rows:
        """What reads the rows: this object itself."""
        return self

    def to_reader(self) -> pa.RecordBatchReader:
        """All rows, once."""
        return pa.RecordBatchReader.from_batches(self.schema, iter(self))


def write_batches(table: NewTable, path: str, batches: Sequence[pa.RecordBatch], *, overwrite: bool) -> int:
    """Write rows that are all there to a file; their number. StorageError if it exists, unless it may."""
    if not overwrite and os.path.lexists(path):
        raise StorageError(
            "the file exists already",
            file=path,
            remedy="Choose another name, or pass {'overwrite': true} as the third argument.",
        )
    writer = FileWriter(table, path)
    try:
        for batch in batches:
            writer.write(batch)
        writer.finish()
    finally:
        writer.close()
    return sum(map(len, batches))


def option_values(options: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Options of a statement by their names in small letters; values of types that no option has are text."""
    values: dict[str, Any] = {}
    for name, value in options:
        if value is None:
            raise OptionError(f"option {name.lower()} has no value", remedy="Write it behind the name.")
        items = value if isinstance(value, list) else [value]
        plain = [_plain(item) for item in items]
        values[name.lower()] = plain if isinstance(value, list) else plain[0]
    return values


def _plain(value: Any) -> Any:
    """A value of an option; C passes (type, text) for those that are neither integers nor text."""
    if not isinstance(value, tuple):
        return value
    return value[1] == "true" if value[0] == BOOLEAN else value[1]


def _place(made: str, path: str) -> Held | None:
    """Put what was made in its place.

    Where DuckDB will do so afterwards, the table that it will replace is made ready. DuckDB does not say
    which one that is: it writes to ``tmp_x.flac`` if there is an ``x.flac``.
    """
    if made != path:
        held = hold(path)
        try:
            replace_durably(made, path)
        finally:
            held.release()
        return None
    folder, name = os.path.split(path)
    target = os.path.join(folder, name.removeprefix(_TEMPORARY))
    return hold(target) if name.startswith(_TEMPORARY) and os.path.lexists(target) else None


def _beside(path: str) -> str:
    """A free name beside ``path``, of none that a writer of the table there sweeps up."""
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.join(folder, f".{name}.{os.urandom(4).hex()}.copy")


def _tells_no_width(data_type: pa.DataType) -> bool:
    return is_list(data_type) and not pa.types.is_fixed_size_list(data_type)


def _is_dictionary(item: pa.Field) -> bool:
    return bool(pa.types.is_dictionary(item.type))


def _no_rows(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema)
