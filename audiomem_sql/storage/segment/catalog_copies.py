"""The copies of the catalog in a segment file, and which of them can be read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from audiomem_sql.errors import DamagedFileError, LimitError
from audiomem_sql.storage.pages import SEARCHED_PAGES, PagedFile, PageKind
from audiomem_sql.storage.segment.catalog import Catalog
from audiomem_sql.storage.segment.catalog_packing import (
    CATALOG_HEADER,
    MAX_CATALOG_BYTES,
    parse_header,
    unpack_catalog,
)
from audiomem_sql.storage.segment.data_stream import DataStream
from audiomem_sql.storage.segment.seal import digest_of

#: Catalogs of a file may have so many bytes together, and for each byte of the file so many more: two of the
#: largest, and what many segments of a large file have.
MOST_UNPACKED = 2 * MAX_CATALOG_BYTES
UNPACKED_PER_BYTE = 64


def raw_catalog(file: PagedFile, first_cell: int) -> bytes:
    """The bytes of the catalog copy at cell ``first_cell``, as its header tells their number."""
    cell = file.read(first_cell, 0, file.layout.cell_payload)  # which has all of a small one
    _, stored, _, _ = parse_header(cell)
    size = CATALOG_HEADER.size + stored
    return cell[:size] if size <= len(cell) else file.read(first_cell, 0, size)


@dataclass(frozen=True, slots=True)
class StoredCatalog:
    """A catalog, the first cell of the data stream, and the digest of the catalog's bytes."""

    catalog: Catalog
    data_cell: int
    digest: bytes


def check_total(file: PagedFile, raw: int) -> None:
    """LimitError if the catalogs of a file, with one more of ``raw`` bytes, take too much memory."""
    most = MOST_UNPACKED + UNPACKED_PER_BYTE * file.source.present * file.source.page_size
    if file.shared.catalog_bytes + raw > most:
        raise LimitError(
            f"the catalogs of its segments have more than {most:,} bytes, out of proportion to the file",
            file=file.path,
            place="catalog",
            remedy="No writer makes such a file. Do not trust it.",
        )


def _read_catalog(file: PagedFile, first_cell: int) -> StoredCatalog:
    """The catalog copy at cell ``first_cell``."""
    data = raw_catalog(file, first_cell)
    _, _, raw, _ = parse_header(data)
    check_total(file, raw)
    catalog = unpack_catalog(data)
    file.shared.catalog_bytes += raw
    if not file.fits(len(data), catalog.data_bytes):
        raise DamagedFileError(
            "the catalog and the file disagree on the number of pages", file=file.path, place="catalog"
        )
    cells = file.data_cells()
    start = file.layout.catalog_pages_for(len(data)) * file.layout.cells if cells is None else cells.start
    catalog.bind(DataStream(file, start))
    return StoredCatalog(catalog, start, digest_of(data))


def any_catalog(file: PagedFile) -> StoredCatalog:
    """The catalog, from the first of its copies that can be read."""
    first: DamagedFileError | None = None
    try:
        for cell in first_cells(file):
            try:
                return _read_catalog(file, cell)
            except DamagedFileError as error:
                error.__context__ = None  # it and the traceback hold all that was read
                first = first or error.with_traceback(None)
    except DamagedFileError:
        pass  # the last copy cannot be found
    assert first is not None
    raise first


def first_cells(file: PagedFile) -> Iterator[int]:
    """The first cell of each copy of the catalog. DamagedFileError where one cannot be found."""
    copies = file.catalog_copies()
    if copies is not None:
        yield from copies
    else:
        yield 0
        yield _last_copy(file)


def _last_copy(file: PagedFile) -> int:
    """The first cell of the catalog copy at the end of the file, which every page of it tells."""
    last = file.page_count - 1
    for page in range(last, max(last - SEARCHED_PAGES, -1), -1):
        header = file.page_header(page) if page < file.present else None
        if header is not None:
            if header.kind == PageKind.CATALOG and header.index <= page:
                return (page - header.index) * file.layout.cells
            break
    raise DamagedFileError("no catalog at the end of the file", file=file.path, place=f"page {last}")
