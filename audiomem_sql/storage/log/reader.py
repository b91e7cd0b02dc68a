"""The write-ahead log ``X.flac-wal``: commits that are durable but not yet in a segment.

This module reads it.

    header   table, session, the segment that it continues, salt; two watermarks
    record   length, CRC-32C, digest, MessagePack map    … one a commit, or a list of maps: commits flushed
             together
    zeros    up to whole quanta: room for what is to come

A record's CRC-32C starts from the salt and its version, so neither a record of an older log in the same file
nor one out of order passes; its digest continues that of the record before
(:mod:`audiomem_sql.storage.log.chain`). Replay stops at the first record that is not whole: what a crash tore
was never acknowledged. If the watermark says that the log had come further, it is damaged. A commit is one
write and one fdatasync (:mod:`audiomem_sql.storage.log.writer`).

That is format version 3, the log of a table with protection ``none``. Any other table's is in format version
4: the same records, with parity and in several copies (:mod:`audiomem_sql.storage.log.protected`). Formats 1
and 2 are the logs of tables of version 1, without digests and watermarks. The functions here take all four,
and tell them apart by the file.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Callable
from dataclasses import replace

from audiomem_sql.columns.batch import Row
from audiomem_sql.errors import AudioMemError, DamagedFileError, StorageError
from audiomem_sql.machine.durable import stat_identity, storage_error
from audiomem_sql.storage.log import protected as protected_log
from audiomem_sql.storage.log.chain import (
    NO_DIGEST,
    broken_chain,
    cut_short,
    record_crc,
    record_digest,
)
from audiomem_sql.storage.log.content import LOG_HEADER, LogContent
from audiomem_sql.storage.log.copies import Copies
from audiomem_sql.storage.log.headers import Slots, read_header, read_slots
from audiomem_sql.storage.log.place import open_log, open_log_with_status
from audiomem_sql.storage.log.record import unpack_commits
from audiomem_sql.storage.pages import DIGEST_BYTES, SESSION_BYTES

#: bytes of the map, CRC-32C of digest and map, digest
RECORD_HEADER = struct.Struct("<I I 16s")
#: Of format 1: bytes of the map, CRC-32C of it.
OLD_RECORD_HEADER = struct.Struct("<I I")
_SALT_OFFSET = 32
#: Bytes of a record that are read to see its header and what is behind it.
_READ_WITH_ITS_END = 4 << 10
_ZEROS_LOOKED_AT = 4096
_READ_AT_ONCE = 64 << 10
#: The map of a commit, and the bytes that may stand before the first one: no list, or one of up to 15,
#: 65,535, 2³² - 1.
_COMMIT_BEGINS = b"\x87\xa7version"
_LIST_HEADERS = (0, 1, 3, 5)


def read_log(
    path: str, table_id: bytes, known: LogContent | None = None, *, unreadable: list[str] | None = None
) -> LogContent | None:
    """The log of table ``table_id``; None if there is none.

    known: what was read before; if the file is still the same only what was appended is read. unreadable: of
    a log that was cut short or damaged, what is whole is returned, and why it ends there is added here.

    DamagedFileError for a file that is no log, belongs to another table, was cut short or is damaged. A torn
    header counts as no log: nothing in it was acknowledged. Whether the records are rows of the table is for
    :func:`check_rows`, once it is known which columns they have; whether session and predecessor fit the
    table, for the caller.
    """
    try:
        handle = open_log(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise storage_error(error, path) from error
    try:
        header = read_header(handle, path, table_id)
        if header is None:
            return None
        if known is None or not _stands_in(handle, known):
            known = header
        if not known.chained:
            return _read_on(handle, known, path, None)[0]
        content, fault = _read_chained(handle, known, path)
        if fault is not None and unreadable is None:
            raise fault
        if fault is not None and unreadable is not None:
            unreadable.append(str(fault))
        return content
    except OSError as error:
        raise storage_error(error, path) from error
    finally:
        os.close(handle)


def log_file(handle: int, content: LogContent) -> Copies:
    """The copies in a log's file."""
    return (
        Copies(handle, content.copies, content.quantum) if content.quantum else Copies(handle, content.copies)
    )


