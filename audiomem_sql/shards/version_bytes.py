"""The versions in a manifest, and their bytes: the older ones in chunks that are packed once and for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgpack
import zstandard

from audiomem_sql.blocks.whole_values import check_whole
from audiomem_sql.storage.segment import Version

#: Versions in a chunk.
CHUNK = 128
#: The largest chunk that is read, before compression.
MAX_CHUNK_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Pin:
    """A commit of a shard: its version there, and its time (µs since 1970), which tells it from others."""

    version: int
    time: int


@dataclass(frozen=True, slots=True)
class ShardedVersion:
    """A version of the table, and the commits of the shards that it changed, by the number of the shard.

    moved: it moved rows from one shard to another, and changed none.
    """

    version: Version
    pins: Mapping[int, Pin] = field(default_factory=dict)
    moved: bool = False

    def of(self, shards: int) -> ShardedVersion:
        """It without what it changed in others than the first ``shards``."""
        return replace(self, pins={number: pin for number, pin in self.pins.items() if number < shards})

    def pack(self) -> list[Any]:
        """It as MessagePack has it."""
        version = self.version
        pins = [[number, pin.version, pin.time] for number, pin in self.pins.items()]
        counts = [version.inserted, version.deleted]
        return [version.number, version.time, *counts, version.message, pins, self.moved]

    @classmethod
    def unpack(cls, packed: Any) -> ShardedVersion:
        """The inverse. TypeError or ValueError for anything else."""
        number, time, inserted, deleted, message, pins, moved = packed
        return cls(
            Version(int(number), int(time), int(inserted), int(deleted), message),
            {int(shard): Pin(int(pinned), int(at)) for shard, pinned, at in pins},
            bool(moved),
        )


def pack_chunk(versions: Sequence[ShardedVersion]) -> bytes:
    """A chunk: MessagePack in zstd."""
    raw = msgpack.packb([version.pack() for version in versions])
    return zstandard.ZstdCompressor(level=3).compress(raw)


def unpack_chunk(packed: bytes) -> list[ShardedVersion]:
    """The inverse. ValueError, TypeError, ZstdError or UnpackException for anything else."""
    if not 0 <= zstandard.frame_content_size(packed) <= MAX_CHUNK_BYTES:
        raise ValueError("a chunk of versions states no size, or one over the limit")
    raw = zstandard.ZstdDecompressor().decompress(packed, max_output_size=MAX_CHUNK_BYTES)
    check_whole(raw)
    return [ShardedVersion.unpack(version) for version in msgpack.unpackb(raw)]
