"""Finding a page header that is intact: of a file that is opened, and of a single page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from audiomem_sql.audio import PageSource, missing_pages
from audiomem_sql.errors import DamagedFileError, FormatVersionError, NotAudioMemoryError
from audiomem_sql.storage.pages.header import (
    FORMAT_VERSION,
    PAGE_BYTES_PER_HEADER_BYTE,
    PAGE_HEADER,
    PAGE_MAGIC,
    PageHeader,
)

#: So many pages at either end are searched for an intact page header.
SEARCHED_PAGES = 16
REMEDY = "Restore it from a copy. `audiomem verify` lists all damage, `audiomem salvage` saves the rest."


class Probe:
    """Samples of one channel in a page, from the first bytes of the audio; NotAudioMemoryError for music.

    ``began_as_ours``: some page began like one of ours, but its header was damaged.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.began_as_ours = False

    def __call__(self, first: bytes) -> int:
        """The block size that the page which begins with ``first`` was written with."""
        header = next((header for header in copies_in(first) if header is not None), None)
        if header is None:
            self.began_as_ours = self.began_as_ours or PAGE_MAGIC in first
            raise NotAudioMemoryError(
                "this FLAC file holds sound, not a table",
                file=self.path,
                remedy="Name a file that was made by AudioMemory, or a new one.",
            )
        if header.format_version > FORMAT_VERSION:
            raise FormatVersionError(
                f"is in format version {header.format_version}; this version reads up to {FORMAT_VERSION}",
                file=self.path,
                remedy="Open it with a newer audiomem-sql.",
            )
        return header.block_size


def page_number(first: bytes) -> int | None:
    """The number of the page that begins so; None where no copy of its header is intact."""
    return next((header.page_number for header in copies_in(first) if header is not None), None)


def copies_in(area: bytes) -> Iterator[PageHeader | None]:
    """The page headers, one behind another, in ``area``; None for one that is not intact."""
    for at in range(0, len(area) - PAGE_HEADER.size + 1, PAGE_HEADER.size):
        yield PageHeader.unpack(area[at : at + PAGE_HEADER.size])


def any_header(source: PageSource) -> PageHeader:
    """A page header of this file.

    That of page 0, if the last page belongs to the same segment. Otherwise one of them may be damaged, or
    have come from another file: the segment that most pages at either end belong to decides, then the
    APPLICATION block.
    """
    missing_pages(source, 0, 1)
    last = source.present - 1
    headers_by_page = {page: _header_of(source, page) for page in {0, last}}
    first = headers_by_page[0]
    if (
        first is not None
        and (other := headers_by_page[last]) is not None
        and other.segment_id == first.segment_id
    ):
        return first
    for page in (*range(min(SEARCHED_PAGES, last)), *range(max(SEARCHED_PAGES, last - SEARCHED_PAGES), last)):
        headers_by_page[page] = _header_of(source, page)
    headers = [headers_by_page[page] for page in sorted(headers_by_page)] + [
        PageHeader.unpack(source.application or b"")
    ]
    intact = [header for header in headers if header is not None]
    if not intact:
        raise no_header(source.path)
    votes = Counter(header.segment_id for header in intact)
    return max(intact, key=lambda header: votes[header.segment_id])


def header_at(source: PageSource, page: int) -> PageHeader | None:
    """The first intact header in ``page`` of the file, whichever segment's it is."""
    content, _ = source.read_checked(page, 1)
    area = content[0, : source.page_size // PAGE_BYTES_PER_HEADER_BYTE].tobytes()
    return next((header for header in copies_in(area) if header is not None), None)


def _header_of(source: PageSource, page: int) -> PageHeader | None:
    """The same, if it says that it is that of page ``page``."""
    header = header_at(source, page)
    return header if header is not None and header.page_number == page else None


def no_header(path: str) -> DamagedFileError:
    """The error for a file of which no page header is intact."""
    return DamagedFileError("no page header can be read", file=path, place="page 0", remedy=REMEDY)
