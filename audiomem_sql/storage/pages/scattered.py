"""Ranges of a stream all over a segment that is far away, by one read and one look at their checksums.

Reading them one by one takes half a millisecond each, which is more than what is in them takes to decode.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audiomem_sql.arrays import I64Array, U8Array, distinct
from audiomem_sql.audio import PageSource, VerbatimPages
from audiomem_sql.storage.pages.cell_spans import CellSpans
from audiomem_sql.storage.pages.layout import PageLayout
from audiomem_sql.storage.pages.streams import Streams


def read_scattered(
    source: PageSource,
    streams: Streams,
    spans: CellSpans,
    seed: int,
    stream: int,
    ranges: Sequence[tuple[int, int]],
) -> list[memoryview] | None:
    """The bytes of ranges, (place, length) each, of the stream that begins at cell ``stream``.

    seed: of the checksums of the segment's cells. None where the file is near, where arithmetic does not say
    where cells are, and unless all of them are there and intact.
    """
    if not source.file.prefers_short_reads or not isinstance(source, VerbatimPages):
        return None
    runs = list(streams.runs(stream, ranges))
    if len(runs) != len(ranges) or not runs:
        return None
    layout = spans.layout
    numbers = distinct(np.concatenate(runs))
    cells = _cells(source, layout, spans.first, numbers)
    if cells is None:
        return None
    payload, intact = layout.level.cells.decode_each(cells, seed, numbers)
    if not intact.all():
        return None
    data, size = payload.reshape(-1).data, layout.cell_payload
    firsts = np.searchsorted(numbers, [run[0] for run in runs]) * size
    begins = [first + place % size for first, (place, _) in zip(firsts.tolist(), ranges, strict=True)]
    return [data[begin : begin + length] for begin, (_, length) in zip(begins, ranges, strict=True)]


def _cells(source: VerbatimPages, layout: PageLayout, first: int, numbers: I64Array) -> U8Array | None:
    """Rising cells of a segment whose page 0 is page ``first``, uint8 (n, cell size); None if one is missing.

    Each stretch of cells that follow each other in one page is a range of the file, but for the marks between
    the channels of a frame.
    """
    size, channel = layout.level.cell_bytes, source.profile.channel_size
    pages = numbers // layout.cells
    lows = layout.header_bytes + (numbers - pages * layout.cells) * size
    starts = np.flatnonzero(np.diff(numbers, prepend=-2) != 1)
    starts = np.union1d(starts, np.flatnonzero(np.diff(pages, prepend=-2)))
    ends = np.append(starts[1:], len(numbers))
    low, high = lows[starts], lows[ends - 1] + size
    begins = source.places(first + pages[starts], low)
    lengths = high - low + (high - 1) // channel - low // channel
    parts = source.file.read(list(zip(begins.tolist(), lengths.tolist(), strict=True)))
    if [len(part) for part in parts] != lengths.tolist():
        return None
    cut = []
    for part, start, stop in zip(parts, low.tolist(), high.tolist(), strict=True):
        at = 0
        while start < stop:
            end = min(stop, (start // channel + 1) * channel)
            cut.append(memoryview(part)[at : at + end - start])
            at, start = at + end - start + 1, end
    return np.frombuffer(b"".join(cut), np.uint8).reshape(len(numbers), size)
