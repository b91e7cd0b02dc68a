"""LDPC staircase: an erasure code that brings back lost cells as the XOR of others.

After RFC 5170 (LDPC-Staircase): source column c takes part in :data:`ONES` rows, and row r says

    XOR of its source cells  =  parity[r] XOR parity[the row above r]

so encoding is XOR alone, in time proportional to the data. Three things differ from the RFC:

- The rows of a column come from splitmix64 instead of the Park-Miller generator, which has 31 bits of state.
- The row above r is not r - 1: the staircase goes through the rows in a mixed order. Lost neighbours on it
  make one equation of all their rows; were they neighbours in the file too, a hole that takes the greater
  part of the parity would make one equation of most rows, and leave no ones of many a column in the others.
  Mixed, what such a hole leaves is still a code with seven ones a column.
- Decoding does not stop where peeling does: what is left is solved by elimination over GF(2), after which
  about 15 more parity cells than lost ones are enough, whatever the size (``docs/PROTECTION.md`` has the
  measurements).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from audiomem_sql.arrays import BoolArray, I64Array, U8Array, distinct
from audiomem_sql.protection.gf2 import combine, eliminate
from audiomem_sql.protection.splitmix64 import splitmix64

ONES = 7
"""Rows that a source column takes part in: more ones lose fewer cells to chance, and cost as many XORs
more."""
SEED = 5170
"""The matrices of the format. Another seed makes other files."""


@lru_cache(maxsize=16)
def _rows_of_columns(sources: int, parities: int, seed: int) -> I64Array:
    """The rows of each source column, int64 (sources, ones), distinct within a column; read-only.

    The edges, ``ones`` for each column, are put in the order of splitmix64 of seed × 2**32 + number, and edge
    i of that order gets row i mod parities: so rows have equally many ones, or one less. An edge that meets
    another one of its column goes on to the next row that is free.
    """
    ones = min(ONES, parities)
    number = np.arange(sources * ones, dtype=np.uint64) + np.uint64(seed << 32)
    rows: I64Array = np.empty(sources * ones, np.int64)
    rows[np.argsort(splitmix64(number), kind="stable")] = np.arange(sources * ones) % parities
    rows = rows.reshape(sources, ones)
    ordered = np.sort(rows, axis=1)
    for column in np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1)):
        taken: list[int] = []
        for row in rows[column].tolist():
            while row in taken:
                row = (row + 1) % parities
            taken.append(row)
        rows[column] = taken
    rows.flags.writeable = False
    return rows


@lru_cache(maxsize=16)
def _columns_of_rows(sources: int, parities: int, seed: int) -> tuple[I64Array, I64Array]:
    """The columns of each row, int64 (edges,), and where each row begins, int64 (parities + 1,)."""
    rows = _rows_of_columns(sources, parities, seed)
    order = np.argsort(rows.reshape(-1), kind="stable")
    starts = np.searchsorted(rows.reshape(-1)[order], np.arange(parities + 1))
    return order // rows.shape[1], starts


@lru_cache(maxsize=16)
def _staircase(parities: int, seed: int) -> tuple[I64Array, I64Array, I64Array]:
    """The rows from the top step down.

    Of each row, the row above it and the row below it, -1 if there is none.

    They are in the order of splitmix64 of seed × 2**32 + 2**31 + row.
    """
    number = np.arange(parities, dtype=np.uint64) + np.uint64((seed << 32) + (1 << 31))
    order = np.argsort(splitmix64(number), kind="stable")
    above, below = np.full(parities, -1, np.int64), np.full(parities, -1, np.int64)
    above[order[1:]] = order[:-1]
    below[order[:-1]] = order[1:]
    return order, above, below


@dataclass(frozen=True, slots=True)
class Staircase:
    """``sources`` cells and ``parities`` cells made of them. Cells of any size, the same within one call."""

    sources: int
    parities: int
    seed: int = SEED

    @property
    def rows(self) -> I64Array:
        """The rows of each source column, int64 (sources, ones)."""
        return _rows_of_columns(self.sources, self.parities, self.seed)

    @property
    def held(self) -> int:
        """The sum of each row."""
        return self.parities

    def add(self, sums: U8Array, column: int, cell: U8Array) -> None:
        """Add a source cell to the sums of its rows, in place.

        cell: uint8 (size,), number ``column``. sums: uint8 (parities, size).
        """
        xor = np.bitwise_xor
        for row in self.rows[column].tolist():
            target = sums[row]
            xor(target, cell, target)

    def finish(self, sums: U8Array) -> U8Array:
        """Sums to which all source cells were added become the parity cells, in place."""
        for above, row in pairwise(_staircase(self.parities, self.seed)[0].tolist()):
            sums[row] ^= sums[above]
        return sums

    def encode(self, cells: U8Array) -> U8Array:
        """Parity cells, uint8 (parities, size), of source cells, uint8 (sources, size)."""
        return self.finish(self._sums(cells, np.arange(self.parities)))

    def decode(self, cells: U8Array, present: BoolArray) -> tuple[U8Array, BoolArray]:
        """Fill in cells that are lost.

        cells: uint8 (sources + parities, size), parities last. present: bool, one a cell; what is not present
        may hold anything. Returns the cells, and whether each is there now: a cell is either right or not
        there. Equations that were not needed are tried on what was found; if one is not met, a cell that is
        present is not what was written, and nothing is brought back, because one wrong cell may have gone
        into all of it.
        """
        cells = cells.copy()
        cells[~present] = 0
        lost = np.flatnonzero(~present)
        if not len(lost):
            return cells, present.copy()
        edges_cell, edges_row = self._edges_of(lost)
        useful = distinct(edges_row)  # the other rows say nothing about what is lost
        sums = np.zeros((self.parities, cells.shape[1]), np.uint8)
        sums[useful] = self._sums(cells, useful)
        sums[useful] ^= cells[self.sources + useful]
        above = _staircase(self.parities, self.seed)[1][useful]
        sums[useful[above >= 0]] ^= cells[self.sources + above[above >= 0]]
        left, edges_cell, edges_row = _peel(cells, sums, edges_cell, edges_row, len(cells))
        there = present.copy()
        there[lost] = True
        there[left] = False
        if len(left):
            useful, at = np.unique(edges_row, return_inverse=True)
            matrix = np.zeros((len(useful), len(left)), np.bool_)
            matrix[at, np.searchsorted(left, edges_cell)] = True
            found = eliminate(matrix)
            known = found.determined
            cells[left[known]] = combine(found.combination[known], sums[useful])
            there[left[known]] = True
        return (cells, there) if self._consistent(cells, there) else (cells, present.copy())

    def decodable(self, present: BoolArray) -> BoolArray:
        """Which cells :meth:`decode` would have, bool (sources + parities,), worked out without any cell."""
        return self.decode(np.zeros((len(present), 1), np.uint8), present)[1]

    def _consistent(self, cells: U8Array, there: BoolArray) -> bool:
        """Whether all equations are met whose cells are all there."""
        complete = np.ones(self.parities, np.bool_)
        complete[self._edges_of(np.flatnonzero(~there))[1]] = False
        rows = np.flatnonzero(complete)
        above = _staircase(self.parities, self.seed)[1][rows]
        sums = self._sums(cells, rows)
        sums ^= cells[self.sources + rows]
        sums[above >= 0] ^= cells[self.sources + above[above >= 0]]
        return not sums.any()

    def _sums(self, cells: U8Array, rows: I64Array) -> U8Array:
        """XOR of the source cells of each of ``rows``, uint8 (len(rows), size)."""
        columns, starts = _columns_of_rows(self.sources, self.parities, self.seed)
        out = np.zeros((len(rows), cells.shape[1]), np.uint8)
        for i, (low, high) in enumerate(zip(starts[rows].tolist(), starts[rows + 1].tolist(), strict=True)):
            np.bitwise_xor.reduce(cells[columns[low:high]], axis=0, out=out[i])
        return out

    def _edges_of(self, lost: I64Array) -> tuple[I64Array, I64Array]:
        """Every one of the matrix in the columns of ``lost``: (cell, row), both int64."""
        sources, parities = lost[lost < self.sources], lost[lost >= self.sources]
        rows = self.rows[sources]
        below = _staircase(self.parities, self.seed)[2][parities - self.sources]
        cell = np.concatenate([np.repeat(sources, rows.shape[1]), parities, parities[below >= 0]])
        row = np.concatenate([rows.reshape(-1), parities - self.sources, below[below >= 0]])
        return cell, row


def _peel(
    cells: U8Array, sums: U8Array, edges_cell: I64Array, edges_row: I64Array, count: int
) -> tuple[I64Array, I64Array, I64Array]:
    """Solve what a row with only one unknown says, as long as there is one.

    Writes found cells to ``cells`` and takes them out of ``sums``. Returns what is left: cells, ascending,
    and edges.
    """
    rows_of: dict[int, list[int]] = {}
    for cell, row in zip(edges_cell.tolist(), edges_row.tolist(), strict=True):
        rows_of.setdefault(cell, []).append(row)
    unknowns = np.bincount(edges_row, minlength=len(sums)).tolist()
    trace = np.zeros(
        len(sums), np.int64
    )  # XOR of the unknowns of a row: the unknown itself, once there is one
    np.bitwise_xor.at(trace, edges_row, edges_cell)
    last = trace.tolist()
    ready = [row for row, number in enumerate(unknowns) if number == 1]
    solved = np.zeros(count, np.bool_)
    while ready:
        row = ready.pop()
        if unknowns[row] != 1:
            continue
        cell = last[row]
        solved[cell] = True
        value = cells[cell]
        value[:] = sums[row]
        for other in rows_of[cell]:
            unknowns[other] -= 1
            last[other] ^= cell
            sums[other] ^= value
            if unknowns[other] == 1:
                ready.append(other)
    open_edges = ~solved[edges_cell]
    return distinct(edges_cell[open_edges]), edges_cell[open_edges], edges_row[open_edges]
