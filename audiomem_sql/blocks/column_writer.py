"""Cuts one column into blocks as rows arrive, and collects what its catalog entry needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.blocks.bloom import MAX_KEYS, BloomFilter, hash_array
from audiomem_sql.blocks.compression import Compressor
from audiomem_sql.blocks.directory import (
    MAX_BLOCK_BYTES,
    MAX_DICTIONARY_BYTES,
    MAX_SHARED_BLOCK_BYTES,
    BlockDirectory,
)
from audiomem_sql.blocks.encoding import encode
from audiomem_sql.blocks.strings import string_buffers
from audiomem_sql.blocks.zones import OPEN, Zones
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.columns.views import strings, valid
from audiomem_sql.errors import LimitError
from audiomem_sql.machine.interrupts import check_interrupt

STRING_KINDS = (Kind.TEXT, Kind.JSON, Kind.BLOB)
#: Most rows in a block that is written; narrow columns are cut here, wide ones by bytes.
BLOCK_ROWS = 16384
#: The largest value, in bytes.
MAX_VALUE_BYTES = 1 << 30
#: A text column gets a dictionary of one byte in this many, and no more than the bound; below the least it
#: gets none.
DICTIONARY_SHARE = 10
MIN_DICTIONARY_SOURCE = 1 << 20


@dataclass(frozen=True, slots=True)
class EncodedBlock:
    """A block ready to be stored.

    raw: bytes before compression. stored: the compressed bytes. zone: the zone map entry.
    """

    rows: int
    encoding: int
    raw: int
    stored: bytes
    zone: tuple[int, Any, Any]


class ColumnWriter:
    """One column on its way into a segment.

    ``add`` gives back arrays of one block each; ``encode`` (any thread) turns one into an
    :class:`EncodedBlock`; ``place`` (in order) notes where it was stored; ``directory`` is the result.
    """

    def __init__(
        self,
        name: str,
        column_type: ColumnType,
        *,
        level: int,
        block_bytes: int,
        keyed: bool,
        number: int = 0,
    ) -> None:
        """number: what the segment calls the column, for whoever asks."""
        self.number = number
        #: Rows of the blocks that were placed.
        self.rows_placed = 0
        self.name = name
        self.type = column_type
        self.keyed = keyed
        self._level = level
        self._block_bytes = min(block_bytes, MAX_SHARED_BLOCK_BYTES // 2)
        self._block_rows = BLOCK_ROWS
        if column_type.kind is Kind.FLOAT:
            self._block_rows = max(1, min(BLOCK_ROWS, self._block_bytes // column_type.vector_bytes))
        self._compressor = Compressor(level)
        self._without_bounds = False
        self._pending: list[pa.Array] = []
        self._places: list[tuple[int, int, int, int]] = []
        self._zones: list[tuple[int, tuple[int, Any, Any]]] = []
        self._hashes: list[np.ndarray[Any, np.dtype[np.uint64]]] = []

    def use_dictionary(self, dictionary: bytes) -> None:
        """Compress all blocks from now on with ``dictionary``."""
        self._compressor = Compressor(self._level, dictionary, self._block_bytes)

    def cut_by_rows(self, rows: int) -> None:
        """Cut all blocks from now on behind so many rows, whatever bytes they have."""
        self._block_rows = min(rows, BLOCK_ROWS)
        self._block_bytes = MAX_SHARED_BLOCK_BYTES // 2

    def leave_out_bounds(self) -> None:
        """Say nothing of the least and the greatest text of blocks from now on."""
        self._without_bounds = True

    def add(self, array: pa.Array) -> list[pa.Array]:
        """Take rows; return the blocks that are full."""
        if len(array):
            self._check(array)
            self._pending.append(array)
        rows, size = sum(map(len, self._pending)), sum(int(pending.nbytes) for pending in self._pending)
        if rows < self._block_rows and size < self._block_bytes:
            return []
        *full, rest = self._cut()
        self._pending = [rest]
        return full

    def flush(self) -> list[pa.Array]:
        """The blocks that remain."""
        blocks = self._cut()
        self._pending = []
        return blocks

    def _check(self, array: pa.Array) -> None:
        if self.type.kind in STRING_KINDS:
            largest = int(np.diff(string_buffers(array)[0]).max(initial=0))
            if largest > MAX_VALUE_BYTES:
                raise LimitError(
                    f"a value of {largest:,} bytes is over the limit of 1 GiB",
                    place=f"column {self.name}",
                    remedy="Divide it over several rows.",
                )
        if self.keyed:
            self._hashes.append(hash_array(array))

    def _cut(self) -> list[pa.Array]:
        if not self._pending:
            return []
        whole = self._pending[0] if len(self._pending) == 1 else pa.concat_arrays(self._pending)
        if self.type.kind not in STRING_KINDS:
            return [whole.slice(start, self._block_rows) for start in range(0, len(whole), self._block_rows)]
        offsets, _ = string_buffers(whole)
        blocks, start = [], 0
        while start < len(whole):
            stop = int(np.searchsorted(offsets, int(offsets[start]) + self._block_bytes, side="right")) - 1
            stop = min(max(stop, start + 1), start + self._block_rows, len(whole))
            blocks.append(whole.slice(start, stop - start))
            start = stop
        return blocks

    def encode(self, array: pa.Array) -> EncodedBlock:
        """One block's rows, encoded and compressed. Called from several threads."""
        try:
            encoding, raw = encode(array, self.type)
        except LimitError as error:
            raise error.at(place=f"column {self.name}") from None
        if len(raw) > MAX_BLOCK_BYTES:
            raise LimitError(
                "a row is over the limit of 1 GiB", place=f"column {self.name}", remedy="Divide the row."
            )
        stored = self._compressor.compress(raw) if raw else b""
        zone = Zones.of(array, self.type)
        if self._without_bounds and zone[0] < len(array):
            zone = (zone[0], *OPEN)
        return EncodedBlock(len(array), int(encoding), len(raw), stored, zone)

    def place(self, offset: int, block: EncodedBlock) -> None:
        """Note that ``block`` was stored at ``offset`` of the data stream."""
        self._places.append((offset, len(block.stored), block.raw, block.encoding))
        self._zones.append((block.rows, block.zone))
        self.rows_placed += block.rows

    def directory(self) -> BlockDirectory:
        """The directory of all blocks placed."""
        zones = Zones.build([rows for rows, _ in self._zones], [zone for _, zone in self._zones], self.type)
        places = np.array(self._places, np.int64).reshape(-1, 4)
        return BlockDirectory(
            starts=np.concatenate([np.zeros(1, np.int64), np.cumsum(zones.rows, dtype=np.int64)]),
            offsets=places[:, 0],
            stored=places[:, 1],
            raw=places[:, 2],
            encodings=places[:, 3].astype(np.uint8),
            zones=zones,
        )

    def bloom(self) -> BloomFilter | None:
        """The filter of all keys added.

        None for a column that is no key, or has more keys than a filter can hold.
        """
        if not self._hashes or sum(map(len, self._hashes)) > MAX_KEYS:
            return None
        return BloomFilter.of(np.concatenate(self._hashes))


def choose_dictionary(arrays: list[pa.Array]) -> bytes | None:
    """A compression dictionary for a text column: evenly spaced rows of its first ``arrays``.

    None where there is too little text for one to pay for itself.
    """
    total = sum(int(array.nbytes) for array in arrays)
    if total < MIN_DICTIONARY_SOURCE:
        return None
    step = max(1, -(-total // min(MAX_DICTIONARY_BYTES, total // DICTIONARY_SHARE)))
    pieces: list[bytes] = []
    rows_before = 0
    for array in arrays:
        check_interrupt()
        rows = np.arange(-rows_before % step, len(array), step)
        texts = strings(array).take(rows[valid(array)[rows]])
        pieces.extend(texts[row] for row in range(len(texts)))
        rows_before += len(array)
    return b"".join(pieces)[:MAX_DICTIONARY_BYTES] or None
