"""Finds the newest segment of a file, and whether a log is announced behind it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from audiomem_sql.audio import PageSource, VerbatimPages, missing_pages
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.protection.levels import level_coded
from audiomem_sql.storage.pages.announcement import read_announcement
from audiomem_sql.storage.pages.front import FRONT_BYTES, has_head
from audiomem_sql.storage.pages.head_record import HeadRecord
from audiomem_sql.storage.pages.header import PAGE_HEADER, PageHeader, PageKind
from audiomem_sql.storage.pages.headers import SEARCHED_PAGES, any_header, header_at
from audiomem_sql.storage.pages.layout import PageLayout
from audiomem_sql.storage.pages.segment_map import SegmentMap

#: Beyond ``SEARCHED_PAGES`` damaged pages the steps grow, up to this part of the file.
_LARGEST_STEP = 128
#: The most announce pages and segments that were never finished, each, that are passed over. A writer leaves
#: one, and the next writes over it.
MOST_LEFT_BEHIND = 64


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest segment of a file.

    header: one of its page headers. first: its page 0, counted in pages of the file. front: the head record
    in the metadata. announced: that of an announce page behind the segment. stop: the page behind the
    segment, its trailer included. torn: behind it are pages of a segment that was never finished.
    """

    header: PageHeader
    first: int
    front: HeadRecord | None
    announced: HeadRecord | None
    stop: int
    torn: bool = False


