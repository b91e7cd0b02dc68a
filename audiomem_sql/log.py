"""The write-ahead log ``X.flac-wal``: commits that are durable but not yet in a segment.

    header   magic, format version, table id, the version before the first record, salt, CRC-32C of these
    record   length, CRC-32C, MessagePack map          … one a commit, or a list of maps: commits flushed together
    zeros    up to a fixed size: room for what is to come

A record's CRC-32C starts from the salt and its version, so neither a record of an older log in the same file nor one
out of order passes. Replay stops at the first record that is not whole: what a crash tore was never acknowledged. A
commit is one write and one fdatasync.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from audiomem_sql.batch import Row
from audiomem_sql.errors import DamagedFileError, FormatVersionError
from audiomem_sql.files import fsync_folder, stat_identity, storage_error
from audiomem_sql.log_record import LogRecord, pack_commits, unpack_commits
from audiomem_sql.protection.crc32c import crc32c

LOG_MAGIC = b"AuML"
LOG_VERSION = 1
#: magic, format version, table id, version before the first record, salt, CRC-32C of what stands before it
LOG_HEADER = struct.Struct("<4s I 16s Q I I")
#: bytes of the map behind it, CRC-32C of the map
RECORD_HEADER = struct.Struct("<I I")
#: A new log is filled with zeros up to here: a commit then changes no size, and its fdatasync flushes its bytes alone.
LOG_FILE_BYTES = 5 << 18
_SALT_OFFSET = 32
_ZEROS_LOOKED_AT = 4096
_READ_AT_ONCE = 64 << 10
#: The map of a commit, and the bytes that may stand before the first one: no list, or one of up to 15, 65,535, 2³² - 1.
_COMMIT_BEGINS = b"\x87\xa7version"
_LIST_HEADERS = (0, 1, 3, 5)


@dataclass(slots=True)
class LogContent:
    """What was read of a log: its records, where the last whole one ends, and whether something torn stands behind.

    last: offset and header of the last record, by which one that was taken back is told from the one in its place.
    ``records`` may be shared with later contents of the same log; the first ``count`` are those of this one.
    checked: how many of them are known to be rows of the table.
    """

    identity: tuple[int, int] | None = None
    after: int = 0
    salt: int = 0
    end: int = 0
    torn: bool = False
    last: tuple[int, bytes] = (0, b"")
    records: list[LogRecord] = field(default_factory=list)
    count: int = 0
    checked: int = 0

    @property
    def version(self) -> int:
        """The version of the last record, or the one before the first."""
        return self.records[self.count - 1].version if self.count else self.after

    def emptied(self) -> LogContent:
        """The same log without records."""
        return LogContent(self.identity, self.after, self.salt, LOG_HEADER.size)

    def grown(self, commits: Sequence[LogRecord], header: bytes, end: int) -> LogContent:
        """This content with the commits of one more record, which has ``header`` and ends at ``end``."""
        records = self.records if len(self.records) == self.count else self.records[: self.count]
        records.extend(commits)
        last, count = (self.end, header), self.count + len(commits)
        return LogContent(
            self.identity, self.after, self.salt, end, False, last, records, count, self.checked
        )

    def stands_in(self, handle: int) -> bool:
        """Whether the file begins with what was read: no other log took its place, and no record was taken back."""
        offset, header = self.last
        return (
            stat_identity(os.fstat(handle)) == self.identity
            and int.from_bytes(os.pread(handle, 4, _SALT_OFFSET), "little") == self.salt
            and os.pread(handle, len(header), offset) == header
        )


def read_log(path: str, table_id: bytes, known: LogContent | None = None) -> LogContent | None:
    """The log of table ``table_id``; None if there is none.

    known: what was read before; if the file is still the same only what was appended is read. DamagedFileError for a
    file that is no log or belongs to another table. A torn header counts as no log: nothing in it was acknowledged.
    Whether the records are rows of the table is for :func:`check_rows`, once it is known which columns they have.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise storage_error(error, path) from error
    try:
        header = _read_header(handle, path, table_id)
        if header is None:
            return None
        if known is None or not known.stands_in(handle):
            known = header
        return _read_records(handle, known, path)
    except OSError as error:
        raise storage_error(error, path) from error
    finally:
        os.close(handle)


