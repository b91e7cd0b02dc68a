"""The log of a session: made, announced in the table's file, and written to.

Before the first commit of a log is acknowledged the file itself says that the log goes with it. So a copy of
the file alone is told from the whole table. Whoever changes the file under an open writer is noticed: before
a commit is acknowledged the file is looked at again.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from audiomem_sql.errors import AudioMemError, StorageError
from audiomem_sql.machine.durable import file_identity
from audiomem_sql.machine.presence import Presence
from audiomem_sql.machine.writer_lock import WriterLock
from audiomem_sql.protection.levels import level_named
from audiomem_sql.storage.log import LogContent, LogRecord, LogWriter, Predecessor, quantum_for
from audiomem_sql.storage.pages import SESSION_BYTES
from audiomem_sql.storage.segment import DELTAS, FileState, ReadableSegment, TableFile
from audiomem_sql.table.announcing import PutInPlace, announcement_of
from audiomem_sql.table.open_table import OpenTable
from audiomem_sql.versions import HeadRecord, announced_session, read_head


class CommitLog:
    """Appends commits to the log of an open table. The writer's lock must be held for every call.

    It has the methods of a ``LogWriter`` that commits use.
    """

    def __init__(self, opened: OpenTable, lock: WriterLock, put_in_place: PutInPlace) -> None:
        self._opened = opened
        self._lock = lock
        self._put_in_place = put_in_place
        self._presence = Presence(opened.files.log)
        self._writer: LogWriter | None = None
        self._newest: tuple[ReadableSegment, FileState | None] | None = None  # as the last commit found it
        self._announced: TableFile | None = None  # which says that the log goes with it
        self._touched = 0  # when the table's file had last been touched as the log got its mode and owner

    @property
    def used(self) -> bool:
        """Whether this session wrote to a log."""
        return self._writer is not None

    def prepare(self) -> CommitLog:
        """See to it that there is a log; it is in the snapshot then.

        A new one becomes durable with its first commit, and is announced before that is acknowledged.
        """
        opened = self._opened
        touched = self._lock.check_in_place()
        writer = self._log_writer()
        snapshot = opened.snapshot
        file = snapshot.table_file
        assert file is not None
        log = snapshot.log
        if log is None:
            newest = snapshot.segments[-1]
            before = Predecessor(newest.catalog.segment_id, newest.digest, newest.catalog.last_version)
            quantum = quantum_for(file.state.size)
            log = writer.create(os.urandom(SESSION_BYTES), before, quantum, durable=False)
            opened.snapshot = snapshot.with_log(log, file)
        if touched != self._touched:  # nobody may read the log who may not read the table's file any more
            writer.renew_access()
            self._touched = touched
        return self

    def _log_writer(self) -> LogWriter:
        opened = self._opened
        if self._writer is None:
            self._writer = LogWriter(
                opened.files.log, opened.snapshot.segments[0].catalog.table_id, like=opened.files.base
            )
        # a vacuum may have changed the level
        self._writer.copies = level_named(opened.options.protection).log_copies
        return self._writer

    # -- commits ---------------------------------------------------------------------------------------------

    def append(self, content: LogContent, record: LogRecord) -> LogContent:
        """:meth:`append_group` of one commit."""
        return self.append_group(content, [record])

    def append_group(self, content: LogContent, commits: Sequence[LogRecord]) -> LogContent:
        """Add commits behind ``content``, durably, all or none; the content that the log has now.

        StorageError, and nothing is committed, if somebody changed the table's file.
        """
        writer = self._writer or self._log_writer()
        after = writer.append_group(content, commits, accepted=False)
        try:
            self._presence.enter(content.identity)
            self._announce_if_new(content)
            self._check_file()
            self._check_log(content)
        except BaseException:
            with contextlib.suppress(AudioMemError):
                writer.cut(content)
            raise
        return after

    def _announce_if_new(self, log: LogContent) -> None:
        """Say in the file that the log goes with it, unless it says so; the log has a durable commit."""
        snapshot = self._opened.snapshot
        file = snapshot.table_file
        assert file is not None
        assert log.session is not None
        if file is self._announced:
            return
        if announced_session(file) is None:
            beside = self._opened.options.deltas != DELTAS[0]
            way = announcement_of(self._opened, file, self._put_in_place, beside=beside)
            file = snapshot.table_file = way.announce(file, log.session)
        self._announced = file

    def mark(self, content: LogContent) -> None:
        """Say that the commits up to ``content`` stand."""
        (self._writer or self._log_writer()).mark(content)

    def cut(self, content: LogContent) -> None:
        """Take back everything behind ``content``, durably."""
        self._log_writer().cut(content)

    def _check_file(self) -> None:
        """StorageError if the table's file is not as this session left it."""
        file = self._opened.snapshot.table_file
        assert file is not None
        file.check_unchanged()
        if file.beside is not None:
            self._check_beside(file.beside)

    def _check_beside(self, head: HeadRecord) -> None:
        """StorageError if the head file or the newest delta is not as this session left it."""
        opened = self._opened
        newest = opened.snapshot.segments[-1]
        state = FileState.of(newest.path)
        if self._newest is None or self._newest[0] is not newest:
            self._newest = newest, state
        same = state == self._newest[1] and file_identity(newest.path) == newest.identity
        if read_head(opened.files.head) != head or not same:
            raise StorageError(
                "was changed or replaced while its table was written to; nothing was committed",
                file=opened.files.folder,
                remedy="Open the table again, and look whether it is the one that you want.",
            )

    def _check_log(self, log: LogContent) -> None:
        """StorageError if the log does not have its name any more: what is written to it is lost."""
        path = self._opened.files.log
        if file_identity(path) != log.identity:
            raise StorageError(
                "the log was moved, deleted or replaced while it was written to; nothing was committed",
                file=path,
                remedy="Put it back in its place, or restore file and log from a copy.",
            )

    # -- the end ---------------------------------------------------------------------------------------------

    def retract(self) -> None:
        """Take the announcement of a log without commits back; the log can be removed then."""
        file = self._opened.snapshot.table_file
        if file is None or announced_session(file) is None:
            return
        beside = file.beside is not None
        self._announced = None
        announcement_of(self._opened, file, self._put_in_place, beside=beside).retract(file)

    def is_last(self) -> bool:
        """Whether no other open table has commits in the log."""
        return self._presence.is_last()

    def close(self) -> None:
        """Close the log."""
        self._presence.leave()
        self._announced = None
        if self._writer is not None:
            self._writer.close()
        self._writer = None
