"""The newest segment of a file, by the page headers alone."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from audiomem_sql.arrays import BoolArray, U8Array
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.protection.levels import LEVELS
from audiomem_sql.storage.pages import (
    MOST_LEFT_BEHIND,
    HeadRecord,
    PageFlag,
    find_newest,
    segments_in_front,
)
from storage.pages.page_files import (
    PagesInMemory,
    announcement,
    application_of,
    header_of,
    record_of,
    segment_pages,
)

ONE, TWO, SESSION = b"segment1", b"segment2", b"session!"
FIRST = header_of(ONE, 3)
SECOND = header_of(TWO, 5)
CHAIN = [*segment_pages(FIRST), *segment_pages(SECOND)]


def in_file(pages: list[U8Array], record: HeadRecord | None = None) -> PagesInMemory:
    return PagesInMemory(pages, None if record is None else application_of(FIRST, record))


def test_one_segment() -> None:
    newest = find_newest(in_file(CHAIN[:3]))
    assert (newest.header.segment_id, newest.first, newest.stop) == (ONE, 0, 3)
    assert (newest.front, newest.announced, newest.torn) == (None, None, False)


def test_the_last_of_two() -> None:
    front = record_of(TWO, 8)
    newest = find_newest(in_file(CHAIN, front))
    assert (newest.header.segment_id, newest.first, newest.stop) == (TWO, 3, 8)
    assert (newest.front, newest.announced, newest.torn) == (front, None, False)


def test_an_announcement_behind_it() -> None:
    record = record_of(TWO, 8, 2, SESSION)
    newest = find_newest(in_file([*CHAIN, announcement(record)]))
    assert (newest.first, newest.stop, newest.announced) == (3, 8, record)


def test_an_announcement_that_was_answered() -> None:
    """It is between two segments, and says nothing of the newest."""
    pages = [*CHAIN[:3], announcement(record_of(ONE, 3, 2, SESSION)), *segment_pages(SECOND)]
    newest = find_newest(in_file(pages))
    assert (newest.first, newest.stop, newest.announced) == (4, 9, None)


@pytest.mark.parametrize("sealed", [7, 9])
def test_an_announcement_of_another_place(sealed: int) -> None:
    newest = find_newest(in_file([*CHAIN, announcement(record_of(TWO, sealed, 2, SESSION))]))
    assert (newest.first, newest.stop, newest.announced) == (3, 8, None)


def test_an_announcement_behind_what_was_torn() -> None:
    """The segment behind the announcement was never finished: the announcement still counts."""
    record = record_of(TWO, 8, 2, SESSION)
    torn = segment_pages(header_of(b"segment3", 4))[:2]
    newest = find_newest(in_file([*CHAIN, announcement(record), *torn]))
    assert (newest.first, newest.stop, newest.announced, newest.torn) == (3, 8, record, True)


def test_an_announcement_is_not_of_the_segment_before() -> None:
    """The torn segment was announced, at its end; the one in front of it was not."""
    torn = segment_pages(header_of(b"segment3", 4))[:2]
    late = announcement(record_of(b"segment3", 10, 2, SESSION))
    newest = find_newest(in_file([*CHAIN, *torn, late]))
    assert (newest.first, newest.announced, newest.torn) == (3, None, True)


@pytest.mark.parametrize("state", ["closed", "open", "appending"])
@pytest.mark.parametrize("sealed", [1, 2, 3, 4, 7, 8, 9])
def test_a_segment_without_its_end(sealed: int, state: str) -> None:
    """It was never finished if the front says that one is to come just there; else its end is missing."""
    front = record_of(ONE if sealed < 8 else TWO, sealed, 1, SESSION if state == "open" else bytes(8))
    newest = find_newest(in_file(CHAIN[:-1], replace(front, appending=state == "appending")))
    torn = state != "closed" and sealed in (2, 3)  # behind an announce page, or not
    assert newest.torn == torn
    assert (newest.first, newest.stop) == ((0, 3) if torn else (3, 8))


def test_a_segment_without_its_end_and_no_front() -> None:
    newest = find_newest(in_file(CHAIN[:-1]))
    assert (newest.first, newest.stop, newest.torn) == (0, 3, True)


@pytest.mark.parametrize(("sealed", "torn"), [(1, True), (3, True), (8, True), (9, False), (10, False)])
def test_a_segment_without_its_end_behind_an_announcement(sealed: int, torn: bool) -> None:
    """A log was being folded into it, whatever older state the front is of, unless it says that it was."""
    record = record_of(ONE, 3, 2, SESSION)
    pages = [*CHAIN[:3], announcement(record), *CHAIN[3:-1]]
    newest = find_newest(in_file(pages, record_of(ONE if torn else TWO, sealed)))
    assert (newest.torn, newest.announced) == (torn, record if torn else None)
    assert (newest.first, newest.stop) == ((0, 3) if torn else (4, 9))


def test_the_only_segment_without_its_end() -> None:
    newest = find_newest(in_file(CHAIN[:2]))
    assert (newest.first, newest.stop, newest.torn) == (0, 3, False)


def test_below_a_page() -> None:
    """What is behind it is torn, whatever the front says."""
    for below, found in ((8, (3, 8)), (7, (0, 3)), (4, (0, 3)), (3, (0, 3)), (20, (3, 8))):
        newest = find_newest(in_file(CHAIN, record_of(TWO, 8)), below)
        assert (newest.first, newest.stop, newest.torn) == (*found, True), below


def test_damaged_pages_at_the_end() -> None:
    """Any page of the segment says where it is."""
    for intact in range(3, 8):
        source = in_file(CHAIN)
        for page in range(3, 8):
            if page != intact:
                source.pages[page][:] = 0
        newest = find_newest(source)
        assert (newest.first, newest.stop) == (3, 8)


def test_many_damaged_pages() -> None:
    """The steps grow only beyond 16 pages, and no further than the file is long."""
    source = in_file([*CHAIN[:3], *segment_pages(header_of(TWO, 60))])
    for page in range(63 - 16, 63):
        source.pages[page][:] = 0
    assert find_newest(source).first == 3
    for page in range(4, 63):
        source.pages[page][:] = 0
    assert find_newest(source).first == 3
    source.pages[3][:] = 0
    assert find_newest(source).first == 0


def test_steps_through_a_long_file() -> None:
    """In a file of 1,000 pages of which the end is gone every 7th page is looked at, at the least."""
    header = header_of(TWO, 1000)
    whole = segment_pages(header)
    source = in_file([*CHAIN[:3], *whole])
    for page in range(3 + 200, 1003):
        source.pages[page][:] = 0
    looked: list[int] = []
    inner = source.read_checked

    def read_checked(first: int, count: int) -> tuple[U8Array, BoolArray]:
        looked.append(first)
        return inner(first, count)

    source.read_checked = read_checked  # type: ignore[method-assign]
    assert find_newest(source).first == 3
    behind = [page for page in looked if page >= 203]
    assert behind[:18] == [*range(1002, 1002 - 17, -1), 1002 - 18]
    steps = [one - other for one, other in pairwise(behind)]
    assert max(steps) == 1003 // 128
    assert len(behind) < 16 + 800 // 7 + 8


def test_a_stray_page() -> None:
    """A page of another file inside a segment does not make another segment of it."""
    for page in (7, 6, 5):
        source = in_file(CHAIN)
        source.pages[page] = segment_pages(header_of(b"stranger", 9))[page - 3]
        newest = find_newest(source)
        assert (newest.header.segment_id, newest.first, newest.stop) == (TWO, 3, 8)


def test_a_page_whose_number_is_larger_than_its_place() -> None:
    source = in_file(CHAIN)
    source.pages[7] = segment_pages(header_of(b"stranger", 30))[20]
    newest = find_newest(source)
    assert (newest.header.segment_id, newest.first, newest.stop) == (TWO, 3, 8)


@pytest.mark.parametrize("flags", [0, PageFlag.WHOLE, PageFlag.APPENDED, PageFlag.COMPACT])
def test_the_trailer_belongs_to_it(flags: int) -> None:
    level = LEVELS["archive"]
    first = header_of(ONE, 6, level)
    one = segment_pages(first, level)
    second = header_of(TWO, 9, level, flags=flags)
    two = segment_pages(second, level, len(one))
    assert len(two) > 9
    record = record_of(TWO, len(one) + len(two), 2, SESSION)
    newest = find_newest(in_file([*one, *two, announcement(record, level)]))
    assert (newest.first, newest.stop, newest.announced) == (len(one), len(one) + len(two), record)


def test_no_header_at_all() -> None:
    """The APPLICATION block says what page 0 would say; without it there is nothing."""
    source = in_file(CHAIN[:3], record_of(ONE, 3))
    for page in source.pages:
        page[:] = 0
    newest = find_newest(source)
    assert (newest.header.segment_id, newest.first, newest.stop) == (ONE, 0, 3)
    assert newest.front == record_of(ONE, 3)
    source.application = None
    with pytest.raises(DamagedFileError, match="no page header"):
        find_newest(source)


@pytest.mark.parametrize("count", [MOST_LEFT_BEHIND, MOST_LEFT_BEHIND + 1])
@pytest.mark.parametrize("what", ["announcements", "segments"])
def test_how_much_may_be_left_behind(what: str, count: int) -> None:
    pages = CHAIN[:3]
    for number in range(count):
        if what == "announcements":
            pages = [*pages, announcement(record_of(ONE, 3, 2, number.to_bytes(8, "little")))]
        else:
            pages = [*pages, segment_pages(header_of(b"torn%04d" % number, count + 5))[0]]
    if count == MOST_LEFT_BEHIND:
        assert find_newest(in_file(pages)).first == 0
    else:
        with pytest.raises(DamagedFileError, match="64 announcements"):
            find_newest(in_file(pages))


def test_segments_by_the_headers_of_all_pages() -> None:
    assert segments_in_front(in_file(CHAIN), 8) == ((0, ONE), (3, TWO))
    assert segments_in_front(in_file(CHAIN), 3) == ((0, ONE),)
    assert segments_in_front(in_file(CHAIN), 100) == ((0, ONE), (3, TWO))
    assert segments_in_front(in_file(CHAIN), 0) == ()
    source = in_file(CHAIN)
    source.pages[1] = segment_pages(header_of(b"stranger", 9))[1]  # outvoted at its place
    source.pages[5] = segment_pages(header_of(b"stranger", 9))[8]  # would begin in front of the file
    source.pages[6][:] = 0
    assert segments_in_front(source, 8) == ((0, ONE), (3, TWO))
