"""What a log is made of in every format version, and what was read of one."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from audiomem_sql.storage.log.record import LogRecord

#: Labels of a segment have the same four bytes; the next format version changes theirs.
LOG_MAGIC = b"AuML"
#: Of a log that is written once, and of one that is written in copies with parity.
PLAIN_VERSION, PROTECTED_VERSION = 1, 2
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
    written; the log is in format version 1 if that is once. begin: where the first record is. Offsets count
    the bytes of one copy.
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
    begin: int = LOG_HEADER.size

    @property
    def version(self) -> int:
        """The version of the last record, or the one before the first."""
        return self.records[self.count - 1].version if self.count else self.after

    def emptied(self) -> LogContent:
        """The same log without records."""
        return LogContent(
            self.identity, self.after, self.salt, self.begin, copies=self.copies, begin=self.begin
        )

    def grown(self, commits: Sequence[LogRecord], header: bytes, end: int) -> LogContent:
        """The content with the commits of one more record, which has ``header`` and ends at ``end``."""
        records = self.records if len(self.records) == self.count else self.records[: self.count]
        records.extend(commits)
        return LogContent(
            self.identity,
            self.after,
            self.salt,
            end,
            False,
            (self.end, header),
            records,
            self.count + len(commits),
            self.checked,
            self.copies,
            self.begin,
        )
