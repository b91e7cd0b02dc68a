"""The header of a log, in every format version."""

from __future__ import annotations

import os
from dataclasses import dataclass

from audiomem_sql.errors import DamagedFileError, FormatVersionError
from audiomem_sql.machine.durable import stat_identity
from audiomem_sql.protection.crc32c import crc32c
from audiomem_sql.storage.log import protected as protected_log
from audiomem_sql.storage.log.chain import (
    CHAIN_FIELDS,
    FIRST_RECORD,
    SLOTS,
    WATERMARK,
    Predecessor,
    Watermark,
)
from audiomem_sql.storage.log.content import (
    LOG_HEADER,
    LOG_MAGIC,
    LOG_VERSION,
    OLD_PLAIN_VERSION,
    OLD_PROTECTED_VERSION,
    PLAIN_VERSION,
    PROTECTED_VERSION,
    LogContent,
)
from audiomem_sql.storage.log.copies import Copies
from audiomem_sql.storage.log.place import is_unfinished

HEADER_BYTES = LOG_HEADER.size + CHAIN_FIELDS.size
_LOOKED_AT = 4096
#: The largest quantum that is believed; a writer's are smaller.
MAX_QUANTUM = 4 << 20


def encode_header(content: LogContent, table_id: bytes) -> bytes:
    """The header of a new log, in one of the formats that are written."""
    assert content.session is not None
    assert content.predecessor is not None
    head = LOG_HEADER.pack(LOG_MAGIC, content.format, table_id, content.after, content.salt, 0)[:-4]
    head += crc32c(head).to_bytes(4, "little")
    segment, digest = content.predecessor.segment_id, content.predecessor.digest
    head += CHAIN_FIELDS.pack(content.session, segment, digest, content.quantum, content.copies, 0)[:-4]
    return head + crc32c(head).to_bytes(4, "little")


def decode_header(payload: bytes, identity: tuple[int, int]) -> LogContent:
    """The inverse, of a payload whose CRC is right: a log without records."""
    _, version, _, after, salt, _ = LOG_HEADER.unpack_from(payload)
    session, segment, digest, quantum, copies, _ = CHAIN_FIELDS.unpack_from(payload, LOG_HEADER.size)
    return LogContent(
        identity,
        after,
        salt,
        FIRST_RECORD,
        copies=copies,
        begin=FIRST_RECORD,
        format=version,
        session=session,
        predecessor=Predecessor(segment, digest, after),
        digest=digest,
        quantum=quantum,
        watermark=after,
    )


def read_header(handle: int, path: str, table_id: bytes) -> LogContent | None:
    """A log without records; None if there is no whole header, and nothing but zeros behind it."""
    identity = stat_identity(os.fstat(handle))
    head = os.pread(handle, HEADER_BYTES, 0)
    found = _plain_header(head, identity, path)
    if found is None and (payload := protected_log.read_header(handle)) is not None:
        head = payload
        if LOG_HEADER.unpack_from(payload)[1] == PROTECTED_VERSION:
            found = _possible(decode_header(payload, identity))
        else:
            found = _old_content(payload, identity)
    if found is not None:
        if LOG_HEADER.unpack_from(head)[2] != table_id:
            raise DamagedFileError("the log belongs to another table", file=path, remedy="Move it away.")
        return found
    # A log that was being made when a crash came has no records yet, but may have a watermark.
    behind = LOG_HEADER.size if any(head[: LOG_HEADER.size]) else FIRST_RECORD
    plain = len(head) >= LOG_HEADER.size and any(os.pread(handle, _LOOKED_AT - behind, behind))
    if plain or protected_log.has_remains(handle) or not is_unfinished(handle):
        raise DamagedFileError(
            "this is no write-ahead log, or its header is damaged",
            file=path,
            remedy="Restore the log from a copy, or move it away to open the table without its commits.",
        )
    return None


def _plain_header(head: bytes, identity: tuple[int, int], path: str) -> LogContent | None:
    """Of a log that is written once; None for any other."""
    if len(head) < LOG_HEADER.size:
        return None
    magic, version, _, after, salt, crc = LOG_HEADER.unpack_from(head)
    if magic != LOG_MAGIC or crc != crc32c(head[: LOG_HEADER.size - 4]):
        return None
    if version > LOG_VERSION:
        raise FormatVersionError(
            f"the log is in format version {version}",
            file=path,
            remedy="Open it with a newer audiomem-sql.",
        )
    if version == OLD_PLAIN_VERSION:
        begin = LOG_HEADER.size
        return LogContent(identity, after, salt, begin, begin=begin, format=version, watermark=after)
    if version == PLAIN_VERSION and _is_whole(head):
        content = decode_header(head, identity)
        return _possible(content) if content.copies == 1 else None
    return None


def _possible(content: LogContent) -> LogContent | None:
    """The log, if a file can grow by its quantum: memory is taken for one."""
    return content if FIRST_RECORD < content.quantum <= MAX_QUANTUM else None


def _is_whole(head: bytes) -> bool:
    return len(head) == HEADER_BYTES and int.from_bytes(head[-4:], "little") == crc32c(head[:-4])


def _old_content(payload: bytes, identity: tuple[int, int]) -> LogContent:
    """Of a log in format 2."""
    _, _, _, after, salt, _ = LOG_HEADER.unpack_from(payload)
    (copies,) = protected_log.COPIES_FIELD.unpack_from(payload, LOG_HEADER.size)
    begin = protected_log.OLD_HEADER_BYTES
    return LogContent(
        identity,
        after,
        salt,
        begin,
        copies=copies,
        begin=begin,
        format=OLD_PROTECTED_VERSION,
        watermark=after,
    )


@dataclass(frozen=True, slots=True)
class Slots:
    """The two watermarks of a log, None for one that is torn. blank: nothing was ever written to either."""

    marks: tuple[Watermark | None, Watermark | None]
    blank: bool

    @property
    def newest(self) -> tuple[int, Watermark] | None:
        """The slot of the highest one, and that; None if both are torn."""
        whole = [(slot, mark) for slot, mark in enumerate(self.marks) if mark is not None]
        return max(whole, key=lambda each: each[1].version, default=None)


def read_slots(file: Copies, content: LogContent) -> Slots:
    """The watermarks of the log ``content``, each from whichever copy has it."""
    assert content.session is not None
    if content.copies > 1:
        payloads, blank = protected_log.read_slots(file, content.salt)
    else:
        data = [file.read(0, offset, WATERMARK.size) for offset in SLOTS]
        payloads, blank = [[each] for each in data], not any(map(any, data))
    marks = []
    for candidates in payloads:
        found = [Watermark.unpack(each, content.salt, content.session) for each in candidates]
        whole = [mark for mark in found if mark is not None]
        marks.append(max(whole, key=lambda mark: mark.version, default=None))
    return Slots((marks[0], marks[1]), blank)