def record_form(content: LogContent) -> protected_log.RecordForm:
    """How the records of a log with protection are written."""
    return protected_log.RecordForm(content.salt, content.chained)


def _read_chained(handle: int, known: LogContent, path: str) -> tuple[LogContent, AudioMemError | None]:
    """What is whole of a log in format 3 or 4 from ``known`` on, and what is wrong behind it.

    The watermarks are read first: a commit that comes in between is then behind them. If a record was taken
    back in between, they have changed, and it is read again.
    """
    while True:
        slots = read_slots(log_file(handle, known), known)
        content, fault = _read_on(handle, known, path, slots)
        if fault is None:
            fault = _fault(handle, content, slots, path)
        again = read_slots(log_file(handle, known), known)
        if fault is None or again.marks == slots.marks:
            break
    if slots.newest is not None:
        slot, mark = slots.newest
        content = replace(content, slot=slot, watermark=mark.version)
    return content, fault


def _fault(handle: int, content: LogContent, slots: Slots, path: str) -> AudioMemError | None:
    """Why a log cannot have ended where it does; None if it can."""
    error = cut_short(content.version + 1, content.end, path)
    if log_file(handle, content).is_cut(content.begin, content.end):
        return error
    if slots.newest is None:
        # Of a log that no crash let become durable there may be the header alone; of any other there is one.
        return None if slots.blank and not content.count and not content.torn else error
    return error if slots.newest[1].version > content.version else None


def _read_on(
    handle: int, content: LogContent, path: str, slots: Slots | None
) -> tuple[LogContent, AudioMemError | None]:
    """``content`` with every whole record behind it, and what is wrong with the next if it is whole.

    DamagedFileError for one that makes no sense in formats 1 and 2.
    """
    next_record = (
        _plain_records(handle, content) if content.copies == 1 else _protected_records(handle, content)
    )
    marks = {} if slots is None else {mark.version: mark for mark in slots.marks if mark is not None}
    if content.chained and marks.get(content.version, content.mark) != content.mark:
        return content, broken_chain(content.version, content.end, path)
    while True:
        try:
            record = next_record(content)
        except DamagedFileError as error:
            error.at(file=path, place=f"byte {content.end}")
            if not content.chained:
                raise
            return content, error
        if isinstance(record, bool):
            return replace(content, torn=record), None
        digest = NO_DIGEST
        if content.chained:
            version, digest = record.commits[-1].version, record_digest(content.digest, record.packed)
            mark = replace(content.mark, version=version, end=record.end, digest=digest)
            if digest != record.digest or marks.get(version, mark) != mark:
                return content, broken_chain(record.commits[0].version, content.end, path)
        content = content.grown(record.commits, record.header, record.end, digest)


def _stands_in(handle: int, content: LogContent) -> bool:
    """Whether the file begins with what was read.

    Otherwise another log took its place, or a record was taken back.
    """
    if stat_identity(os.fstat(handle)) != content.identity:
        return False
    if content.copies > 1:
        return protected_log.stands(log_file(handle, content), record_form(content), content.last)
    return _plain_stands_in(handle, content)


def _plain_stands_in(handle: int, content: LogContent, zeros: int = 0) -> bool:
    """The same of a log that is written once. zeros: so many bytes behind it must be zeros.

    Every commit asks: so what stands near is read at once.
    """
    named = os.pread(handle, LOG_HEADER.size + SESSION_BYTES - _SALT_OFFSET, _SALT_OFFSET)
    if named[:4] != content.salt.to_bytes(4, "little"):
        return False
    if content.session is not None and named[LOG_HEADER.size - _SALT_OFFSET :] != content.session:
        return False
    offset, header = content.last
    length = content.end - offset
    if length > _READ_WITH_ITS_END:
        return os.pread(handle, len(header), offset) == header and not any(
            os.pread(handle, zeros, content.end)
        )
    last = os.pread(handle, length + zeros, offset)
    return last.startswith(header) and not any(last[length:])


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