def _read_header(handle: int, path: str, table_id: bytes) -> LogContent | None:
    head = os.pread(handle, LOG_HEADER.size, 0)
    if len(head) < LOG_HEADER.size or not any(head):
        return None
    magic, version, table, after, salt, crc = LOG_HEADER.unpack(head)
    if magic != LOG_MAGIC or crc != crc32c(head[:-4]):
        if not any(os.pread(handle, _ZEROS_LOOKED_AT, LOG_HEADER.size)):
            return None
        raise DamagedFileError(
            "this is no write-ahead log, or its header is damaged",
            file=path,
            remedy="Move it away to open the table without the commits in it.",
        )
    if version > LOG_VERSION:
        raise FormatVersionError(
            f"the log is in format version {version}", file=path, remedy="Open it with a newer audiomem-sql."
        )
    if table != table_id:
        raise DamagedFileError("the log belongs to another table", file=path, remedy="Move it away.")
    return LogContent(stat_identity(os.fstat(handle)), after, salt, LOG_HEADER.size)


def check_rows(
    path: str, content: LogContent, stored: int, width: int, check: Callable[[int, Row], None]
) -> None:
    """DamagedFileError unless the rows of the commits behind version ``stored`` are such as the table can hold.

    width: the number of columns. check: given a rowid and a row, raises DamagedFileError for one that cannot be.
    """
    for record in content.records[content.checked : content.count]:
        if record.version <= stored:  # of a time when the table had other columns, perhaps
            continue
        try:
            for rowid, row in record.inserted:
                if len(row) != width:
                    raise DamagedFileError("a record has another number of columns than the table")
                check(rowid, row)
        except DamagedFileError as error:
            raise DamagedFileError(error.what, file=path, place=f"version {record.version}") from None
    content.checked = content.count


def _read_records(handle: int, content: LogContent, path: str) -> LogContent:
    """``content`` with every whole record behind it."""
    start, data = content.end, b""

    def read(size: int) -> bytes:
        """``size`` bytes behind ``content``, or what there is of them."""
        nonlocal start, data
        at = content.end - start
        if len(data) - at < size:
            data, start = os.pread(handle, max(size, _READ_AT_ONCE), content.end), content.end
            at = 0
        return data[at : at + size]

    while len(header := read(RECORD_HEADER.size)) == RECORD_HEADER.size:
        length, crc = RECORD_HEADER.unpack(header)
        if not length and not crc:
            return replace(content, torn=any(read(_ZEROS_LOOKED_AT)))
        size = RECORD_HEADER.size + length
        if content.end + size > os.fstat(handle).st_size:
            return replace(content, torn=True)
        packed = read(size)[RECORD_HEADER.size :]
        if len(packed) < length or crc != _record_crc(packed, content.salt, content.version + 1):
            return replace(content, torn=True)
        try:
            commits = unpack_commits(packed)
        except DamagedFileError as error:
            raise DamagedFileError(error.what, file=path, place=f"byte {content.end}") from None
        if commits[0].version != content.version + 1:
            return replace(content, torn=True)
        content = content.grown(commits, header, content.end + size)
    return replace(content, torn=any(header))


def commits_behind(path: str, content: LogContent) -> bool:
    """Whether whole commits stand behind what is torn: then no crash tore it, because each was durable before the next."""
    try:
        with open(path, "rb") as file:
            file.seek(content.end)
            data = file.read()
    except OSError as error:
        raise storage_error(error, path) from error
    at = RECORD_HEADER.size
    while (at := data.find(_COMMIT_BEGINS, at + 1)) >= 0:
        for start in (at - size for size in _LIST_HEADERS if at - size > RECORD_HEADER.size):
            length, crc = RECORD_HEADER.unpack_from(data, start - RECORD_HEADER.size)
            packed = data[start : start + length]
            with contextlib.suppress(DamagedFileError):
                version = unpack_commits(packed)[0].version
                if version > content.version and crc == _record_crc(packed, content.salt, version):
                    return True
    return False


