"""Rows that several processes write to one commit: each stages files of its own, and one commits them all.

What is staged lies in a folder beside the table, as Arrow files, and is no part of the table. The commit
takes the files that are named to it; the folder is removed with those of processes that failed. What a commit
that never came left behind is removed by a later write, or by :func:`remove_staged`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.arrow_input import to_table
from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import AudioMemError, ConstraintError, InFile, OptionError, StorageError
from audiomem_sql.machine.durable import storage_error
from audiomem_sql.machine.urls import is_url
from audiomem_sql.scan import filters_of_text
from audiomem_sql.shards import ShardedSnapshot
from audiomem_sql.storage.segment import ROWID
from audiomem_sql.table.table import Table
from audiomem_sql.versions import Snapshot, known_sources
from audiomem_sql.writing.appending import NO_ROWIDS, matching_rowids

#: Seconds after which a folder of staged rows that nobody writes to belongs to nobody.
ABANDONED_SECONDS = 24 * 3600
#: The sources that keep which batch of an application was committed last.
_APPLICATION = "application:"


@dataclass(frozen=True, slots=True)
class Batch:
    """Which rows these are: a batch of an application, which is committed once."""

    application: str
    number: int

    @property
    def source(self) -> str:
        """The name that the table keeps it under."""
        return _APPLICATION + self.application


@dataclass(frozen=True, slots=True)
class StagedRows:
    """A write that has begun: to the table at ``path``, with files in ``folder``.

    schema: the columns of the table. overwrite: rows are replaced, all of them, or those that ``where``
    passes; it must pass the new ones, too.
    """

    path: str
    folder: str
    schema: Schema
    overwrite: bool = False
    where: str | None = None

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

    def stage(self, batches: Iterable[pa.RecordBatch]) -> str | None:
        """Write rows to a file of the folder; its path, or None without rows.

        Values are converted and checked as an append does it; the error names the row of the batch.
        """
        target = os.path.join(self.folder, f"{os.urandom(8).hex()}.arrow")
        writer: pa.ipc.RecordBatchFileWriter | None = None
        try:
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            for batch in batches:
                if not batch.num_rows:
                    continue
                with InFile(self.path):
                    table, _ = to_table(batch, self.schema)
                    self._check(table)
                if writer is None:
                    writer = pa.ipc.new_file(target + ".part", table.schema, options=options)
                writer.write_table(table)
            if writer is None:
                return None
            writer.close()
            os.rename(target + ".part", target)
        except OSError as error:
            raise storage_error(error, target) from error
        return target

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
        with contextlib.ExitStack() as stack:
            tables = []
            for path in paths:
                try:
                    tables.append(pa.ipc.open_file(stack.enter_context(pa.memory_map(path))).read_all())
                except (OSError, pa.ArrowInvalid) as error:
                    raise StorageError(
                        f"rows that a task staged cannot be read ({error})",
                        file=path,
                        remedy="Write them again.",
                    ) from error
            whole = pa.concat_tables([rows.cast(tables[0].schema), *tables]) if tables else rows
            with Table(self.path) as table:
                return _commit(table, whole, self, batch, message)

    def remove(self) -> None:
        """Remove what is staged."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(self.folder))


class _Repeated(AudioMemError):
    """The batch is in the table. It never leaves the module."""


def _commit(
    table: Table, rows: pa.Table, staged: StagedRows, batch: Batch | None, message: str | None
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
        return table.exchange(rows, deleted, sources=sources, message=message)
    except _Repeated:
        return None


def committed(sources: Mapping[str, bytes], batch: Batch) -> bool:
    """Whether a table that has ``sources`` has the batch, or a later one of the application."""
    last = sources.get(batch.source)
    return last is not None and int.from_bytes(last, "big") >= batch.number


def _sources(snapshot: Snapshot) -> Mapping[str, bytes]:
    if isinstance(snapshot, ShardedSnapshot):
        return snapshot.manifest.sources
    return known_sources(snapshot.segments, snapshot.logged)


def staging_folder(path: str) -> str:
    """Where rows for the table at ``path`` are staged; for a URL a folder of the machine's."""
    if is_url(path):
        raise StorageError(
            "rows for a table at a URL are staged in a folder that all processes see",
            file=path,
            remedy="Name one: option staging.",
        )
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.join(folder, f".{name}.staged")


def remove_staged(path: str, seconds: float = 0) -> int:
    """Remove what writes to the table at ``path`` left behind, if nobody wrote to it for ``seconds``."""
    parent, removed = staging_folder(path), 0
    with contextlib.suppress(OSError):
        for name in os.listdir(parent):
            folder = os.path.join(parent, name)
            if _newest(folder) <= time.time() - seconds:
                shutil.rmtree(folder, ignore_errors=True)
                removed += 1
        os.rmdir(parent)
    return removed


def _newest(folder: str) -> float:
    """When something in a folder was last written."""
    times = [os.stat(folder).st_mtime]
    for name in os.listdir(folder):
        with contextlib.suppress(OSError):
            times.append(os.stat(os.path.join(folder, name)).st_mtime)
    return max(times)
