"""Where the pages of a segment are, and the cells that stand in for each other.

The pages of a segment, in file order:

    none        | catalog | data | catalog |
    protected   | catalog | data | catalog | parity | catalog | parity | catalog |
    compact     | catalog, data, catalog: cell by cell | parity |

What stands up to the second copy of the catalog are the *own pages* of the segment; the *trailer* behind them
can be left out and made again. All but the parity pages are the source of the outer code, and before them, if
the parity covers more than the segment, the pages in front of it. How many pages there are of each kind
follows from the own pages and the length of one catalog, which every page header says.

Pages and cells are counted from the first page of the segment; those in front of it have negative numbers.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from audiomem_sql.arrays import I64Array
from audiomem_sql.errors import DamagedFileError, LimitError
from audiomem_sql.protection.parity import ParityPlan
from audiomem_sql.storage.pages.header import MAX_INDEX, MAX_PAGES, PageHeader, PageKind
from audiomem_sql.storage.pages.layout import PageLayout, cell_seed


@dataclass(frozen=True)
class SegmentMap:
    """The pages of a protected segment: ``total`` of them, ``catalog`` in each copy of the catalog.

    before: pages in front of it that its parity covers, too. compact: streams begin at cells, and ``catalog``
    counts cells. appended: it has the parity of a segment that is appended to a file.
    """

    layout: PageLayout
    total: int
    catalog: int
    before: int = 0
    compact: bool = False
    appended: bool = False

    def __post_init__(self) -> None:
        if self.catalog < 1 or self.total < 1 or self.parity < 1 or self.data < 0 or self.before < 0:
            raise DamagedFileError(
                f"a page header says that a catalog has {self.catalog} of {self.total} "
                f"{'pages, as cells' if self.compact else 'pages'}, which cannot be"
            )

    @classmethod
    def of(
        cls,
        layout: PageLayout,
        catalog: int,
        own: int,
        before: int = 0,
        *,
        compact: bool = False,
        appended: bool = False,
    ) -> SegmentMap:
        """For so many ``own`` pages and a catalog of so many pages or cells. LimitError if too many."""
        assert layout.level.share is not None
        source = before + own + (0 if compact else 2 * catalog)
        total = layout.level.share.total_pages(source, appended=appended) - before
        check_pages(total, catalog)
        return cls(layout, total, catalog, before, compact, appended)

    @classmethod
    def told(cls, layout: PageLayout, header: PageHeader, before: int = 0) -> SegmentMap:
        """As a page header tells. DamagedFileError if it cannot be."""
        if header.format_version == 1:
            return cls(layout, header.page_count, header.index)
        try:
            return cls.of(
                layout,
                header.index,
                header.page_count,
                before if header.is_whole else 0,
                compact=header.is_compact,
                appended=header.is_appended,
            )
        except LimitError as fault:
            raise DamagedFileError(fault.what) from None

    @cached_property
    def parity(self) -> int:
        """Pages of parity."""
        assert self.layout.level.share is not None
        return self.layout.level.share.parity_pages(self.before + self.total, appended=self.appended)

    @property
    def own(self) -> int:
        """Pages up to and including the second copy of the catalog."""
        return self.total - self.parity - (0 if self.compact else 2 * self.catalog)

    @property
    def source(self) -> int:
        """Pages that the parity is of."""
        return self.before + self.total - self.parity

    @property
    def data(self) -> int:
        """Pages of the data stream; of a compact segment cells that it may have."""
        if self.compact:
            return self.own * self.layout.cells - 2 * self.catalog
        return self.own - 2 * self.catalog

    @property
    def first_parity(self) -> int:
        """Pages of parity before the third copy of the catalog, if there is one."""
        return self.parity if self.compact else -(-self.parity // 2)

    @property
    def copies(self) -> tuple[int, ...]:
        """The first cell of each copy of the catalog."""
        cells = self.layout.cells
        if self.compact:
            return (0, self.own * cells - self.catalog)
        third = self.own + self.first_parity
        return tuple(page * cells for page in (0, self.own - self.catalog, third, self.total - self.catalog))

    def source_pages(self, numbers: I64Array) -> I64Array:
        """The pages that are source pages ``numbers``, int64 (n,)."""
        gaps = self.before + self.own + np.array([0, self.catalog], np.int64)
        skipped = np.array([0, self.first_parity, self.parity], np.int64)
        return numbers - self.before + skipped[np.searchsorted(gaps, numbers, side="right")]

    def parity_pages(self, numbers: I64Array) -> I64Array:
        """The pages that are parity pages ``numbers``, int64 (n,)."""
        return numbers + np.where(numbers < self.first_parity, self.own, self.own + self.catalog)

    @cached_property
    def kinds(self) -> tuple[tuple[PageKind, int, int], ...]:
        """The runs of pages of one kind, in file order; those in front of the segment count as data.

        Of each its kind, its first page, and the number of that among the source or parity pages.
        """
        before, own, half = self.before, self.own, self.first_parity
        runs = [(PageKind.DATA, -before, 0)] if before else []
        if self.compact:
            runs.append((PageKind.CATALOG, 0, before))
            data = -(-self.catalog // self.layout.cells)
            behind = -(-self.copies[1] // self.layout.cells)  # the first page that begins with the copy
            if data < behind:
                runs.append((PageKind.DATA, data, before + data))
            if data <= behind < own:
                runs.append((PageKind.CATALOG, behind, before + behind))
            return (*runs, (PageKind.PARITY, own, 0))
        catalog = self.catalog
        return (
            *runs,
            (PageKind.CATALOG, 0, before),
            (PageKind.DATA, catalog, before + catalog),
            (PageKind.CATALOG, own - catalog, before + own - catalog),
            (PageKind.PARITY, own, 0),
            (PageKind.CATALOG, own + half, before + own),
            (PageKind.PARITY, own + half + catalog, half),
            (PageKind.CATALOG, self.total - catalog, before + own + catalog),
        )

    def kind_of(self, page: int) -> tuple[PageKind, int]:
        """The kind of ``page``, and its number among the source pages, or among the parity pages."""
        kind, first, number = next(run for run in reversed(self.kinds) if run[1] <= page)
        return kind, number + page - first

    @cached_property
    def plan(self) -> ParityPlan:
        """Which cells stand in for each other."""
        return ParityPlan(self.source * self.layout.cells, self.parity * self.layout.cells)

    def cells_of_group(self, group: int) -> I64Array:
        """The source cells of a group, then its parity cells, by their numbers, int64 (n,)."""
        size = self.layout.cells
        sources, parities = self.plan.sources_of(group), self.plan.parities_of(group)
        return np.concatenate(
            [
                self.source_pages(sources // size) * size + sources % size,
                self.parity_pages(parities // size) * size + parities % size,
            ]
        )

    def group_of(self, cell: int) -> int:
        """The group of a cell of the segment, or of one in front of it."""
        size = self.layout.cells
        kind, number = self.kind_of(cell // size)
        own = number * size + cell % size
        group_and_row = (
            self.plan.place_of_parity(own) if kind is PageKind.PARITY else self.plan.place_of_source(own)
        )
        return group_and_row[0]


class CellStarts:
    """Where the CRCs of cells start: in a segment, and in those in front of it that its parity covers.

    earlier: (first page, segment id) of the segments in front, in file order; pages are negative.
    """

    def __init__(self, segment_id: bytes, cells: int, earlier: tuple[tuple[int, bytes], ...] = ()) -> None:
        own = (0, segment_id)
        self._cells = cells
        self._firsts = [first for first, _ in (*earlier, own)]
        #: What is added to the number of a cell.
        self._added = [cell_seed(identity) - first * cells for first, identity in (*earlier, own)]

    def seed(self, page: int) -> int:
        """The start of a cell of ``page`` less its number."""
        return self._added[max(0, bisect_right(self._firsts, page) - 1)]

    def seeds(self, cells: I64Array) -> I64Array:
        """The same for cells by their numbers, int64 (n,)."""
        runs = np.searchsorted(np.array(self._firsts) * self._cells, cells, side="right") - 1
        return np.array(self._added, np.int64)[np.maximum(runs, 0)]

    def is_one(self, first: int, stop: int) -> bool:
        """Whether pages ``first`` to ``stop`` - 1 are of one segment."""
        return self.seed(first) == self.seed(stop - 1)


def check_pages(total: int, catalog: int) -> None:
    """LimitError if a file cannot have so many pages, or so many in a copy of the catalog."""
    if catalog > MAX_INDEX or total > MAX_PAGES:
        raise LimitError(
            f"{total:,} pages, {catalog:,} of them for the catalog, are more than a file can have",
            remedy="Divide the table, or choose a profile with larger pages.",
        )
