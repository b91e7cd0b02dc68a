"""What a hole at the end of a protected file costs, although its level promises to bear one.

A segment that is appended has parity of its own, as safe against losses at random as that of the base. A hole
as long as the level bears may take it whole, with its parity; the segments in front of it are whole then.
"""

from __future__ import annotations

from dataclasses import dataclass

from audiomem_sql.versions import Snapshot


@dataclass(frozen=True, slots=True)
class Exposure:
    """The versions that are not covered, and which share of the file they are, 0 to 1."""

    first: int
    last: int
    share: float

    def __str__(self) -> str:
        one = self.first == self.last
        versions = f"version {self.first}" if one else f"versions {self.first} to {self.last}"
        share = f"{100 * self.share:.2g} % of the file"
        return (
            f"{versions}, {share}, {'is' if one else 'are'} not covered against a hole at the end of "
            "the file; vacuum makes it so"
        )


def exposure(snapshot: Snapshot) -> Exposure | None:
    """What of the table's file a hole at its end costs; None if nothing, or if it has no protection."""
    file = snapshot.table_file
    if file is None or not file.newest.file.header.is_appended:
        return None
    tail = [segment for segment in file.segments if segment.file.header.is_appended]
    pages = sum(segment.file.page_count for segment in tail)
    return Exposure(tail[0].catalog.first_version, tail[-1].catalog.last_version, pages / file.stop)
