"""The write-ahead log ``X.flac-wal``: commits that are durable but not yet in a segment.

This module reads it.

    header   magic, format version, table id, the version before the first record, salt, CRC-32C of these
    record   length, CRC-32C, MessagePack map    … one a commit, or a list of maps: commits flushed together
    zeros    up to a fixed size: room for what is to come

A record's CRC-32C starts from the salt and its version, so neither a record of an older log in the same file
nor one out of order passes. Replay stops at the first record that is not whole: what a crash tore was never
acknowledged. A commit is one write and one fdatasync (:mod:`audiomem_sql.storage.log.writer`).

That is the log of a table with protection ``none``. Any other table's is in format version 2: the same
records, with parity and in several copies (:mod:`audiomem_sql.storage.log.protected`). The functions here
take both, and tell them apart by the file.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Callable
from dataclasses import replace

from audiomem_sql.columns.batch import Row
from audiomem_sql.errors import DamagedFileError, FormatVersionError, StorageError
from audiomem_sql.machine.durable import stat_identity, storage_error
from audiomem_sql.protection.crc32c import crc32c
from audiomem_sql.storage.log import protected as protected_log
from audiomem_sql.storage.log.content import LOG_HEADER, LOG_MAGIC, LOG_VERSION, PROTECTED_VERSION, LogContent
from audiomem_sql.storage.log.copies import Copies
from audiomem_sql.storage.log.place import is_unfinished, open_log
from audiomem_sql.storage.log.record import unpack_commits

#: bytes of the map behind it, CRC-32C of the map
RECORD_HEADER = struct.Struct("<I I")
_SALT_OFFSET = 32
_ZEROS_LOOKED_AT = 4096
_READ_AT_ONCE = 64 << 10
#: The map of a commit, and the bytes that may stand before the first one: no list, or one of up to 15,
#: 65,535, 2³² - 1.
_COMMIT_BEGINS = b"\x87\xa7version"
_LIST_HEADERS = (0, 1, 3, 5)


def read_log(path: str, table_id: bytes, known: LogContent | None = None) -> LogContent | None:
    """The log of table ``table_id``; None if there is none.

    known: what was read before; if the file is still the same only what was appended is read.
    DamagedFileError for a file that is no log or belongs to another table. A torn header counts as no log:
    nothing in it was acknowledged. Whether the records are rows of the table is for :func:`check_rows`, once
    it is known which columns they have.
    """
    try:
        handle = open_log(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise storage_error(error, path) from error
    try:
        header = _read_header(handle, path, table_id)
        if header is None:
            return None
        if known is None or not _stands_in(handle, known):
            known = header
        read = _read_records if known.copies == 1 else _read_protected
        return read(handle, known, path)
    except OSError as error:
        raise storage_error(error, path) from error
    finally:
        os.close(handle)


def _read_header(handle: int, path: str, table_id: bytes) -> LogContent | None:
    identity = stat_identity(os.fstat(handle))
    head = os.pread(handle, LOG_HEADER.size, 0)
    if len(head) == LOG_HEADER.size and any(head):
        magic, version, table, after, salt, crc = LOG_HEADER.unpack(head)
        if magic == LOG_MAGIC and crc == crc32c(head[:-4]) and version != PROTECTED_VERSION:
            if version > LOG_VERSION:
                raise FormatVersionError(
                    f"the log is in format version {version}",
                    file=path,
                    remedy="Open it with a newer audiomem-sql.",
                )
            _check_owner(table, table_id, path)
            return LogContent(identity, after, salt, LOG_HEADER.size)
    payload = protected_log.read_header(handle)
    if payload is not None:
        _, _, table, after, salt, _ = LOG_HEADER.unpack_from(payload)
        (copies,) = protected_log.COPIES_FIELD.unpack_from(payload, LOG_HEADER.size)
        _check_owner(table, table_id, path)
        begin = protected_log.HEADER_BYTES
        return LogContent(identity, after, salt, begin, copies=copies, begin=begin)
    plain = len(head) == LOG_HEADER.size and any(head)
    if (
        protected_log.has_remains(handle)
        or (plain and any(os.pread(handle, _ZEROS_LOOKED_AT, LOG_HEADER.size)))
        or not is_unfinished(handle)
    ):
        raise DamagedFileError(
            "this is no write-ahead log, or its header is damaged",
            file=path,
            remedy="Move it away to open the table without the commits in it.",
        )
    return None


def _check_owner(table: bytes, table_id: bytes, path: str) -> None:
    if table != table_id:
        raise DamagedFileError("the log belongs to another table", file=path, remedy="Move it away.")


def _stands_in(handle: int, content: LogContent) -> bool:
    """Whether the file begins with what was read.

    Otherwise another log took its place, or a record was taken back.
    """
    if stat_identity(os.fstat(handle)) != content.identity:
        return False
    if content.copies > 1:
        return protected_log.stands(Copies(handle, content.copies), content.salt, content.last)
    offset, header = content.last
    return (
        int.from_bytes(os.pread(handle, 4, _SALT_OFFSET), "little") == content.salt
        and os.pread(handle, len(header), offset) == header
    )


def check_rows(
    path: str, content: LogContent, stored: int, width: int, check: Callable[[int, Row], None]
) -> None:
    """Raise DamagedFileError unless the table can hold the rows of the commits behind ``stored``.

    width: the number of columns. check: given a rowid and a row, raises DamagedFileError for one that cannot
    be.
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
            error.at(file=path, place=f"version {record.version}")
            raise
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
        if len(packed) < length or crc != record_crc(packed, content.salt, content.version + 1):
            return replace(content, torn=True)
        try:
            commits = unpack_commits(packed)
        except DamagedFileError as error:
            error.at(file=path, place=f"byte {content.end}")
            raise
        if commits[0].version != content.version + 1:
            return replace(content, torn=True)
        content = content.grown(commits, header, content.end + size)
    return replace(content, torn=any(header))


