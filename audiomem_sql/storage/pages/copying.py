"""Pages of a segment as they were written: what damage changed is put right as far as parity reaches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from audiomem_sql.arrays import U8Array
from audiomem_sql.storage.pages.file import PagedFile
from audiomem_sql.storage.pages.header import PageHeader
from audiomem_sql.storage.pages.headers import copies_in
from audiomem_sql.storage.pages.layout import cell_seed


def pages_as_written(file: PagedFile, first: int, count: int, *, parity: bool = True) -> U8Array:
    """Pages ``first …`` of a segment, uint8 (count, page_size).

    Of a protected segment they are whole. Without protection they are what the file holds: damage stays
    as it is, so that every cell that was damaged is told to be. DamagedFileError, naming page and cell, for
    what cannot be recovered. parity: compare the inner code's parity of each page, too, which takes longer
    than all the rest; without that, damage to it alone stays.
    """
    pages, _ = file.source.read_checked(file.first + first, count)
    if not file.is_protected:
        return pages
    layout, level = file.layout, file.layout.level
    cells = layout.cells_of(pages)
    seed = cell_seed(file.header.segment_id)
    _, intact = level.cells.decode(cells, seed, first * layout.cells)
    for row in range(count):
        page = first + row
        heads = list(copies_in(pages[row, : layout.header_bytes].tobytes()))
        whole = intact[row * layout.cells : (row + 1) * layout.cells].all()
        if (
            whole
            and all(_is_own(head, file, page) for head in heads)
            and (not parity or _parity_stands(file, pages, row))
        ):
            continue
        payload = file.payload_of_page(page)
        pages[row] = layout.assemble([_header(file, page)], payload, seed)[0]
    return pages


def _is_own(head: PageHeader | None, file: PagedFile, page: int) -> bool:
    return head is not None and head.page_number == page and head.segment_id == file.header.segment_id


def _parity_stands(file: PagedFile, pages: U8Array, row: int) -> bool:
    """Whether the inner code's parity of a page is that of its cells."""
    code = file.layout.code
    if code is None:
        return True
    body = file.layout.body(pages[row : row + 1])
    return bool(np.array_equal(code.encode(body[:, : code.data_bytes]), body))


def _header(file: PagedFile, page: int) -> PageHeader:
    """The header of ``page`` as it was written."""
    return replace(file.header, kind=int(file.kind_of(page)), page_number=page)
