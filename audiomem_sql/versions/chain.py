"""Whether segments and log follow each other: they are of one table, and no version is missing between."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from audiomem_sql.errors import DamagedFileError
from audiomem_sql.storage.log import LogContent
from audiomem_sql.storage.segment import ReadableSegment


def check_chain(segments: Sequence[ReadableSegment], log: LogContent | None) -> None:
    """Raise DamagedFileError unless segments and log are of one table, and their versions without a gap."""
    base = segments[0].path
    for before, after in pairwise(segments):
        check_neighbours(before, after, base)
        expected = before.catalog.last_version + 1
        if after.catalog.first_version != expected:
            raise DamagedFileError(
                f"the delta with version {expected} is missing: the next one is {after.path}",
                file=base,
                remedy="Restore the missing file from a copy, or read what is left with salvage=True.",
            )
    stored = segments[-1].catalog.last_version
    if log is not None and log.after > stored:
        raise DamagedFileError(
            f"the log begins behind version {log.after}, but the files end with version {stored}",
            file=base,
            remedy="Restore the missing delta from a copy, or read what is left with salvage=True.",
        )


def check_neighbours(before: ReadableSegment, after: ReadableSegment, base: str) -> None:
    """Raise DamagedFileError unless two segments are of one table, and the second has their changes."""
    check_table(before, after, base)
    same = after.catalog.schemas[0][1].is_same(before.catalog.schemas[-1][1])
    if not same and after.catalog.first_version not in [
        step.version for step in after.catalog.history.migrations
    ]:
        raise DamagedFileError(
            f"has other columns than {before.path}",
            file=after.path,
            remedy="Restore both files from the same copy.",
        )


def check_table(before: ReadableSegment, after: ReadableSegment, base: str) -> None:
    """Raise DamagedFileError unless the two segments are of one table."""
    if after.catalog.table_id != before.catalog.table_id:
        raise DamagedFileError(
            f"belongs to another table than {base}",
            file=after.path,
            remedy="Move it out of the folder of deltas.",
        )
