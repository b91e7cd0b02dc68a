"""Who writes to an open table: one thread and one process at a time, on the newest snapshot.

A thread takes its turn (:mod:`audiomem_sql.writing.writer_turn`), then the lock between processes
(:mod:`audiomem_sql.machine.writer_lock`), then loads what others committed. :meth:`Session.writing` does that
for a body, :meth:`Session.enter` and :meth:`Session.leaving` for what begins in one call and ends in another.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from audiomem_sql import upkeep
from audiomem_sql.errors import AudioMemError, BusyError, StorageError, UnsupportedError
from audiomem_sql.machine.durable import replace_durably
from audiomem_sql.machine.progress import Progress
from audiomem_sql.machine.writer_lock import WriterLock
from audiomem_sql.shards import check_no_shard
from audiomem_sql.storage.log import LogRecord
from audiomem_sql.storage.segment import TableOptions
from audiomem_sql.table.commit_log import CommitLog
from audiomem_sql.table.commit_upkeep import CommitUpkeep, tell
from audiomem_sql.table.leaving import Leaving
from audiomem_sql.table.open_table import OpenTable
from audiomem_sql.versions import Snapshot
from audiomem_sql.writing import log_limits
from audiomem_sql.writing.commit import Commit, LoggedCommit, PreparedCommit, commit_time, now, write_commit
from audiomem_sql.writing.commit_limits import check_history
from audiomem_sql.writing.group_commit import Append
from audiomem_sql.writing.transaction import Transaction
from audiomem_sql.writing.writer_turn import WriterTurn

if TYPE_CHECKING:
    from audiomem_sql.upkeep import Retention


class Session:
    """The writing side of an open table, shared by its threads.

    opened: the files; the newest snapshot is put there. busy_timeout: seconds that a writer waits for others.
    turn: of the threads. upkeep: what follows commits. lock: between processes. transaction: the one that is
    open, of whichever thread has the turn.
    """

    def __init__(self, opened: OpenTable, busy_timeout: float) -> None:
        self.opened = opened
        self.busy_timeout = busy_timeout
        self.turn: WriterTurn[Append] = WriterTurn(opened.files.base)
        self.lock = WriterLock(opened.files.base)
        self.transaction: Transaction | None = None
        self.upkeep = CommitUpkeep(self)
        self._refreshing = threading.Lock()
        self._swept = False
        self._committed = False  # a segment, by the body of writing()
        self.log = CommitLog(opened, self.lock, self.put_in_place)

    @property
    def readable(self) -> Transaction | Snapshot:
        """What a query of this thread reads: its open transaction, or the snapshot."""
        transaction = self.transaction
        return transaction if transaction is not None and self.turn.mine else self.opened.snapshot

    @property
    def logged_bytes(self) -> int:
        """The largest commit that goes to the log."""
        return log_limits.logged_commit_bytes(self.opened.options.profile)

    def refresh(self) -> bool:
        """Look for commits of others; True if there were any. Nothing happens while a thread writes.

        The thread that writes has looked, and shows what it commits. A snapshot that is loaded beside it
        might take the place of a newer one.
        """
        with self._refreshing:
            return not self.turn.busy and self.opened.refresh()

    def check_no_transaction(self) -> None:
        """StorageError if this thread has a transaction open."""
        if self.transaction is not None and self.turn.mine:
            raise StorageError("a transaction is open", file=self.opened.path, remedy="Commit it first.")

    # -- the turn --------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def writing(self, timeout: float | None = None, *, damaged: bool = False) -> Iterator[None]:
        """Be the writer for the body.

        However it ends, others can write afterwards, and the snapshot is the newest.

        timeout: seconds, by default the busy timeout. damaged: also where damage forbids to write anything
        but its repair. StorageError when this thread has a transaction open; BusyError when others keep
        writing.
        """
        self.check_no_transaction()
        self.enter(timeout, damaged=damaged)
        with self.leaving():
            self._committed = False
            yield
            if self._committed:
                self.reload_after_commit()
                self.upkeep.after_commit()
            else:
                self.opened.reload()

    def enter(
        self, timeout: float | None = None, append: Append | None = None, *, damaged: bool = False
    ) -> bool:
        """Become the writer, until :meth:`leaving`; False if another thread did ``append`` meanwhile."""
        self._check_changeable()
        seconds = self.busy_timeout if timeout is None else timeout
        deadline = time.monotonic() + seconds
        if not self.turn.enter(seconds, append, 0 if append is None else append.table.nbytes):
            return False
        try:
            self._lock_files(max(0.0, deadline - time.monotonic()), damaged=damaged)
        except BaseException:
            self.leave()
            raise
        return True

    def leaving(self) -> Leaving:
        """End the transaction and the turn after a body.

        After an error, load what was committed before it.
        """
        return Leaving(self)

    def leave(self) -> None:
        """End the transaction and the turn."""
        self.transaction = None
        try:
            if self.lock.held:
                self.lock.release()
        finally:
            self.turn.leave()

    def _check_changeable(self) -> None:
        opened = self.opened
        self._check_place()
        if opened.salvage:
            raise StorageError(
                "a table that is opened for salvage is only read",
                file=opened.path,
                remedy="Restore the missing files, or write what is left to a new table with write_flac.",
            )
        if opened.partial:
            raise UnsupportedError(
                "a table that is opened with partial is only read",
                file=opened.path,
                remedy="Wait until all of it is there, and open it without partial.",
            )
        if not self._swept:
            self.check_no_shard()
        if opened.fixed:
            raise UnsupportedError(
                f"this is version {opened.snapshot.version}, which does not change",
                file=opened.path,
                remedy="Open the table without a version to write to it.",
            )

    def _check_place(self) -> None:
        """UnsupportedError for what is not in a file."""
        if self.opened.files.is_remote:
            self.opened.files.check_writable()

    def check_no_shard(self) -> None:
        """UnsupportedError if the file is a shard: its commits are those of the whole table."""
        check_no_shard(self.opened.files.base, self.opened.path)

    def _lock_files(self, timeout: float, *, damaged: bool = False) -> None:
        """Take the writer's lock, load the newest snapshot, and see to it that it can be built upon."""
        opened, files = self.opened, self.opened.files
        files.check_writable()
        self.lock.acquire(timeout, timeout and self.busy_timeout)
        files.check_one_name()
        known = opened.snapshot
        with self._refreshing:
            opened.refresh()
        self._check_not_older(known)
        if not self._swept:
            files.sweep()
        if not self._swept or known.files != opened.snapshot.files:
            files.settle()
            files.remove_leftovers(opened.snapshot)
        self._swept = True
        if not damaged:
            files.check_undamaged(opened.snapshot)
        if opened.snapshot.has_leftover_log:
            files.remove_log()  # all of it is in a segment: a crash came before its removal
            opened.reload()

    def _check_not_older(self, known: Snapshot) -> None:
        """StorageError if the files are of an older state than the one that this session has seen.

        Somebody put an old copy in their place, or took the log away. It may be wanted, but not as a
        successor of what was read here.
        """
        before, now = known.table_file, self.opened.snapshot
        if before is None or now.table_file is None:
            return
        if now.table_file.is_older_than(before):
            what = (
                f"the file was replaced by an older state, with versions up to "
                f"{now.table_file.newest.catalog.last_version}, while the table was open"
            )
            remedy = "Close the table, and open it again if that is the state to go on with."
        elif known.logged and now.log is None and now.table_file.next_generation <= before.next_generation:
            what = f"the log, with versions up to {known.version}, was removed while the table was open"
            remedy = "Put it back in its place, or restore file and log from a copy."
        else:
            return
        self.opened.snapshot = known
        raise StorageError(what, file=self.opened.path, remedy=remedy)

    # -- commits; the turn must be this thread's -------------------------------------------------------------

    def log_writer(self) -> CommitLog:
        """What appends to the log, which is made if there is none.

        StorageError if the base is not in its place.
        """
        self.upgrade()
        return self.log.prepare()

    def prepared_log(self) -> tuple[CommitLog, Snapshot]:
        """:meth:`log_writer`, and the snapshot with the log."""
        return self.log_writer(), self.opened.snapshot

    def append_to_log(self, record: LogRecord) -> PreparedCommit:
        """Write a commit as a record of the log, durably. It is not in the snapshot yet."""
        check_history(self.opened.snapshot, record.message, tags=record.tags)
        writer = self.log_writer()
        log = self.opened.snapshot.log
        assert log is not None
        return LoggedCommit(record.version, writer, log, writer.append(log, record))

    def upgrade(self) -> None:
        """Write a table of format version 1 anew: there is no writer of that version any more."""
        opened = self.opened
        if not opened.snapshot.needs_upgrade:
            return
        self.lock.check_in_place()
        if not self.empty_log():
            snapshot, level = opened.snapshot, opened.options.compression_level
            oldest = snapshot.versions[0].number
            upkeep.vacuum(opened.files, self.lock, snapshot, opened.options, oldest, level=level)
            opened.reload()

    def write_segment(
        self, content: Commit, options: TableOptions | None = None, progress: Progress | None = None
    ) -> PreparedCommit:
        """Write a commit as a segment of its own, durably. It is not in the snapshot yet.

        options: those that the table has from then on, by default those that it has.
        """
        opened = self.opened
        self.upgrade()
        self.lock.check_in_place()
        return write_commit(
            opened.files, self.lock, opened.snapshot, options or opened.options, content, progress
        )

    def commit_segment(
        self, content: Commit, options: TableOptions | None = None, progress: Progress | None = None
    ) -> int:
        """:meth:`write_segment`, for good; the new version.

        The snapshot is the newest when :meth:`writing` ends.
        """
        commit = self.write_segment(content, options, progress)
        commit.accept()
        self._committed = True
        return commit.version

    def empty_log(self) -> bool:
        """Fold the log into the file, durably; False if there was nothing in the log.

        A segment that is not upkeep comes after it: its commits follow those of the log.
        """
        opened = self.opened
        snapshot = opened.snapshot
        if snapshot.log is not None and not snapshot.logged:
            self.log.retract()
        done = upkeep.checkpoint(opened.files, self.lock, opened.snapshot, opened.options)
        if done or snapshot.log is not None:
            opened.reload()
        return done

    def next_column(self) -> int:
        """The id for a new column."""
        return self.opened.snapshot.next_column

    def make_way(self) -> None:
        """See to it that a segment can come behind all commits."""
        self.empty_log()

    def flush(self) -> None:
        """Wait until everything is durable, which it is."""

    def append_rows(self, append: Append, progress: Progress | None) -> int | None:
        """Commit an append in another way than through the log; None where the log takes it."""
        return None

    def name_version(self, name: str, number: int, message: str) -> None:
        """Name a version, by an empty commit that holds the name."""
        snapshot, tags = self.opened.snapshot, {name: number}
        record = LogRecord(snapshot.newest + 1, commit_time(snapshot), message=message, tags=tags)
        self.append_to_log(record).accept()

    def merge(self) -> None:
        """Make one delta of all deltas and the log."""
        opened = self.opened
        self.empty_log()
        _, *deltas = opened.snapshot.segments
        if len(deltas) > 1:
            upkeep.merge(opened.files, self.lock, opened.snapshot, opened.options, deltas)

    def rewrite(
        self,
        options: TableOptions,
        retain: Retention,
        level: int | None,
        progress: Progress | None,
        *,
        heard: bool = True,
    ) -> int:
        """Make one file of everything; the oldest version that it keeps. heard: see ``vacuum``."""
        opened = self.opened
        self.empty_log()
        files, snapshot = opened.files, opened.snapshot
        oldest = retain.oldest(snapshot, now())
        upkeep.vacuum(
            files, self.lock, snapshot, options, oldest, level=level, heard=heard, progress=progress
        )
        opened.options = options
        return oldest

    def check_files(self, what: str) -> None:
        """UnsupportedError if the table has no files of its own, in whose place others could be put."""

    def checkpoint(self) -> bool:
        """:meth:`empty_log` for whoever asks for it; many small deltas are merged."""
        done = self.empty_log()
        self.upkeep.merge_small(at_the_end=True)
        return done

    def reload_after_commit(self) -> None:
        """Load a commit that is durable; where that fails, the next read says why."""
        try:
            self.opened.reload()
        except AudioMemError as error:
            tell(self.opened.path, f"the snapshot after a commit was not loaded: {error}")

    def put_in_place(self, temporary: str, path: str) -> None:
        """Let a file that says the same take the place of the one at ``path``, which is the table's."""
        try:
            if path == self.opened.files.base:
                self.lock.follow(temporary)
            replace_durably(temporary, path)
        finally:
            with contextlib.suppress(OSError):  # what stays is removed by the next writer's sweep
                os.unlink(temporary)

    # -- the end ---------------------------------------------------------------------------------------------

    def _fold(self) -> None:
        """Fold the log into the file, if nobody else writes; a warning tells what prevents it."""
        try:
            self._lock_files(0)
            if self.log.is_last():
                self.upkeep.attempt(at_the_end=True)
        except BusyError:
            pass  # who writes now does it
        except AudioMemError as error:
            self.upkeep.prevented(error)

    def close(self) -> None:
        """Fold the log into the file if this is the last session that wrote to it, and close the files.

        What other threads are appending is waited for. The log is left alone when another process is writing:
        it is as durable, and will be folded by that.
        """
        self.turn.enter(threading.TIMEOUT_MAX)
        try:
            self.turn.closed = True
            if self.log.used:
                self._fold()
        finally:
            self.log.close()
            if self.lock.held:
                self.lock.release()
            self.lock.close()
            self.opened.close()
            self.turn.leave()
