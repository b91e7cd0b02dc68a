"""A table: read it, write to it, keep it in shape."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from audiomem_sql.altering import altered_schema
from audiomem_sql.appending import (
    NO_ROWIDS,
    as_batches,
    check_rows,
    check_sizes,
    matching_rowids,
    number_rows,
)
from audiomem_sql.block_cache import SHARED, BlockCache
from audiomem_sql.catalog import Migration, Version
from audiomem_sql.changes import changes
from audiomem_sql.columns.arrow_input import to_table
from audiomem_sql.columns.creation import check_definitions
from audiomem_sql.columns.schema import Schema, parse_columns
from audiomem_sql.columns.stored_values import stored_rows
from audiomem_sql.commit import Commit, LoggedCommit, PendingCommit, Progress, write_commit
from audiomem_sql.compaction import (
    SMALL_DELTAS,
    VACUUM_LEVEL,
    Retention,
    checkpoint,
    merge,
    small_deltas,
    vacuum,
)
from audiomem_sql.errors import (
    BusyError,
    DamagedFileError,
    OptionError,
    SchemaError,
    StorageError,
    UnsupportedError,
)
from audiomem_sql.log import LogRecord, LogWriter, commits_behind
from audiomem_sql.migrations.changes import SchemaChange, parse_change
from audiomem_sql.segment_writer import SegmentWriter
from audiomem_sql.snapshot import Snapshot
from audiomem_sql.sources import pack_sources
from audiomem_sql.table_files import TableFiles
from audiomem_sql.table_options import TableOptions
from audiomem_sql.table_reader import TableReader
from audiomem_sql.transaction import Transaction
from audiomem_sql.types import I64Array
from audiomem_sql.writer_lock import WriterLock

BUSY_TIMEOUT = 5.0
#: Commits of at most this size go to the log.
LOGGED_COMMIT_BYTES = 256 << 10
LOGGED_ROWS = 1 << 12
#: The log becomes a delta when it is larger than this, or holds so many commits.
CHECKPOINT_BYTES = 1 << 20
CHECKPOINT_COMMITS = 1000


class Table(TableReader):
    """An open table.

    Use :func:`audiomem_sql.open` or :meth:`create`. Commits go to the log, and from there into segments: by
    :meth:`checkpoint`, which comes by itself, by :meth:`merge` and by :meth:`vacuum`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        version: int | str | None = None,
        as_of: str | datetime | None = None,
        cache: BlockCache = SHARED,
        busy_timeout: float = BUSY_TIMEOUT,
    ) -> None:
        super().__init__(path, version=version, as_of=as_of, cache=cache)
        self.busy_timeout = busy_timeout
        self.transaction: Transaction | None = None
        self._lock = WriterLock(self.files.base)
        self._swept = False
        self._prepared: PendingCommit | LoggedCommit | None = None
        self._log: LogWriter | None = None

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        columns: Schema | Sequence[str],
        options: Mapping[str, Any] | None = None,
        *,
        cache: BlockCache = SHARED,
    ) -> Table:
        """Create an empty table at ``path``, which must be free.

        columns: a schema, or definitions such as ``"id INTEGER PRIMARY KEY"``. options: see TableOptions.
        """
        schema = columns if isinstance(columns, Schema) else parse_columns(columns)
        check_definitions(schema)
        files = TableFiles(os.path.abspath(path))
        if files.exists():
            raise StorageError(
                "the file exists already", file=files.base, remedy="Open it, or choose another name."
            )
        folder = os.path.dirname(files.base)
        if not os.path.isdir(folder):
            raise StorageError(
                "there is no such folder", file=folder, remedy="Create it first, or choose another path."
            )
        if files.deltas():
            raise StorageError(
                "deltas of another table are in the way", file=files.folder, remedy="Move that folder away."
            )
        chosen = TableOptions.parse(options or {}, folder)
        writer = SegmentWriter(files.base, schema, chosen.write_options(), table_id=os.urandom(16))
        try:
            writer.finish([Version(1, _now(), 0, 0)], options=chosen.to_catalog())
            writer.publish(replace=False)
        except BaseException:
            writer.abandon()
            raise
        return cls(path, cache=cache)

    @property
    def readable(self) -> Transaction | Snapshot:
        """What a query reads now: the open transaction's view, or the snapshot."""
        return self.snapshot if self.transaction is None else self.transaction

    def refresh(self) -> bool:
        """Look for commits of others; True if there were any. Nothing happens inside a transaction."""
        return self.transaction is None and super().refresh()

    def checkout(self, version: int | str | None = None, as_of: str | datetime | None = None) -> TableReader:
        """The table as it was, to read: by number, by tag, or by time."""
        return TableReader(self.path, version=version, as_of=as_of, cache=self._cache)

    def close(self) -> None:
        """Roll back what is not committed, turn what this table logged into a delta, and close the files.

        The log is left alone when another process is writing: it is as durable, and will be turned into one by that.
        """
        try:
            self.rollback()
            if self._log is not None:
                self._log.close()
                self._log = None
                with contextlib.suppress(BusyError, DamagedFileError, StorageError):
                    self.checkpoint(timeout=0)
        finally:
            self._lock.close()
            self.snapshot.close()

    # -- writing --------------------------------------------------------------------------------------------------

    def begin(self) -> Transaction:
        """Open a transaction: take the writer's lock, and look for commits of others.

        BusyError when another process keeps writing for longer than ``busy_timeout`` seconds.
        """
        if self.transaction is None:
            self._acquire()
            self.transaction = Transaction(self.path, self.snapshot)
        return self.transaction

    def prepare(
        self, *, message: str | None = None, sources: bytes | None = None, progress: Progress | None = None
    ) -> None:
        """Make the transaction durable; until :meth:`commit` it can still be rolled back.

        Few bytes go to the log; many become a delta at once.
        """
        transaction = self.transaction
        if (
            transaction is None
            or self._prepared is not None
            or not (transaction.changed or sources is not None)
        ):
            return
        if transaction.logged_size() <= LOGGED_COMMIT_BYTES:
            record = transaction.record(self.snapshot.newest + 1, _now(), message, sources)
            self._prepared = self._append_to_log(record)
        else:
            self._checkpoint()
            content = transaction.commit_content(message, sources)
            self._prepared = write_commit(
                self.files, self._lock, self.snapshot, self.options, content, progress
            )

    def _append_to_log(self, record: LogRecord) -> LoggedCommit:
        snapshot = self.snapshot
        if self._log is None:
            self._log = LogWriter(self.files.log, snapshot.segments[0].catalog.table_id)
        after = self._log.append(snapshot.log, record, snapshot.newest)
        return LoggedCommit(record.version, self._log, snapshot.log, after)

    def commit(
        self, *, message: str | None = None, sources: bytes | None = None, progress: Progress | None = None
    ) -> int:
        """End the transaction and keep its changes; the version that the table has now."""
        try:
            self.prepare(message=message, sources=sources, progress=progress)
        except BaseException:
            self.rollback()
            raise
        prepared, self._prepared = self._prepared, None
        try:
            if prepared is not None:
                prepared.accept()
            if isinstance(prepared, LoggedCommit):
                self.snapshot = self.snapshot.after(prepared.after)
                if prepared.after.end > CHECKPOINT_BYTES or prepared.after.count >= CHECKPOINT_COMMITS:
                    self._checkpoint_after_commit()
            elif prepared is not None:
                self._reload()
        finally:
            self._end()
        return self.version

    def _checkpoint_after_commit(self) -> None:
        """The commit is durable already: what fails here is tried again at the next one."""
        self.transaction = None
        with contextlib.suppress(StorageError):
            self._checkpoint()

    def _no_transaction(self) -> None:
        if self.transaction is not None:
            raise StorageError("a transaction is open", file=self.path, remedy="Commit it first.")

    def rollback(self) -> None:
        """End the transaction and drop its changes."""
        try:
            if self._prepared is not None:
                self._prepared.take_back()
        finally:
            self._prepared = None
            if self._lock.held:
                self._end()

    def append(
        self,
        data: Any,
        *,
        replace: str | None = None,
        parameters: Sequence[Any] = (),
        sources: Mapping[str, bytes] | None = None,
        message: str | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Add rows in one commit, all or none; the new version.

        data: an Arrow table, record batch or reader, a pandas data frame, anything with ``__arrow_c_stream__``, or a
        list of dicts. Columns are matched by name; missing ones take their default. Errors name the column and the row.
        replace: a filter; the rows that match it (``parameters`` for its question marks) are deleted in the same commit.
        sources: what the rows were ingested from, see :mod:`audiomem_sql.sources`.
        """
        filters, row_filter = self._where(replace, parameters)

        def matching(snapshot: Snapshot) -> I64Array:
            return NO_ROWIDS if replace is None else matching_rowids(snapshot, filters, row_filter)

        return self.exchange(data, matching, sources=sources, message=message, progress=progress)

    def exchange(
        self,
        data: Any,
        deleted: Callable[[Snapshot], I64Array],
        *,
        sources: Mapping[str, bytes] | None = None,
        message: str | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Add and delete rows in one commit, as :meth:`append`; the new version.

        deleted: given the snapshot that the commit is made on, the rowids to delete from it, int64 (n,), ascending. It is
        called when nobody else can write.
        """
        table, _ = to_table(data, self.schema)
        check_sizes(table, self.path)
        self._no_transaction()
        self._acquire()
        try:
            gone = deleted(self.snapshot)
            if table.num_rows <= LOGGED_ROWS and table.nbytes + 9 * len(gone) <= LOGGED_COMMIT_BYTES:
                return self._exchange_few(table, gone, sources, message)
            self._checkpoint()
            if not table.num_rows and not len(gone) and not sources:
                return self.version
            rowids, table = number_rows(table, self.snapshot)
            check_rows(rowids, table, self.snapshot, self.path, gone)
            packed = None if sources is None else pack_sources(sources)
            content = Commit(as_batches(rowids, table), table.num_rows, gone, message, packed)
            write_commit(self.files, self._lock, self.snapshot, self.options, content, progress).accept()
            self._reload()
        finally:
            self._end()
        return self.version

    def _exchange_few(
        self, table: pa.Table, gone: I64Array, sources: Mapping[str, bytes] | None, message: str | None
    ) -> int:
        """The same through the log."""
        self.transaction = Transaction(self.path, self.snapshot)
        try:
            for rowid in gone.tolist():
                self.transaction.delete(rowid)
            rowids, table = number_rows(table, self.snapshot)
            for rowid, row in zip(rowids.tolist(), stored_rows(table, self.schema), strict=True):
                self.transaction.insert(rowid, row)
        except BaseException:
            self.rollback()
            raise
        return self.commit(message=message, sources=pack_sources(sources) if sources else None)

    def _acquire(self, timeout: float | None = None) -> None:
        if self._pinned:
            raise UnsupportedError(
                f"this is version {self.version}, which does not change",
                file=self.path,
                remedy="Open the table without a version to write to it.",
            )
        self.files.check_writable()
        self._lock.acquire(self.busy_timeout if timeout is None else timeout)
        try:
            known = self.snapshot
            self.refresh()
            if not self._swept:
                self.files.sweep()
            if not self._swept or known.files != self.snapshot.files:
                self.files.settle()
            self._swept = True
            log = self.snapshot.log
            if log is not None and log.torn and commits_behind(self.files.log, log):
                raise DamagedFileError(
                    f"version {log.version + 1} is damaged, and whole commits stand behind it",
                    file=self.files.log,
                    place=f"byte {log.end}",
                    remedy="Restore the log from a copy before writing, or move it away to go on without its commits.",
                )
            if self.snapshot.log is not None and not self.snapshot.logged:
                self.files.remove_log()  # all of it is in a segment: a crash came before its removal
                self._reload()
            for segment in self.snapshot.segments:
                if segment.file.truncated:
                    raise DamagedFileError(
                        "pages are missing at the end",
                        file=segment.path,
                        remedy="Restore the file before writing to it.",
                    )
        except BaseException:
            self._end()
            raise

    def _end(self) -> None:
        self.transaction = None
        if self._lock.held:
            self._lock.release()

    # -- upkeep ----------------------------------------------------------------------------------------------------

    def checkpoint(self, *, timeout: float | None = None) -> bool:
        """Turn the log into a delta; False if there was nothing in it. BusyError after ``timeout`` seconds."""
        self._no_transaction()
        self._acquire(timeout)
        try:
            return self._checkpoint()
        finally:
            self._end()

    def _checkpoint(self) -> bool:
        """The same while the writer's lock is held; many small deltas are merged."""
        done = checkpoint(self.files, self._lock, self.snapshot, self.options)
        if done:
            self._reload()
        small = small_deltas(self.snapshot)
        if len(small) >= SMALL_DELTAS:
            merge(self.files, self.snapshot, self.options, small)
            self._reload()
        return done

    def merge(self) -> None:
        """Make one delta of all deltas and the log; cheap beside a vacuum, because the base stays as it is."""
        self._no_transaction()
        self._acquire()
        try:
            self._checkpoint()
            if len(self.snapshot.segments) > 2:
                merge(self.files, self.snapshot, self.options, self.snapshot.segments[1:])
                self._reload()
        finally:
            self._end()

    def vacuum(
        self, *, retain: Retention | None = None, level: int = VACUUM_LEVEL, progress: Progress | None = None
    ) -> int:
        """Make one file of base, deltas and log, compressed harder; the oldest version that is kept.

        retain: which versions to keep, by default all; tagged ones are kept in any case. level: zstd, 1 to 22. progress:
        called with rows done and rows in all. Readers go on with the files that they have open.
        """
        self._no_transaction()
        self._acquire()
        try:
            self._checkpoint()
            oldest = (retain or Retention()).oldest(self.snapshot, _now())
            vacuum(
                self.files, self._lock, self.snapshot, self.options, oldest, level=level, progress=progress
            )
            self._reload()
        finally:
            self._end()
        return oldest

    def restore(self, version: int | str) -> int:
        """Make the rows of an old version the newest, in a commit of its own; the new version."""
        self._no_transaction()
        transaction = self.begin()
        try:
            old = self.at(version, schema=self.schema)
            changed = changes(self.snapshot, old.version, self.version)
            rowids = sorted({change.rowid for change in changed if change.version > old.version})
            for rowid in rowids:
                transaction.delete(rowid)
            for rowid in rowids:
                row = old.stored_row(rowid)
                if row is not None:
                    transaction.insert(rowid, row)
            return self.commit(message=f"restore version {old.version}")
        except BaseException:
            self.rollback()
            raise

    def alter(self, change: SchemaChange | str, *, message: str | None = None) -> int:
        """Change the columns, in a commit of its own; the new version. Older versions keep the columns that they had.

        change: ``"add column year INTEGER DEFAULT 2000"``, ``"drop column year"``, ``"rename column year TO born"``, or
        one of the objects of :mod:`audiomem_sql.migrations` that they describe. SchemaError for what cannot be done.
        No row is written: those that are there have the DEFAULT in a new column.
        """
        self._no_transaction()
        self._acquire()
        try:
            change = parse_change(change) if isinstance(change, str) else change
            schema = altered_schema(self.snapshot, change)
            self._checkpoint()
            content = Commit((), 0, message=message or str(change), schema=schema, change=str(change))
            write_commit(self.files, self._lock, self.snapshot, self.options, content).accept()
            self._reload()
        except SchemaError as error:
            raise SchemaError(error.what, file=self.path, place=error.place, remedy=error.remedy) from None
        finally:
            self._end()
        return self.version

    @property
    def migrations(self) -> tuple[Migration, ...]:
        """Every change of the columns so far, oldest first."""
        return self.snapshot.migrations

    def tag(self, name: str, version: int | None = None) -> None:
        """Name a version, by default the newest; vacuum keeps it. An empty commit holds the name."""
        self._no_transaction()
        if not name or name.isdecimal():
            raise OptionError(f"{name!r} is no name for a version", file=self.path, remedy="Use letters.")
        self._acquire()
        try:
            number = self.snapshot.newest if version is None else self.snapshot.at(version).version
            record = LogRecord(self.snapshot.newest + 1, _now(), message=f"tag {name}", tags={name: number})
            self.snapshot = self.snapshot.after(self._append_to_log(record).after)
        finally:
            self._end()


def _now() -> int:
    return time.time_ns() // 1000
