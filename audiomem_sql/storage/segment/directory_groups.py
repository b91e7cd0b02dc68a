"""The groups of blocks of a column whose block directory is in two levels, as the catalog has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from audiomem_sql.arrays import I64Array
from audiomem_sql.blocks.directory import MAX_BLOCK_BYTES, MAX_BLOCK_ROWS, BlockDirectory
from audiomem_sql.blocks.zones import Zones
from audiomem_sql.columns.types import ColumnType
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.storage.segment.catalog import Extent
from audiomem_sql.storage.segment.checked_values import count as checked_count
from audiomem_sql.storage.segment.directory_page import group_zones, page_bytes

#: Most blocks of a group, and most bytes from its first block to the end of its last.
MAX_GROUP_BLOCKS = 1 << 16
MAX_GROUP_BYTES = 1 << 46
#: Each block of such a column has a label of so many bytes behind it (``labels.LABEL``).
LABEL_BYTES = 44
#: A row takes so many parts of this of a byte, in the straight line that blocks are compared with.
_STEP_BITS = 16
#: Arrays with one element a group that the catalog lists as they are.
LISTED = ("lengths", "stored", "raw", "densest", "before", "after")


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """What the catalog says of the groups of a column: arrays with one element a group, int64 (n,).

    size: blocks of each group but the last. blocks: of all. zones: of each group. offsets: the place of its
    first block. lengths: from there to the end of its last. stored, raw: bytes of its blocks, there and
    before compression. densest: most bytes before compression for a row, rounded up, in one of its blocks.
    before, after: a block that holds row r begins at most ``before`` bytes before, and ends at most ``after``
    bytes behind the place that :meth:`stretch` begins with. pages: the place of each page, that of its copy,
    and the stored bytes of both, int64 (n, 3).
    """

    size: int
    blocks: int
    zones: Zones
    offsets: I64Array
    lengths: I64Array
    stored: I64Array
    raw: I64Array
    densest: I64Array
    before: I64Array
    after: I64Array
    pages: I64Array

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def starts(self) -> I64Array:
        """The first row of each group, then the number of rows, int64 (n + 1,)."""
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(self.zones.rows, dtype=np.int64)])

    @property
    def counts(self) -> I64Array:
        """Blocks of each group, int64 (n,)."""
        firsts = np.arange(len(self), dtype=np.int64) * self.size
        return np.minimum(firsts + self.size, self.blocks) - firsts

    def numbers(self, group: int) -> tuple[int, int]:
        """The blocks of a group: the first, and the one behind the last."""
        return group * self.size, min((group + 1) * self.size, self.blocks)

    def page(self, group: int, column_type: ColumnType) -> tuple[Extent, Extent]:
        """Where the page of a group is, and where its copy."""
        first, stop = self.numbers(group)
        place, copy, stored = self.pages[group].tolist()
        raw = page_bytes(column_type, stop - first)
        return Extent(place, stored, raw), Extent(copy, stored, raw)

    def page_places(self) -> list[tuple[I64Array, I64Array]]:
        """Places and stored bytes of the pages, and of their copies."""
        return [(self.pages[:, copy], self.pages[:, 2]) for copy in (0, 1)]

    def stretch(self, group: int, row: int) -> tuple[int, int]:
        """Where the block with row ``row`` of a group is, at the most: place and length."""
        place, length = int(self.offsets[group]), int(self.lengths[group])
        step = (length << _STEP_BITS) // int(self.zones.rows[group])
        at = row * step >> _STEP_BITS
        start, stop = max(at - int(self.before[group]), 0), min(at + int(self.after[group]), length)
        return place + start, max(stop - start, 0)

    @classmethod
    def of(cls, blocks: BlockDirectory, size: int) -> Groups:
        """The groups of ``size`` blocks; their pages are not stored yet."""
        firsts = np.arange(0, blocks.count, size)
        lasts = np.minimum(firsts + size, blocks.count) - 1
        ends = blocks.offsets + blocks.stored
        zones = group_zones(blocks.zones, firsts)
        offsets = blocks.offsets[firsts]
        lengths = ends[lasts] - offsets
        group = np.arange(blocks.count) // size
        steps = ((lengths << _STEP_BITS) // zones.rows)[group]
        first_rows = blocks.starts[firsts][group]

        def straight(row: I64Array) -> I64Array:
            places: I64Array = offsets[group] + ((row - first_rows) * steps >> _STEP_BITS)
            return places

        before = straight(blocks.starts[1:] - 1) - blocks.offsets
        after = ends - straight(blocks.starts[:-1])
        return cls(
            size,
            blocks.count,
            zones,
            offsets,
            lengths,
            np.add.reduceat(blocks.stored, firsts),
            np.add.reduceat(blocks.raw, firsts),
            np.maximum.reduceat(-(-blocks.raw // np.diff(blocks.starts)), firsts),
            np.maximum(np.maximum.reduceat(before, firsts), 0),
            np.maximum(np.maximum.reduceat(after, firsts), 0),
            np.zeros((len(firsts), 3), np.int64),
        )

    def says(self, group: int, blocks: BlockDirectory) -> bool:
        """Whether ``blocks``, counted from the group's first row and place on, are what is said of it."""
        own = Groups.of(blocks, max(blocks.count, 1))
        stated = self.zones.take(np.array([group]))
        return own.zones.pack() == stated.pack() and all(
            int(getattr(own, name)[0]) == int(getattr(self, name)[group]) for name in LISTED
        )

    def pack(self) -> dict[str, Any]:
        """A map with byte strings (little-endian arrays)."""
        packed: dict[str, Any] = {"size": self.size, "blocks": self.blocks}
        packed["offsets"] = np.diff(self.offsets, prepend=0).astype("<i8").tobytes()
        for name in LISTED:
            packed[name] = getattr(self, name).astype("<i8").tobytes()
        for name, copy in (("pages", 0), ("copies", 1)):
            packed[name] = np.diff(self.pages[:, copy], prepend=0).astype("<i8").tobytes()
        packed["pages_stored"] = self.pages[:, 2].astype("<u4").tobytes()
        packed["zones"] = self.zones.pack()
        return packed

    @classmethod
    def unpack(cls, packed: Mapping[str, Any], column_type: ColumnType, rows: int, data_bytes: int) -> Groups:
        """The inverse, of a column of ``rows`` rows in a data stream of ``data_bytes``.

        DamagedFileError (without a place) for groups that contradict themselves or the segment.
        """
        size, blocks = checked_count(packed["size"], MAX_GROUP_BLOCKS), checked_count(packed["blocks"])
        zones = Zones.unpack(packed["zones"], column_type)
        number = len(zones)
        if not size or not number or not (number - 1) * size < blocks <= number * size:
            raise DamagedFileError("a block directory has another number of groups than of blocks")
        listed = {name: _array(packed[name], "<i8", number) for name in LISTED}
        pages = np.column_stack(
            [
                np.cumsum(_array(packed["pages"], "<i8", number), dtype=np.int64),
                np.cumsum(_array(packed["copies"], "<i8", number), dtype=np.int64),
                _array(packed["pages_stored"], "<u4", number).astype(np.int64),
            ]
        )
        offsets = np.cumsum(_array(packed["offsets"], "<i8", number), dtype=np.int64)
        groups = cls(size, blocks, zones, offsets, pages=pages, **listed)
        groups._check(column_type, rows, data_bytes)
        return groups

    def _check(self, column_type: ColumnType, rows: int, data_bytes: int) -> None:
        counts, stated = self.counts, self.zones.rows
        if (stated < counts).any() or (stated > counts * MAX_BLOCK_ROWS).any() or int(stated.sum()) != rows:
            raise DamagedFileError("the groups of a column have another number of rows than the segment")
        for place, length in ((self.offsets, self.lengths), *self.page_places()):
            if (place < 0).any() or (length < 1).any() or (place > data_bytes - length).any():
                raise DamagedFileError("a group of blocks lies outside the segment")
        if (self.offsets[1:] < self.offsets[:-1] + self.lengths[:-1]).any():
            raise DamagedFileError("the groups of a column are not in the order of their rows")
        if (self.stored < counts * LABEL_BYTES).any() or (self.stored > self.lengths).any():
            raise DamagedFileError("a group of blocks has other bytes than its blocks")
        least = np.zeros(len(self), np.int64)
        for values, most in (
            (self.lengths, least + MAX_GROUP_BYTES),
            (self.raw, counts * MAX_BLOCK_BYTES),
            (self.densest, least + MAX_BLOCK_BYTES),
            (self.before, self.lengths),
            (self.after, self.lengths),
        ):
            if (values < 0).any() or (values > most).any():
                raise DamagedFileError("a group of blocks is larger than any that is written")


def _array(data: Any, dtype: str, count: int) -> np.ndarray[Any, Any]:
    if not isinstance(data, bytes) or len(data) != count * np.dtype(dtype).itemsize:
        raise DamagedFileError("a block directory has the wrong length")
    return np.frombuffer(data, dtype)
