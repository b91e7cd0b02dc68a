"""Where the pages of a segment are: each has one kind and one place, and cells stand in for each other."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from audiomem_sql.errors import DamagedFileError, LimitError
from audiomem_sql.protection.levels import LEVELS
from audiomem_sql.storage.pages import PageFlag, PageHeader, PageKind, PageLayout, cell_seed
from audiomem_sql.storage.pages.header import MAX_INDEX, MAX_PAGES
from audiomem_sql.storage.pages.segment_map import CellStarts, SegmentMap, check_pages

CASES = [
    (level, own, catalog, before, compact, appended)
    for level in ("standard", "archive")
    for own, catalog in ((2, 1), (3, 1), (9, 2), (40, 3))
    for before in (0, 7)
    for compact in (False, True)
    for appended in (False, True)
]


def layout_of(level: str) -> PageLayout:
    return PageLayout(4096, LEVELS[level])


def made(level: str, own: int, catalog: int, before: int, compact: bool, appended: bool) -> SegmentMap:
    return SegmentMap.of(layout_of(level), catalog, own, before, compact=compact, appended=appended)


@pytest.mark.parametrize("case", CASES)
class TestMap:
    """Segments of each kind."""

    def test_how_many_pages(self, case: tuple[str, int, int, int, bool, bool]) -> None:
        level, own, catalog, before, compact, appended = case
        pages = made(*case)
        share = LEVELS[level].share
        assert share is not None
        trailing = 0 if compact else 2 * catalog
        assert pages.own == own
        assert pages.source == before + own + trailing
        assert pages.total == own + trailing + pages.parity
        assert pages.parity == share.parity_pages(before + pages.total, appended=appended)
        assert pages.data == (own * 4 - 2 * catalog if compact else own - 2 * catalog)

    def test_each_page_has_its_place(self, case: tuple[str, int, int, int, bool, bool]) -> None:
        pages = made(*case)
        before = case[3]
        source = pages.source_pages(np.arange(pages.source)).tolist()
        parity = pages.parity_pages(np.arange(pages.parity)).tolist()
        assert sorted(source + parity) == list(range(-before, pages.total))
        assert source == sorted(source)
        assert parity == sorted(parity)
        for page in range(-before, pages.total):
            kind, number = pages.kind_of(page)
            assert (parity if kind is PageKind.PARITY else source)[number] == page

    def test_copies_of_the_catalog(self, case: tuple[str, int, int, int, bool, bool]) -> None:
        _, own, catalog, before, compact, _ = case
        pages = made(*case)
        if compact:
            assert pages.copies == (0, own * 4 - catalog)
            assert pages.kind_of(0)[0] is PageKind.CATALOG
        else:
            half = -(-pages.parity // 2)
            firsts = [0, own - catalog, own + half, pages.total - catalog]
            assert pages.copies == tuple(4 * page for page in firsts)
            kinds = [
                page for page in range(-before, pages.total) if pages.kind_of(page)[0] is PageKind.CATALOG
            ]
            assert kinds == sorted(first + n for first in firsts for n in range(catalog))
        for page in range(-before, 0):
            assert pages.kind_of(page)[0] is PageKind.DATA

    def test_groups(self, case: tuple[str, int, int, int, bool, bool]) -> None:
        """The groups have every cell once, and ``group_of`` says in which."""
        pages = made(*case)
        cells = [pages.cells_of_group(group).tolist() for group in range(pages.plan.groups)]
        every = sorted(itertools.chain.from_iterable(cells))
        assert every == list(range(-case[3] * 4, pages.total * 4))
        for group, own in enumerate(cells):
            assert all(pages.group_of(cell) == group for cell in own)

    def test_what_a_header_tells(self, case: tuple[str, int, int, int, bool, bool]) -> None:
        level, own, catalog, before, compact, appended = case
        flags = (PageFlag.COMPACT if compact else 0) | (PageFlag.APPENDED if appended else 0)
        for whole in (True, False):
            header = PageHeader(
                PageKind.DATA, LEVELS[level].code, 0, b"segment1", 0, own, 4096, catalog,
                int(flags | (PageFlag.WHOLE if whole else 0)),
            )  # fmt: skip
            told = SegmentMap.told(layout_of(level), header, before)
            assert told == made(level, own, catalog, before if whole else 0, compact, appended)


def test_kinds_of_compact_segments() -> None:
    """A page has the kind of its first cell; data may begin in the page of the first catalog."""
    layout = layout_of("archive")
    for catalog, own, kinds in (
        (1, 1, "C"),
        (2, 1, "C"),
        (1, 3, "CDD"),
        (4, 3, "CDC"),
        (5, 3, "CCC"),
        (5, 4, "CCDC"),
        (6, 3, "CCC"),
        (8, 4, "CCCC"),
        (3, 3, "CDD"),
    ):
        pages = SegmentMap.of(layout, catalog, own, compact=True)
        found = "".join(pages.kind_of(page)[0].name[0] for page in range(own))
        assert found == kinds, (catalog, own)
        assert all(pages.kind_of(page)[0] is PageKind.PARITY for page in range(own, pages.total))


def test_what_cannot_be() -> None:
    layout = layout_of("archive")
    for own, catalog in ((1, 1), (0, 0), (3, 2), (5, 0)):
        with pytest.raises(DamagedFileError, match="cannot be"):
            SegmentMap.of(layout, catalog, own)
    with pytest.raises(DamagedFileError, match="as cells"):
        SegmentMap.of(layout, 3, 1, compact=True)
    with pytest.raises(DamagedFileError):
        SegmentMap(layout, 20, 1, before=-1)
    assert SegmentMap.of(layout, 1, 2).data == 0
    assert SegmentMap.of(layout, 2, 1, compact=True).data == 0
    header = PageHeader(PageKind.DATA, 2, 0, b"segment1", 0, MAX_PAGES, 4096, 1)
    with pytest.raises(DamagedFileError, match="more than a file can have"):
        SegmentMap.told(layout, header)


def test_limits() -> None:
    check_pages(MAX_PAGES, MAX_INDEX)
    with pytest.raises(LimitError):
        check_pages(MAX_PAGES + 1, MAX_INDEX)
    with pytest.raises(LimitError):
        check_pages(MAX_PAGES, MAX_INDEX + 1)


def test_format_version_1() -> None:
    """There the header counts all pages."""
    header = PageHeader(PageKind.DATA, 2, 0, b"segment1", 0, 30, 4096, 2, 0, 1)
    told = SegmentMap.told(layout_of("archive"), header, 9)
    assert (told.total, told.catalog, told.before, told.compact) == (30, 2, 0, False)


def test_where_crcs_start() -> None:
    own, one, two = b"segment3", b"segment1", b"segment2"
    starts = CellStarts(own, 4, ((-7, one), (-3, two)))
    for page, identity, first in (
        (-7, one, -7), (-4, one, -7), (-3, two, -3), (-1, two, -3), (0, own, 0), (5, own, 0), (-8, one, -7),
    ):  # fmt: skip
        assert starts.seed(page) == cell_seed(identity) - first * 4
        cells = np.arange(page * 4, page * 4 + 4)
        assert starts.seeds(cells).tolist() == [starts.seed(page)] * 4
    assert starts.is_one(-7, -3)
    assert not starts.is_one(-7, -2)
    assert starts.is_one(-3, 0)
    assert not starts.is_one(-3, 1)
    assert starts.is_one(0, 9)
    alone = CellStarts(own, 4)
    assert alone.seed(0) == alone.seed(100) == cell_seed(own)
