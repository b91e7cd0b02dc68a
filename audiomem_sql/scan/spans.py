"""Which stretches of rows a scan decodes at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from audiomem_sql.arrays import I64Array
from audiomem_sql.storage.segment import ReadableSegment

#: Rows that are filtered at once.
FILTER_ROWS = 1 << 16


def spans_of(
    stretches: list[tuple[int, int]], first: int, rows: int, edges: I64Array, descending: bool
) -> Iterator[tuple[int, int]]:
    """The stretches in pieces of up to ``rows`` rows, the very first of ``first``.

    They end at ``edges`` where these are not far, and are cut as they are asked for: a file may say that it
    has 2⁴⁸ rows.
    """
    cut = list(stretches)
    if cut and first < cut[0][1] - cut[0][0]:
        start, stop = cut[0]
        end = _near_edge(edges, start, start + first)
        cut[:1] = (start, end), (end, stop)
    for start, stop in reversed(cut) if descending else cut:
        if descending:
            for low in reversed(range(start, stop, rows)):
                yield low, min(low + rows, stop)
            continue
        while start < stop:
            end = _near_edge(edges, start, start + rows) if start + rows < stop else stop
            yield start, end
            start = end


def _near_edge(edges: I64Array, start: int, stop: int) -> int:
    """The last edge up to ``stop``, or ``stop`` where that is not in the second half from ``start`` on."""
    place = int(np.searchsorted(edges, stop, side="right"))
    edge = int(edges[place - 1]) if place else start
    return edge if edge > (start + stop) // 2 else stop


def edges_of(segment: ReadableSegment, columns: Sequence[int]) -> I64Array:
    """Rows at which blocks begin of that of ``columns`` which has most bytes; or groups of blocks.

    A piece that ends there decodes no block of which the next piece has a part.
    """
    directories = [each for each in map(segment.directory, columns) if each is not None and each.count]
    if not directories:
        return np.zeros(0, np.int64)
    return max(directories, key=lambda directory: directory.raw_bytes).edges


def rows_in(segment: ReadableSegment, columns: Sequence[int], size: int) -> int:
    """Rows whose widest of ``columns`` takes about ``size`` bytes.

    Blocks with very large values count in full.
    """
    widest = 8.0
    for column in columns:
        directory = segment.directory(column)
        if directory is not None and directory.count and segment.rows:
            widest = max(widest, directory.raw_bytes / segment.rows, directory.densest / 64)
    return max(1, min(FILTER_ROWS, int(size / widest)))