def _plain_records(
    handle: int, first: LogContent
) -> Callable[[LogContent], protected_log.WholeRecord | bool]:
    """What gives the next whole record of a log that is written once, behind ``first``, or another behind it.

    If there is none, whether something torn stands there.
    """
    start, data = first.end, b""
    fields = RECORD_HEADER if first.chained else OLD_RECORD_HEADER

    def read(offset: int, size: int) -> bytes:
        """``size`` bytes at ``offset``, or what there is of them."""
        nonlocal start, data
        if offset - start + size > len(data):
            data, start = os.pread(handle, max(size, _READ_AT_ONCE), offset), offset
        return data[offset - start : offset - start + size]

    def next_record(content: LogContent) -> protected_log.WholeRecord | bool:
        header = read(content.end, fields.size)
        if len(header) < fields.size:
            return any(header)
        length, crc = OLD_RECORD_HEADER.unpack_from(header)
        digest = header[OLD_RECORD_HEADER.size :]
        if not length and not crc:
            return any(read(content.end, _ZEROS_LOOKED_AT))
        end = content.end + fields.size + length
        if end > os.fstat(handle).st_size:
            return True
        packed = read(content.end, fields.size + length)[fields.size :]
        if len(packed) < length or crc != record_crc(packed, content.salt, content.version + 1, digest):
            return True
        commits = unpack_commits(packed)
        if commits[0].version != content.version + 1:
            return True
        return protected_log.WholeRecord(header, packed, commits, end, digest)

    return next_record


def _protected_records(
    handle: int, first: LogContent
) -> Callable[[LogContent], protected_log.WholeRecord | bool]:
    """The same of a log that is written in copies."""
    file, form = log_file(handle, first), record_form(first)
    return lambda content: protected_log.next_record(file, form, content.version, content.end)


def commits_behind(path: str, content: LogContent) -> bool:
    """Whether whole commits stand behind what is torn.

    Then no crash tore it, because each was durable before the next.
    """
    try:
        handle = open_log(path)
    except OSError as error:
        raise storage_error(error, path) from error
    try:
        if content.copies > 1:
            copies = log_file(handle, content)
            return protected_log.records_behind(copies, record_form(content), content.version, content.end)
        return _plain_commits_behind(handle, content)
    except OSError as error:
        raise storage_error(error, path) from error
    finally:
        os.close(handle)


def _plain_commits_behind(handle: int, content: LogContent) -> bool:
    data = os.pread(handle, max(0, os.fstat(handle).st_size - content.end), content.end)
    fields = RECORD_HEADER if content.chained else OLD_RECORD_HEADER
    at = fields.size
    while (at := data.find(_COMMIT_BEGINS, at + 1)) >= 0:
        for start in (at - size for size in _LIST_HEADERS if at - size > fields.size):
            length, crc = OLD_RECORD_HEADER.unpack_from(data, start - fields.size)
            digest = data[start - DIGEST_BYTES : start] if content.chained else b""
            packed = data[start : start + length]
            with contextlib.suppress(DamagedFileError):
                version = unpack_commits(packed)[0].version
                if version > content.version and crc == record_crc(packed, content.salt, version, digest):
                    return True
    return False


def has_more(path: str, content: LogContent) -> bool:
    """Whether the log is no longer ``content``.

    Something was written behind it, its last record was taken back, or another log took its place.
    """
    try:
        handle, status = open_log_with_status(path)
    except (OSError, StorageError):
        return True
    try:
        if stat_identity(status) != content.identity:
            return True
        if content.copies > 1:
            if not _stands_in(handle, content):
                return True
            return protected_log.is_written(log_file(handle, content), record_form(content), content.end)
        return not _plain_stands_in(handle, content, OLD_RECORD_HEADER.size)
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
        handle = open_log(path)
    except OSError as error:
        raise storage_error(error, path) from error
    try:
        start, form = (content.begin, content.after), record_form(content)
        flaws = list(protected_log.flaws(log_file(handle, content), form, start, content.begin, content.end))
    except OSError as error:
        raise storage_error(error, path) from error
    finally:
        os.close(handle)
    return [(flaw.version, len(flaw.copies)) for flaw in flaws]