def _read_protected(handle: int, content: LogContent, path: str) -> LogContent:
    """The same of a log in format version 2."""
    file = Copies(handle, content.copies)
    while True:
        try:
            record = protected_log.next_record(file, content.salt, content.version, content.end)
        except DamagedFileError as error:
            error.at(file=path, place=f"byte {content.end}")
            raise
        if isinstance(record, bool):
            return replace(content, torn=record)
        content = content.grown(record.commits, record.header, record.end)


def commits_behind(path: str, content: LogContent) -> bool:
    """Whether whole commits stand behind what is torn.

    Then no crash tore it, because each was durable before the next.
    """
    try:
        with os.fdopen(open_log(path), "rb") as file:
            if content.copies > 1:
                copies = Copies(file.fileno(), content.copies)
                return protected_log.records_behind(copies, content.salt, content.version, content.end)
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
                if version > content.version and crc == record_crc(packed, content.salt, version):
                    return True
    return False


def has_more(path: str, content: LogContent) -> bool:
    """Whether the log is no longer ``content``.

    Something was written behind it, its last record was taken back, or another log took its place.
    """
    try:
        handle = open_log(path)
    except (OSError, StorageError):
        return True
    try:
        if not _stands_in(handle, content):
            return True
        if content.copies > 1:
            return protected_log.is_written(Copies(handle, content.copies), content.salt, content.end)
        return any(os.pread(handle, RECORD_HEADER.size, content.end))
    except OSError:
        return True
    finally:
        os.close(handle)


def flawed_versions(path: str, content: LogContent) -> list[tuple[int | None, int]]:
    """The records of which some copies are damaged, and how many copies are.

    By version, None for the header of the log.
    """
    if content.copies == 1:
        return []
    try:
        with os.fdopen(open_log(path), "rb") as file:
            copies = Copies(file.fileno(), content.copies)
            start = content.begin, content.after
            flaws = list(protected_log.flaws(copies, content.salt, start, content.end))
    except OSError as error:
        raise storage_error(error, path) from error
    return [(flaw.version, len(flaw.copies)) for flaw in flaws]


def record_crc(packed: bytes, salt: int, version: int) -> int:
    """The CRC-32C of a record: of what it holds, from a start value that is its own."""
    return crc32c(packed, (salt + version) & 0xFFFFFFFF)
