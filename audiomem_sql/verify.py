"""Looks at every cell of every file of a table, and at what the blocks say; reports every fault, never just the first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from audiomem_sql.errors import DamagedFileError
from audiomem_sql.segment import ROWID, Segment
from audiomem_sql.table import Table


@dataclass(frozen=True, slots=True)
class Problem:
    """A fault: the file, the page, the cells in it (empty: the page is missing), and what it is."""

    file: str
    page: int | None
    cells: tuple[int, ...]
    what: str

    def __str__(self) -> str:
        place = "" if self.page is None else f"page {self.page}: "
        return f"{self.file}: {place}{self.what}"


def problems(table: Table, progress: Callable[[int, int], None] | None = None) -> Iterator[Problem]:
    """Every fault in the files of ``table``, in the order of the files.

    progress: called with pages looked at and pages in all.
    """
    total = sum(segment.file.page_count for segment in table.snapshot.segments)
    done = 0
    for segment in table.snapshot.segments:
        damaged = False
        for problem in _cells(segment):
            damaged = True
            yield problem
        if not damaged:
            yield from _blocks(segment)
        done += segment.file.page_count
        if progress is not None:
            progress(done, total)


def _cells(segment: Segment) -> Iterator[Problem]:
    for page, cells in segment.file.damaged_cells():
        if cells:
            numbers = ", ".join(map(str, cells))
            what = f"cell{'s' if len(cells) > 1 else ''} {numbers}: CRC-32C mismatch"
        else:
            what = "missing: the file ends before it"
        yield Problem(segment.path, page, tuple(cells), what)


def _blocks(segment: Segment) -> Iterator[Problem]:
    """Cells that are intact may still hold what makes no sense: decode every block."""
    for column in [ROWID, *range(len(segment.schema))]:
        directory = segment.directory(column)
        for number in range(0 if directory is None else directory.count):
            try:
                segment.block(column, number)
            except DamagedFileError as error:
                yield Problem(
                    segment.path, None, (), f"{error.place}: {error.what}" if error.place else error.what
                )
    try:
        segment.rowids()
        segment.tombstones()
    except DamagedFileError as error:
        yield Problem(segment.path, None, (), error.what)
