"""A new catalog once all that it names is stored: with the final places, and what signposts say of it."""

from __future__ import annotations

from dataclasses import replace

from audiomem_sql.storage.segment.catalog import Catalog, ColumnEntry, Extent, KeywordExtents, VectorExtents
from audiomem_sql.storage.segment.data_spool import DataSpool
from audiomem_sql.storage.segment.labels import Facts


def settled(catalog: Catalog, spool: DataSpool) -> Catalog:
    """``catalog`` with the final places of blocks and indexes, once all of them are in the stream."""
    if not spool.divided:
        return catalog

    def moved(extent: Extent) -> Extent:
        return replace(extent, offset=spool.final(extent.offset))

    def moved_any(extent: Extent | None) -> Extent | None:
        return None if extent is None else moved(extent)

    def moved_entry(entry: ColumnEntry | None) -> ColumnEntry | None:
        if entry is None:
            return None
        blocks = entry.blocks.moved(spool.finals)
        return ColumnEntry(blocks, moved_any(entry.dictionary), moved_any(entry.bloom))

    return replace(
        catalog,
        entries=tuple(map(moved_entry, catalog.entries)),
        rowids=moved_entry(catalog.rowids),
        created=moved_entry(catalog.created),
        ended=moved_entry(catalog.ended),
        key_blooms=tuple(map(moved_any, catalog.key_blooms)),
        tombstones=moved_any(catalog.tombstones),
        sources=moved_any(catalog.sources),
        vectors={
            column: VectorExtents(moved(index.header), tuple(map(moved, index.lists)), index.has_trellis)
            for column, index in catalog.vectors.items()
        },
        keywords={
            column: KeywordExtents(moved(index.header), moved(index.pieces))
            for column, index in catalog.keywords.items()
        },
    )


def facts_of(catalog: Catalog) -> Facts:
    """What the signposts of a segment say of it."""
    return Facts(
        rows=catalog.rows,
        shown=len(catalog.schemas[-1][1]),
        first_version=catalog.first_version,
        last_version=catalog.last_version,
        time=catalog.versions[-1].time,
        first_rowid=catalog.first_rowid,
        versioned=catalog.created is not None,
        ended=catalog.ended is not None,
        deleting=catalog.tombstones is not None,
    )
