"""Which pages are read at once; and where cells are in a file, so that a store is asked for them alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from audiomem_sql.arrays import I64Array, U8Array
from audiomem_sql.audio import PageSource, VerbatimPages
from audiomem_sql.storage.pages.layout import PageLayout

#: Pages that are read at once where few cells of each are wanted.
_READ_PAGES = 64


def read_together(pages: I64Array, *, by_bands: bool) -> Iterator[tuple[int, int]]:
    """(first, behind the last) of cells on ``pages``, int64 (n,), that are read at once."""
    if not by_bands:
        yield 0, len(pages)
        return
    steps = np.diff(pages)
    ends = [0, *(np.flatnonzero((steps < 0) | (steps > 1)) + 1).tolist(), len(pages)]
    for start, stop in pairwise(ends):
        limits = np.arange(pages[start], pages[stop - 1] + 1, _READ_PAGES)
        bounds = [*(np.searchsorted(pages[start:stop], limits) + start).tolist(), stop]
        yield from pairwise(bounds)


@dataclass(frozen=True, slots=True)
class CellSpans:
    """Those of a segment whose page 0 is page ``first`` of the file. Cells are numbered in the segment."""

    layout: PageLayout
    first: int

    def pages(self, source: PageSource, cells: I64Array, page: int, count: int) -> U8Array:
        """``count`` pages from ``page`` of the segment on, which have ``cells``, ascending.

        Of a file where that is worth while, these cells alone, and zeros around them.
        """
        if not source.file.prefers_short_reads or not isinstance(source, VerbatimPages):
            return source.read_checked(self.first + page, count)[0]
        return source.read_part(self.first + page, count, *self._ends(cells, page, count))

    def prefetch(self, source: PageSource, runs: Iterable[I64Array]) -> None:
        """Tell the file that runs of cells will be read next."""
        source.file.prefetch(self._spans(source, runs))

    def read_anew(self, source: PageSource, cells: I64Array) -> bool:
        """Read damaged cells past the caches of a store; whether they may be others now."""
        if not source.file.prefers_short_reads:
            return False
        runs = (cells[place : place + 1] for place in range(len(cells)))
        return source.file.read_anew(self._spans(source, runs))

    def _ends(self, cells: I64Array, page: int, count: int) -> tuple[int, int]:
        """Where cells begin in ``page``, and end in the last of ``count`` pages."""
        layout = self.layout
        low = int(cells[0]) - page * layout.cells
        high = int(cells[-1]) + 1 - (page + count - 1) * layout.cells
        start, size = layout.header_bytes, layout.level.cell_bytes
        return start + low * size, start + high * size

    def _spans(self, source: PageSource, runs: Iterable[I64Array]) -> list[tuple[int, int]]:
        """Offset and length in the file of each run of cells; none where arithmetic does not say."""
        if not isinstance(source, VerbatimPages):
            return []
        spans = []
        for cells in runs:
            page = int(cells[0]) // self.layout.cells
            count = int(cells[-1]) // self.layout.cells + 1 - page
            start, stop = source.span(self.first + page, count, *self._ends(cells, page, count))
            spans.append((start, stop - start))
        return spans
