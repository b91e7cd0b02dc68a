"""Whether each page of a file is of the segment that must be there.

Pages of another state of the table come into a file by a copy that was interrupted, by ``rsync --inplace``,
or by an older front. Their cells never pass their CRC, which starts from the segment's id; their headers say
whose they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from audiomem_sql.audio import PageSource, VerbatimPages
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.storage.pages.header import PAGE_BYTES_PER_HEADER_BYTE, PAGE_MAGIC, PageHeader
from audiomem_sql.storage.pages.headers import REMEDY, copies_in, header_at

#: The bytes of a page header that say whose it is: magic, segment id and page number.
_IDENTITY_BYTES = 20
#: Of these, as words of 4 bytes: magic and segment id, and the page number.
_SEGMENT_WORDS, _NUMBER_WORD = [0, 2, 3], 4
#: Headers that are read at once, and pages where these do not stand in the bytes of the file.
_HEADERS_AT_ONCE = 1 << 14
_PAGES_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages of a segment: ``first`` to ``stop`` - 1 of the file."""

    first: int
    stop: int
    segment_id: bytes


@dataclass(frozen=True, slots=True)
class ForeignPages:
    """Pages ``first`` to ``last`` of a file, which are of segment ``found``, where ``expected`` must be."""

    first: int
    last: int
    found: bytes
    expected: bytes

    def __str__(self) -> str:
        one = self.first == self.last
        pages = f"page {self.first} is" if one else f"pages {self.first} to {self.last} are"
        if self.found == self.expected:
            return f"{pages} of another place in segment {self.found.hex()}"
        return f"{pages} of segment {self.found.hex()}, where segment {self.expected.hex()} must be"


@dataclass(frozen=True, slots=True)
class HeaderFaults:
    """What the page headers of a file say that they must not.

    foreign: pages whose intact headers name another segment or place, in runs. unreadable: how many pages
    have no intact copy of their header.
    """

    foreign: tuple[ForeignPages, ...]
    unreadable: int


def header_faults(source: PageSource, segments: Iterable[Pages]) -> HeaderFaults:
    """Those of the pages of ``segments``. All headers are read: 7,000 of them take some 5 ms."""
    runs: list[ForeignPages] = []
    unreadable = 0
    for segment in segments:
        stop = min(segment.stop, source.present)
        for page, header in _not_own(source, range(segment.first, stop), segment):
            if header is None:
                unreadable += 1
                continue
            last = runs[-1] if runs else None
            found = header.segment_id
            if last is not None and (last.last, last.found, last.expected) == (
                page - 1,
                found,
                segment.segment_id,
            ):
                runs[-1] = replace(last, last=page)
            else:
                runs.append(ForeignPages(page, page, found, segment.segment_id))
    return HeaderFaults(tuple(runs), unreadable)


def foreign_at(source: PageSource, page: int, segment: Pages) -> ForeignPages | None:
    """What is foreign about one page of ``segment``; None if nothing is, or it cannot be told."""
    if not 0 <= page < source.present:
        return None
    for _, header in _not_own(source, range(page, page + 1), segment):
        return None if header is None else ForeignPages(page, page, header.segment_id, segment.segment_id)
    return None


def unreadable(source: PageSource, segment: Pages, page: int, cell: int) -> DamagedFileError:
    """The error for a cell of page ``page`` of ``segment`` that cannot be recovered."""
    stranger = foreign_at(source, segment.first + page, segment)
    damaged = "CRC-32C mismatch: these bytes are not the ones that were written"
    return DamagedFileError(
        damaged if stranger is None else f"two states are mixed in the file: {stranger}",
        file=source.path,
        place=f"page {segment.first + page}, cell {cell}",
        remedy=REMEDY,
    )


def _not_own(source: PageSource, pages: range, segment: Pages) -> Iterator[tuple[int, PageHeader | None]]:
    """Pages without the header that must be there, and the one that is; None if no copy of it is intact.

    A copy of the header with the right segment and number is enough: nobody else writes it, damaged or not.
    """
    if isinstance(source, VerbatimPages):
        for page in _doubtful(source, pages, segment):
            header = header_at(source, page)
            if header is None or not _is_own(header, segment, page):
                yield page, header
        return
    for first in range(pages.start, pages.stop, _PAGES_AT_ONCE):
        contents, _ = source.read_checked(first, min(_PAGES_AT_ONCE, pages.stop - first))
        for row, content in enumerate(contents[:, : source.page_size // PAGE_BYTES_PER_HEADER_BYTE]):
            header = next((each for each in copies_in(content.tobytes()) if each is not None), None)
            if header is None or not _is_own(header, segment, first + row):
                yield first + row, header


def _doubtful(source: VerbatimPages, pages: range, segment: Pages) -> Iterator[int]:
    """The pages of which the first header does not name the segment and the page."""
    own = np.frombuffer(PAGE_MAGIC + segment.segment_id, np.uint32)
    for first in range(pages.start, pages.stop, _HEADERS_AT_ONCE):
        count = min(_HEADERS_AT_ONCE, pages.stop - first)
        words = source.heads(first, count, _IDENTITY_BYTES).view("<u4")
        numbers = np.arange(first - segment.first, first - segment.first + count, dtype=np.uint32)
        same = (words[:, _SEGMENT_WORDS] == own).all(axis=1) & (words[:, _NUMBER_WORD] == numbers)
        yield from (np.flatnonzero(~same) + first).tolist()


def _is_own(header: PageHeader, segment: Pages, page: int) -> bool:
    return header.segment_id == segment.segment_id and header.page_number == page - segment.first


def told(runs: Sequence[ForeignPages]) -> str:
    """What ``runs`` say, in words: the first of them, and how many pages there are in all."""
    if not runs:
        return ""
    count = sum(run.last - run.first + 1 for run in runs)
    more = "" if len(runs) == 1 else f" ({count:,} pages in {len(runs):,} places in all)"
    return f"{runs[0]}{more}"
