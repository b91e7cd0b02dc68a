"""What the records of the log hold: commits as MessagePack maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgpack

from audiomem_sql.blocks.whole_values import check_whole
from audiomem_sql.columns.batch import Row
from audiomem_sql.errors import DamagedFileError, LimitError

#: The largest record.
MAX_RECORD_BYTES = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One commit.

    Version, time (µs since 1970, UTC), rows added, rowids removed, message, packed list of sources.
    """

    version: int
    time: int
    inserted: Sequence[tuple[int, Row]] = ()
    deleted: Sequence[int] = ()
    message: str | None = None
    sources: bytes | None = None
    tags: Mapping[str, int] = field(default_factory=dict)

    def pack(self) -> bytes:
        """The MessagePack map. LimitError when it is too large for a record."""
        content = {
            "version": self.version,
            "time": self.time,
            "inserted": self.inserted,  # MessagePack knows no tuples: these are lists in it
            "deleted": list(self.deleted),
            "message": self.message,
            "sources": self.sources,
            "tags": dict(self.tags),
        }
        try:
            packed = msgpack.packb(content)
        except (ValueError, OverflowError) as error:
            raise LimitError(f"a commit cannot be logged ({error})") from None
        assert isinstance(packed, bytes)
        if len(packed) > MAX_RECORD_BYTES:
            raise LimitError(f"a commit of {len(packed):,} bytes is too large for the log")
        return packed

    @classmethod
    def from_map(cls, content: Any) -> LogRecord:
        """The inverse, unpacked. DamagedFileError (without a file) for anything else."""
        try:
            rows = [(int(rowid), tuple(row)) for rowid, row in content["inserted"]]
            record = cls(
                version=int(content["version"]),
                time=int(content["time"]),
                inserted=rows,
                deleted=[int(rowid) for rowid in content["deleted"]],
                message=content["message"],
                sources=content["sources"],
                tags={str(name): int(number) for name, number in content["tags"].items()},
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise _not_understood(error) from None
        if (
            any(not -(1 << 63) <= rowid < 1 << 63 for rowid in record.deleted)
            or not isinstance(record.message, str | None)
            or not isinstance(record.sources, bytes | None)
        ):
            raise DamagedFileError("a record holds something else where a number, a text or bytes must be")
        return record


def _not_understood(error: Exception) -> DamagedFileError:
    return DamagedFileError(f"a record cannot be understood ({type(error).__name__}: {error})")


def pack_commits(records: Sequence[LogRecord]) -> bytes:
    """What a record of the log holds: the map of its commit, or a list of maps if there are several.

    LimitError as above.
    """
    if len(records) == 1:
        return records[0].pack()
    packed = b"".join(
        [msgpack.Packer().pack_array_header(len(records)), *(record.pack() for record in records)]
    )
    if len(packed) > MAX_RECORD_BYTES:
        raise LimitError(f"commits of {len(packed):,} bytes are too large for one record of the log")
    return packed


def unpack_commits(packed: bytes) -> list[LogRecord]:
    """The inverse, with versions that follow each other; DamagedFileError as above."""
    try:
        check_whole(packed)
        content = msgpack.unpackb(packed)
    except (msgpack.UnpackException, ValueError) as error:
        raise _not_understood(error) from None
    if not isinstance(content, list):
        return [LogRecord.from_map(content)]
    records = [LogRecord.from_map(each) for each in content]
    if not records or any(record.version != records[0].version + n for n, record in enumerate(records)):
        raise DamagedFileError("a record holds commits whose versions do not follow each other")
    return records
