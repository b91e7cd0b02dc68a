"""What a hole in a protected file costs, although its level promises to bear one as long.

A segment that is appended has parity of its own, as safe against losses at random as that of the base. But a
hole that is a share of the whole file is a larger share of it, or takes it whole, with its parity; and what
was appended makes the file, and so the hole, larger than the parity of the base was made for.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from audiomem_sql.shards import ShardedSnapshot
from audiomem_sql.storage.pages import PageLayout
from audiomem_sql.versions import Snapshot


@dataclass(frozen=True, slots=True)
class Exposure:
    """The versions from the first to the last that a hole where they are may cost.

    share: how much of the file they are. hole: how much of it the hole takes. Both 0 to 1. shards: how many
    files of a sharded table are like that, where share is the greatest of them; 0 for any other table.
    """

    first: int
    last: int
    share: float
    hole: float
    shards: int = 0

    def __str__(self) -> str:
        one = self.first == self.last
        versions = f"version {self.first}" if one else f"versions {self.first} to {self.last}"
        are, they_are = ("is", "it is") if one else ("are", "they are")
        share = f"{100 * self.share:.2g} % of the file"
        if self.shards:
            share = f"up to {share} of {'a shard' if self.shards == 1 else f'{self.shards:,} shards'}"
        return (
            f"{versions}, {share}, {are} not covered against a hole of "
            f"{100 * self.hole:.2g} % of it where {they_are}; vacuum makes it so"
        )


def exposure(snapshot: Snapshot) -> Exposure | None:
    """What of the table's file a hole may cost, wherever it is; None if nothing, or without protection."""
    if isinstance(snapshot, ShardedSnapshot):
        return _of_shards(snapshot)
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


def _of_shards(snapshot: ShardedSnapshot) -> Exposure | None:
    """The same of the files of all shards; the versions are those of the table."""
    versions = snapshot.manifest.versions
    found: list[Exposure] = []
    for number in range(len(snapshot.shard_files)):
        own = None if number in snapshot.left_out else exposure(snapshot.shard(number))
        if own is not None:
            oldest = snapshot.manifest.shards[number].oldest.version, versions[0].version.number
            changed = [each for each in versions if number in each.pins]
            made = [oldest, *((each.pins[number].version, each.version.number) for each in changed)]
            first, last = (
                next((version for pin, version in made if pin >= wanted), snapshot.newest)
                for wanted in (own.first, own.last)
            )
            found.append(Exposure(first, last, own.share, own.hole))
    if not found:
        return None
    return Exposure(
        min(each.first for each in found),
        max(each.last for each in found),
        max(each.share for each in found),
        max(each.hole for each in found),
        len(found),
    )


def _cells_in(layout: PageLayout, pages: float) -> int:
    """The most cells that a hole as long as so many pages takes."""
    whole, part = divmod(pages, 1)
    return int(whole) * layout.cells + min(
        layout.cells, ceil(part * layout.page_size / layout.level.cell_bytes) + 1
    )
