"""In which order a stream fills the cells of its pages.

Where the cells of a page are alike, one page is filled after another. Where a page lies in several frequency
bands, its first cells are heard best, and its last ones worst. Then the cells of all pages that lie in the
lower bands come first, and those in the highest band last: what stands at the front of a stream is in the
most reliable band, wherever that is in the file.

    tiers 0, 1, 4:  page 0 | 0 | 3 4 5 | 12 13 |  page 1 | 1 | 6 7 8 | 14 15 |  page 2 | 2 | 9 10 11 | 16 17 |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from audiomem_sql.arrays import I64Array, U8Array


@dataclass(frozen=True, slots=True)
class CellOrder:
    """cells: of a page. tiers: the first cell of each tier, rising from 0.

    A single one fills page after page.
    """

    cells: int
    tiers: tuple[int, ...] = (0,)

    @property
    def is_linear(self) -> bool:
        """Whether one page is filled after another."""
        return len(self.tiers) == 1

    def _runs(self, pages: int) -> Iterator[tuple[int, int, int]]:
        """(first cell of a page, cells, number of the first in a stream of so many pages) of each tier."""
        before = 0
        for low, high in pairwise((*self.tiers, self.cells)):
            yield low, high - low, before
            before += pages * (high - low)

    def places(self, numbers: I64Array, pages: int) -> I64Array:
        """Where cells ``numbers`` of a stream of so many pages are, int64 (n,).

        Page of the stream × cells + cell.
        """
        if self.is_linear:
            return numbers
        out = np.empty_like(numbers)
        for low, width, before in self._runs(pages):
            here = numbers >= before
            own = numbers[here] - before
            out[here] = own // width * self.cells + low + own % width
        return out

    def numbers(self, places: I64Array, pages: int) -> I64Array:
        """The inverse of ``places``."""
        if self.is_linear:
            return places
        out = np.empty_like(places)
        page, cell = places // self.cells, places % self.cells
        for low, width, before in self._runs(pages):
            here = cell >= low
            out[here] = before + page[here] * width + cell[here] - low
        return out

    def arranged(
        self, first: int, count: int, pages: int, size: int, read: Callable[[int, int], bytes]
    ) -> U8Array:
        """Payload of pages ``first …`` of a stream of so many pages, as their cells stand.

        uint8 (count × cells, size).

        read: bytes of the stream by place and length, fewer where it ends; zeros stand for the rest.
        """
        out = np.zeros((count, self.cells, size), np.uint8)
        for low, width, before in self._runs(pages):
            stored = read((before + first * width) * size, count * width * size)
            whole = np.frombuffer(stored.ljust(count * width * size, b"\0"), np.uint8)
            out[:, low : low + width] = whole.reshape(count, width, size)
        return out.reshape(-1, size)
