"""What a log is made of in every format version, and what was read of one."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from audiomem_sql.storage.log.chain import FIRST_RECORD, NO_DIGEST, Predecessor, Watermark
from audiomem_sql.storage.log.record import LogRecord

#: Labels of a segment have the same four bytes.
LOG_MAGIC = b"AuML"
#: Of logs that tables of format version 1 left behind: written once, and in copies with parity. Only read.
OLD_PLAIN_VERSION, OLD_PROTECTED_VERSION = 1, 2
#: The same two kinds, with a predecessor, chained records and a watermark.
PLAIN_VERSION, PROTECTED_VERSION = 3, 4
#: The newest that is understood.
LOG_VERSION = PROTECTED_VERSION
#: magic, format version, table id, version before the first record, salt, CRC-32C of what stands before it
LOG_HEADER = struct.Struct("<4s I 16s Q I I")


@dataclass(slots=True)
class LogContent:
    """What was read of a log.

    Its records, where the last whole one ends, and whether something torn stands behind.

    last: offset and header of the last record, by which one that was taken back is told from the one in its
    place. ``records`` may be shared with later contents of the same log; the first ``count`` are those of
    this one. checked: how many of them are known to be rows of the table. copies: how often everything is
    written. begin: where the first record is. Offsets count the bytes of one copy.

    format: of the log. session: what names it for ever, and predecessor: the segment that it continues; both
    None for formats 1 and 2, which say neither. digest: of the last record, or of the predecessor if there is
    none. quantum: what the size of a copy is a multiple of. watermark: the highest in the file, and in which
    slot it is.
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
    copies: int = 1
    begin: int = FIRST_RECORD
    format: int = PLAIN_VERSION
    session: bytes | None = None
    predecessor: Predecessor | None = None
    digest: bytes = NO_DIGEST
    quantum: int = 0
    watermark: int = 0
    slot: int = 0

    @property
    def version(self) -> int:
        """The version of the last record, or the one before the first."""
        return self.records[self.count - 1].version if self.count else self.after

    @property
    def chained(self) -> bool:
        """Whether the log is in a format that is written: 3 or 4."""
        return self.format >= PLAIN_VERSION

    @property
    def is_marked(self) -> bool:
        """Whether the newest watermark says that all of it is durable."""
        return self.watermark == self.version

    @property
    def folded(self) -> tuple[bytes, int, bytes] | None:
        """What a segment that takes the commits in says about the log: session, last version, digest.

        None for formats 1 and 2.
        """
        return None if self.session is None else (self.session, self.version, self.digest)

    @property
    def mark(self) -> Watermark:
        """The watermark that says that the log has come this far."""
        assert self.session is not None
        return Watermark(self.version, self.end, self.digest, self.session)

    def emptied(self) -> LogContent:
        """The same log without records."""
        return replace(
            self,
            end=self.begin,
            torn=False,
            last=(0, b""),
            records=[],
            count=0,
            checked=0,
            digest=NO_DIGEST if self.predecessor is None else self.predecessor.digest,
            watermark=self.after,
        )

    def grown(
        self, commits: Sequence[LogRecord], header: bytes, end: int, digest: bytes = NO_DIGEST
    ) -> LogContent:
        """The content with the commits of one more record, which has ``header`` and ends at ``end``."""
        records = self.records if len(self.records) == self.count else self.records[: self.count]
        records.extend(commits)
        return replace(
            self,
            end=end,
            torn=False,
            last=(self.end, header),
            records=records,
            count=self.count + len(commits),
            digest=digest,
        )
