"""A segment of which only the first pages have arrived: its catalog, cut behind the rows that are there.

The blocks of columns do not end at the same rows. So the last block of a column may have more rows than are
shown: it is decoded as it is, and cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from audiomem_sql.blocks.directory import BlockDirectory
from audiomem_sql.columns.stored_values import int64_view
from audiomem_sql.errors import UnsupportedError
from audiomem_sql.indexes.words import words_of
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.storage.pages import PagedFile
from audiomem_sql.storage.segment.arrival import Arrival
from audiomem_sql.storage.segment.catalog import Catalog, ColumnEntry, Extent, KeywordExtents, VectorExtents
from audiomem_sql.storage.segment.catalog_copies import StoredCatalog
from audiomem_sql.storage.segment.column_blocks import ColumnBlocks, WholeBlock
from audiomem_sql.storage.segment.column_numbers import CREATED, ENDED, ROWID
from audiomem_sql.storage.segment.data_stream import DataStream


@dataclass(frozen=True, slots=True)
class Arrived:
    """How many rows of a segment have arrived, of how many, and pages of it."""

    rows: int
    rows_in_all: int
    pages: int
    pages_in_all: int

    @property
    def has_all_rows(self) -> bool:
        """Whether only indexes and copies are missing."""
        return self.rows == self.rows_in_all


@dataclass(frozen=True, slots=True)
class ArrivedCatalog:
    """The catalog of what has arrived.

    whole: the blocks that have more rows than it says, as they are. missing: the columns, by number, that
    cannot be searched, because their index has not arrived and nothing stands for it. Where the texts or
    vectors themselves do, the catalog has no index, and they are read.
    """

    arrived: Arrived
    catalog: Catalog
    whole: Mapping[tuple[int, int], WholeBlock]
    missing: frozenset[int]


def arrived_catalog(file: PagedFile, stored: StoredCatalog) -> ArrivedCatalog | None:
    """What is there of the segment in ``file``; None if all of it is.

    UnsupportedError for a segment that continues others, whose deletions may not have arrived.
    """
    if not file.truncated:
        return None
    if file.first or (stored.catalog.seal is not None and stored.catalog.seal.earlier):
        raise UnsupportedError(
            "a table of several segments cannot be read in part",
            file=file.path,
            remedy="Wait until all of it has arrived, or stream it with `audiomem stream`.",
        )
    pages = max(0, file.source.pages_in(file.sound.present) - file.first)
    rows = Arrival(file, stored.catalog, stored.data_cell).rows(pages)
    arrived = Arrived(rows, stored.catalog.rows, pages, file.page_count)
    cut = _Cut(file, stored, rows, pages)
    return ArrivedCatalog(arrived, cut.catalog(), cut.whole, cut.missing_indexes())


class _Cut:
    """Cuts a catalog behind ``rows`` rows."""

    def __init__(self, file: PagedFile, stored: StoredCatalog, rows: int, pages: int) -> None:
        self.whole: dict[tuple[int, int], WholeBlock] = {}
        self._file = file
        self._stored = stored
        self._rows = rows
        self._pages = pages
        stream = DataStream(file, stored.data_cell)
        self._blocks = ColumnBlocks(stream, stored.catalog, BlockCache(0))

    def catalog(self) -> Catalog:
        """The catalog of the rows."""
        catalog, rows = self._stored.catalog, self._rows
        rowids = self._entry(ROWID, catalog.rowids)
        low, high = (catalog.low_rowid, self._last_rowid(rowids)) if rows else (0, 0)
        return replace(
            catalog,
            rows=rows,
            entries=tuple(self._entry(number, entry) for number, entry in enumerate(catalog.entries)),
            rowids=rowids,
            low_rowid=low,
            high_rowid=high,
            created=self._entry(CREATED, catalog.created),
            ended=self._entry(ENDED, catalog.ended),
            key_blooms=tuple(self._if_there(extent) for extent in catalog.key_blooms),
            tombstones=None,  # it is the first segment: there is nothing in front of it to be deleted
            sources=self._if_there(catalog.sources),
            vectors={
                column: extents
                for column, extents in catalog.vectors.items()
                if catalog.is_index_only(column) or self._has_vectors(extents)
            },
            keywords={
                column: extents for column, extents in catalog.keywords.items() if self._has_words(extents)
            },
        )

    def missing_indexes(self) -> frozenset[int]:
        """The columns whose index is needed: of vectors that are nowhere else, of words of any language."""
        catalog = self._stored.catalog
        vectors = [
            column
            for column, extents in catalog.vectors.items()
            if catalog.is_index_only(column) and not self._has_vectors(extents)
        ]
        words = [
            column
            for column, extents in catalog.keywords.items()
            if words_of(catalog.schema.columns[column].tokenize).is_undecided and not self._has_words(extents)
        ]
        return frozenset([*vectors, *words])

    def _has_vectors(self, extents: VectorExtents) -> bool:
        return self._is_whole and all(map(self._is_there, (extents.header, *extents.lists)))

    def _has_words(self, extents: KeywordExtents) -> bool:
        return self._is_whole and self._is_there(extents.header) and self._is_there(extents.pieces)

    @property
    def _is_whole(self) -> bool:
        """Whether all rows have arrived: an index is one of all rows."""
        return self._rows == self._stored.catalog.rows

    def _entry(self, column: int, entry: ColumnEntry | None) -> ColumnEntry | None:
        if entry is None:
            return None
        return replace(entry, blocks=self._directory(column, entry.blocks), bloom=self._if_there(entry.bloom))

    def _directory(self, column: int, blocks: BlockDirectory) -> BlockDirectory:
        blocks = blocks.across(0, self._rows) if self._rows else blocks.none()
        count = int(np.searchsorted(blocks.starts, self._rows)) if self._rows else 0
        starts = np.minimum(blocks.starts[: count + 1], self._rows)
        zones = blocks.zones.take(np.arange(count))
        last = count - 1
        rows_before = int(zones.rows[last]) if count else 0
        if count and int(starts[count] - starts[last]) < rows_before:
            nulls_before = int(zones.nulls[last])
            shown = self._blocks.block(column, last).slice(0, int(starts[count] - starts[last]))
            self.whole[column, last] = WholeBlock(rows_before, nulls_before)
            rows, nulls = zones.rows.copy(), zones.nulls.copy()
            rows[last], nulls[last] = len(shown), shown.null_count
            high = zones.high
            if column == ROWID and high is not None:
                high = high.copy()
                high[last] = int64_view(shown)[-1]
            zones = replace(zones, rows=rows, nulls=nulls, high=high)
        return BlockDirectory(
            starts,
            blocks.offsets[:count],
            blocks.stored[:count],
            blocks.raw[:count],
            blocks.encodings[:count],
            zones,
        )

    def _last_rowid(self, rowids: ColumnEntry | None) -> int:
        first = self._stored.catalog.first_rowid
        if rowids is None:
            assert first is not None
            return first + self._rows - 1
        assert rowids.blocks.zones.high is not None
        return int(rowids.blocks.zones.high[-1])

    def _if_there(self, extent: Extent | None) -> Extent | None:
        """An extent that has arrived; a filter that has not, and a list that nobody needs, are left out."""
        return extent if extent is not None and self._is_there(extent) else None

    def _is_there(self, extent: Extent) -> bool:
        places = np.array([extent.offset], np.int64), np.array([extent.stored], np.int64)
        return int(self._file.last_pages(self._stored.data_cell, *places)[0]) < self._pages