def find_newest(source: PageSource, below: int | None = None) -> Newest:
    """The newest segment in ``source``.

    DamagedFileError if no page header can be read, or more was left behind than any writer leaves.

    below: only pages in front of this one count; what is behind is torn.
    """
    missing_pages(source, 0, 1)
    application = source.application or b""
    front = HeadRecord.unpack(application[PAGE_HEADER.size :])
    announced: HeadRecord | None = None
    torn = below is not None
    if below is None and (only := _only_segment(source, front)) is not None:
        return only
    present = source.present if below is None else min(below, source.present)
    page, step, misses, left_behind = present - 1, 1, 0, 0
    while page >= 0:
        header = header_at(source, page)
        if header is not None and header.format_version == 1:
            header = any_header(source)
            return Newest(header, 0, None, None, header.page_count)
        if header is not None and header.kind == PageKind.ANNOUNCE:
            record = _announcement(source, page, header)
            announced = record if record is not None and record.sealed == page else announced
            page, left_behind = page - 1, _counted(left_behind, source)
            continue
        first = -1 if header is None else page - header.page_number
        if header is None or first < 0 or not _is_supported(source, header, first, page):
            misses += 1
            step = 1 if misses <= SEARCHED_PAGES else min(2 * step, max(1, source.present // _LARGEST_STEP))
            page -= step
            continue
        stop = first + _pages(source, header, first)
        if stop > present and first > 0 and (torn or is_unsealed(source, front, first, stop)):
            torn, page, left_behind = True, first - 1, _counted(left_behind, source)
            continue
        if announced is not None and announced.sealed != stop:
            announced = None
        return Newest(header, first, front, announced, stop, torn)
    header = PageHeader.unpack(application)
    if header is None or header.format_version == 1:
        header = any_header(source)  # which says that there is none
    if header.format_version == 1:
        return Newest(header, 0, None, None, header.page_count)
    return Newest(header, 0, front, None, _pages(source, header, 0))


def _only_segment(source: PageSource, front: HeadRecord | None) -> Newest | None:
    """The segment that is all of a file in a store, by its first page, so that the last need not be read.

    None where it may not be all, or a read is cheap. Objects are put in one piece. One that was put together
    from two states all the same has cells that do not pass their checksums.
    """
    if not isinstance(source, VerbatimPages) or not source.file.prefers_short_reads:
        return None
    if front is not None and (front.is_open or front.appending):
        return None
    header = header_at(source, 0)
    if header is None or header.page_number or header.kind == PageKind.ANNOUNCE:
        return None
    if header.format_version == 1:
        return Newest(header, 0, None, None, header.page_count)
    level = level_coded(header.protection)
    if level is None or _pages(source, header, 0) != source.present:
        return None
    return Newest(header, 0, front, None, source.present)


def _counted(left_behind: int, source: PageSource) -> int:
    """One more that was left behind."""
    if left_behind == MOST_LEFT_BEHIND:
        raise too_much_left_behind(source.path)
    return left_behind + 1


def too_much_left_behind(path: str) -> DamagedFileError:
    """The error of a file whose end no writer made."""
    return DamagedFileError(
        f"its end has more than {MOST_LEFT_BEHIND} announcements, or segments that were never finished",
        file=path,
        remedy="Restore it from a copy. No writer makes such a file.",
    )


def _is_supported(source: PageSource, header: PageHeader, first: int, page: int) -> bool:
    """Whether other pages at both ends of a segment speak for the header of ``page``.

    It may be a stray one.
    """
    own = header if first == page else header_at(source, first)
    if own is None or own.segment_id == header.segment_id:
        return True
    ends = (
        *range(first, min(first + SEARCHED_PAGES, page)),
        *range(max(first + SEARCHED_PAGES, page + 1 - SEARCHED_PAGES), page + 1),
    )
    headers = [each for each in (header_at(source, number) for number in ends) if each is not None]
    votes = Counter(each.segment_id for each in headers)
    return votes[header.segment_id] >= max(votes.values())


def is_unsealed(source: PageSource, front: HeadRecord | None, first: int, stop: int) -> bool:
    """Whether pages ``first`` to ``stop`` - 1 may be of a segment that was never finished.

    front: what the front of the file says. Before a writer appends a segment, the front says durably that it
    is about to, or that a log has what is in it. So if the front says neither, it is an older one, which
    somebody put back: the segment was finished, and what is missing of it is damage.
    """
    if front is None:
        return True
    if front.sealed >= stop:
        return False
    if not _is_in_place(source) or follows_announcement(source, first):
        return True
    return (front.is_open or front.appending) and front.sealed <= first <= front.sealed + 1


def follows_announcement(source: PageSource, first: int) -> bool:
    """Whether an announce page is in front of page ``first``."""
    before = header_at(source, first - 1)
    return before is not None and before.kind == PageKind.ANNOUNCE


def _is_in_place(source: PageSource) -> bool:
    """Whether the head record stands where writers change it; another program may have moved it."""
    return not isinstance(source, VerbatimPages) or has_head(source.file.read_at(0, FRONT_BYTES))


def _pages(source: PageSource, header: PageHeader, first: int) -> int:
    """Pages of the segment with this header, its trailer included."""
    level = level_coded(header.protection)
    if level is None or level.share is None:
        return header.page_count
    try:
        return SegmentMap.told(PageLayout(source.page_size, level), header, first).total
    except DamagedFileError as error:
        error.at(file=source.path)
        raise


def _announcement(source: PageSource, page: int, header: PageHeader) -> HeadRecord | None:
    level = level_coded(header.protection)
    return None if level is None else read_announcement(source.read_checked(page, 1)[0], header, level)


def segments_in_front(source: PageSource, stop: int) -> tuple[tuple[int, bytes], ...]:
    """(first page, segment id) of the segments before page ``stop``, by the headers of all their pages.

    For a file whose newest catalog cannot be read without them.
    """
    votes: Counter[tuple[int, bytes]] = Counter()
    for page in range(min(stop, source.present)):
        header = header_at(source, page)
        if header is not None and header.page_number <= page:
            votes[page - header.page_number, header.segment_id] += 1
    segments: dict[int, tuple[int, bytes]] = {}
    for (first, identity), count in votes.items():
        if count > segments.get(first, (0, b""))[0]:
            segments[first] = count, identity
    return tuple((first, identity) for first, (_, identity) in sorted(segments.items()))
