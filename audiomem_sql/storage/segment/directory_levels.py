"""When the block directories of a segment are in two levels, and what becomes of its column entries then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from audiomem_sql.blocks.directory import BlockDirectory
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import ColumnType
from audiomem_sql.storage.segment.catalog import ColumnEntry, Extent
from audiomem_sql.storage.segment.data_spool import Stratum
from audiomem_sql.storage.segment.directory_groups import MAX_GROUP_BLOCKS, Groups
from audiomem_sql.storage.segment.directory_page import pack_page
from audiomem_sql.storage.segment.grouped_directory import GroupedDirectory
from audiomem_sql.storage.segment.stream_writer import StreamWriter
from audiomem_sql.storage.segment.write_options import WriteOptions

#: Most blocks of a segment, for readers who are far away, that are all listed in the catalog: some 32 KiB.
MOST_LISTED = 8192
#: Blocks of a group, and the groups of all columns together from which on groups have twice as many blocks.
GROUP_BLOCKS = 64
MOST_GROUPS = 1024


def in_two_levels(
    entries: tuple[ColumnEntry | None, ...], schema: Schema, stream: StreamWriter, options: WriteOptions
) -> tuple[ColumnEntry | None, ...]:
    """The entries of the columns of ``schema``, whose directories may have become pages of ``stream``.

    They are left as they are without labels, which say what is in a page that is lost; and where blocks lie
    by what their rows matter.
    """
    stored = {
        number: entry for number, entry in enumerate(entries) if entry is not None and entry.blocks.count
    }
    if not options.remote or options.by_bands or stream.labels is None:
        return entries
    if sum(entry.blocks.count for entry in stored.values()) <= MOST_LISTED:
        return entries

    def store(page: bytes, stratum: Stratum) -> Extent:
        return stream.store(page, stratum=stratum)

    columns = [(entry.blocks, schema.columns[number].type) for number, entry in stored.items()]
    directories = dict(zip(stored, grouped(columns, store), strict=True))
    return tuple(
        replace(entry, blocks=directories[number]) if entry is not None and number in directories else entry
        for number, entry in enumerate(entries)
    )


def group_size(blocks: int) -> int:
    """Blocks of a group of columns that have so many together."""
    size = GROUP_BLOCKS
    while blocks > size * MOST_GROUPS and size < MAX_GROUP_BLOCKS:
        size *= 2
    return size


def grouped(
    columns: Sequence[tuple[BlockDirectory, ColumnType]], store: Callable[[bytes, Stratum], Extent]
) -> list[BlockDirectory]:
    """The directories of columns in two levels.

    store: stores a page. Those of rows that lie side by side are stored side by side, in front of all blocks,
    and once more behind them.
    """
    size = group_size(sum(blocks.count for blocks, _ in columns))
    made = [Groups.of(blocks, size) for blocks, _ in columns]
    order = sorted(
        (row, column, group)
        for column, groups in enumerate(made)
        for group, row in enumerate(groups.starts[:-1].tolist())
    )
    for copy, stratum in enumerate((Stratum.STRUCTURE, Stratum.DERIVED)):
        for _, column, group in order:
            extent = store(pack_page(columns[column][0], *made[column].numbers(group)), stratum)
            made[column].pages[group, [copy, 2]] = extent.offset, extent.stored
    return [GroupedDirectory(groups, kind) for groups, (_, kind) in zip(made, columns, strict=True)]
