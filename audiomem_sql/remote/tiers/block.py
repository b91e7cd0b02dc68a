"""The unit of a cache: an aligned block of one version of an object, of which some sectors are there.

A read of a few cells needs a few KiB, a scan needs everything. So what is fetched, and counted as there, is a
sector, and what is named, kept and thrown away is a block of 128 of them.

A block that leaves this process is sealed: magic, the sectors that are there, and a CRC-32C over the key, the
sectors and the bytes. So bytes that were changed, cut, mixed or put under another name are told from a block.
"""

from __future__ import annotations

import struct
from collections.abc import Hashable
from dataclasses import dataclass
from operator import itemgetter

from fastcrc import crc32

from audiomem_sql.errors import UnsupportedError
from audiomem_sql.machine.digests import blake2b

SECTOR_BYTES = 1024
SECTORS = 128
BLOCK_BYTES = SECTOR_BYTES * SECTORS
KEY_BYTES = 20
#: Magic with the version of the form, sectors that are there (bit n: sector n), CRC-32C; then the bytes.
HEADER = struct.Struct("<4s16sI")
_MAGIC = b"AMB1"
#: A sealed block has at most so many bytes.
SEALED_BYTES = HEADER.size + BLOCK_BYTES


@dataclass(frozen=True, slots=True)
class Block:
    """The sectors that are there (bit n: sector n), and their bytes, one behind the other."""

    sectors: int
    data: bytes

    def has(self, sectors: int) -> bool:
        """Whether all of ``sectors`` are there."""
        return not sectors & ~self.sectors

    def fits(self, length: int) -> bool:
        """Whether there are as many bytes as a block of ``length`` bytes has in these sectors."""
        return len(self.data) == bytes_in(self.sectors, length)

    def cut(self, start: int, stop: int) -> bytes:
        """The bytes from ``start`` to ``stop`` of the block, whose sectors must be there."""
        before = (self.sectors & ((1 << start // SECTOR_BYTES) - 1)).bit_count()
        place = before * SECTOR_BYTES + start % SECTOR_BYTES
        return self.data[place : place + stop - start]

    def joined(self, other: Block) -> Block:
        """The sectors of both."""
        if not other.sectors & ~self.sectors:
            return self
        if not self.sectors & ~other.sectors:
            return other
        own = [(start, stop, self) for start, stop in runs_of(self.sectors)]
        new = [(start, stop, other) for start, stop in runs_of(other.sectors & ~self.sectors)]
        # A slice ends with the bytes: only the last sector of an object is short.
        parts = [
            block.cut(start * SECTOR_BYTES, stop * SECTOR_BYTES)
            for start, stop, block in sorted(own + new, key=itemgetter(0))
        ]
        return Block(self.sectors | other.sectors, b"".join(parts))

    def without(self, sectors: int) -> Block:
        """The other sectors; there may be none."""
        rest = self.sectors & ~sectors
        parts = [self.cut(start * SECTOR_BYTES, stop * SECTOR_BYTES) for start, stop in runs_of(rest)]
        return Block(rest, b"".join(parts))


def runs_of(sectors: int) -> list[tuple[int, int]]:
    """The runs of ones: the number of the first, and of the zero behind the last."""
    runs = []
    place = 0
    while sectors >> place:
        start = place + _zeros(sectors >> place)
        place = start + _zeros(~(sectors >> start))
        runs.append((start, place))
    return runs


def _zeros(bits: int) -> int:
    """The number of zeros at the low end."""
    return (bits & -bits).bit_length() - 1


def bytes_in(sectors: int, length: int) -> int:
    """The bytes of ``sectors`` in a block of ``length`` bytes, which is shorter only at the end."""
    count = -(-length // SECTOR_BYTES)
    if sectors >> count:
        return -1
    short = -length % SECTOR_BYTES if sectors >> count - 1 & 1 else 0
    return sectors.bit_count() * SECTOR_BYTES - short


def sectors_between(start: int, stop: int) -> int:
    """The sectors of a block in which its bytes from ``start`` to ``stop`` are."""
    return (1 << -(-stop // SECTOR_BYTES)) - (1 << start // SECTOR_BYTES)


def key_prefix(store: str, name: str, identity: Hashable, size: int) -> bytes:
    """What the keys of the blocks of one object have in common.

    UnsupportedError if ``identity`` is not made of numbers, texts and bytes, which alone are the same in
    every process.
    """
    _check(identity, name)
    named = repr((store, name, identity, size, SECTOR_BYTES, SECTORS)).encode("utf-8", "surrogatepass")
    return blake2b(named, digest_size=KEY_BYTES).digest()


def block_key(prefix: bytes, number: int) -> bytes:
    """The key of block ``number``, KEY_BYTES long."""
    return blake2b(prefix + number.to_bytes(8, "little"), digest_size=KEY_BYTES).digest()


def seal(key: bytes, block: Block) -> bytes:
    """The block as bytes that tell whether they are still the same."""
    sectors = block.sectors.to_bytes(SECTORS // 8, "little")
    return HEADER.pack(_MAGIC, sectors, _code(key, sectors, block.data)) + block.data


def unseal(key: bytes, sealed: bytes) -> Block | None:
    """The block; None if these are not the bytes that ``seal`` gave for ``key``."""
    if not HEADER.size < len(sealed) <= SEALED_BYTES:
        return None
    magic, sectors, code = HEADER.unpack_from(sealed)
    data = sealed[HEADER.size :]
    if magic != _MAGIC or code != _code(key, sectors, data):
        return None
    return Block(int.from_bytes(sectors, "little"), data)


def _code(key: bytes, sectors: bytes, data: bytes) -> int:
    return int(crc32.iscsi(data, crc32.iscsi(key + sectors)))


def _check(identity: Hashable, name: str) -> None:
    if isinstance(identity, tuple):
        for part in identity:
            _check(part, name)
    elif identity is not None and not isinstance(identity, (str, bytes, int, float)):
        raise UnsupportedError(
            f"a {type(identity).__name__} as identity cannot name its blocks in a cache",
            file=name,
            remedy="Open it without cache=.",
        )
