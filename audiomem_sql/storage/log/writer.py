"""Writing the log: a commit is one write, or one for each copy, and one flush."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Sequence

from audiomem_sql.errors import DamagedFileError, StorageError
from audiomem_sql.machine.durable import (
    flush,
    flush_data,
    fsync_folder,
    stat_identity,
    storage_error,
    temporary_file,
)
from audiomem_sql.machine.file_access import renew_access
from audiomem_sql.protection.piece_code import encode_piece
from audiomem_sql.storage.log import protected as protected_log
from audiomem_sql.storage.log.chain import (
    FIRST_RECORD,
    SLOTS,
    Predecessor,
    Watermark,
    record_crc,
    record_digest,
)
from audiomem_sql.storage.log.content import PLAIN_VERSION, PROTECTED_VERSION, LogContent
from audiomem_sql.storage.log.copies import Copies, write_all
from audiomem_sql.storage.log.headers import encode_header, read_header, read_slots
from audiomem_sql.storage.log.place import create_log, open_log, open_to_append, remove_unfinished
from audiomem_sql.storage.log.reader import RECORD_HEADER, log_file, record_form
from audiomem_sql.storage.log.record import LogRecord, pack_commits
from audiomem_sql.storage.pages import DIGEST_BYTES, SEGMENT_ID_BYTES, SESSION_BYTES

_WRITTEN_AGAIN_AT_ONCE = 1 << 18
#: Bytes of a record that is large, and how many more of its size get room with it.
_LARGE_RECORD, _RECORDS_AHEAD = 64 << 10, 4
#: What a log that is written once grows by, if its table is small: a commit then changes no size, and its
#: fdatasync flushes its bytes alone.
SMALL_QUANTUM = 64 << 10
#: The same of any other table.
LARGE_QUANTUM = 5 << 18
#: Bytes of a table from which on it is not small.
SMALL_TABLE_BYTES = 1 << 20


def quantum_for(table_bytes: int) -> int:
    """What the log of a table of this size grows by."""
    return SMALL_QUANTUM if table_bytes < SMALL_TABLE_BYTES else LARGE_QUANTUM


def flush_unmarked(path: str, content: LogContent) -> None:
    """Make a log durable whose newest record its writer may not have flushed before it was killed.

    StorageError if that fails, or another log took its place.
    """
    if content.is_marked or not content.chained:
        return
    try:
        handle = open_to_append(path, None)
        try:
            if stat_identity(os.fstat(handle)) != content.identity:
                raise StorageError("another log took its place", file=path, remedy="Open the table again.")
            flush_data(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise storage_error(error, path) from error


class LogWriter:
    """Makes logs, and appends commits. The writer's lock of the table must be held for every call.

    copies: how often everything is written to the next log that is made; a log that is there stays as it is.
    like: the base, whose mode and owner the log gets.
    """

    def __init__(self, path: str, table_id: bytes, copies: int = 1, *, like: str | None = None) -> None:
        self._handle = -1
        self.path = path
        self._like = like
        self.copies = copies
        self._table_id = table_id
        self._identity: tuple[int, int] | None = None
        self._temporary: str | None = None  # the name of a log that has no record yet
        #: Up to where all copies are known to be the same: offset, and the version before it.
        self._sound = 0, 0

    def create(
        self, session: bytes, predecessor: Predecessor, quantum: int, *, durable: bool = True
    ) -> LogContent:
        """A new log, empty and durable, that continues ``predecessor``.

        durable: False leaves that to the first record: the log is made under a temporary name, and gets its
        own when that is durable. So no crash leaves a log whose header is lost.
        session: 8 bytes, at random, which name the log. quantum: what its size is a multiple of; a log in
        copies grows by strips instead. StorageError if a log or a foreign file has its name already, which is
        left alone, or if it cannot be made, and then nothing is left behind. What a crash left of one that
        was being made is removed.
        """
        assert len(session) == SESSION_BYTES
        assert (len(predecessor.segment_id), len(predecessor.digest)) == (SEGMENT_ID_BYTES, DIGEST_BYTES)
        self.close()
        content = LogContent(
            after=predecessor.version,
            salt=int.from_bytes(os.urandom(4), "little"),
            end=FIRST_RECORD,
            copies=self.copies,
            format=PLAIN_VERSION if self.copies == 1 else PROTECTED_VERSION,
            session=session,
            predecessor=predecessor,
            digest=predecessor.digest,
            quantum=quantum,
            watermark=predecessor.version,
        )
        try:
            self._check_free()
            if durable:
                self._handle = create_log(self.path, self._like)
            else:
                remove_unfinished(self.path)
                self._handle, self._temporary = temporary_file(self.path, self._like)
        except OSError as error:
            raise storage_error(error, self.path) from error
        try:
            if self.copies > 1:
                content.quantum = Copies(self._handle, self.copies).strip
            self._write_beginning(content)
            if durable:
                flush(self._handle)
                fsync_folder(os.path.dirname(self.path))
        except BaseException as error:
            self.close()
            if durable:
                with contextlib.suppress(OSError):
                    os.unlink(self.path)
            if isinstance(error, OSError):
                raise storage_error(error, self.path) from error
            raise
        content.identity = self._identity = stat_identity(os.fstat(self._handle))
        self._sound = content.end, content.version
        return content

    def _check_free(self) -> None:
        """FileExistsError if there is a log, whole or not."""
        try:
            handle = open_log(self.path)
        except FileNotFoundError:
            return
        try:
            with contextlib.suppress(DamagedFileError):  # create_log tells what is not ours
                if read_header(handle, self.path, self._table_id) is not None:
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        finally:
            os.close(handle)

    def _write_beginning(self, content: LogContent) -> None:
        """Zeros, the first watermark, and the header last: whoever reads meanwhile finds no log."""
        header = encode_header(content, self._table_id)
        if content.copies > 1:
            header = encode_piece(header, 0)
        beginning = header.ljust(SLOTS[0], b"\0") + self._slot_bytes(content, content.mark)
        file = log_file(self._handle, content)
        file.reserve(FIRST_RECORD)
        for copy in range(content.copies):
            file.write(copy, 0, beginning)

    def append(self, content: LogContent, record: LogRecord) -> LogContent:
        """:meth:`append_group` of one commit."""
        return self.append_group(content, [record])

    def append_group(
        self, content: LogContent, commits: Sequence[LogRecord], *, accepted: bool = True
    ) -> LogContent:
        """Add commits behind ``content``, durably, all or none; the content that the log has now.

        On any error the log is as it was: what was written is taken back. accepted: they stand; otherwise
        :meth:`mark` says so later.
        """
        packed = pack_commits(commits)
        self._open(content)
        digest = record_digest(content.digest, packed)
        header, data = self._record_bytes(content, packed, commits[0].version, digest)
        end = content.end + len(data)
        grown = content.grown(commits, header, end, digest)
        grown.checked = grown.count
        try:
            file = log_file(self._handle, content)
            self._heal(file, content)
            if not content.is_marked:  # its writer may have been killed before it flushed
                flush_data(self._handle)
            self._reserve(file, end, len(data))
            for copy in range(content.copies):
                file.write(copy, content.end, data)
            flush_data(self._handle)
            if self._temporary is not None:
                self._give_name(self._temporary)
            elif not content.count or not content.is_marked:  # nor its name, perhaps
                fsync_folder(os.path.dirname(self.path))
        except OSError as error:
            self._cut(content)
            raise storage_error(error, self.path) from error
        except BaseException:  # Ctrl-C: whoever is told that nothing happened must be right
            self._cut(content)
            raise
        self._sound = end, commits[-1].version
        if accepted:
            self.mark(grown)
        return grown

    def mark(self, content: LogContent) -> None:
        """Say how far the log has come, once it is durable up to there; the next flush covers that.

        If it cannot be said, the next writer does not build on it before it has flushed the log.
        """
        if self._handle < 0 or self._identity != content.identity:
            return
        file = log_file(self._handle, content)
        mark, slot = self._slot_bytes(content, content.mark), 1 - content.slot
        with contextlib.suppress(OSError):
            for copy in range(content.copies):
                file.write(copy, SLOTS[slot], mark)
            content.watermark, content.slot = content.version, slot

    def _reserve(self, file: Copies, end: int, size: int = 0) -> None:
        """Room up to ``end``, durable before anything is in it, or the size would say nothing.

        size: of the record. Zeros in front of a large one would cost as much as itself, so it gets room that
        has never been written, and those that follow it, too.
        """
        large = size > _LARGE_RECORD
        if file.reserve(end, filled=not large, ahead=_RECORDS_AHEAD * size if large else 0):
            flush_data(self._handle)

    def _give_name(self, temporary: str) -> None:
        """Put a new log, which has a durable record, in its place, durably. OSError if that fails."""
        if os.path.lexists(self.path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        os.replace(temporary, self.path)
        self._temporary = None
        fsync_folder(os.path.dirname(self.path))

    def _record_bytes(
        self, content: LogContent, packed: bytes, version: int, digest: bytes
    ) -> tuple[bytes, bytes]:
        """The header of a record, and the record."""
        if content.copies > 1:
            form = record_form(content)
            data = protected_log.encode_record(packed, form, version, digest)
            return data[: form.header_bytes], data
        header = RECORD_HEADER.pack(len(packed), record_crc(packed, content.salt, version, digest), digest)
        return header, header + packed

    def _slot_bytes(self, content: LogContent, mark: Watermark) -> bytes:
        data = mark.pack(content.salt)
        return encode_piece(data, content.salt) if content.copies > 1 else data

    def cut(self, content: LogContent) -> None:
        """Take back everything behind ``content``, durably."""
        self._open(content)
        try:
            self._lower(content)
            self._blank(content)
            flush_data(self._handle)
        except OSError as error:
            raise storage_error(error, self.path) from error

    def _lower(self, content: LogContent) -> None:
        """Take back watermarks beyond ``content``, durably before the records that they speak of."""
        file, mark = log_file(self._handle, content), self._slot_bytes(content, content.mark)
        while (newest := read_slots(file, content).newest) and newest[1].version > content.version:
            for copy in range(content.copies):
                file.write(copy, SLOTS[newest[0]], mark)
            flush_data(self._handle)

    def close(self) -> None:
        """Close the file."""
        handle, temporary = self._handle, self._temporary
        self._handle, self._identity, self._temporary = -1, None, None
        if handle >= 0:
            os.close(handle)
        if temporary is not None:
            with contextlib.suppress(OSError):  # what stays is removed by the next writer's sweep
                os.unlink(temporary)

    def __del__(self) -> None:
        if self._handle >= 0:  # a temporary log is left to the next writer: this may be a forked process
            os.close(self._handle)

    def renew_access(self) -> None:
        """Give the log mode and owner that the base has now."""
        if self._handle >= 0 and self._like is not None:
            try:
                renew_access(self._handle, self._like)
            except OSError as error:
                raise storage_error(error, self.path) from error

    def _open(self, content: LogContent) -> None:
        if not content.chained:
            raise StorageError(
                f"the log is in format version {content.format}, which is only read",
                file=self.path,
                remedy="Open the table for writing: that makes a segment of the commits in it.",
            )
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
        if content.copies > 1:
            self._reserve(file, content.end)  # undoing may have left copy 0 alone
            known = content.begin <= self._sound[0] <= content.end
            start = self._sound if known else (content.begin, content.after)
            form = record_form(content)
            try:
                for flaw in list(protected_log.flaws(file, form, start, content.begin, content.end)):
                    for copy in flaw.copies:
                        file.write(copy, flaw.offset, flaw.data)
            except DamagedFileError as error:
                raise StorageError(error.what, file=self.path) from None
        file.blank(content.end)

    def _blank(self, content: LogContent) -> None:
        """Zeros behind ``content``."""
        whole = log_file(self._handle, content).blank(content.end)
        if not whole or self._sound[0] > content.end:
            self._sound = (content.end, content.version) if whole else (0, 0)

    def _cut(self, content: LogContent) -> None:
        """Take back what stands behind ``content`` after an error.

        A flush that failed may have given up records of a writer that was killed before its own flush, and no
        later flush brings them to the disk. The next commit would stand behind a hole. So they are written
        again.
        """
        try:
            self._blank(content)
            kept = self._sound[0] if self._sound[0] <= content.end else 0
            if kept < content.end:
                self._write_again()
            flush_data(self._handle)
        except OSError:
            self.close()

    def _write_again(self) -> None:
        """All bytes of the file, as they are."""
        for offset in range(0, os.fstat(self._handle).st_size, _WRITTEN_AGAIN_AT_ONCE):
            write_all(self._handle, os.pread(self._handle, _WRITTEN_AGAIN_AT_ONCE, offset), offset)
