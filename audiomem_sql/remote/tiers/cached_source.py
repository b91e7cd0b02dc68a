"""A place of bytes behind a cache: what was read once is read from a nearer place."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import lru_cache, partial

from audiomem_sql.bytes import ByteSource
from audiomem_sql.errors import StorageError
from audiomem_sql.remote.tiers.block import (
    BLOCK_BYTES,
    SECTOR_BYTES,
    Block,
    block_key,
    key_prefix,
    runs_of,
    sectors_between,
)
from audiomem_sql.remote.tiers.cache import Cache
from audiomem_sql.remote.tiers.registry import STORE, Lease

#: Ranges with less than so much between them are fetched as one, and what is between them is kept.
GAP_BYTES = 16 * 1024


class CachedSource(ByteSource):
    """``below``, which it takes over, behind the tiers of ``lease``; ``identity`` is that of ``below``.

    store: what tells the stores of one kind apart, such as an endpoint, where the name does not say it.
    Blocks of a source whose identity is None have keys that no other source has. Raises UnsupportedError for
    an identity that is not made of numbers, texts and bytes.

    What ``below`` says of itself goes for this one. What it is asked for in advance, it keeps itself.
    """

    _below: ByteSource | None = None

    def __init__(self, below: ByteSource, lease: Lease, store: str = "") -> None:
        self.name, self.size = below.name, below.size
        self.identity: Hashable = below.identity
        identity = os.urandom(16) if below.identity is None else below.identity
        prefix = key_prefix(store, below.name, identity, below.size)
        self._key = lru_cache(maxsize=1024)(partial(block_key, prefix))
        self._cache = Cache(lease.tiers)
        self.prefers_short_reads = below.prefers_short_reads
        #: Sectors by block that were read again because a checksum failed.
        self._read_anew: dict[int, int] = {}
        self._lease, self._below = lease, below

    @property
    def lasting_identity(self) -> Hashable | None:
        """That of the source below."""
        return self._open_below().lasting_identity

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """What the tiers have not is asked for in one read of the source below."""
        return self._read(ranges, self._found)

    def read_fresh(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes of each range past the tiers, which then have what was read.

        For bytes that do not match their checksums: what is wrong may be the copy.
        """
        return self._read(ranges, self._others)

    def prefetch(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Tell the source below what the tiers have not."""
        wanted = self._wanted(ranges)
        if wanted:
            self._open_below().prefetch(self._missing(wanted, self._found(wanted)))

    def read_anew(self, ranges: Sequence[tuple[int, int]]) -> bool:
        """Read ranges past all caches, and correct the tiers; False if that was done before."""
        below = self._open_below()
        wanted = self._wanted(ranges)
        is_known = all(not sectors & ~self._read_anew.get(number, 0) for number, sectors in wanted.items())
        for number, sectors in wanted.items():
            self._read_anew[number] = self._read_anew.get(number, 0) | sectors
        whole = self._missing(wanted, {})
        if not below.read_anew(whole) and is_known:  # several copies below have something new each time
            return False
        self.read_fresh(whole)
        return True

    def is_current(self) -> bool:
        """What the source below says."""
        return self._open_below().is_current()

    def _open_below(self) -> ByteSource:
        if self._below is None:
            raise StorageError("is closed", file=self.name)
        return self._below

    def _wanted(self, ranges: Sequence[tuple[int, int]]) -> dict[int, int]:
        """The sectors of ranges, by the numbers of blocks."""
        wanted: dict[int, int] = {}
        for offset, length in ranges:
            _add(wanted, offset, min(offset + length, self.size))
        return wanted

    def _missing(self, wanted: dict[int, int], blocks: dict[int, Block]) -> list[tuple[int, int]]:
        """Offset and length of what ``blocks`` lack of the sectors that are wanted."""
        missing = _runs(
            (number, sectors & ~(blocks[number].sectors if number in blocks else 0))
            for number, sectors in sorted(wanted.items())
        )
        return [(start, min(stop, self.size) - start) for start, stop in missing]

    def _read(
        self, ranges: Sequence[tuple[int, int]], find: Callable[[dict[int, int]], dict[int, Block]]
    ) -> list[bytes]:
        below = self._open_below()
        cut = [(offset, min(offset + length, self.size)) for offset, length in ranges]
        wanted = self._wanted(ranges)
        blocks = find(wanted)
        needed = self._missing(wanted, blocks)
        if needed:
            answers = below.read(needed)
            STORE.add(requests=len(needed), bytes_out=sum(map(len, answers)))
            if [len(answer) for answer in answers] != [length for _, length in needed]:
                # The bytes end before their size says so: what that means is for the source to say.
                return below.read(ranges)
            self._keep(needed, answers, blocks)
        return [self._cut(blocks, start, stop) for start, stop in cut]

    def _found(self, wanted: dict[int, int]) -> dict[int, Block]:
        """What the tiers have of the blocks of these numbers."""
        numbers = {self._key(number): number for number in wanted}
        last = self.size // BLOCK_BYTES
        lengths = {self._key(last): self.size % BLOCK_BYTES} if last in wanted else {}
        found = self._cache.get({key: wanted[number] for key, number in numbers.items()}, lengths)
        return {numbers[key]: block for key, block in found.items()}

    def _others(self, wanted: dict[int, int]) -> dict[int, Block]:
        """What the tiers have of the blocks of these numbers but for the sectors: it stays there."""
        found = self._found(wanted)
        return {number: block.without(wanted[number]) for number, block in found.items()}

    def _keep(
        self, ranges: Sequence[tuple[int, int]], answers: Sequence[bytes], blocks: dict[int, Block]
    ) -> None:
        """Add what was read to ``blocks``, and to the tiers."""
        changed = set()
        for (start, length), data in zip(ranges, answers, strict=True):
            for number in range(start // BLOCK_BYTES, -(-(start + length) // BLOCK_BYTES)):
                base = number * BLOCK_BYTES
                low, high = max(start, base), min(start + length, base + BLOCK_BYTES)
                block = Block(sectors_between(low - base, high - base), data[low - start : high - start])
                blocks[number] = blocks[number].joined(block) if number in blocks else block
                changed.add(number)
        self._cache.put({self._key(number): blocks[number] for number in sorted(changed)})

    @staticmethod
    def _cut(blocks: dict[int, Block], start: int, stop: int) -> bytes:
        """The bytes from ``start`` to ``stop``, all of which are in ``blocks``."""
        first, last = start // BLOCK_BYTES, (stop - 1) // BLOCK_BYTES
        if stop <= start:
            return b""
        if first == last:
            return blocks[first].cut(start % BLOCK_BYTES, stop - first * BLOCK_BYTES)
        parts = [blocks[first].cut(start % BLOCK_BYTES, BLOCK_BYTES)]
        parts += [blocks[number].data for number in range(first + 1, last)]
        parts.append(blocks[last].cut(0, stop - last * BLOCK_BYTES))
        return b"".join(parts)

    def reopen(self) -> CachedSource:
        """The same bytes behind the same tiers."""
        below = self._open_below().reopen()
        again = CachedSource.__new__(CachedSource)
        vars(again).update(vars(self), _below=below, _lease=self._lease.again())
        return again

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the source below and of the tiers; twice is harmless."""
        below, self._below = self._below, None
        if below is not None:
            below.close()
            self._lease.end()


def _add(wanted: dict[int, int], start: int, stop: int) -> None:
    """Add the sectors of a range, by the numbers of blocks."""
    if stop <= start:
        return
    for number in range(start // BLOCK_BYTES, (stop - 1) // BLOCK_BYTES + 1):
        base = number * BLOCK_BYTES
        sectors = sectors_between(max(start - base, 0), min(stop - base, BLOCK_BYTES))
        wanted[number] = wanted.get(number, 0) | sectors


def _runs(missing: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The ranges of bytes of sectors by block, in order; those with a short gap between them are one."""
    runs: list[tuple[int, int]] = []
    for number, sectors in missing:
        for start, stop in runs_of(sectors):
            low, high = (number * BLOCK_BYTES + each * SECTOR_BYTES for each in (start, stop))
            if runs and low - runs[-1][1] <= GAP_BYTES:
                runs[-1] = runs[-1][0], high
            else:
                runs.append((low, high))
    return runs
