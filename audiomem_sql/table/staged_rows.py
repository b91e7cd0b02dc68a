"""Rows that several processes write to one commit: each stages files of its own, and one commits them all.

What is staged lies in a folder beside the table, and is no part of it: encoded segments of the shards of a
sharded table, and Arrow files of what the commit encodes. The commit takes the files that are named to it;
the folder is removed with those of processes that failed. What a commit that never came left behind is
removed by a later write, a vacuum, or ``remove_staged``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.arrow_input import to_table
from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import AudioMemError, ConstraintError, InFile, OptionError, StorageError
from audiomem_sql.machine.durable import fsync_folder, storage_error
from audiomem_sql.machine.urls import is_url
from audiomem_sql.scan import filters_of_text
from audiomem_sql.shards import ShardedSnapshot, is_sharded
from audiomem_sql.storage.segment import ROWID
from audiomem_sql.table.reader import TableReader
from audiomem_sql.table.shard_encoder import EXTENSION, ShardEncoder
from audiomem_sql.table.sharded_creation import options_at, takes_shards
from audiomem_sql.table.staging import ABANDONED_SECONDS, remove_staged, staging_folder
from audiomem_sql.table.table import Table
from audiomem_sql.versions import APPLICATION, REMOVED, Snapshot, known_sources
from audiomem_sql.writing.appending import NO_ROWIDS, matching_rowids

#: Bytes of values that a task holds before it encodes them.
HELD_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Batch:
    """Which rows these are: a batch of an application, which is committed once."""

    application: str
    number: int

    @property
    def source(self) -> str:
        """The name that the table keeps it under."""
        return APPLICATION + self.application


@dataclass(frozen=True, slots=True)
class StagedRows:
    """A write that has begun: to the table at ``path``, with files in ``folder``.

    schema: the columns of the table. overwrite: rows are replaced, all of them, or those that ``where``
    passes; it must pass the new ones, too. encoder: encodes rows as they are staged, see :meth:`encoding`.
    """

    path: str
    folder: str
    schema: Schema
    overwrite: bool = False
    where: str | None = None
    encoder: ShardEncoder | None = None

    @classmethod
    def begin(
        cls,
        path: str,
        schema: Schema,
        *,
        overwrite: bool = False,
        where: str | None = None,
        staging: str | None = None,
    ) -> StagedRows:
        """Make the folder, and remove those that were abandoned. StorageError where it cannot be made.

        staging: a folder that all processes see, by default one beside the table.
        """
        if where is not None:
            if not overwrite:
                raise OptionError(
                    "replacewhere replaces rows", file=path, remedy="Write with mode overwrite."
                )
            with InFile(path):
                filters_of_text(where, (), schema)
        parent = staging or staging_folder(path)
        if staging is None:
            remove_staged(path, ABANDONED_SECONDS)
        try:
            os.makedirs(parent, exist_ok=True)
            folder = tempfile.mkdtemp(prefix="write-", dir=parent)
        except OSError as error:
            raise storage_error(error, parent) from error
        return cls(path, folder, schema, overwrite, where)

    def encoding(self, options: Mapping[str, Any] | None = None) -> StagedRows:
        """The same, with rows encoded where they are staged, if the table has shards and lets it.

        options: of a new table. It is made in the folder, and gets its name by :meth:`create`.
        """
        if options is None:
            if is_url(self.path) or not is_sharded(self.path):
                return self
            return replace(self, encoder=_encoder(self.path, self.path))
        options = options_at(self.path, options)
        if not takes_shards(options):
            return self
        draft = self._draft(self.folder)
        try:
            Table.create(draft, self.schema, options).close()
        except AudioMemError as error:
            error.file = None  # that of the draft
            error.at(file=self.path)
            raise
        return replace(self, encoder=_encoder(draft, self.path))

    def create(self, options: Mapping[str, Any], files: Sequence[str]) -> Table:
        """Make the table, in the state for which ``files`` were encoded if that can be."""
        for folder in dict.fromkeys([self.folder, *map(os.path.dirname, files)]):
            draft = self._draft(folder)
            if os.path.isdir(draft) and not os.path.lexists(self.path):
                try:
                    os.rename(draft, self.path)
                    fsync_folder(os.path.dirname(os.path.abspath(self.path)))
                except OSError:  # another disk, or another table is there
                    continue
                return Table(self.path)
        return Table.create(self.path, self.schema, options)

    def _draft(self, folder: str) -> str:
        """The path of a new table in a folder of staged rows."""
        return os.path.join(folder, os.path.basename(self.path.rstrip(os.sep)))

    def stage(self, batches: Iterable[pa.RecordBatch]) -> list[str]:
        """Write rows to files of the folder; their paths.

        Values are converted and checked as an append does it; the error names the row of the batch.
        """
        files: list[str] = []
        held: list[pa.Table] = []
        with _ArrowFile(self.folder) as others:
            for batch in batches:
                if not batch.num_rows:
                    continue
                with InFile(self.path):
                    table, _ = to_table(batch, self.schema)
                    self._check(table)
                held.append(table)
                if self.encoder is None or sum(each.nbytes for each in held) >= HELD_BYTES:
                    files += self._put(held, others)
                    held = []
            if held:
                files += self._put(held, others)
        return files + others.paths

    def _put(self, held: list[pa.Table], others: _ArrowFile) -> list[str]:
        """Encode rows, and put what is left to the commit to ``others``; the files of the former."""
        rows, files = pa.concat_tables(held), list[str]()
        if self.encoder is not None:
            with InFile(self.path):
                files, rows = self.encoder.encode(rows, self.folder)
        if rows.num_rows:
            others.add(rows)
        return files

    def _check(self, table: pa.Table) -> None:
        """ConstraintError for a row that the rows it replaces would not have had."""
        if self.where is None:
            return
        filters, row_filter = filters_of_text(self.where, (), self.schema)
        passed = np.ones(table.num_rows, bool)

        def load(number: int) -> pa.Array:
            if number == ROWID:
                raise OptionError("replacewhere names columns of the new rows, not rowids")
            return table.column(number).combine_chunks()

        for test in [*(item.passes for item in filters), row_filter]:
            if test is not None:
                passed &= test(load)
        if not passed.all():
            raise ConstraintError(
                f"a new row is not one that is replaced: replacewhere is {self.where}",
                place=f"row {int(np.flatnonzero(~passed)[0])}",
                remedy="Write these rows by themselves, or replace more.",
            )

    def commit(
        self, paths: Sequence[str], *, batch: Batch | None = None, message: str | None = None
    ) -> int | None:
        """Add the rows of the files ``paths``, in one version; None if ``batch`` was committed before."""
        rows = self.schema.to_arrow().empty_table()
        encoded = [path for path in paths if path.endswith(EXTENSION)]
        with contextlib.ExitStack() as stack:
            tables = []
            for path in paths:
                if path in encoded:
                    continue
                try:
                    staged = pa.ipc.open_file(stack.enter_context(pa.memory_map(path))).read_all()
                    # the same columns, whose stored values have the mark of this process
                    tables.append(pa.Table.from_arrays(staged.columns, schema=rows.schema))
                except (OSError, pa.ArrowInvalid) as error:
                    raise StorageError(
                        f"rows that a task staged cannot be read ({error})",
                        file=path,
                        remedy="Write them again.",
                    ) from error
            whole = pa.concat_tables([rows, *tables])
            with Table(self.path) as table:
                return _commit(table, whole, encoded, self, batch, message)

    def remove(self) -> None:
        """Remove what is staged."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(self.folder))


