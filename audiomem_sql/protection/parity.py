"""Which cells of a segment stand in for each other.

That is arithmetic on sizes, so nothing about it is stored.

    source cell i  →  group i mod G, column i div G          parity cell j  →  group j mod G, row j div G

Neighbours are in different groups, so a hole of any length takes the same number of cells, but one, from
every group: what one group survives, all do. G is a prime, so that damage which comes back every so many
pages does not fall on one group. All groups have the same matrix: a column of the segment, G neighbouring
cells, is added to the parity in one piece. Where the numbers do not divide, the last groups have a source
cell of zeros that is stored nowhere, and a parity cell that is lost from the beginning.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

import numpy as np

from audiomem_sql.arrays import BoolArray, I64Array, U8Array
from audiomem_sql.protection.cell_code import CellCode, cell_code
from audiomem_sql.protection.galois import ORDER

#: Parity cells that a group too large for Reed-Solomon may want to spare.
SPARE = 15
LARGEST_GROUP = 8192
"""Cells of a group at most. More of them share out chance better, and take longer to bring one back."""


@dataclass(frozen=True, slots=True)
class ParityShare:
    """How many of all pages are parity: numerator / denominator of them, rounded up, and ``extra`` more.

    chance: a segment that was appended to a file has ceil(√pages / chance) more, and at least one. Sectors
    that are lost at random fall on small segments unevenly, and the loss of any of many is a loss.
    """

    numerator: int
    denominator: int
    extra: int = 0
    chance: int = 1

    def parity_pages(self, total: int, *, appended: bool = False) -> int:
        """Parity pages among ``total`` pages."""
        plain = -(-total * self.numerator // self.denominator)
        if not appended:
            return plain + self.extra
        return plain + 1 + -(-(isqrt(total - 1) + 1 if total else 0) // self.chance)

    def total_pages(self, source: int, *, appended: bool = False) -> int:
        """All pages, if ``source`` are not parity: the least number of which so many are left."""
        # total - parity_pages(total) grows by at most 1 with each page, so it takes every value.
        kept = self.denominator - self.numerator
        total = (source + (1 if appended else self.extra)) * self.denominator // kept
        while total - self.parity_pages(total, appended=appended) < source:
            total += 1
        return total


@dataclass(frozen=True, slots=True)
class ParityPlan:
    """The groups of ``sources`` source cells and ``parities`` parity cells.

    Both are numbered from 0 in file order.
    """

    sources: int
    parities: int

    def __post_init__(self) -> None:
        if self.sources < 1 or self.parities < 1:
            raise ValueError(f"{self.sources} source and {self.parities} parity cells are no code")

    @property
    def groups(self) -> int:
        """Number of groups: 1, or the least prime that makes none larger than :data:`LARGEST_GROUP`."""
        least = -(-(self.sources + self.parities) // LARGEST_GROUP)
        return 1 if least == 1 else _prime_from(least)

    @property
    def columns(self) -> int:
        """Source cells of the largest group."""
        return -(-self.sources // self.groups)

    @property
    def rows(self) -> int:
        """Parity cells of the largest group."""
        return -(-self.parities // self.groups)

    @property
    def code(self) -> CellCode:
        """The code of every group."""
        return cell_code(self.columns, self.rows)

    @property
    def bearable(self) -> int:
        """Cells that may be lost in a row, at least."""
        spare = 0 if self.columns + self.rows <= ORDER else SPARE
        return max(0, self.parities // self.groups - spare) * self.groups

    def place_of_source(self, cell: int) -> tuple[int, int]:
        """(group, column) of a source cell."""
        return cell % self.groups, cell // self.groups

    def place_of_parity(self, cell: int) -> tuple[int, int]:
        """(group, row) of a parity cell."""
        return cell % self.groups, cell // self.groups

    def sources_of(self, group: int) -> I64Array:
        """The source cells of a group, int64 (columns or one less,), by column."""
        return np.arange(group, self.sources, self.groups)

    def parities_of(self, group: int) -> I64Array:
        """The parity cells of a group, int64 (rows or one less,), by row."""
        return np.arange(group, self.parities, self.groups)

    def recover(self, group: int, cells: U8Array, present: BoolArray) -> tuple[U8Array, BoolArray]:
        """Fill in what a group has lost.

        cells: uint8 (n, size), those of :meth:`sources_of`, then those of :meth:`parities_of`; present: bool
        (n,). Returns the same cells, and whether each is there now.
        """
        sources = len(self.sources_of(group))
        columns = self.columns
        own = np.concatenate([np.arange(sources), columns + np.arange(len(cells) - sources)])
        whole = np.zeros((columns + self.rows, cells.shape[1]), np.uint8)
        whole[own] = cells
        there = np.zeros(len(whole), np.bool_)
        there[sources:columns] = True
        there[own] = present
        found, now = self.code.decode(whole, there)
        return found[own], now[own]


def _prime_from(number: int) -> int:
    """The least prime that is not below ``number``."""
    while number < 2 or any(number % divisor == 0 for divisor in range(2, int(number**0.5) + 1)):
        number += 1
    return number
