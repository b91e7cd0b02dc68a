"""The seal of a segment: what it says of the segments before it, so that none can be missing or another one.

The digest of a segment is that of its stored catalog. The catalog has the digest of its data and the seal,
which names the segment before it; so a digest stands for the whole history of the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audiomem_sql.errors import DamagedFileError
from audiomem_sql.machine.digests import blake2b
from audiomem_sql.storage.pages import DIGEST_BYTES, SEGMENT_ID_BYTES, SESSION_BYTES
from audiomem_sql.storage.segment.checked_values import count, identifier

#: Most segments in front of another. Small ones are merged, so that a file has some dozens.
MAX_EARLIER = 1 << 16
_MAX_PAGES = (1 << 32) - 1


def digest_of(data: bytes) -> bytes:
    """BLAKE2b of 16 bytes."""
    return blake2b(data, digest_size=DIGEST_BYTES).digest()


@dataclass(frozen=True, slots=True)
class Link:
    """The segment that another continues: its id, the digest of its catalog, its generation."""

    segment_id: bytes
    digest: bytes
    generation: int


@dataclass(frozen=True, slots=True)
class EarlierSegment:
    """A segment in front of another in the same file.

    first: its page 0, counted in pages of the file. pages: up to and including its second catalog. index,
    flags: as in its page headers.
    """

    segment_id: bytes
    first: int
    pages: int
    index: int
    flags: int
    first_version: int
    last_version: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Folded:
    """The log whose commits became the segment: its session id, last version, and last record's digest."""

    session: bytes
    version: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Seal:
    """What a segment says of those before it.

    generation: rises with every change of the file. before: the segment that this one continues, also across
    a vacuum; None for the first of a table. earlier: the segments in front of it in the file, oldest first.
    folded: the log that became it. data_digest: of its data stream.
    """

    generation: int
    before: Link | None = None
    earlier: tuple[EarlierSegment, ...] = ()
    folded: Folded | None = None
    data_digest: bytes = bytes(DIGEST_BYTES)

    def pack(self) -> dict[str, Any]:
        """A map of the catalog."""
        before, folded = self.before, self.folded
        return {
            "generation": self.generation,
            "before": None if before is None else [before.segment_id, before.digest, before.generation],
            "earlier": [
                [
                    each.segment_id,
                    each.first,
                    each.pages,
                    each.index,
                    each.flags,
                    each.first_version,
                    each.last_version,
                    each.digest,
                ]
                for each in self.earlier
            ],
            "folded": None if folded is None else [folded.session, folded.version, folded.digest],
            "data_digest": self.data_digest,
        }

    @classmethod
    def unpack(cls, content: Mapping[str, Any]) -> Seal:
        """The inverse; DamagedFileError for values that cannot be."""
        before, folded = content["before"], content["folded"]
        if len(content["earlier"]) > MAX_EARLIER:
            raise DamagedFileError("the seal of a segment names more segments than a file has")
        return cls(
            count(content["generation"]),
            None
            if before is None
            else Link(
                identifier(before[0], SEGMENT_ID_BYTES), identifier(before[1], DIGEST_BYTES), count(before[2])
            ),
            tuple(
                EarlierSegment(
                    identifier(each[0], SEGMENT_ID_BYTES),
                    count(each[1], _MAX_PAGES),
                    count(each[2], _MAX_PAGES),
                    count(each[3], _MAX_PAGES),
                    count(each[4], 255),
                    count(each[5]),
                    count(each[6]),
                    identifier(each[7], DIGEST_BYTES),
                )
                for each in content["earlier"]
            ),
            None
            if folded is None
            else Folded(
                identifier(folded[0], SESSION_BYTES),
                count(folded[1]),
                identifier(folded[2], DIGEST_BYTES),
            ),
            identifier(content["data_digest"], DIGEST_BYTES),
        )


#: Of the first segment of a table.
FIRST_SEAL = Seal(1)
