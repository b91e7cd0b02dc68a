"""What ties a log to its segment, a record to the one before, and the end of a log to its file.

    0       header: as in formats 1 and 2, then session, predecessor, size quantum, copies, CRC-32C
    512     watermark, slot 0
    1024    watermark, slot 1
    1536    the first record

A record has a digest of its map and of the digest before it; the first continues that of the segment which
the log continues. So no record can be left out, exchanged, or come from a log that another copy of the table
went on with.

*The watermark.* A log that lost its end looks like a shorter one. So once a record is durable, how far the
log has come is written into the slot that does not have the newest watermark; the next flush makes that
durable, too. Slots are in sectors of their own, so a crash tears one at most, and the other counts. A log
that ends before its watermark was cut, or damaged; only the newest record can vanish unnoticed. And a log
without a watermark of its newest record may have one that was never flushed: its writer was killed. Whoever
goes on with it, or makes a segment of it, flushes it before.

*The size.* A file grows by whole quanta, so one whose size is no multiple of its quantum was cut as well.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from audiomem_sql.errors import DamagedFileError
from audiomem_sql.machine.digests import blake2b
from audiomem_sql.protection.crc32c import crc32c
from audiomem_sql.storage.pages import DIGEST_BYTES

#: session, id of the predecessor, its digest, size quantum, copies, CRC-32C of the header before it
CHAIN_FIELDS = struct.Struct("<8s 8s 16s I I I")
#: version, end of its record, digest of it, session, CRC-32C of what stands before it, from the salt
WATERMARK = struct.Struct("<Q Q 16s 8s I")
#: Where the watermarks are; sectors of their own.
SLOTS = (512, 1024)
#: Where the first record is.
FIRST_RECORD = 1536
NO_DIGEST = bytes(DIGEST_BYTES)


@dataclass(frozen=True, slots=True)
class Predecessor:
    """The segment that a log continues: its id, the digest of its stored catalog, its last version."""

    segment_id: bytes
    digest: bytes
    version: int


@dataclass(frozen=True, slots=True)
class Watermark:
    """How far the log ``session`` had come: a version, where its record ends, and its digest."""

    version: int
    end: int
    digest: bytes
    session: bytes

    def pack(self, salt: int) -> bytes:
        """The bytes of a slot."""
        fields = WATERMARK.pack(self.version, self.end, self.digest, self.session, 0)[:-4]
        return fields + crc32c(fields, salt).to_bytes(4, "little")

    @classmethod
    def unpack(cls, data: bytes, salt: int, session: bytes) -> Watermark | None:
        """The inverse; None for anything but a whole watermark of this log."""
        if len(data) != WATERMARK.size:
            return None
        *fields, crc = WATERMARK.unpack(data)
        whole = crc == crc32c(data[:-4], salt) and fields[3] == session
        return cls(*fields) if whole else None


def record_digest(before: bytes, packed: bytes) -> bytes:
    """The digest of a record: of the one before it, and of its map or list of maps."""
    return blake2b(before + packed, digest_size=DIGEST_BYTES).digest()


def record_crc(packed: bytes, salt: int, version: int, digest: bytes = b"") -> int:
    """The CRC-32C of a record: of its digest and what it holds, from a start value that is its own."""
    start = (salt + version) & 0xFFFFFFFF
    return crc32c(packed, crc32c(digest, start) if digest else start)


def cut_short(version: int, end: int, path: str) -> DamagedFileError:
    """The error of a log that had ``version`` and has it no more, nor what comes after."""
    return DamagedFileError(
        f"the log was cut short or is damaged at version {version}",
        file=path,
        place=f"byte {end}",
        remedy=f"Restore the log from a copy, or read up to version {version - 1} with salvage=True.",
    )


def broken_chain(version: int, end: int, path: str) -> DamagedFileError:
    """The error of a whole record that does not continue the one before it."""
    return DamagedFileError(
        f"version {version} does not continue what the log has before it: records of several logs are mixed",
        file=path,
        place=f"byte {end}",
        remedy=f"Restore the log from a copy, or read up to version {version - 1} with salvage=True.",
    )
