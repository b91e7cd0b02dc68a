"""The log of a protected table, format version 2.

Damage that costs the log of an unprotected table is repaired when this one is read.

    header   as in version 1, and how many copies there are
    record   header piece: magic, length, version, CRC-32C of the map
             pieces of the map or list of maps, 888 bytes each, the last one what is left
    zeros

All of these are pieces (:mod:`audiomem_sql.protection.piece_code`), with a CRC-32C and Reed-Solomon parity
each, and everything is written several times (:mod:`audiomem_sql.storage.log.copies`), with one fdatasync for
all.

*Two codes for two kinds of damage.* A piece bears 16 wrong bytes in 255, which is all that scattered damage
needs. Lost sectors are another matter: a commit has to be on the disk when it is acknowledged, most are
smaller than a sector, and of what is in one sector no parity brings back anything unless that is as large and
in another. So the code is repetition, which is optimal for one sector. If each is lost with probability s, a
log of n sectors is whole with (1 - s ** c) ** n. Replay must stop at the first record that does not come
back, because a version builds on the one before; so it is the whole log that counts, and two copies are too
few for it: at s = 15 % the log of 500 small commits, 29 sectors, would be whole every other time.
``standard`` has three copies, ``archive`` six; a copy more costs no flush, only its bytes.

*Crashes.* A crash may tear any of the copies, or leave some of them out. A record counts as soon as it can be
put together: then its bytes were all written, and only then. An acknowledged one is in all copies. The seeds
of its CRCs depend on the record, so pieces of one that was torn there before are never taken for its own.
Before a writer adds to a log that it did not write itself, it makes the copies the same again
(:func:`flaws`): it builds on no record that is there once.

*Damage or end.* Behind the last record are zeros, and zeros are a codeword. So wrong bytes there are told
from a record that was damaged, as long as half of the copies can be corrected; else it counts as torn. Where
a lost sector is zeros, it looks like the end; so wherever not all is zero behind the end, whole records are
looked for there (:func:`records_behind`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from audiomem_sql.protection.crc32c import CRC_BYTES, crc32c
from audiomem_sql.protection.piece_code import (
    PAYLOAD_BYTES,
    SECTOR_BYTES,
    encode_full_pieces,
    encode_piece,
    payload_of,
    piece_bytes,
    readings,
)
from audiomem_sql.storage.log.content import LOG_HEADER, LOG_MAGIC, PROTECTED_VERSION
from audiomem_sql.storage.log.copies import Copies
from audiomem_sql.storage.log.record import LogRecord, unpack_commits

#: number of copies; behind the header of version 1
COPIES_FIELD = struct.Struct("<I")
MAX_COPIES = 8
_HEADER_PAYLOAD = LOG_HEADER.size + COPIES_FIELD.size
HEADER_BYTES = piece_bytes(_HEADER_PAYLOAD)
#: magic, bytes of the map, version of the (first) commit, CRC-32C of the map
RECORD_FIELDS = struct.Struct("<4s I Q I")
RECORD_MAGIC = b"AuMR"
RECORD_HEADER_BYTES = piece_bytes(RECORD_FIELDS.size)
_LOOKED_AT = 4096


@dataclass(frozen=True, slots=True)
class Found:
    """A whole record: its header piece as it was written, its map packed, its commits, and where it ends."""

    header: bytes
    packed: bytes
    commits: list[LogRecord]
    end: int


@dataclass(frozen=True, slots=True)
class Flaw:
    """``data`` at ``offset`` is what should be there, but is not in some ``copies``.

    Of ``version``, None for the header.
    """

    offset: int
    data: bytes
    copies: tuple[int, ...]
    version: int | None


def encode_header(table_id: bytes, after: int, salt: int, copies: int) -> bytes:
    """What a log begins with in each copy."""
    head = LOG_HEADER.pack(LOG_MAGIC, PROTECTED_VERSION, table_id, after, salt, 0)[:-4]
    return encode_piece(head + crc32c(head).to_bytes(4, "little") + COPIES_FIELD.pack(copies), 0)


def read_header(handle: int) -> bytes | None:
    """The payload of the header, from whichever copy has it; None if this is no protected log."""
    # How many there are is not known yet; those of the first strip are at the same places, however many.
    copies = Copies(handle, MAX_COPIES).all(0, HEADER_BYTES)
    for reading in readings(copies, 0):
        payload = payload_of(reading, _HEADER_PAYLOAD, 0)
        if payload is None:
            continue
        magic, version = struct.unpack_from("<4s I", payload)
        (count,) = COPIES_FIELD.unpack_from(payload, LOG_HEADER.size)
        if magic == LOG_MAGIC and version == PROTECTED_VERSION and 2 <= count <= MAX_COPIES:
            return payload
    return None


def has_traces(handle: int) -> bool:
    """Whether there was more than a header, though no copy of it can be read.

    That is a record, or what damage left behind of one.
    """
    first, *others = Copies(handle, MAX_COPIES).all(HEADER_BYTES, SECTOR_BYTES - HEADER_BYTES)
    return first.startswith(RECORD_MAGIC) or any(map(any, others))


def encode_record(packed: bytes, salt: int, version: int) -> bytes:
    """A record: its header piece, then the pieces of the map or maps."""
    crc = crc32c(packed, (salt + version) & 0xFFFFFFFF)
    parts = [encode_piece(RECORD_FIELDS.pack(RECORD_MAGIC, len(packed), version, crc), salt)]
    full = len(packed) // PAYLOAD_BYTES * PAYLOAD_BYTES
    if full:
        parts.append(encode_full_pieces(packed[:full], crc))
    if full < len(packed):
        parts.append(encode_piece(packed[full:], crc + full // PAYLOAD_BYTES))
    return b"".join(parts)


def next_record(file: Copies, salt: int, before: int, at: int) -> Found | bool:
    """The record at ``at``, which follows version ``before``.

    If there is none, whether something torn stands there.

    DamagedFileError (without a file) for a whole record that makes no sense.
    """
    first = file.first(at, RECORD_HEADER_BYTES)
    found = _record(file, salt, before, at, first)
    if found is not None:
        return found
    copies = file.all(at, RECORD_HEADER_BYTES)
    behind = file.all(at + RECORD_HEADER_BYTES, _LOOKED_AT)
    if not any(map(any, (*copies, *behind))):
        return False
    headed = False
    for reading in readings(copies, at):
        found = _record(file, salt, before, at, reading)
        if found is not None:
            return found
        headed = headed or _fields(reading, salt) is not None
    return headed or not _mostly_zeros(copies, at) or records_behind(file, salt, before, at)


def _mostly_zeros(copies: Sequence[bytes], at: int) -> bool:
    """Whether at least half of the copies of a header are zeros.

    Each by itself is zeros, or was before some bytes changed.
    """
    size, zeros = RECORD_FIELDS.size + CRC_BYTES, 0
    for copy in sorted(copies, key=any):
        zeros += any(not any(reading[:size]) for reading in readings([copy], at))
        if 2 * zeros >= len(copies):
            return True
    return False


def is_written(file: Copies, salt: int, at: int) -> bool:
    """Whether the header of a record stands at ``at``, as far as can be told without correcting anything."""
    copies = file.all(at, RECORD_HEADER_BYTES)
    if not any(map(any, copies)):
        return False
    tried = list(readings(copies, at, corrected=False))
    return any(_fields(each, salt) for each in tried) or all(map(any, tried))


def records_behind(file: Copies, salt: int, before: int, at: int) -> bool:
    """Whether a whole record of a version behind ``before`` + 1 begins behind ``at``."""
    end = file.size()
    tried: set[int] = set()
    for copy in range(file.count):
        data = file.read(copy, at, max(0, end - at))
        place = 0
        while (place := data.find(RECORD_MAGIC, place + 1)) > 0:
            fields = _fields(data[place : place + RECORD_HEADER_BYTES], salt)
            if fields is None or fields[1] <= before or at + place in tried:
                continue
            tried.add(at + place)
            if _packed(file, at + place, fields, salt, corrected=False) is not None:
                return True
    return False


def stands(file: Copies, salt: int, last: tuple[int, bytes]) -> bool:
    """Whether the log has ``salt``, and the header piece of ``last`` where it was.

    Damage to either is no other log.
    """
    offset, header = last
    for copy in range(file.count):
        head = file.read(copy, 0, LOG_HEADER.size)
        if LOG_HEADER.unpack(head)[4] == salt and file.read(copy, offset, len(header)) == header:
            return True
    payload = read_header(file.handle)
    if payload is None or LOG_HEADER.unpack_from(payload)[4] != salt:
        return False
    fields = _fields(header, salt)
    return not header or any(
        _fields(reading, salt) == fields for reading in readings(file.all(offset, len(header)), offset)
    )


def flaws(file: Copies, salt: int, start: tuple[int, int], end: int) -> Iterator[Flaw]:
    """Where copies are not what was written, from a record to ``end``.

    Start: its offset, and the version before it.

    From the beginning of the first record on, the header of the log is looked at, too.
    """
    at, version = start
    if at == HEADER_BYTES:
        payload = read_header(file.handle)
        if payload is not None:
            yield from _flaw(file, 0, encode_piece(payload, 0), None)
    while at < end:
        found = next_record(file, salt, version, at)
        if isinstance(found, bool):
            return
        yield from _flaw(file, at, encode_record(found.packed, salt, version + 1), version + 1)
        at, version = found.end, found.commits[-1].version


def _flaw(file: Copies, offset: int, data: bytes, version: int | None) -> Iterator[Flaw]:
    wrong = [copy for copy in range(file.count) if file.read(copy, offset, len(data)) != data]
    if wrong:
        yield Flaw(offset, data, tuple(wrong), version)


def _fields(piece: bytes, salt: int) -> tuple[int, int, int] | None:
    """Bytes of the map, version and CRC, if this is the header piece of a record."""
    payload = payload_of(piece, RECORD_FIELDS.size, salt)
    if payload is None:
        return None
    magic, length, version, crc = RECORD_FIELDS.unpack(payload)
    return (length, version, crc) if magic == RECORD_MAGIC else None


def _record(file: Copies, salt: int, before: int, at: int, piece: bytes) -> Found | None:
    fields = _fields(piece, salt)
    if fields is None or fields[1] != before + 1:
        return None
    packed = _packed(file, at, fields, salt)
    if packed is None:
        return None
    commits = unpack_commits(packed)
    if commits[0].version != before + 1:
        return None
    header = encode_piece(RECORD_FIELDS.pack(RECORD_MAGIC, *fields), salt)
    return Found(header, packed, commits, at + _record_bytes(len(packed)))


def _record_bytes(length: int) -> int:
    full, rest = divmod(length, PAYLOAD_BYTES)
    return RECORD_HEADER_BYTES + full * piece_bytes(PAYLOAD_BYTES) + (piece_bytes(rest) if rest else 0)


def _packed(
    file: Copies, at: int, fields: tuple[int, int, int], salt: int, *, corrected: bool = True
) -> bytes | None:
    """The map of the record at ``at``, put together out of its copies; None if that fails."""
    length, version, crc = fields
    if at + _record_bytes(length) > file.size():
        return None
    parts = []
    at += RECORD_HEADER_BYTES
    for number, start in enumerate(range(0, length, PAYLOAD_BYTES)):
        part = _payload(file, at, min(PAYLOAD_BYTES, length - start), crc + number, corrected=corrected)
        if part is None:
            return None
        parts.append(part)
        at += piece_bytes(len(part))
    packed = b"".join(parts)
    return packed if crc == crc32c(packed, (salt + version) & 0xFFFFFFFF) else None


def _payload(file: Copies, at: int, length: int, seed: int, *, corrected: bool) -> bytes | None:
    size = piece_bytes(length)
    payload = payload_of(file.first(at, size), length, seed)
    if payload is not None:
        return payload
    for reading in readings(file.all(at, size), at, corrected=corrected):
        payload = payload_of(reading, length, seed)
        if payload is not None:
            return payload
    return None
