"""Tables so small that their block directories are not in two levels, in two levels all the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from audiomem_sql.storage.segment import directory_levels
from audiomem_sql.storage.segment.grouped_directory import GroupedDirectory
from audiomem_sql.table.table import Table


@contextmanager
def two_levels(blocks: int = 2) -> Iterator[None]:
    """While this lasts, segments with ``layout=remote`` are written so, with groups of ``blocks``."""
    with (
        mock.patch.object(directory_levels, "MOST_LISTED", 0),
        mock.patch.object(directory_levels, "GROUP_BLOCKS", blocks),
    ):
        yield


def directories(table: Table) -> dict[int, GroupedDirectory]:
    """Those in two levels, by column, of the first segment of a table."""
    entries = table.snapshot.segments[0].catalog.entries
    found = {number: entry.blocks for number, entry in enumerate(entries) if entry is not None}
    return {number: blocks for number, blocks in found.items() if isinstance(blocks, GroupedDirectory)}
