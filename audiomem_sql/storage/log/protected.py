"""The log of a protected table: format version 4, and 2, which tables of version 1 left behind.

Damage that costs the log of an unprotected table is repaired when this one is read.

    header   as that of a log without protection
    marks    the two watermarks, at the same places as there (format 4)
    record   header piece: magic, length, version, CRC-32C of the map, digest (format 4)
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

from audiomem_sql.protection.crc32c import CRC_BYTES
from audiomem_sql.protection.piece_code import (
    PAYLOAD_BYTES,
    SECTOR_BYTES,
    encode_full_pieces,
    encode_piece,
    encode_pieces,
    payload_of,
    piece_bytes,
    readings,
)
from audiomem_sql.storage.log.chain import CHAIN_FIELDS, FIRST_RECORD, SLOTS, WATERMARK, record_crc
from audiomem_sql.storage.log.content import LOG_HEADER, LOG_MAGIC, OLD_PROTECTED_VERSION, PROTECTED_VERSION
from audiomem_sql.storage.log.copies import Copies
from audiomem_sql.storage.log.record import LogRecord, unpack_commits

#: number of copies; behind the header of format 2
COPIES_FIELD = struct.Struct("<I")
MAX_COPIES = 8
#: What the header piece of format 2, and that of format 4, has in it.
_OLD_PAYLOAD = LOG_HEADER.size + COPIES_FIELD.size
_PAYLOAD = LOG_HEADER.size + CHAIN_FIELDS.size
OLD_HEADER_BYTES = piece_bytes(_OLD_PAYLOAD)
HEADER_BYTES = piece_bytes(_PAYLOAD)
SLOT_BYTES = piece_bytes(WATERMARK.size)
#: magic, bytes of the map, version of the (first) commit, CRC-32C of the map
OLD_RECORD_FIELDS = struct.Struct("<4s I Q I")
#: the same, and the digest of the record
RECORD_FIELDS = struct.Struct("<4s I Q I 16s")
RECORD_MAGIC = b"AuMR"
RECORD_HEADER_BYTES = piece_bytes(RECORD_FIELDS.size)
_LOOKED_AT = 4096


@dataclass(frozen=True, slots=True)
class RecordForm:
    """How records of a log are written: the log's salt, and whether they are chained (format 4)."""

    salt: int
    chained: bool

    @property
    def fields(self) -> struct.Struct:
        """What the header piece of a record has in it."""
        return RECORD_FIELDS if self.chained else OLD_RECORD_FIELDS

    @property
    def header_bytes(self) -> int:
        """Bytes of the header piece of a record."""
        return piece_bytes(self.fields.size)


@dataclass(frozen=True, slots=True)
class WholeRecord:
    """A whole record.

    Its header piece as it was written, its map packed, its commits, where it ends, and the digest that it
    says it has (format 4).
    """

    header: bytes
    packed: bytes
    commits: list[LogRecord]
    end: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Flaw:
    """``data`` at ``offset`` is what should be there, but is not in some ``copies``.

    Of ``version``, None for the header.
    """

    offset: int
    data: bytes
    copies: tuple[int, ...]
    version: int | None


def read_header(handle: int) -> bytes | None:
    """The payload of the header, from whichever copy has it; None if this is no protected log."""
    # How many there are is not known yet; those of the first strip are at the same places, however many.
    file = Copies(handle, MAX_COPIES)
    for size, format_version, count_at in (
        (_PAYLOAD, PROTECTED_VERSION, _PAYLOAD - 8),
        (_OLD_PAYLOAD, OLD_PROTECTED_VERSION, LOG_HEADER.size),
    ):
        for reading in readings(file.all(0, piece_bytes(size)), 0):
            payload = payload_of(reading, size, 0)
            if payload is None:
                continue
            magic, version = struct.unpack_from("<4s I", payload)
            (count,) = COPIES_FIELD.unpack_from(payload, count_at)
            if magic == LOG_MAGIC and version == format_version and 2 <= count <= MAX_COPIES:
                return payload
    return None


def read_slots(file: Copies, salt: int) -> tuple[list[list[bytes]], bool]:
    """What each slot of a watermark may hold, and whether nothing was ever written to any."""
    found, blank = [], True
    for offset in SLOTS:
        copies = file.all(offset, SLOT_BYTES)
        blank = blank and not any(map(any, copies))
        whole = [payload_of(copy, WATERMARK.size, salt) for copy in copies]
        if not any(whole):
            whole = [payload_of(reading, WATERMARK.size, salt) for reading in readings(copies, offset)]
        found.append([payload for payload in whole if payload is not None])
    return found, blank