class _ArrowFile(contextlib.AbstractContextManager["_ArrowFile"]):
    """An Arrow file in a folder, which is made when the first rows come, and has its name at the end.

    paths: of itself, if there is one.
    """

    def __init__(self, folder: str) -> None:
        self.paths: list[str] = []
        self._target = os.path.join(folder, f"{os.urandom(8).hex()}.arrow")
        self._writer: pa.ipc.RecordBatchFileWriter | None = None

    def add(self, rows: pa.Table) -> None:
        """Append rows. StorageError if that cannot be done."""
        try:
            if self._writer is None:
                options = pa.ipc.IpcWriteOptions(compression="lz4")
                self._writer = pa.ipc.new_file(self._target + ".part", rows.schema, options=options)
            self._writer.write_table(rows)
        except OSError as error:
            raise storage_error(error, self._target) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is None:
            return
        try:
            self._writer.close()
            if kind is None:
                os.rename(self._target + ".part", self._target)
                self.paths.append(self._target)
        except OSError as failure:
            raise storage_error(failure, self._target) from failure


class _Repeated(AudioMemError):
    """The batch is in the table. It never leaves the module."""


def _encoder(place: str, path: str) -> ShardEncoder | None:
    """What encodes for the table at ``place``, which is to be at ``path``; None if nothing can."""
    with TableReader(place) as table:
        snapshot = table.snapshot
        assert isinstance(snapshot, ShardedSnapshot)
        return ShardEncoder.of(snapshot, path)


def _commit(
    table: Table,
    rows: pa.Table,
    encoded: Sequence[str],
    staged: StagedRows,
    batch: Batch | None,
    message: str | None,
) -> int | None:
    def deleted(snapshot: Snapshot) -> I64Array:
        if batch is not None and committed(_sources(snapshot), batch):
            raise _Repeated("the batch was committed before")
        if not staged.overwrite:
            return NO_ROWIDS
        return matching_rowids(snapshot, *filters_of_text(staged.where, (), snapshot.schema.visible))

    sources: Mapping[str, bytes] | None = None
    if batch is not None:
        sources = {batch.source: batch.number.to_bytes(16, "big")}
    try:
        return table.exchange(rows, deleted, sources=sources, message=message, encoded=encoded)
    except _Repeated:
        return None


def committed(sources: Mapping[str, bytes], batch: Batch) -> bool:
    """Whether a table that has ``sources`` has the batch, or a later one of the application."""
    last = sources.get(batch.source)
    return last not in (None, REMOVED) and int.from_bytes(last, "big") >= batch.number


def _sources(snapshot: Snapshot) -> Mapping[str, bytes]:
    if isinstance(snapshot, ShardedSnapshot):
        return snapshot.manifest.sources
    return known_sources(snapshot.segments, snapshot.logged)
