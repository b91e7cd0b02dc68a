"""Blocks of texts that are decoded together, and kept as one array: fewer steps than one by one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa

from audiomem_sql.blocks.column_writer import STRING_KINDS
from audiomem_sql.blocks.directory import BlockDirectory
from audiomem_sql.blocks.encoding import Encoding
from audiomem_sql.columns.types import ColumnType
from audiomem_sql.machine.block_cache import BlockCache

#: The most bytes of blocks that are joined, and the largest block, before compression.
JOINED_BYTES = 7 << 19
_LARGEST_BLOCK_BYTES = 256 << 10
#: Of the cache's bytes, the share that one array may take.
_SHARE = 8
#: Blocks of which it is remembered that they were joined, whether or not they are still kept.
_REMEMBERED = 1 << 16


class JoinedBlocks:
    """The arrays of blocks that were decoded together, in the cache of all tables.

    owner: what the keys begin with. Safe to use from several threads.
    """

    def __init__(self, cache: BlockCache, owner: int) -> None:
        self._cache = cache
        self._owner = owner
        #: The blocks that each block was decoded with, by column and number.
        self._joined: dict[tuple[int, int], range] = {}

    def get(self, column: int, number: int) -> tuple[pa.Array, range] | None:
        """The array that has a block, and the numbers of its blocks; None if it is not kept."""
        numbers = self._joined.get((column, number))
        if numbers is None:
            return None
        array = self._cache.get(self._key(column, numbers))
        if array is None:
            self._joined.pop((column, number), None)
            return None
        return array, numbers

    def put(self, column: int, numbers: range, array: pa.Array) -> None:
        """Keep the array of blocks ``numbers``."""
        if len(self._joined) >= _REMEMBERED:
            self._joined.clear()
        self._cache.put(self._key(column, numbers), array, array.nbytes)
        self._joined |= dict.fromkeys(((column, number) for number in numbers), numbers)

    def _key(self, column: int, numbers: range) -> tuple[int, ...]:
        return (self._owner, column, numbers.start, numbers.stop, 2)

    def groups(self, directory: BlockDirectory, column_type: ColumnType, run: list[int]) -> list[range]:
        """The blocks of a run in groups that are to be joined; empty where each is better decoded alone."""
        if len(run) < 2 or column_type.kind not in STRING_KINDS or directory.lost:
            return []
        numbers = np.array(run)
        raw = directory.raw[numbers]
        alike = (directory.encodings[numbers] == Encoding.STRINGS) & (directory.zones.nulls[numbers] == 0)
        if not alike.all() or int(raw.min()) < 1 or int(raw.max()) > _LARGEST_BLOCK_BYTES:
            return []
        most = min(JOINED_BYTES, self._cache.capacity // _SHARE)
        parts = np.cumsum(raw) // max(most, 1)
        edges = np.flatnonzero((np.diff(numbers) != 1) | (np.diff(parts) != 0)) + 1
        return [
            range(run[start], run[stop - 1] + 1) for start, stop in pairwise([0, *edges.tolist(), len(run)])
        ]
