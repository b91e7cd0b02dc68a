"""Cells of a file that holds its pages verbatim, read in C: checked and copied in one go."""

from __future__ import annotations

import ctypes

import numpy as np

from audiomem_sql.arrays import U8Array
from audiomem_sql.audio import PageSource, VerbatimPages
from audiomem_sql.machine.native import Pages, cell_reader
from audiomem_sql.storage.pages.layout import PageLayout


def intact_cells(
    source: PageSource, layout: PageLayout, seed: int, first: int, cells: range
) -> U8Array | None:
    """The payload of ``cells`` of a segment whose page 0 is page ``first``, uint8 (n, size).

    seed: of the checksums of the segment's cells. None where Python has more to do: there is no such library,
    arithmetic does not say where cells are, one is missing, or one is not intact.
    """
    native = cell_reader()
    page, stop = cells.start // layout.cells, -(-cells.stop // layout.cells)
    if native is None or not isinstance(source, VerbatimPages) or first + stop > source.present:
        return None
    size, at = layout.level.cell_bytes, layout.header_bytes
    place = cells.start - page * layout.cells
    low, high = at + place * size, at + (cells.stop - (stop - 1) * layout.cells) * size
    begin, end = source.span(first + page, stop - page, low, high)
    data = source.file.read_at(begin, end - begin)
    if len(data) < end - begin:
        return None
    places = source.places(np.arange(first + page, first + stop), np.zeros(stop - page, np.int64)) - begin
    payload = np.empty((len(cells), layout.cell_payload), np.uint8)
    pages = Pages(
        data=np.frombuffer(data, np.uint8).ctypes.data,
        size=len(data),
        places=places.ctypes.data,
        channel_bytes=source.profile.channel_size,
        header_bytes=at,
        cells=layout.cells,
        cell_bytes=size,
    )
    start = (seed + cells.start) & 0xFFFFFFFF
    intact = native.audiomem_read_cells(ctypes.byref(pages), place, len(cells), start, payload.ctypes.data)
    return payload if intact == len(cells) else None