def has_more(path: str, content: LogContent) -> bool:
    """Whether something was written behind ``content``, its last record was taken back, or another log took its place."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        return not content.stands_in(handle) or any(os.pread(handle, RECORD_HEADER.size, content.end))
    except OSError:
        return True
    finally:
        os.close(handle)


def _record_crc(packed: bytes, salt: int, version: int) -> int:
    return crc32c(packed, (salt + version) & 0xFFFFFFFF)


class LogWriter:
    """Appends commits. The writer's lock of the table must be held for every call."""

    def __init__(self, path: str, table_id: bytes) -> None:
        self.path = path
        self._table_id = table_id
        self._handle = -1
        self._identity: tuple[int, int] | None = None

    def append(self, content: LogContent | None, record: LogRecord, after: int) -> LogContent:
        """:meth:`append_group` of one commit."""
        return self.append_group(content, [record], after)

    def append_group(
        self, content: LogContent | None, commits: Sequence[LogRecord], after: int
    ) -> LogContent:
        """Add commits behind ``content`` (None: no log yet), durably, all or none; the content that the log has now.

        after: the version before them, for a new log. On any error the log is as it was: what was written is cut off
        again.
        """
        packed = pack_commits(commits)
        if content is None:
            content = self._create(after)
        self._open(content)
        crc = _record_crc(packed, content.salt, commits[0].version)
        header = RECORD_HEADER.pack(len(packed), crc)
        data = header + packed
        try:
            if content.torn:
                self._blank(content.end)
            _write_all(self._handle, data, content.end)
            os.fdatasync(self._handle)
        except OSError as error:
            self._cut(content.end)
            raise storage_error(error, self.path) from error
        except BaseException:  # Ctrl-C: whoever is told that nothing happened must be right
            self._cut(content.end)
            raise
        grown = content.grown(commits, header, content.end + len(data))
        grown.checked = grown.count
        return grown

    def cut(self, content: LogContent) -> None:
        """Take back everything behind ``content``, durably."""
        self._open(content)
        try:
            self._blank(content.end)
            os.fdatasync(self._handle)
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
        head = LOG_HEADER.pack(LOG_MAGIC, LOG_VERSION, self._table_id, after, salt, 0)[:-4]
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
            self._handle = handle
            head += crc32c(head).to_bytes(4, "little")
            _write_all(handle, head + bytes(LOG_FILE_BYTES - len(head)), 0)
            os.fsync(handle)
            fsync_folder(os.path.dirname(self.path))
        except OSError as error:
            self.close()
            with contextlib.suppress(OSError):
                os.unlink(self.path)
            raise storage_error(error, self.path) from error
        self._identity = stat_identity(os.fstat(handle))
        return LogContent(self._identity, after, salt, LOG_HEADER.size)

    def _open(self, content: LogContent) -> None:
        if self._handle >= 0 and self._identity == content.identity:
            return
        self.close()
        try:
            self._handle = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise storage_error(error, self.path) from error
        self._identity = content.identity

    def _blank(self, end: int) -> None:
        """Zeros from ``end`` on."""
        os.ftruncate(self._handle, end)
        with contextlib.suppress(OSError):  # less room kept free
            os.ftruncate(self._handle, max(end, LOG_FILE_BYTES))

    def _cut(self, end: int) -> None:
        try:
            self._blank(end)
            os.fdatasync(self._handle)
        except OSError:
            self.close()


def _write_all(handle: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(handle, view, offset)
        view, offset = view[written:], offset + written
