"""The head record: which state of a table a file holds, and whether a log goes with it.

It stands twice: in the APPLICATION block at the front, in the first sector of the file, and – while commits
may be in a log – in every cell of an *announce page* behind the last segment. The announce page is samples
like any other page, so a copy without metadata has it, too. Each is a witness of the other: a front that is
ahead of the samples means that the end of the file is gone.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from audiomem_sql.protection.crc32c import crc32c

HEAD_MAGIC = b"AuMH"
#: magic, version, state, 2 zeros, generation, table id, sealed pages, newest segment id, digest of its
#: catalog, last version, session id, whether a segment is being appended, CRC-32C
HEAD_RECORD = struct.Struct("<4s B B 2x Q 16s Q 8s 16s Q 8s I I")
HEAD_VERSION = 1
CLOSED, OPEN = 0, 1
#: What names a segment, the digest of a catalog or a record, and what names a log: bytes.
SEGMENT_ID_BYTES, DIGEST_BYTES, SESSION_BYTES = 8, 16, 8
NO_SESSION = bytes(SESSION_BYTES)


@dataclass(frozen=True, slots=True)
class HeadRecord:
    """The state of a table's file.

    generation: rises with every change of the file. sealed: pages up to the end of the newest segment.
    segment_id, digest, last_version: of the newest segment; the digest is that of its catalog. session: the
    id of the log that goes with the file, eight zeros if none does. appending: behind the newest segment
    another one is being written that is in no log; a crash may have left a part of it.
    """

    generation: int
    table_id: bytes
    sealed: int
    segment_id: bytes
    digest: bytes
    last_version: int
    session: bytes = NO_SESSION
    appending: bool = False

    @property
    def is_open(self) -> bool:
        """Whether a log goes with the file."""
        return self.session != NO_SESSION

    def announcing(self, session: bytes, generation: int) -> HeadRecord:
        """The record of the same segments, once the log ``session`` goes with them."""
        return replace(self, session=session, generation=generation)

    def pack(self) -> bytes:
        """The bytes, CRC-32C included."""
        head = HEAD_RECORD.pack(
            HEAD_MAGIC,
            HEAD_VERSION,
            OPEN if self.is_open else CLOSED,
            self.generation,
            self.table_id,
            self.sealed,
            self.segment_id,
            self.digest,
            self.last_version,
            self.session,
            int(self.appending),
            0,
        )[:-4]
        return head + crc32c(head).to_bytes(4, "little")

    @classmethod
    def unpack(cls, data: bytes) -> HeadRecord | None:
        """The record that ``data`` begins with; None if it is none, or not intact."""
        data = data[: HEAD_RECORD.size]
        if len(data) < HEAD_RECORD.size or not data.startswith(HEAD_MAGIC):
            return None
        if crc32c(data[:-4]) != int.from_bytes(data[-4:], "little"):
            return None
        fields = HEAD_RECORD.unpack(data)
        _, version, _, generation, table, sealed, segment, digest, last, session, appending, _ = fields
        if version != HEAD_VERSION:
            return None
        return cls(generation, table, sealed, segment, digest, last, session, bool(appending))
