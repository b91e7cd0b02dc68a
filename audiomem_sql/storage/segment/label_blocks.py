"""The blocks of one column as labels tell them, with what is lost in between."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from audiomem_sql.blocks.directory import MAX_BLOCK_ROWS, BlockDirectory
from audiomem_sql.blocks.encoding import Encoding
from audiomem_sql.blocks.zones import Zones
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.storage.segment.catalog import ColumnEntry, Extent

_NO_LABEL = "no label is left that says where it is"
#: What one zone map says of a block that is not there; 0 for other types.
_EMPTY_ZONE: dict[Kind, Any] = {Kind.REAL: 0.0, Kind.TEXT: b"", Kind.JSON: b"", Kind.BLOB: b""}


@dataclass(slots=True)
class LabelledBlocks:
    """The blocks of a column as they are put together, in row order."""

    column_type: ColumnType
    #: The first row of each block, then the row behind the last.
    starts: list[int] = field(default_factory=lambda: [0])
    #: Place, stored and raw bytes, and encoding of each block.
    places: list[tuple[int, int, int, int]] = field(default_factory=list)
    zones: list[tuple[int, Any, Any]] = field(default_factory=list)
    #: Why blocks cannot be read, by number.
    lost: dict[int, str] = field(default_factory=dict)
    #: The least number of blocks that nothing is known of.
    gaps: int = 0

    @classmethod
    def of_nulls(cls, column_type: ColumnType, rows: int) -> LabelledBlocks:
        """A column of ``rows`` NULLs."""
        blocks = cls(column_type)
        for start in range(0, rows, MAX_BLOCK_ROWS):
            count = min(MAX_BLOCK_ROWS, rows - start)
            blocks.add(count, (0, 0, 0, Encoding.NULLS), (count, None, None))
        return blocks

    def add(self, rows: int, place: tuple[int, int, int, int], zone: tuple[int, Any, Any]) -> None:
        """Append a block: its rows; place, stored and raw bytes and encoding; its zone map."""
        self.places.append(place)
        self.zones.append(zone)
        self.starts.append(self.starts[-1] + rows)

    def lose(self, rows: int, reason: str) -> None:
        """Append a block that cannot be read."""
        self.lost[len(self.places)] = reason
        empty = _EMPTY_ZONE.get(self.column_type.kind, 0)
        self.add(rows, (0, 0, 0, 0), (0, empty, empty))

    def skip_to(self, row: int) -> None:
        """Append what is missing before ``row`` as one lost block."""
        missing = row - self.starts[-1]
        if missing:
            self.gaps += -(-missing // MAX_BLOCK_ROWS)
            self.lose(missing, _NO_LABEL)

    @property
    def last_value(self) -> Any:
        """The greatest value of the last block that is not lost; None if there is none."""
        for number in range(len(self.zones) - 1, -1, -1):
            if number not in self.lost:
                return self.zones[number][2]
        return None

    def entry(self, dictionary: Extent | None = None) -> ColumnEntry:
        """What a catalog would have."""
        starts = np.array(self.starts, np.int64)
        places = np.array(self.places, np.int64).reshape(-1, 4)
        return ColumnEntry(
            BlockDirectory(
                starts=starts,
                offsets=places[:, 0],
                stored=places[:, 1],
                raw=places[:, 2],
                encodings=places[:, 3].astype(np.uint8),
                zones=Zones.build(np.diff(starts).tolist(), self.zones, self.column_type),
            ),
            dictionary,
        )
