"""Writing to a table: transactions, appends, and what a writer looks at before it begins."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.errors import BusyError, DamagedFileError, StorageError, UnsupportedError
from audiomem_sql.machine.block_cache import SHARED, BlockCache
from audiomem_sql.machine.progress import Progress
from audiomem_sql.machine.writer_lock import WriterLock
from audiomem_sql.protection.levels import level_named
from audiomem_sql.search.embedding import embed_texts, recorded, table_embedder, with_vectors
from audiomem_sql.storage.log.record import LogRecord
from audiomem_sql.storage.log.writer import LogWriter
from audiomem_sql.table.reader import TableReader
from audiomem_sql.upkeep.compaction import SMALL_DELTAS, checkpoint, merge, small_deltas
from audiomem_sql.versions.ingested import pack_sources
from audiomem_sql.versions.snapshot import Snapshot
from audiomem_sql.writing.appending import (
    NO_ROWIDS,
    as_batches,
    check_rows,
    check_sizes,
    matching_rowids,
    number_rows,
)
from audiomem_sql.writing.commit import Commit, LoggedCommit, PendingCommit, write_commit
from audiomem_sql.writing.group_commit import Append, Group
from audiomem_sql.writing.streaming import UnorderedError, can_stream, is_stream, numbered, stream_of
from audiomem_sql.writing.transaction import Transaction
from audiomem_sql.writing.writer_turn import WriterTurn

BUSY_TIMEOUT = 5.0
#: Commits of at most this size go to the log.
LOGGED_COMMIT_BYTES = 256 << 10
LOGGED_ROWS = 1 << 12
#: The log becomes a delta when it is larger than this, or holds so many commits.
CHECKPOINT_BYTES = 1 << 20
CHECKPOINT_COMMITS = 1000


class TableWriter(TableReader):
    """The part of a :class:`~audiomem_sql.table.table.Table` that commits.

    Threads may share it: :meth:`append` from any of them, and each sees the newest snapshot, or, while it has a transaction
    open, its own changes. A thread that writes keeps the others waiting, up to the busy timeout.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        version: int | str | None = None,
        as_of: str | datetime | None = None,
        cache: BlockCache = SHARED,
        busy_timeout: float = BUSY_TIMEOUT,
        salvage: bool = False,
        on_damage: str = "fail",
    ) -> None:
        super().__init__(
            path, version=version, as_of=as_of, cache=cache, salvage=salvage, on_damage=on_damage
        )
        self.busy_timeout = busy_timeout
        self.transaction: Transaction | None = None
        self._turn: WriterTurn[Append] = WriterTurn(self.files.base)
        self._lock = WriterLock(self.files.base)
        self._looking = threading.Lock()  # for commits of others
        self._swept = False
        self._prepared: PendingCommit | LoggedCommit | None = None
        self._log: LogWriter | None = None

    @property
    def readable(self) -> Transaction | Snapshot:
        """What a query reads now: the view of this thread's open transaction, or the snapshot."""
        transaction = self.transaction
        return transaction if transaction is not None and self._turn.mine else self.snapshot

    def refresh(self) -> bool:
        """Look for commits of others; True if there were any. Nothing happens while a thread writes through this table.

        That one has looked, and shows what it commits; a snapshot loaded beside it might take the place of a newer one.
        """
        with self._looking:
            return not self._turn.busy and super().refresh()

    # -- transactions ---------------------------------------------------------------------------------------------

    def begin(self, *, any_thread: bool = False) -> Transaction:
        """Open a transaction: take the writer's lock, and look for commits of others. This thread's open one is returned.

        BusyError when another thread or process keeps writing for longer than ``busy_timeout`` seconds. any_thread: calls
        of all threads belong to the transaction; the caller sees to it that they come one at a time, as SQLite does.
        """
        if self.transaction is None or not self._turn.mine:
            self._acquire()
            self.transaction = Transaction(self.path, self.snapshot)
            if any_thread:
                self._turn.lend()
        return self.transaction

    def prepare(
        self, *, message: str | None = None, sources: bytes | None = None, progress: Progress | None = None
    ) -> None:
        """Make the transaction durable; until :meth:`commit` it can still be rolled back.

        Few bytes go to the log; many become a delta at once.
        """
        transaction = self.transaction
        if transaction is not None and not self._turn.mine:
            raise StorageError(
                "the transaction is another thread's", file=self.path, remedy="End it where it was begun."
            )
        if (
            transaction is None
            or self._prepared is not None
            or not (transaction.changed or sources is not None)
        ):
            return
        self.embed_pending()
        if transaction.logged_size() <= LOGGED_COMMIT_BYTES:
            record = transaction.record(self.snapshot.newest + 1, now(), message, sources)
            self._prepared = self._append_to_log(record)
        else:
            self._checkpoint()
            content = transaction.commit_content(message, sources)
            self._prepared = write_commit(
                self.files, self._lock, self.snapshot, self.options, content, progress
            )

    def embed_pending(self) -> None:
        """Make the vectors of what the open transaction has added so far."""
        if self.transaction is not None and self.snapshot.schema.vectors:
            embedder = table_embedder(self.options, self.snapshot.schema, self.path)
            self.transaction.embed(lambda texts: embed_texts(texts, embedder))
            self.options = recorded(self.options, embedder)

    def _append_to_log(self, record: LogRecord) -> LoggedCommit:
        writer, snapshot = self._log_writer(), self.snapshot
        after = writer.append(snapshot.log, record, snapshot.newest)
        return LoggedCommit(record.version, writer, snapshot.log, after)

    def _log_writer(self) -> LogWriter:
        if self._log is None:
            self._log = LogWriter(self.files.log, self.snapshot.segments[0].catalog.table_id)
        self._log.copies = level_named(
            self.options.protection
        ).log_copies  # a vacuum may have changed the level
        return self._log

    def commit(
        self, *, message: str | None = None, sources: bytes | None = None, progress: Progress | None = None
    ) -> int:
        """End the transaction and keep its changes; the version that the table has now."""
        try:
            self.prepare(message=message, sources=sources, progress=progress)
        except BaseException:
            self.rollback()
            raise
        if not self._turn.mine:
            return self.version
        prepared, self._prepared = self._prepared, None
        try:
            if prepared is not None:
                prepared.accept()
            if isinstance(prepared, LoggedCommit):
                self.snapshot = self.snapshot.after(prepared.after)
                self._checkpoint_after_commit()
            elif prepared is not None:
                self._reload()
            return self.snapshot.version
        finally:
            self._end()

    def _checkpoint_after_commit(self) -> None:
        """Turn a long log into a delta. The commit is durable already: what fails here is tried again at the next one."""
        log = self.snapshot.log
        if log is not None and (log.end > CHECKPOINT_BYTES or log.count >= CHECKPOINT_COMMITS):
            self.transaction = None
            with contextlib.suppress(StorageError):
                self._checkpoint()

    def rollback(self) -> None:
        """End this thread's transaction and drop its changes."""
        if self._turn.mine:
            self._drop()

    def _drop(self) -> None:
        try:
            if self._prepared is not None:
                self._prepared.take_back()
        finally:
            self._prepared = None
            self._end()

    # -- appends --------------------------------------------------------------------------------------------------

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
        """Add rows in one commit, all or none; the new version. When it returns they are durable.

        data: an Arrow table, record batch or reader, a pandas data frame, anything with ``__arrow_c_stream__``, or a
        list of dicts. Columns are matched by name; missing ones take their default. Errors name the column and the row.
        replace: a filter; the rows that match it (``parameters`` for its question marks) are deleted in the same commit.
        sources: what the rows were ingested from, see :mod:`audiomem_sql.versions.ingested`.

        Several threads may append at the same time: few rows share a flush, see :mod:`audiomem_sql.writing.group_commit`. Each has
        a version and errors of its own.
        """
        filters, row_filter = self._where(replace, parameters)

        def matching(snapshot: Snapshot) -> I64Array:
            return NO_ROWIDS if replace is None else matching_rowids(snapshot, filters, row_filter)

        return self.exchange(data, matching, sources=sources, message=message, progress=progress)

    def append_stream(
        self, data: Any, *, message: str | None = None, progress: Progress | None = None
    ) -> int:
        """Add rows in one commit, as :meth:`append`; the rows of a new table without having all of them in memory.

        That holds for a relation of DuckDB and for an Arrow dataset, if their rows come in the order of the INTEGER PRIMARY
        KEY, or there is none, and the table has no other key and no CHECK. Anything else is read first, as :meth:`append`
        does. What is made of SEMANTIC and INDEXED columns, their vectors and words, is held in memory.
        """
        full, schema = self.snapshot.schema, self.schema
        if not can_stream(self.snapshot) or not is_stream(data):
            return self.append(data, message=message, progress=progress)
        embedder = table_embedder(self.options, full, self.path) if full.vectors else None

        def complete(table: pa.Table) -> pa.Table:
            return table if embedder is None else with_vectors(table, full, embedder)

        self._no_transaction()
        self._acquire()
        try:
            if can_stream(self.snapshot) and self.snapshot.schema == full:
                with stream_of(data) as reader:
                    batches = numbered(reader, schema, self.path, complete)
                    content = Commit(batches, None, message=message)
                    with contextlib.suppress(UnorderedError):
                        write_commit(
                            self.files, self._lock, self.snapshot, self.options, content, progress
                        ).accept()
                        self._reload()
                        return self.snapshot.version
        finally:
            self._end()
        return self.append(data, message=message, progress=progress)

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
        called when nobody else can write, by whichever thread does the writing.
        """
        from audiomem_sql.columns.arrow_input import to_table

        schema = self.schema
        table, _ = to_table(data, schema)
        check_sizes(table, self.path)
        self._no_transaction()
        full = self.snapshot.schema
        if full.vectors and full.visible is schema:
            embedder = table_embedder(self.options, full, self.path)
            table = with_vectors(table, full, embedder, progress)
            self.options = recorded(self.options, embedder)
        append = Append(table, schema, deleted, pack_sources(sources) if sources else None, message)
        if table.num_rows <= LOGGED_ROWS and table.nbytes <= LOGGED_COMMIT_BYTES:
            version = self._append_logged(append)
            if version is not None:
                return version
        return self._append_large(append, progress)

    def _append_logged(self, append: Append) -> int | None:
        """Through the log, with what other threads append meanwhile; None if it is too large after all."""
        if not self._acquire(append=append):
            return append.outcome()
        try:
            group = Group(self.path, self.snapshot, LOGGED_COMMIT_BYTES)
            try:
                group.add(append)
                group.collect(self._turn, CHECKPOINT_BYTES)
                self.snapshot = group.flush(self._log_writer())
            finally:
                group.answer(self._turn)
            self._checkpoint_after_commit()
        finally:
            self._end()
        return append.outcome()

    def _append_large(self, append: Append, progress: Progress | None) -> int:
        """As a segment of its own, without a Python value a row."""
        self._acquire()
        try:
            append.check_schema(self.snapshot)
            gone = append.deleted(self.snapshot)
            self._checkpoint()
            if not append.table.num_rows and not len(gone) and append.sources is None:
                return self.snapshot.version
            rowids, table = number_rows(append.table, self.snapshot)
            check_rows(rowids, table, self.snapshot, self.path, gone)
            content = Commit(as_batches(rowids, table), table.num_rows, gone, append.message, append.sources)
            write_commit(self.files, self._lock, self.snapshot, self.options, content, progress).accept()
            self._reload()
            return self.snapshot.version
        finally:
            self._end()

    # -- who writes -----------------------------------------------------------------------------------------------

    def _no_transaction(self) -> None:
        if self.transaction is not None and self._turn.mine:
            raise StorageError("a transaction is open", file=self.path, remedy="Commit it first.")

    def _acquire(
        self, timeout: float | None = None, append: Append | None = None, *, damaged: bool = False
    ) -> bool:
        """Become the writer, among the threads and among the processes; False if another thread did ``append`` meanwhile.

        damaged: also where damage forbids to write anything but its repair.
        """
        if self.salvage:
            raise StorageError(
                "a table that is opened for salvage is only read",
                file=self.path,
                remedy="Restore the missing files, or write what is left to a new table with write_flac.",
            )
        if self._pinned:
            raise UnsupportedError(
                f"this is version {self.version}, which does not change",
                file=self.path,
                remedy="Open the table without a version to write to it.",
            )
        seconds = self.busy_timeout if timeout is None else timeout
        deadline = time.monotonic() + seconds
        if not self._turn.enter(seconds, append, 0 if append is None else append.table.nbytes):
            return False
        try:
            self._lock_files(max(0.0, deadline - time.monotonic()), damaged=damaged)
        except BaseException:
            self._end()
            raise
        return True

    def _lock_files(self, timeout: float, *, damaged: bool = False) -> None:
        """Take the writer's lock, and see to it that what is there can be built upon."""
        self.files.check_writable()
        self._lock.acquire(timeout)
        known = self.snapshot
        with self._looking:
            super().refresh()
        if not self._swept:
            self.files.sweep()
        if not self._swept or known.files != self.snapshot.files:
            self.files.settle()
            self.files.remove_leftovers(self.snapshot)
        self._swept = True
        if not damaged:
            self.files.check_undamaged(self.snapshot)
        if self.snapshot.log is not None and not self.snapshot.logged:
            self.files.remove_log()  # all of it is in a segment: a crash came before its removal
            self._reload()

    def _end(self) -> None:
        self.transaction = None
        try:
            if self._lock.held:
                self._lock.release()
        finally:
            self._turn.leave()

    def close(self) -> None:
        """Roll back what is not committed, turn what this table logged into a delta, and close the files.

        What other threads are appending is waited for; a transaction that one has open is rolled back. The log is left
        alone when another process is writing: it is as durable, and will be turned into a delta by that.
        """
        if self._turn.closed:
            return
        if self.transaction is not None and self._turn.busy:
            self._drop()
        self._turn.enter(threading.TIMEOUT_MAX)
        try:
            self._turn.closed = True
            if self._log is not None:
                self._log.close()
                self._log = None
                with contextlib.suppress(BusyError, DamagedFileError, StorageError):
                    self._lock_files(0)
                    self._checkpoint()
        finally:
            if self._lock.held:
                self._lock.release()
            self._lock.close()
            self.snapshot.close()
            self._turn.leave()

    # -- the log becomes a delta ----------------------------------------------------------------------------------

    def _checkpoint(self) -> bool:
        """Turn the log into a delta; many small deltas are merged. The writer's lock must be held."""
        done = checkpoint(self.files, self._lock, self.snapshot, self.options)
        if done:
            self._reload()
        small = small_deltas(self.snapshot)
        if len(small) >= SMALL_DELTAS:
            merge(self.files, self.snapshot, self.options, small)
            self._reload()
        return done


def now() -> int:
    """µs since 1970, UTC."""
    return time.time_ns() // 1000
