"""A segment that was encoded for a shard, and what its commit wants to know of it: above all its keys."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import BinaryIO, Self

import msgpack
import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.errors import AudioMemError, StorageError
from audiomem_sql.shards import ShardZones
from audiomem_sql.storage.segment import EncodedSegment
from audiomem_sql.writing.appending import following_rowids

_MALFORMED = (msgpack.UnpackException, ValueError, TypeError, LookupError, pa.ArrowException, AudioMemError)


def _opened(path: str) -> BinaryIO:
    return open(path, "rb")


@dataclass(frozen=True, slots=True)
class EncodedPart:
    """A segment for one shard. rowids: its own, or those that the commit gives it, int64 (n,), ascending.

    state: of the table that it is right for. zones: of its rows, in one entry. keys: the columns of unique
    keys.
    """

    segment: EncodedSegment
    state: bytes
    shard: int
    zones: ShardZones
    keys: pa.Table
    rowids: I64Array | None = None

    @classmethod
    def read(cls, path: str) -> Self:
        """What the file at ``path`` has. StorageError unless it is whole."""
        segment = EncodedSegment.read(path, partial(_opened, path))
        try:
            said = msgpack.unpackb(segment.extra, strict_map_key=False)
            rowids = said["rowids"]
            part = cls(
                segment,
                bytes(said["state"]),
                int(said["shard"]),
                ShardZones.unpack(said["zones"], segment.catalog.schema, 1),
                pa.ipc.open_stream(said["keys"]).read_all(),
                None if rowids is None else np.frombuffer(rowids, "<i8").astype(np.int64),
            )
        except _MALFORMED as error:
            raise StorageError(
                "rows that a task staged cannot be read", file=path, remedy="Write them again."
            ) from error
        return part

    @property
    def rows(self) -> int:
        """How many it has."""
        return self.segment.catalog.rows

    def numbered(self, first: int) -> EncodedPart:
        """It with rowids from ``first`` on, unless it brought its own."""
        if self.rowids is not None:
            return self
        return replace(self, rowids=following_rowids(first, self.rows))

    @property
    def high_rowid(self) -> int:
        """The greatest rowid, once they are known."""
        assert self.rowids is not None
        return int(self.rowids[-1])

    @property
    def first_rowid(self) -> int | None:
        """Where the run of rowids begins that the commit gives it; None where it brought its own."""
        if self.segment.catalog.schema.rowid_column is not None:
            return None
        assert self.rowids is not None
        return int(self.rowids[0])
