"""The block directory of one column: which rows each block holds, where it lies, and what it can contain.

Every column is cut into blocks of its own, by bytes: a block of text has a few hundred rows, a block of
integers thousands. So a filter on a narrow column reads few blocks, and only the wide blocks with matching
rows are decoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from audiomem_sql.arrays import I64Array, U8Array
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
    and greatest values and NULL counts.
    """

    starts: I64Array
    offsets: I64Array
    stored: I64Array
    raw: I64Array
    encodings: U8Array
    zones: Zones

    @property
    def count(self) -> int:
        """Number of blocks."""
        return len(self.offsets)

    def find(self, row: int) -> int:
        """The block that holds ``row``."""
        return int(np.searchsorted(self.starts, row, side="right")) - 1

    def span(self, start: int, stop: int) -> range:
        """The blocks that hold rows start … stop - 1."""
        if stop <= start:
            return range(0)
        return range(self.find(start), self.find(stop - 1) + 1)

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


def _array(data: Any, dtype: str, count: int) -> np.ndarray[Any, Any]:
    if not isinstance(data, bytes) or len(data) != count * np.dtype(dtype).itemsize:
        raise DamagedFileError("a block directory has the wrong length")
    return np.frombuffer(data, dtype)
