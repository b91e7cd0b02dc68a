"""Writing the log: a commit is one write, or one for each copy, and one flush."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from audiomem_sql.errors import DamagedFileError, StorageError
from audiomem_sql.machine.durable import flush, flush_data, fsync_folder, stat_identity, storage_error
from audiomem_sql.protection.crc32c import crc32c
from audiomem_sql.storage.log import protected as protected_log
from audiomem_sql.storage.log.content import LOG_HEADER, LOG_MAGIC, PLAIN_VERSION, LogContent
from audiomem_sql.storage.log.copies import Copies, write_all
from audiomem_sql.storage.log.place import create_log, open_to_append
from audiomem_sql.storage.log.reader import RECORD_HEADER, record_crc
from audiomem_sql.storage.log.record import LogRecord, pack_commits

#: A new log is filled with zeros up to here: a commit then changes no size, and its fdatasync flushes its
#: bytes alone.
LOG_FILE_BYTES = 5 << 18


class LogWriter:
    """Appends commits. The writer's lock of the table must be held for every call.

    copies: how often everything is written to the next log that is made; a log that is there stays as it is.
    like: the base, whose mode and owner the log gets.
    """

    def __init__(self, path: str, table_id: bytes, copies: int = 1, *, like: str | None = None) -> None:
        self.path = path
        self._like = like
        self.copies = copies
        self._table_id = table_id
        self._handle = -1
        self._identity: tuple[int, int] | None = None
        #: Up to where all copies are known to be the same: offset, and the version before it.
        self._sound = 0, 0

    def append(self, content: LogContent | None, record: LogRecord, after: int) -> LogContent:
        """:meth:`append_group` of one commit."""
        return self.append_group(content, [record], after)

    def append_group(
        self, content: LogContent | None, commits: Sequence[LogRecord], after: int
    ) -> LogContent:
        """Add commits behind ``content`` (None: no log yet), durably, all or none.

        The content that the log has now.

        after: the version before them, for a new log. On any error the log is as it was: what was written is
        cut off again.
        """
        packed = pack_commits(commits)
        if content is None:
            content = self._create(after)
        self._open(content)
        if content.copies == 1:
            crc = record_crc(packed, content.salt, commits[0].version)
            header = RECORD_HEADER.pack(len(packed), crc)
            data = header + packed
        else:
            data = protected_log.encode_record(packed, content.salt, commits[0].version)
            header = data[: protected_log.RECORD_HEADER_BYTES]
        end = content.end + len(data)
        try:
            if content.copies == 1:
                if content.torn:
                    self._blank(content)
                write_all(self._handle, data, content.end)
            else:
                file = Copies(self._handle, content.copies)
                self._heal(file, content)
                file.reserve(end)
                for copy in range(content.copies):
                    file.write(copy, content.end, data)
            flush_data(self._handle)
        except OSError as error:
            self._cut(content)
            raise storage_error(error, self.path) from error
        except BaseException:  # Ctrl-C: whoever is told that nothing happened must be right
            self._cut(content)
            raise
        self._sound = end, commits[-1].version
        grown = content.grown(commits, header, end)
        grown.checked = grown.count
        return grown

    def cut(self, content: LogContent) -> None:
        """Take back everything behind ``content``, durably."""
        self._open(content)
        try:
            self._blank(content)
            flush_data(self._handle)
        except OSError as error:
            raise storage_error(error, self.path) from error

    def close(self) -> None:
        """Close the file."""
        if self._handle >= 0:
            os.close(self._handle)
        self._handle, self._identity = -1, None

    def _create(self, after: int) -> LogContent:
        """A new log, empty and durable."""
        self.close()
        salt = int.from_bytes(os.urandom(4), "little")
        try:
            handle = create_log(self.path, self._like)
        except OSError as error:
            raise storage_error(error, self.path) from error
        try:
            self._handle = handle
            if self.copies == 1:
                head = LOG_HEADER.pack(LOG_MAGIC, PLAIN_VERSION, self._table_id, after, salt, 0)[:-4]
                head += crc32c(head).to_bytes(4, "little")
                write_all(handle, head + bytes(LOG_FILE_BYTES - len(head)), 0)
            else:
                head = protected_log.encode_header(self._table_id, after, salt, self.copies)
                file = Copies(handle, self.copies)
                file.reserve(len(head))
                for copy in range(self.copies):
                    file.write(copy, 0, head)
            flush(handle)
            fsync_folder(os.path.dirname(self.path))
        except OSError as error:
            self.close()
            with contextlib.suppress(OSError):
                os.unlink(self.path)
            raise storage_error(error, self.path) from error
        self._identity = stat_identity(os.fstat(handle))
        self._sound = len(head), after
        return LogContent(self._identity, after, salt, len(head), copies=self.copies, begin=len(head))

    def _open(self, content: LogContent) -> None:
        if self._handle >= 0 and self._identity == content.identity:
            return
        self.close()
        try:
            self._handle = open_to_append(self.path, self._like)
        except OSError as error:
            raise storage_error(error, self.path) from error
        self._identity = content.identity
        self._sound = 0, 0

    def _heal(self, file: Copies, content: LogContent) -> None:
        """Make the copies of what others wrote, or left behind, the same again.

        With the next flush that lasts.
        """
        if self._sound == (content.end, content.version) and not content.torn:
            return
        start = (
            self._sound if content.begin <= self._sound[0] <= content.end else (content.begin, content.after)
        )
        try:
            for flaw in list(protected_log.flaws(file, content.salt, start, content.end)):
                for copy in flaw.copies:
                    file.write(copy, flaw.offset, flaw.data)
        except DamagedFileError as error:
            raise StorageError(error.what, file=self.path) from None
        file.blank(content.end)

    def _blank(self, content: LogContent) -> None:
        """Zeros behind ``content``."""
        if content.copies > 1:
            whole = Copies(self._handle, content.copies).blank(content.end)
            if not whole or self._sound[0] > content.end:
                self._sound = (content.end, content.version) if whole else (0, 0)
            return
        os.ftruncate(self._handle, content.end)
        with contextlib.suppress(OSError):  # less room kept free
            os.ftruncate(self._handle, max(content.end, LOG_FILE_BYTES))

    def _cut(self, content: LogContent) -> None:
        try:
            self._blank(content)
            flush_data(self._handle)
        except OSError:
            self.close()
