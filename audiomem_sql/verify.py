"""Looks at every cell of every file of a table, and at what the blocks say; reports every fault, never just the first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from audiomem_sql.bloom import hash_array
from audiomem_sql.columns.zones import Zones
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.segment import ROWID, Segment
from audiomem_sql.sources import segment_sources
from audiomem_sql.table import Table

#: Rowids that are compared at once.
_ROWS_AT_ONCE = 1 << 16


@dataclass(frozen=True, slots=True)
class Problem:
    """A fault: the file, the page and the damaged cells in it, as far as it has them, and what it is."""

    file: str
    page: int | None
    cells: tuple[int, ...]
    what: str

    def __str__(self) -> str:
        place = "" if self.page is None else f"page {self.page}: "
        return f"{self.file}: {place}{self.what}"


def problems(table: Table, progress: Callable[[int, int], None] | None = None) -> Iterator[Problem]:
    """Every fault in the files of ``table``, in the order of the files.

    progress: called with pages looked at and pages in all; a page is looked at twice, for its bytes and for its meaning,
    and counts a half each time.
    """
    segments = table.snapshot.segments
    total = sum(segment.file.page_count for segment in segments)
    done, whole = 0, True

    def tell(pages: float) -> None:
        if progress is not None:
            progress(int(done + pages), total)

    for segment in segments:
        intact = True
        for problem in _pages(segment, tell):
            intact = intact and not problem.cells and problem.page is not None
            yield problem
        if intact:
            for what in _contents(segment, tell):
                intact = False
                yield Problem(segment.path, None, (), what)
        whole = whole and intact
        done += segment.file.page_count
        tell(0)
    if whole:
        yield from _shared_rowids(table)


def _pages(segment: Segment, tell: Callable[[float], None]) -> Iterator[Problem]:
    for damage in segment.file.damage(progress=lambda seen: tell(seen / 2)):
        faults = []
        if damage.cells:
            plural = "s" if len(damage.cells) > 1 else ""
            faults.append(f"cell{plural} {', '.join(map(str, damage.cells))}: CRC-32C mismatch")
        if damage.headers:
            faults.append(f"{damage.headers} copies of the page header are damaged")
        if damage.frame:
            faults.append("the FLAC frame around it is damaged")
        yield Problem(segment.path, damage.page, damage.cells, "; ".join(faults))
    missing = segment.file.missing
    if missing:
        what = f"page {missing[0]} to {missing[-1]}: missing, the file ends before them"
        yield Problem(segment.path, None, (), what)


def _contents(segment: Segment, tell: Callable[[float], None]) -> Iterator[str]:
    """Cells that are intact may still hold what makes no sense: compare everything with everything else."""
    checks: list[Callable[[], None]] = [
        segment.check_copies,
        segment.check_places,
        lambda: _check_extents(segment),
    ]
    for column in [ROWID, *range(len(segment.schema))]:
        directory = segment.directory(column)
        if directory is not None and (column == ROWID or column != segment.schema.rowid_column):
            checks.extend(partial(_check_block, segment, column, n) for n in range(directory.count))
    for number, check in enumerate(checks):
        tell(segment.file.page_count * (1 + number / len(checks)) / 2)
        try:
            check()
        except DamagedFileError as error:
            yield f"{error.place}: {error.what}" if error.place else error.what


def _check_extents(segment: Segment) -> None:
    segment.tombstones()
    segment_sources(segment)


def _check_block(segment: Segment, column: int, number: int) -> None:
    """The block decodes, and its zone map and Bloom filter speak the truth."""
    array = segment.block(column, number)
    directory = segment.directory(column)
    assert directory is not None
    rows = int(directory.starts[number + 1] - directory.starts[number])
    true = Zones.build([rows], [Zones.of(array, segment.column_type(column))], segment.column_type(column))
    stated = directory.zones.take(np.array([number]))
    name = "rowid" if column == ROWID else segment.schema.columns[column].name
    place = f"column {name}, block {number}"
    if true.filled[0] and (true.low, true.high) != (stated.low, stated.high):
        raise DamagedFileError("the zone map has another least or greatest value", place=place)
    bloom = segment.bloom(column)
    if bloom is not None and not bloom.may_contain(hash_array(array)).all():
        raise DamagedFileError("the Bloom filter lacks a key", place=place)


def _shared_rowids(table: Table) -> Iterator[Problem]:
    """Rows of two segments that have the same rowid, where the later one did not delete the earlier."""
    views = table.snapshot.views
    for place, later in enumerate(views[1:], 1):
        for start in range(0, later.segment.rows, _ROWS_AT_ONCE):
            stop = min(start + _ROWS_AT_ONCE, later.segment.rows)
            rowids = np.asarray(later.segment.slice(ROWID, start, stop))
            live = later.live(start, stop)
            rowids = rowids if live is None else rowids[live]
            for earlier in views[:place]:
                rows = np.setdiff1d(earlier.segment.find_many(rowids), earlier.deleted)
                for row in rows[:1]:
                    rowid = earlier.segment.rowid(int(row))
                    what = f"row {rowid} is there twice, also in {earlier.segment.path}"
                    yield Problem(later.segment.path, None, (), what)
