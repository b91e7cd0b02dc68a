"""Announce pages: a page behind the last segment says that a log goes with the file.

Every cell of it holds the same head record, so that one intact cell is enough.
"""

from __future__ import annotations

import numpy as np

from audiomem_sql.arrays import U8Array
from audiomem_sql.audio import PageSource
from audiomem_sql.protection.levels import Level
from audiomem_sql.storage.pages.head_record import HeadRecord
from audiomem_sql.storage.pages.header import PageHeader, PageKind
from audiomem_sql.storage.pages.headers import copies_in
from audiomem_sql.storage.pages.layout import PageLayout, cell_seed

#: What stands in front of a head record in a cell: the time of the announcement, µs since 1970, UTC, and
#: behind it the name of the writer, up to a zero.
TIME_BYTES = 8
WRITER_BYTES = 64


def announce_page(
    record: HeadRecord, like: PageHeader, layout: PageLayout, time: int, writer: str
) -> U8Array:
    """The announce page, uint8 (1, page_size).

    record: with the session's id. like: a header of the segment in front. writer: names who announces, in
    messages.
    """
    header = PageHeader(
        PageKind.ANNOUNCE, like.protection, like.modulation, record.session, 0, 1, like.block_size, 0
    )
    content = record.pack() + time.to_bytes(TIME_BYTES, "little") + writer.encode()[: WRITER_BYTES - 1]
    cell = content.ljust(layout.cell_payload, b"\0")
    return layout.assemble([header], cell * layout.cells, cell_seed(record.session))


def read_announcement(page: U8Array, header: PageHeader, level: Level) -> HeadRecord | None:
    """What an announce page, uint8 (1, page_size), with this header says; None if no cell is intact."""
    cell = _intact_cell(page, header, level)
    return None if cell is None else HeadRecord.unpack(cell)


def _intact_cell(page: U8Array, header: PageHeader, level: Level) -> bytes | None:
    """The payload of a cell that is intact, and holds a record; all cells hold the same."""
    layout = PageLayout(page.shape[1], level)
    cells = layout.cells_of(page)
    seed = cell_seed(header.segment_id)
    payload, intact = level.cells.decode(cells, seed, 0)
    code = layout.code
    if not intact.any() and code is not None:
        data = np.ascontiguousarray(code.decode(layout.body(page)).data)
        payload, intact = level.cells.decode(data.reshape(-1, level.cell_bytes)[: layout.cells], seed, 0)
    for cell in np.flatnonzero(intact).tolist():
        record = HeadRecord.unpack(payload[cell].tobytes())
        if record is not None and record.session == header.segment_id:
            return bytes(payload[cell])
    return None


def announcement_as_written(source: PageSource, page: int, level: Level) -> U8Array | None:
    """The announce page that is page ``page`` of a file, uint8 (1, page_size), its damage put right.

    None if it is none, or nothing of it is intact.
    """
    if page >= source.present:
        return None
    content, _ = source.read_checked(page, 1)
    layout = PageLayout(source.page_size, level)
    header = next((each for each in copies_in(content[0, : layout.header_bytes].tobytes()) if each), None)
    if header is None or header.kind != PageKind.ANNOUNCE:
        return None
    cell = _intact_cell(content, header, level)
    return (
        None if cell is None else layout.assemble([header], cell * layout.cells, cell_seed(header.segment_id))
    )
