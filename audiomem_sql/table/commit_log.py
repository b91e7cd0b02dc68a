"""The log of a session: made, announced in the table's file, and written to.

Before the first commit of a log is acknowledged the file itself says that the log goes with it. So a copy of
the file alone is told from the whole table. Whoever changes the file under an open writer is noticed: before
a commit is acknowledged the file is looked at again.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace

from audiomem_sql.errors import AudioMemError, StorageError
from audiomem_sql.machine.durable import file_identity
from audiomem_sql.machine.presence import Presence
from audiomem_sql.machine.writer_lock import WriterLock
from audiomem_sql.protection.levels import level_named
from audiomem_sql.storage.log import LogContent, LogRecord, LogWriter, Predecessor, quantum_for
from audiomem_sql.storage.segment import (
    DELTAS,
    Comments,
    FileState,
    TableFile,
    announce,
    announced_copy,
    can_append,
    copied_file,
    repaired_comments,
    retract,
)
from audiomem_sql.table.open_table import OpenTable
from audiomem_sql.versions import announced_session, head_of
from audiomem_sql.writing.commit import now

_SESSION_BYTES = 8
#: Lets a file take the place of another: temporary name, path.
PutInPlace = Callable[[str, str], None]


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

    @property
    def used(self) -> bool:
        """Whether this session wrote to a log."""
        return self._writer is not None

    def prepare(self) -> CommitLog:
        """See to it that there is a log; it is in the snapshot then.

        A new one becomes durable with its first commit, and is announced before that is acknowledged.
        """
        opened = self._opened
        self._lock.check_in_place()
        writer = self._log_writer()
        snapshot = opened.snapshot
        file = snapshot.table_file
        assert file is not None
        log = snapshot.log
        if log is None:
            newest = snapshot.segments[-1]
            before = Predecessor(newest.catalog.segment_id, newest.digest, newest.catalog.last_version)
            quantum = quantum_for(file.state.size)
            log = writer.create(os.urandom(_SESSION_BYTES), before, quantum, durable=False)
            opened.snapshot = snapshot.with_log(log, file)
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

    def _announce(self, file: TableFile, session: bytes) -> TableFile:
        """Say in the file that the log goes with it; the file as it is then."""
        if self._opened.options.deltas != DELTAS[0]:
            newest = head_of(self._opened.snapshot.segments[-1], file.generation + 1)
            record = replace(newest, session=session)
            self._opened.files.write_head(record)
            return replace(file, beside=record)
        writer = f"{socket.gethostname()}:{os.getpid()}"
        if can_append(file):
            record = announce(file, session, writer)
        else:
            ours, others = repaired_comments(file.path, file.newest.catalog.comments)
            temporary, record = announced_copy(file, session, writer, Comments(ours, others), now())
            self._put_in_place(temporary, file.path)
            return self._opened.files.table_file(self._opened.cache, self._opened.snapshot)
        state = FileState.of(file.path)
        assert state is not None
        front = record if file.front is not None else None
        return replace(file, state=state, front=front, announced=record, torn=False)

    # -- commits ---------------------------------------------------------------------------------------------

    def append(self, content: LogContent, record: LogRecord) -> LogContent:
        """:meth:`append_group` of one commit."""
        return self.append_group(content, [record])

    def append_group(self, content: LogContent, commits: Sequence[LogRecord]) -> LogContent:
        """Add commits behind ``content``, durably, all or none; the content that the log has now.

        StorageError, and nothing is committed, if somebody changed the table's file.
        """
        writer = self._log_writer()
        after = writer.append_group(content, commits)
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
        if announced_session(file) is None:
            snapshot.table_file = self._announce(file, log.session)

    def cut(self, content: LogContent) -> None:
        """Take back everything behind ``content``, durably."""
        self._log_writer().cut(content)

    def _check_file(self) -> None:
        """StorageError if the table's file is not as this session left it."""
        file = self._opened.snapshot.table_file
        assert file is not None
        file.check_unchanged()

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
        if file.beside is not None:
            newest = self._opened.snapshot.segments[-1]
            self._opened.files.write_head(head_of(newest, file.generation + 1))
            return
        if can_append(file):
            retract(file)
            return
        ours, others = repaired_comments(file.path, file.newest.catalog.comments)
        head = replace(file.head, generation=file.next_generation)
        temporary = copied_file(file, file.path, file.path, Comments(ours, others), head=head)
        self._put_in_place(temporary, file.path)

    def is_last(self) -> bool:
        """Whether no other open table has commits in the log."""
        return self._presence.is_last()

    def close(self) -> None:
        """Close the log."""
        self._presence.leave()
        if self._writer is not None:
            self._writer.close()
        self._writer = None
