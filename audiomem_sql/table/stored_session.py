"""Who writes to a table in a store: threads take turns, and commits of others are met at the manifest.

Nothing is locked. A commit is made on the newest manifest that is known, and is durable when the manifest was
replaced; see ``docs/REMOTE_COMMITS.md``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from audiomem_sql.errors import AudioMemError, UnsupportedError
from audiomem_sql.machine.progress import Progress
from audiomem_sql.storage.log import LogRecord
from audiomem_sql.storage.segment import TableOptions
from audiomem_sql.table.later_appends import LaterAppends
from audiomem_sql.table.open_table import OpenTable
from audiomem_sql.table.session import Session
from audiomem_sql.table.stored_group import StoredGroup
from audiomem_sql.table.stored_upkeep import StoredUpkeep
from audiomem_sql.upkeep.compaction import Retention
from audiomem_sql.versions import StoredSnapshot, StoredTable, changes
from audiomem_sql.writing import log_limits
from audiomem_sql.writing.appending import as_batches, check_rows, number_rows
from audiomem_sql.writing.commit import Commit, StoredCommit, now
from audiomem_sql.writing.commit_limits import check_history, shortened
from audiomem_sql.writing.commit_numbers import CommitNumbers
from audiomem_sql.writing.group_commit import Append
from audiomem_sql.writing.stored_commit import SegmentFiles, commit_file, footprint_of
from audiomem_sql.writing.stored_rows import StoredRows
from audiomem_sql.writing.transaction import Transaction

if TYPE_CHECKING:
    from audiomem_sql.remote.commits import Committer, Footprint, NewSegment
    from audiomem_sql.remote.commits.changes import Change
    from audiomem_sql.remote.commits.committer import Outcome


#: Seconds that appends nobody waits for wait for the turn.
_FOR_LONG = 3600.0


class StoredSession(Session):
    """The writing side of an open table in a store, shared by its threads."""

    def __init__(self, opened: OpenTable, busy_timeout: float) -> None:
        super().__init__(opened, busy_timeout)
        self.upkeep: StoredUpkeep = StoredUpkeep(self)
        #: Appends that nobody waits for, with ``durability="async"``.
        self.later: LaterAppends | None = None

    @property
    def table(self) -> StoredTable:
        """The objects of the table."""
        stored = self.opened.files.stored
        assert stored is not None
        return stored

    @property
    def committer(self) -> Committer:
        """What replaces the manifest."""
        return self.table.committer

    @property
    def snapshot(self) -> StoredSnapshot:
        """The newest snapshot."""
        snapshot = self.opened.snapshot
        assert isinstance(snapshot, StoredSnapshot)
        return snapshot

    # -- the turn --------------------------------------------------------------------------------------------

    def _check_place(self) -> None:
        """UnsupportedError where the store does not keep the conditions of writes."""
        self.opened.files.check_writable()

    def _lock_files(self, timeout: float, *, damaged: bool = False) -> None:
        """Look for commits of others: a commit is made on the newest state."""
        with self._refreshing:
            self.table.look()
            self.opened.refresh()

    def check_files(self, what: str) -> None:
        """UnsupportedError: objects are not changed."""
        raise UnsupportedError(
            f"a table in a store cannot be {what}",
            file=self.opened.path,
            remedy="Copy it to a file with audiomem backup, do it there, and copy that to a new URL.",
        )

    # -- commits; the turn must be this thread's -------------------------------------------------------------

    @property
    def logged_bytes(self) -> int:
        """The largest commit that goes to the log, which is the manifest."""
        return log_limits.logged_part_bytes()

    def make(self, change: Change) -> int:
        """Make a change durable; the version that it made, or found. The snapshot is not loaded yet."""
        (outcome,) = self.make_all([change])
        if isinstance(outcome, AudioMemError):
            raise outcome
        return outcome

    def make_all(self, changes_to_make: Sequence[Change]) -> list[Outcome]:
        """Changes that become durable together, and what became of each."""
        self.committer.seconds = max(self.busy_timeout, 1.0)
        self.table.hand_over()
        try:
            return self.committer.make_all(changes_to_make)
        finally:
            self.table.went_on()

    def upgrade(self) -> None:
        """Nothing: no table in a store is in format version 1."""

    def make_way(self) -> None:
        """Nothing: records may stand between segments."""

    def append_to_log(self, record: LogRecord) -> StoredCommit:
        """Write the open transaction durably: as a record of the manifest, or a segment without room there.

        BusyError if another commit came first, and the two do not go together.
        """
        from audiomem_sql.remote.commits.manifest import INLINE_BYTES

        snapshot, transaction = self.snapshot, self.transaction
        assert transaction is not None
        check_history(snapshot, record.message)
        numbers = CommitNumbers.of(transaction)
        if numbers.are_new:
            rows = [(number, row) for number, (_, row) in enumerate(record.inserted)]
            record = replace(record, inserted=rows)
        packed: bytes | None = record.pack()
        assert packed is not None
        with SegmentFiles() as files:
            content = transaction.commit_content(record.message, record.sources)
            change = self._change(
                numbers.footprint,
                numbers.high_rowid,
                packed if len(packed) <= INLINE_BYTES else None,
                lambda: self._segment(files, content, are_new=numbers.are_new),
                numbers.new_rows,
            )
            version = self.make(change)
            self._tell_rowid(transaction, change)
        return StoredCommit(version, self._take_back)

    def _tell_rowid(self, transaction: Transaction, change: Change) -> None:
        """Let the transaction know which rowids the manifest gave to its rows, if that numbered them."""
        head = self.committer.head
        first = None if head is None else head.manifest.first_rowid_of(change.commit)
        if change.new_rows and first is not None:
            transaction.last_rowid = first + change.new_rows - 1

    def write_segment(
        self, content: Commit, options: TableOptions | None = None, progress: Progress | None = None
    ) -> StoredCommit:
        """Write a commit as a segment of its own, durably. BusyError as of :meth:`append_to_log`."""
        from audiomem_sql.remote.commits import Footprint

        transaction = self.transaction
        numbers = None
        if content.schema is None and transaction is not None and transaction.changed:
            numbers = CommitNumbers.of(transaction)
        with SegmentFiles() as files:
            are_new = numbers is not None and numbers.are_new
            made = self._segment(files, content, options, progress, are_new=are_new)
            if content.schema is not None:
                numbers = CommitNumbers(Footprint(schema=True), max(made.high_rowid, 0))
            elif numbers is None:
                numbers = CommitNumbers(footprint_of(None, None), max(made.high_rowid, 0))
            change = self._change(numbers.footprint, numbers.high_rowid, None, lambda: made, numbers.new_rows)
            version = self.make(change)
            if transaction is not None:
                self._tell_rowid(transaction, change)
        return StoredCommit(version, self._take_back)

    def append_rows(self, append: Append, progress: Progress | None) -> int | None:
        """Rows that arrive together, with those that other threads wait with: one replacement for all.

        Each is a commit of its own. Those that others were faster than are made again on the newest state.
        """
        if self.later is not None:
            self.later.submit(append)
            return self.snapshot.newest
        if self.enter(append=append):
            with self.leaving():
                self._commit_group([append], progress, collecting=True)
        return append.outcome()

    def _commit_group(
        self, own: Sequence[Append], progress: Progress | None = None, *, collecting: bool = False
    ) -> None:
        group = StoredGroup(self, own)
        try:
            if collecting:
                group.collect()
            group.commit(time.monotonic() + self.busy_timeout, progress)
        finally:
            group.answer()
        self.reload_after_commit()
        self.upkeep.after_commit()

    def _commit_later(self, appends: Sequence[Append]) -> None:
        """What was handed over, from the thread that does nothing else."""
        self.enter(_FOR_LONG)
        with self.leaving():
            self._commit_group(appends)

    def defer_appends(self) -> None:
        """From now on appends are handed over: see ``later_appends``."""
        self.later = LaterAppends(self._commit_later)

    def flush(self) -> None:
        """Wait until all appends that were handed over are durable."""
        if self.later is not None:
            self.check_no_transaction()
            self.later.flush()

    def enter(
        self, timeout: float | None = None, append: Append | None = None, *, damaged: bool = False
    ) -> bool:
        """Become the writer; appends that were handed over come first."""
        if self.later is not None and not self.later.mine and not self.turn.mine:
            self.later.flush()
        return super().enter(timeout, append, damaged=damaged)

    def change_of(
        self, append: Append, files: SegmentFiles, progress: Progress | None = None
    ) -> Change | None:
        """The commit of an append on the newest state; None if there is nothing to commit."""
        snapshot = self.snapshot
        append.check_schema(snapshot)
        deleted = append.deleted(snapshot)
        if not append.table.num_rows and not len(deleted) and append.sources is None:
            return None
        rowids, table = number_rows(append.table, snapshot)
        check_rows(rowids, table, snapshot, self.opened.path, deleted)
        check_history(snapshot, append.message)
        rows = StoredRows(snapshot, append.table, table, rowids, deleted)
        content = Commit(as_batches(rowids, table), table.num_rows, deleted, append.message, append.sources)
        return self._change(
            footprint_of(rows.written, rows.keys()),
            rows.high_rowid,
            rows.record(append.message, append.sources),
            lambda: self._segment(files, content, progress=progress, are_new=rows.are_new),
            rows.count_of_new,
        )

    def _change(
        self,
        footprint: Footprint,
        high_rowid: int,
        record: bytes | None,
        encoded: Callable[[], NewSegment],
        new_rows: int = 0,
    ) -> Change:
        from audiomem_sql.remote.commits import Commit as StoredChange

        manifest = self.snapshot.manifest
        return StoredChange.on(
            manifest,
            self.committer.new_id(),
            max(now(), manifest.time + 1),
            new_rows=new_rows,
            footprint=footprint,
            high_rowid=max(high_rowid, 0),
            record=record,
            encoded=encoded,
        )

    def _segment(
        self,
        files: SegmentFiles,
        content: Commit,
        options: TableOptions | None = None,
        progress: Progress | None = None,
        *,
        are_new: bool = False,
    ) -> NewSegment:
        """The segment of a commit in a temporary file. are_new: the manifest numbers its rows."""
        writer = commit_file(self.snapshot, options or self.opened.options, content, files.target, progress)
        return files.made(writer, are_new=are_new)

    def _take_back(self, version: int) -> None:
        """A commit that undoes ``version``, whose transaction was rolled back after it was made."""
        self.opened.reload()
        newest = self.snapshot
        old = newest.at(version - 1, newest.schema)
        transaction = self.transaction = Transaction(self.opened.path, newest)
        rowids = sorted({change.rowid for change in changes(newest, version, version)})
        for rowid in rowids:
            transaction.delete(rowid)
        for rowid in rowids:
            row = old.stored_row(rowid)
            if row is not None:
                transaction.insert(rowid, row)
        if transaction.changed:
            message = shortened(f"take back version {version}")
            self.append_to_log(transaction.record(newest.newest + 1, now(), message, None))
        self.opened.reload()

    def name_version(self, name: str, number: int, message: str) -> None:
        """Name a version in the manifest; that makes no version."""
        from audiomem_sql.remote.commits import Retag

        check_history(self.snapshot, None, tags=[name])
        self.make(Retag(self.committer.new_id(), {name: number}))

    # -- upkeep ----------------------------------------------------------------------------------------------

    def empty_log(self) -> bool:
        """Make segments of the records in the manifest; False if there are none."""
        return self.upkeep.fold_records()

    def checkpoint(self) -> bool:
        """:meth:`empty_log`; many small segments are merged."""
        done = self.empty_log()
        self.upkeep.merge_small()
        return done

    def merge(self) -> None:
        """Make one segment of all but the first, and of the records."""
        self.upkeep.merge_from(1)

    def rewrite(
        self,
        options: TableOptions,
        retain: Retention,
        level: int | None,
        progress: Progress | None,
        *,
        heard: bool = True,
    ) -> int:
        """Make one segment of everything, and remove what nobody can read any more."""
        oldest = retain.oldest(self.snapshot, now())
        if retain.near is None:
            self.upkeep.rewrite(options, oldest, level, progress)
        else:
            near = retain.near.oldest(self.snapshot, now())
            self.upkeep.rewrite(options, oldest, level, progress, near=near)
        self.opened.options = options
        return oldest

    def close(self) -> None:
        """Close the files, when the threads that are appending are done. There is nothing to fold."""
        try:
            if self.later is not None:
                self.later.close()
        finally:
            self.turn.enter(threading.TIMEOUT_MAX)
            self.turn.closed = True
            self.opened.close()
            self.turn.leave()