def has_remains(handle: int) -> bool:
    """Whether there was more than a header, though no copy of it can be read.

    That is a record, or what damage left behind of one.
    """
    first, *others = Copies(handle, MAX_COPIES).all(0, SECTOR_BYTES)
    if RECORD_MAGIC in (first[at : at + len(RECORD_MAGIC)] for at in (OLD_HEADER_BYTES, FIRST_RECORD)):
        return True
    # Of a log that was being made when a crash came there may be a watermark, and no header.
    parts = [(HEADER_BYTES, SLOTS[0]), (SLOTS[0] + SLOT_BYTES, SECTOR_BYTES)]
    return any(any(each[start:stop]) for each in others for start, stop in parts)


def encode_record(packed: bytes, form: RecordForm, version: int, digest: bytes = b"") -> bytes:
    """A record: its header piece, then the pieces of the map or maps."""
    crc = record_crc(packed, form.salt, version, digest)
    fields = _pack_fields(form, len(packed), version, crc, digest)
    full = len(packed) // PAYLOAD_BYTES * PAYLOAD_BYTES
    whole = encode_full_pieces(packed[:full], crc) if full else b""
    if full == len(packed):
        return encode_piece(fields, form.salt) + whole
    header, last = encode_pieces((fields, form.salt), (packed[full:], crc + full // PAYLOAD_BYTES))
    return header + whole + last


def next_record(file: Copies, form: RecordForm, before: int, at: int) -> WholeRecord | bool:
    """The record at ``at``, which follows version ``before``.

    If there is none, whether something torn stands there.

    DamagedFileError (without a file) for a whole record that makes no sense.
    """
    first = file.first(at, form.header_bytes)
    record = _record(file, form, before, at, first)
    if record is not None:
        return record
    copies = file.all(at, form.header_bytes)
    behind = file.all(at + form.header_bytes, _LOOKED_AT)
    if not any(map(any, (*copies, *behind))):
        return False
    headed = False
    for reading in readings(copies, at):
        record = _record(file, form, before, at, reading)
        if record is not None:
            return record
        headed = headed or _fields(reading, form) is not None
    return headed or not _mostly_zeros(copies, form, at) or records_behind(file, form, before, at)


def _mostly_zeros(copies: Sequence[bytes], form: RecordForm, at: int) -> bool:
    """Whether at least half of the copies of a header are zeros.

    Each by itself is zeros, or was before some bytes changed.
    """
    size, zeros = form.fields.size + CRC_BYTES, 0
    for copy in sorted(copies, key=any):
        zeros += any(not any(reading[:size]) for reading in readings([copy], at))
        if 2 * zeros >= len(copies):
            return True
    return False


def is_written(file: Copies, form: RecordForm, at: int) -> bool:
    """Whether the header of a record stands at ``at``, as far as can be told without correcting anything."""
    copies = file.all(at, form.header_bytes)
    if not any(map(any, copies)):
        return False
    tried = list(readings(copies, at, corrected=False))
    return any(_fields(each, form) for each in tried) or all(map(any, tried))


def records_behind(file: Copies, form: RecordForm, before: int, at: int) -> bool:
    """Whether a whole record of a version behind ``before`` + 1 begins behind ``at``."""
    end = file.size()
    tried: set[int] = set()
    for copy in range(file.count):
        data = file.read(copy, at, max(0, end - at))
        place = 0
        while (place := data.find(RECORD_MAGIC, place + 1)) > 0:
            fields = _fields(data[place : place + form.header_bytes], form)
            if fields is None or fields[1] <= before or at + place in tried:
                continue
            tried.add(at + place)
            if _packed(file, at + place, fields, form, corrected=False) is not None:
                return True
    return False


def stands(file: Copies, form: RecordForm, last: tuple[int, bytes]) -> bool:
    """Whether the log has this salt, and the header piece of ``last`` where it was.

    Damage to either is no other log.
    """
    offset, header = last
    for copy in range(file.count):
        head = file.read(copy, 0, LOG_HEADER.size)
        if LOG_HEADER.unpack(head)[4] == form.salt and file.read(copy, offset, len(header)) == header:
            return True
    payload = read_header(file.handle)
    if payload is None or LOG_HEADER.unpack_from(payload)[4] != form.salt:
        return False
    fields = _fields(header, form)
    return not header or any(
        _fields(reading, form) == fields for reading in readings(file.all(offset, len(header)), offset)
    )


def flaws(file: Copies, form: RecordForm, start: tuple[int, int], begin: int, end: int) -> Iterator[Flaw]:
    """Where copies are not what was written, from a record to ``end``.

    Start: its offset, and the version before it.

    From the first record on, which is at ``begin``, the header of the log is looked at, too, and so are the
    watermarks: a copy of one that is older is wrong.
    """
    at, version = start
    if at == begin:
        beginning = _beginning(file, form, begin)
        if beginning is not None:
            yield from _flaw(file, 0, beginning, None)
    while at < end:
        record = next_record(file, form, version, at)
        if isinstance(record, bool):
            return
        data = encode_record(record.packed, form, version + 1, record.digest)
        yield from _flaw(file, at, data, version + 1)
        at, version = record.end, record.commits[-1].version


def _beginning(file: Copies, form: RecordForm, begin: int) -> bytes | None:
    """What should stand before the first record: the header, and the watermarks; None without a header.

    A watermark that no copy has whole was torn, and does not count: zeros.
    """
    payload = read_header(file.handle)
    if payload is None:
        return None
    data = bytearray(encode_piece(payload, 0).ljust(begin, b"\0"))
    if form.chained:
        for offset, found in zip(SLOTS, read_slots(file, form.salt)[0], strict=True):
            if found:
                newest = max(found, key=lambda packed: int(WATERMARK.unpack(packed)[0]))
                data[offset : offset + SLOT_BYTES] = encode_piece(newest, form.salt)
    return bytes(data)


def _flaw(file: Copies, offset: int, data: bytes, version: int | None) -> Iterator[Flaw]:
    wrong = [copy for copy in range(file.count) if file.read(copy, offset, len(data)) != data]
    if wrong:
        yield Flaw(offset, data, tuple(wrong), version)


def _pack_fields(form: RecordForm, length: int, version: int, crc: int, digest: bytes) -> bytes:
    """What the header piece of a record has in it."""
    chained = (digest,) if form.chained else ()
    return form.fields.pack(RECORD_MAGIC, length, version, crc, *chained)


def _fields(piece: bytes, form: RecordForm) -> tuple[int, int, int, bytes] | None:
    """Bytes of the map, version, CRC and digest, if this is the header piece of a record."""
    payload = payload_of(piece, form.fields.size, form.salt)
    if payload is None:
        return None
    magic, length, version, crc, *digest = form.fields.unpack(payload)
    return (length, version, crc, digest[0] if digest else b"") if magic == RECORD_MAGIC else None


def _record(file: Copies, form: RecordForm, before: int, at: int, piece: bytes) -> WholeRecord | None:
    fields = _fields(piece, form)
    if fields is None or fields[1] != before + 1:
        return None
    packed = _packed(file, at, fields, form)
    if packed is None:
        return None
    commits = unpack_commits(packed)
    if commits[0].version != before + 1:
        return None
    header = encode_piece(_pack_fields(form, *fields), form.salt)
    return WholeRecord(header, packed, commits, at + _record_bytes(len(packed), form), fields[3])


def _record_bytes(length: int, form: RecordForm) -> int:
    full, rest = divmod(length, PAYLOAD_BYTES)
    return form.header_bytes + full * piece_bytes(PAYLOAD_BYTES) + (piece_bytes(rest) if rest else 0)


def _packed(
    file: Copies, at: int, fields: tuple[int, int, int, bytes], form: RecordForm, *, corrected: bool = True
) -> bytes | None:
    """The map of the record at ``at``, put together out of its copies; None if that fails."""
    length, version, crc, digest = fields
    if at + _record_bytes(length, form) > file.size():
        return None
    parts = []
    at += form.header_bytes
    for number, start in enumerate(range(0, length, PAYLOAD_BYTES)):
        part = _payload(file, at, min(PAYLOAD_BYTES, length - start), crc + number, corrected=corrected)
        if part is None:
            return None
        parts.append(part)
        at += piece_bytes(len(part))
    packed = b"".join(parts)
    return packed if crc == record_crc(packed, form.salt, version, digest) else None


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
