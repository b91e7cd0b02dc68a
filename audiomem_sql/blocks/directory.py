"""The block directory of one column: which rows each block holds, where it lies, and what it can contain.

Every column is cut into blocks of its own, by bytes: a block of text has a few hundred rows, a block of
integers thousands. So a filter on a narrow column reads few blocks, and only the wide blocks with matching
rows are decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from audiomem_sql.arrays import BoolArray, I64Array, U8Array
from audiomem_sql.blocks.zones import Zones
from audiomem_sql.columns.types import ColumnType
from audiomem_sql.errors import DamagedFileError

#: Most rows in a block, so that memory is bounded by what a catalog says of a block.
MAX_BLOCK_ROWS = 1 << 16
#: Most bytes in a block before compression: one row of the largest size allowed, and its lengths.
MAX_BLOCK_BYTES = (1 << 30) + (1 << 20)
#: Most bytes of values in a block of several rows. Blocks are cut far below it; it bounds what a reader must
#: take.
MAX_SHARED_BLOCK_BYTES = 16 << 20
#: Most bytes of a compression dictionary.
MAX_DICTIONARY_BYTES = 4 << 20


@dataclass(frozen=True, slots=True, eq=False)
class BlockDirectory:
    """Arrays with one entry a block, in row order.

    starts: int64 (n + 1,), the first row of each block, then the number of rows; offsets, stored, raw: int64
    (n,), place in the data stream, bytes there, bytes before compression; encodings: uint8 (n,); zones: least
    and greatest values and NULL counts. lost: blocks that cannot be read, and why. of_labels: blocks that are
    known by their labels only; their zone maps say what some blocks can contain together.
    """

    starts: I64Array
    offsets: I64Array
    stored: I64Array
    raw: I64Array
    encodings: U8Array
    zones: Zones
    lost: dict[int, str] = field(default_factory=dict)
    of_labels: set[int] = field(default_factory=set)

    @property
    def count(self) -> int:
        """Number of blocks."""
        return len(self.offsets)

    @property
    def may_hold_nan(self) -> bool:
        """Whether the zone map of a block of reals leaves room for NaN."""
        return bool(self.zones.with_nan.any())

    def find(self, row: int) -> int:
        """The block that holds ``row``."""
        return int(np.searchsorted(self.starts, row, side="right")) - 1

    def span(self, start: int, stop: int) -> range:
        """The blocks that hold rows start … stop - 1."""
        if stop <= start:
            return range(0)
        return range(self.find(start), self.find(stop - 1) + 1)

    def bind(self, reader: Any, column: int) -> None:
        """Take what reads the parts of a directory that is read in parts, and whose blocks these are."""

    def around(self, rows: I64Array | Sequence[int]) -> BlockDirectory:
        """A directory that is right where it speaks of ``rows``: this one, unless it is read in parts."""
        return self

    def across(self, start: int, stop: int) -> BlockDirectory:
        """The same for rows start … stop - 1."""
        return self

    def among(self, numbers: Sequence[int]) -> BlockDirectory:
        """The same for the blocks ``numbers``."""
        return self

    def expected(self, rows: I64Array | Sequence[int]) -> list[tuple[int, int]]:
        """What to ask for before :meth:`around`, as places and lengths."""
        return []

    def passing(self, keeps: Callable[[Zones], BoolArray]) -> I64Array | None:
        """The stretches of rows in blocks that ``keeps`` says of their zone maps, int64 (n, 2), ascending.

        None for all rows. What it says of a block, it must say of zone maps that hold that block's.
        """
        return stretches_of(keeps(self.zones), self.starts)

    def rows_encoded(self, encodings: Sequence[int]) -> tuple[int, int]:
        """Rows of blocks in one of ``encodings``, and of how many that is."""
        rows = np.diff(self.starts)
        return int(rows[np.isin(self.encodings, encodings)].sum()), int(rows.sum())

    @property
    def stored_bytes(self) -> int:
        """Bytes of all blocks in the data stream, and of what says where they are."""
        return int(self.stored.sum())

    @property
    def raw_bytes(self) -> int:
        """Bytes of all blocks before compression."""
        return int(self.raw.sum())

    @property
    def densest(self) -> float:
        """The most bytes for a row in one block, before compression."""
        return float((self.raw / np.diff(self.starts)).max(initial=0))

    def places(self) -> I64Array:
        """Offset and stored bytes of all blocks, int64 (n, 2)."""
        return np.stack([self.offsets, self.stored], axis=1)

    def stretches(self) -> tuple[I64Array, list[tuple[I64Array, I64Array]]]:
        """Rows that come together: where they begin, int64 (n + 1,); places and lengths of what they need.

        Those of each, int64 (n,), are of one block; or of a group of blocks, of which no more is known.
        """
        return self.starts, [(self.offsets, self.stored)]

    @property
    def edges(self) -> I64Array:
        """Rows at which a block begins, or a group of blocks, as far as is known without reading."""
        return self.starts

    def none(self) -> BlockDirectory:
        """A directory without blocks."""
        nothing = np.zeros(0, np.int64)
        zones = self.zones.take(nothing)
        return BlockDirectory(np.zeros(1, np.int64), nothing, nothing, nothing, np.zeros(0, np.uint8), zones)

    def moved(self, finals: Callable[[I64Array], I64Array]) -> BlockDirectory:
        """The directory with other places."""
        return replace(self, offsets=finals(self.offsets))

    def to_catalog(self) -> dict[str, Any]:
        """A map of byte strings (little-endian arrays)."""
        return {
            "offsets": np.diff(self.offsets, prepend=0).astype("<i8").tobytes(),
            "stored": self.stored.astype("<u4").tobytes(),
            "raw": self.raw.astype("<u4").tobytes(),
            "encodings": self.encodings.tobytes(),
            "zones": self.zones.pack(),
        }

    @classmethod
    def from_catalog(
        cls, entry: dict[str, Any], column_type: ColumnType, rows: int, data_bytes: int
    ) -> BlockDirectory:
        """The inverse; every length, row count and place is checked against the segment's."""
        zones = Zones.unpack(entry["zones"], column_type)
        count = len(zones.rows)
        offsets = np.cumsum(_array(entry["offsets"], "<i8", count), dtype=np.int64)
        stored, raw = _array(entry["stored"], "<u4", count), _array(entry["raw"], "<u4", count)
        encodings = _array(entry["encodings"], "u1", count)
        block_rows = zones.rows
        if count and (int(block_rows.min()) < 1 or int(block_rows.max()) > MAX_BLOCK_ROWS):
            raise DamagedFileError("a block claims an impossible number of rows")
        if int(block_rows.sum()) != rows:
            raise DamagedFileError(
                f"the blocks of a column hold {int(block_rows.sum())} rows, the segment {rows}"
            )
        if (offsets < 0).any() or (offsets > data_bytes - stored.astype(np.int64)).any():
            raise DamagedFileError("a block lies outside the segment")
        ends = offsets + stored.astype(np.int64)
        if (offsets[1:] < ends[:-1]).any():  # by importance they are not in the order of the rows
            order = np.lexsort((stored, offsets))
            if (offsets[order[1:]] < ends[order[:-1]]).any():
                raise DamagedFileError("the blocks of a column overlap")
        width = column_type.vector_bytes
        size = np.maximum(raw.astype(np.int64), block_rows * width)
        if (size > np.where(block_rows > 1, MAX_SHARED_BLOCK_BYTES, MAX_BLOCK_BYTES)).any():
            raise DamagedFileError("a block is larger than any that is written")
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(block_rows, dtype=np.int64)])
        return cls(starts, offsets, stored.astype(np.int64), raw.astype(np.int64), encodings, zones)


def stretches_of(keep: BoolArray, starts: I64Array) -> I64Array | None:
    """The stretches of rows of the blocks that ``keep`` says, int64 (n, 2), ascending; None for all rows.

    starts: the first row of each block, then the number of rows.
    """
    if keep.all():
        return None
    edges = np.flatnonzero(np.diff(np.concatenate([[False], keep, [False]]).astype(np.int8)))
    return starts[edges].reshape(-1, 2)


def _array(data: Any, dtype: str, count: int) -> np.ndarray[Any, Any]:
    if not isinstance(data, bytes) or len(data) != count * np.dtype(dtype).itemsize:
        raise DamagedFileError("a block directory has the wrong length")
    return np.frombuffer(data, dtype)
