"""The values of a segment's columns by row: ranges of rows, and rows picked one by one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array, distinct
from audiomem_sql.columns.selection import taken
from audiomem_sql.columns.stored_values import integer_array
from audiomem_sql.columns.types import arrow_type
from audiomem_sql.storage.segment.catalog import Catalog
from audiomem_sql.storage.segment.column_blocks import ColumnBlocks
from audiomem_sql.storage.segment.column_numbers import type_of_column
from audiomem_sql.storage.segment.stored_indexes import StoredIndexes

#: No block of several rows is larger than that, but for one that has a very large value.
LARGE_BLOCK_BYTES = 4 << 20


class ColumnValues:
    """Reads values out of blocks, or out of the index that stands for the blocks of a column of vectors."""

    def __init__(self, catalog: Catalog, blocks: ColumnBlocks, indexes: StoredIndexes) -> None:
        self._catalog = catalog
        self._blocks = blocks
        self._is_planned = blocks.is_planned
        self._indexes = indexes

    def slice(self, column: int, start: int, stop: int, *, coded: bool = False) -> pa.Array:
        """Rows start … stop - 1 of ``column`` as one array; ``coded`` as in :meth:`ColumnBlocks.blocks`."""
        if self._catalog.is_index_only(column):
            return self._indexes.vectors(column, np.arange(start, stop, dtype=np.int64))
        directory = self._blocks.directory(column)
        if directory is None:
            first = self._catalog.first_rowid
            assert first is not None
            return integer_array(np.arange(first + start, first + stop, dtype=np.int64))
        directory = directory.across(start, stop)
        span = directory.span(start, stop)
        pieces = []
        low = int(directory.starts[span.start]) if span else start
        for array in self._blocks.span(column, span, coded=coded):
            piece = array.slice(max(start - low, 0), stop - max(start, low))
            if len(piece) < len(array) and piece.get_total_buffer_size() > LARGE_BLOCK_BYTES:
                piece = pa.concat_arrays([piece, piece[:0]])  # a copy, so that the block can go
            low += len(array)
            pieces.append(piece)
        return self._joined(pieces, column)

    def prefetch(self, columns: Iterable[int], rows: I64Array | Sequence[int]) -> None:
        """Tell that ``columns`` will be read at ``rows``, ascending."""
        if not self._is_planned:
            return
        wanted, directories = [], []
        for column in columns:
            directory = None if self._catalog.is_index_only(column) else self._blocks.directory(column)
            if directory is not None:
                directories.append((column, directory))
        self._blocks.expect(directories, rows)
        for column, directory in directories:
            starts = directory.around(rows).starts
            numbers = distinct(np.searchsorted(starts, rows, side="right") - 1)
            wanted.append((column, numbers.tolist()))
        self._blocks.prefetch(wanted)

    def take(self, column: int, rows: I64Array, *, coded: bool = False) -> pa.Array:
        """The values of ``column`` at ``rows``, ascending int64 (n,).

        Only the blocks that hold them are decoded. coded: as in :meth:`ColumnBlocks.blocks`.
        """
        if self._catalog.is_index_only(column):
            return self._indexes.vectors(column, rows)
        directory = self._blocks.directory(column)
        if directory is None:
            first = self._catalog.first_rowid
            assert first is not None
            return integer_array(rows + first)
        directory = directory.around(rows)
        numbers = np.searchsorted(directory.starts, rows, side="right") - 1
        pieces = []
        needed = distinct(numbers).tolist()
        for number, block in zip(needed, self._blocks.blocks(column, needed, coded=coded), strict=True):
            low, high = np.searchsorted(numbers, [number, number + 1])
            positions = rows[low:high] - directory.starts[number]
            if len(positions) == len(block):
                pieces.append(block)
            elif int(positions[-1]) - int(positions[0]) == len(positions) - 1:
                pieces.append(block.slice(int(positions[0]), len(positions)))
            else:
                pieces.append(taken(block, positions))
        return self._joined(pieces, column)

    def _joined(self, pieces: list[pa.Array], column: int) -> pa.Array:
        if len(pieces) == 1:
            return pieces[0]
        if pieces:
            return pa.concat_arrays(pieces)
        return pa.nulls(0, arrow_type(type_of_column(self._catalog.schema, column)))
