"""The columns that no schema lists: rowids, and the versions that made and deleted each row.

A column of a segment is named by its index in the schema, or by one of the negative numbers here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

import numpy as np

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.stored_values import filled, int64_view
from audiomem_sql.machine.memory import check_room
from audiomem_sql.storage.segment.catalog import Catalog
from audiomem_sql.storage.segment.column_blocks import ColumnBlocks
from audiomem_sql.storage.segment.column_numbers import CREATED, ENDED, NEVER, ROWID
from audiomem_sql.storage.segment.column_values import ColumnValues

_LEAST_INT64 = -(1 << 63)
_NUMBER_BYTES = 8


def _check_room(rows: int, path: str) -> None:
    """LimitError unless there is memory for a number of each of ``rows`` rows.

    A block of equal numbers takes some bytes of a file, so a small one may say that it has very many rows.
    """
    check_room(_NUMBER_BYTES * rows, path)


class HiddenColumns(Protocol):
    """The hidden columns of a segment as whole arrays, int64 (rows,) each."""

    @property
    def are_rowids_kept(self) -> bool:
        """Whether :meth:`rowids` was called before, so that the next call costs nothing."""

    def rowids(self) -> I64Array:
        """All rowids, ascending; kept after the first call."""

    def created(self) -> I64Array:
        """The version that made each row."""

    def ended(self) -> I64Array:
        """The version that deleted each row; NEVER for those that no commit of the segment deleted."""


class ListedHiddenColumns:
    """The hidden columns of a segment with a catalog. A block that cannot be read raises DamagedFileError."""

    def __init__(self, catalog: Catalog, values: ColumnValues, path: str) -> None:
        self._path = path
        self._catalog = catalog
        self._values = values
        self._rowids: I64Array | None = None

    @property
    def are_rowids_kept(self) -> bool:
        """Whether :meth:`rowids` was called before."""
        return self._rowids is not None

    def rowids(self) -> I64Array:
        """All rowids, ascending."""
        if self._rowids is None:
            _check_room(self._catalog.rows, self._path)
            self._rowids = int64_view(self._values.slice(ROWID, 0, self._catalog.rows))
        return self._rowids

    def created(self) -> I64Array:
        """The version that made each row."""
        catalog = self._catalog
        _check_room(catalog.rows, self._path)
        if catalog.created is None:
            return np.full(catalog.rows, catalog.last_version, np.int64)
        return int64_view(self._values.slice(CREATED, 0, catalog.rows))

    def ended(self) -> I64Array:
        """The version that deleted each row, or NEVER."""
        catalog = self._catalog
        _check_room(catalog.rows, self._path)
        if catalog.ended is None:
            return np.full(catalog.rows, NEVER, np.int64)
        return filled(self._values.slice(ENDED, 0, catalog.rows), NEVER)


class LossyHiddenColumns:
    """The hidden columns of a segment that has lost its catalog, and maybe blocks of these columns.

    lost: numbers of the blocks that cannot be read, by column.
    """

    def __init__(
        self,
        catalog: Catalog,
        blocks: ColumnBlocks,
        values: ColumnValues,
        lost: Mapping[int, Collection[int]],
        path: str,
    ) -> None:
        self._path = path
        self._catalog = catalog
        self._blocks = blocks
        self._values = values
        self._lost = lost
        self._rowids: I64Array | None = None

    @property
    def are_rowids_kept(self) -> bool:
        """Whether :meth:`rowids` was called before."""
        return self._rowids is not None

    def rowids(self) -> I64Array:
        """All rowids, ascending. A row whose rowid is lost has that of the row before."""
        if self._rowids is None:
            _check_room(self._catalog.rows, self._path)
            rowids = self._whole(ROWID, _LEAST_INT64)
            self._rowids = np.maximum.accumulate(rowids) if len(rowids) else rowids
        return self._rowids

    def created(self) -> I64Array:
        """The version that made each row. Where that is lost, the last one."""
        catalog = self._catalog
        _check_room(catalog.rows, self._path)
        if catalog.created is None:
            return np.full(catalog.rows, catalog.last_version, np.int64)
        return self._whole(CREATED, catalog.last_version)

    def ended(self) -> I64Array:
        """The version that deleted each row, or NEVER.

        Where that is lost, NEVER, unless a newer row replaced it.
        """
        catalog = self._catalog
        _check_room(catalog.rows, self._path)
        if catalog.ended is None:
            return np.full(catalog.rows, NEVER, np.int64)
        ended = self._whole(ENDED, NEVER)
        rowids = self.rowids()
        replaced = np.flatnonzero((rowids[:-1] == rowids[1:]) & (ended[:-1] == NEVER))
        ended[replaced] = catalog.last_version
        return ended

    def _whole(self, column: int, substitute: int) -> I64Array:
        """A hidden column, int64 (rows,); ``substitute`` stands for NULL and for what is lost."""
        directory = self._blocks.directory(column)
        if directory is None:
            return np.asarray(self._values.slice(column, 0, self._catalog.rows), np.int64)
        values = np.full(self._catalog.rows, substitute, np.int64)
        for number in range(directory.count):
            if number not in self._lost[column]:
                start, stop = directory.starts[number : number + 2]
                values[start:stop] = np.asarray(
                    self._blocks.block(column, number).fill_null(substitute), np.int64
                )
        return values
