"""The copies of the catalog in a segment file, and which of them can be read."""

from __future__ import annotations

from collections.abc import Iterator

from audiomem_sql.errors import DamagedFileError
from audiomem_sql.storage.pages import SEARCHED_PAGES, PagedFile, PageKind
from audiomem_sql.storage.segment.catalog import Catalog
from audiomem_sql.storage.segment.catalog_packing import CATALOG_HEADER, parse_header, unpack_catalog


def raw_catalog(file: PagedFile, first_page: int) -> bytes:
    """The bytes of the catalog copy at ``first_page``, as its header tells their number."""
    _, stored, _, _ = parse_header(file.read(first_page, 0, CATALOG_HEADER.size))
    return file.read(first_page, 0, CATALOG_HEADER.size + stored)


def _read_catalog(file: PagedFile, first_page: int) -> tuple[Catalog, int]:
    """The catalog copy at ``first_page`` and the number of its pages."""
    data = raw_catalog(file, first_page)
    pages = file.layout.catalog_pages_for(len(data))
    catalog = unpack_catalog(data)
    behind = file.layout.pages_for(catalog.data_bytes)
    if file.map is not None:
        fits = (file.map.catalog, file.map.data) == (pages, behind)
    else:
        fits = behind + 2 * pages == file.page_count
        fits = fits and (not file.by_bands or file.header.index == pages)
    if not fits:
        raise DamagedFileError(
            "the catalog and the file disagree on the number of pages", file=file.path, place="catalog"
        )
    return catalog, pages


def any_catalog(file: PagedFile) -> tuple[Catalog, int]:
    """The catalog, from the first of its copies that can be read, and the number of its pages."""
    first: DamagedFileError | None = None
    try:
        for page in first_pages(file):
            try:
                return _read_catalog(file, page)
            except DamagedFileError as error:
                error.__context__ = None  # it and the traceback hold all that was read
                first = first or error.with_traceback(None)
    except DamagedFileError:
        pass  # the last copy cannot be found
    assert first is not None
    raise first


def first_pages(file: PagedFile) -> Iterator[int]:
    """The first page of each copy of the catalog. DamagedFileError where one cannot be found."""
    copies = file.catalog_copies()
    if copies is not None:
        yield from copies
    else:
        yield 0
        yield _last_copy(file)


def _last_copy(file: PagedFile) -> int:
    """The first page of the catalog copy at the end of the file, which every page of it tells."""
    last = file.page_count - 1
    for page in range(last, max(last - SEARCHED_PAGES, -1), -1):
        header = file.page_header(page) if page < file.present else None
        if header is not None:
            if header.kind == PageKind.CATALOG and header.index <= page:
                return page - header.index
            break
    raise DamagedFileError("no catalog at the end of the file", file=file.path, place=f"page {last}")
