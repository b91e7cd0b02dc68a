"""The outer code of few cells: Reed-Solomon across them, byte by byte, which wastes nothing.

Any ``sources`` of the cells are enough (the code is maximum distance separable). A staircase needs some 15
more, which a large group does not feel; a group of up to 255 cells would, and for that many a byte is large
enough a symbol.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from audiomem_sql.arrays import BoolArray, U8Array
from audiomem_sql.protection.galois import ORDER
from audiomem_sql.protection.ldpc import Staircase
from audiomem_sql.protection.reed_solomon import ReedSolomon


class CellCode(Protocol):
    """An erasure code over cells of one size: uint8 (cells, size), sources first."""

    @property
    def sources(self) -> int:
        """Cells that hold data."""

    @property
    def parities(self) -> int:
        """Cells that are made of them."""

    @property
    def held(self) -> int:
        """Rows of what is held of source cells that come one by one."""

    def add(self, sums: U8Array, column: int, cell: U8Array) -> None:
        """Add a source cell to ``sums``, uint8 (held, size), in place.

        Zeros to begin with, any order of columns, each of them once.
        """

    def finish(self, sums: U8Array) -> U8Array:
        """The parity cells, once all sources (but those of zeros) were added; ``sums`` is used up."""

    def encode(self, cells: U8Array) -> U8Array:
        """Parity cells, uint8 (parities, size), of source cells, uint8 (sources, size)."""

    def decode(self, cells: U8Array, present: BoolArray) -> tuple[U8Array, BoolArray]:
        """All cells, as far as those that are ``present``, bool (cells,), tell.

        And which are there now: none but those present, if these contradict each other.
        """


@dataclass(frozen=True, slots=True)
class ReedSolomonCells:
    """RS(sources + parities, sources) over the bytes at the same place of all cells. At most 255 cells."""

    sources: int
    parities: int

    @property
    def _code(self) -> ReedSolomon:
        return ReedSolomon(self.sources + self.parities, self.sources)

    @property
    def held(self) -> int:
        """All source cells: they are few, and their parity is made at once in less time."""
        return self.sources

    def add(self, sums: U8Array, column: int, cell: U8Array) -> None:
        """Put source cell ``column``, uint8 (size,), into ``sums``, uint8 (sources, size)."""
        sums[column] = cell

    def finish(self, sums: U8Array) -> U8Array:
        """The parity cells."""
        return self.encode(sums)

    def encode(self, cells: U8Array) -> U8Array:
        """Parity cells, uint8 (parities, size), of source cells, uint8 (sources, size)."""
        return np.ascontiguousarray(self._code.parity(cells.T).T)

    def decode(self, cells: U8Array, present: BoolArray) -> tuple[U8Array, BoolArray]:
        """Fill in cells that are lost: all of them, or, if they are more than ``parities``, none."""
        if present.all() or (~present).sum() > self.parities:
            return cells.copy(), present.copy()
        decoded = self._code.decode(cells.T, ~present)
        whole = np.ascontiguousarray(decoded.codewords.T)
        # The code would correct a present cell, too. But one that passed its checksum and is wrong all the
        # same is no case to guess in.
        sound = bool(decoded.intact.all()) and np.array_equal(whole[present], cells[present])
        return (whole, np.ones_like(present)) if sound else (cells.copy(), present.copy())


def cell_code(sources: int, parities: int) -> CellCode:
    """The outer code of a group of cells."""
    if sources + parities <= ORDER:
        return ReedSolomonCells(sources, parities)
    return Staircase(sources, parities)
