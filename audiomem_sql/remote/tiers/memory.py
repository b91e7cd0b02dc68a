"""The tier in the memory of this process: least recently used goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from audiomem_sql.remote.tiers.block import Block
from audiomem_sql.remote.tiers.prices import FREE
from audiomem_sql.remote.tiers.tier import Counters, PerProcess, TierInfo

#: Memory of a block beside its bytes: key, objects, place in the dictionary.
_OVERHEAD = 300


class _Entries:
    """Blocks by key, the most recently used last, and their bytes."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.blocks: OrderedDict[bytes, Block] = OrderedDict()
        self.bytes = 0


class MemoryTier:
    """At most ``capacity`` bytes. A process that was forked off begins with none."""

    def __init__(self, name: str, capacity: int) -> None:
        self.name, self.capacity = name, capacity
        self.counters, self.prices = Counters(), FREE
        self._entries = PerProcess(_Entries)

    def open(self) -> None:
        """Nothing is to be done."""

    def get_many(self, keys: Sequence[bytes]) -> dict[bytes, Block]:
        """The blocks that are there, now those that were used last."""
        entries = self._entries.get()
        found = {}
        with entries.lock:
            for key in keys:
                block = entries.blocks.get(key)
                if block is not None:
                    entries.blocks.move_to_end(key)
                    found[key] = block
        return found

    def put_many(self, blocks: Mapping[bytes, Block]) -> int:
        """Keep the blocks, unless together they are more than a quarter.

        Whoever reads everything once would push out what others use.
        """
        if sum(map(_size, blocks.values())) > self.capacity // 4:
            self.counters.add(skipped=len(blocks))
            return 0
        entries = self._entries.get()
        evicted = 0
        with entries.lock:
            for key, block in blocks.items():
                before = entries.blocks.pop(key, None)
                entries.blocks[key] = block
                entries.bytes += _size(block) - (_size(before) if before is not None else 0)
            while entries.bytes > self.capacity:
                entries.bytes -= _size(entries.blocks.popitem(last=False)[1])
                evicted += 1
        self.counters.add(evictions=evicted)
        return sum(len(block.data) for block in blocks.values())

    def info(self) -> TierInfo:
        """Bytes with what they cost beside themselves."""
        return TierInfo(self._entries.get().bytes, self.capacity)

    def close(self) -> None:
        """Keep what is there: the next table of this process finds it."""


def _size(block: Block) -> int:
    return len(block.data) + _OVERHEAD
