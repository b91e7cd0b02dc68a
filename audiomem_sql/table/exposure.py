"""What a hole in a protected file costs, although its level promises to bear one as long.

A segment that is appended has parity of its own, as safe against losses at random as that of the base. But a
hole that is a share of the whole file is a larger share of it, or takes it whole, with its parity; and what
was appended makes the file, and so the hole, larger than the parity of the base was made for.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from audiomem_sql.storage.pages import PageLayout
from audiomem_sql.versions import Snapshot


@dataclass(frozen=True, slots=True)
class Exposure:
    """The versions from the first to the last that a hole where they are may cost.

    share: how much of the file they are. hole: how much of it the hole takes. Both 0 to 1.
    """

    first: int
    last: int
    share: float
    hole: float

    def __str__(self) -> str:
        one = self.first == self.last
        versions = f"version {self.first}" if one else f"versions {self.first} to {self.last}"
        are, they_are = ("is", "it is") if one else ("are", "they are")
        return (
            f"{versions}, {100 * self.share:.2g} % of the file, {are} not covered against a hole of "
            f"{100 * self.hole:.2g} % of it where {they_are}; vacuum makes it so"
        )


def exposure(snapshot: Snapshot) -> Exposure | None:
    """What of the table's file a hole may cost, wherever it is; None if nothing, or without protection."""
    file = snapshot.table_file
    if file is None or not all(segment.file.is_protected for segment in file.segments):
        return None
    hole, cover, exposed = file.newest.file.layout.level.hole, None, []
    for segment in reversed(file.segments):
        own = segment.file.map or cover
        assert own is not None
        cover = own if own.before else cover
        if _cells_in(own.layout, min(hole * file.stop, own.before + own.total)) > own.plan.bearable:
            exposed.append(segment)
    if not exposed:
        return None
    pages = sum(segment.file.page_count for segment in exposed)
    first, last = exposed[-1].catalog.first_version, exposed[0].catalog.last_version
    return Exposure(first, last, pages / file.stop, hole)


def _cells_in(layout: PageLayout, pages: float) -> int:
    """The most cells that a hole as long as so many pages takes."""
    whole, part = divmod(pages, 1)
    return int(whole) * layout.cells + min(
        layout.cells, ceil(part * layout.page_size / layout.level.cell_bytes) + 1
    )
