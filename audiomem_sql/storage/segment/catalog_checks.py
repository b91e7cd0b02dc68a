"""Checks of a whole segment that no reader needs, for ``audiomem verify``."""

from __future__ import annotations

import numpy as np

from audiomem_sql.arrays import I64Array
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.storage.segment.catalog import Catalog, ColumnEntry
from audiomem_sql.storage.segment.catalog_copies import first_pages, raw_catalog
from audiomem_sql.storage.segment.contract import ReadableSegment


def check_copies(segment: ReadableSegment) -> None:
    """DamagedFileError unless all copies of the catalog are the same."""
    for page in list(first_pages(segment.file))[1:]:
        if raw_catalog(segment.file, page) != raw_catalog(segment.file, 0):
            raise DamagedFileError(
                "two copies of the catalog differ", file=segment.path, place=f"page {page}"
            )


def check_places(segment: ReadableSegment) -> None:
    """DamagedFileError unless everything in the data stream has its own place, without gaps."""
    places = _places(segment.catalog)
    places = places[np.lexsort((places[:, 1], places[:, 0]))]
    ends = np.concatenate([np.zeros(1, np.int64), places.sum(axis=1)])
    if (np.concatenate([places[:, 0], [segment.catalog.data_bytes]]) != ends).any():
        raise DamagedFileError(
            "the data stream has gaps, or two things at one place", file=segment.path, place="catalog"
        )


def _places(catalog: Catalog) -> I64Array:
    """Offset and stored bytes of all that the catalog names, int64 (n, 2)."""
    parts = [np.empty((0, 2), np.int64)]
    for entry in (*catalog.entries, catalog.rowids, catalog.created, catalog.ended):
        parts.extend(_places_of_column(entry))
    indexes = [extent for index in catalog.vectors.values() for extent in (index.header, *index.lists)]
    indexes += [extent for index in catalog.keywords.values() for extent in (index.header, index.pieces)]
    for extent in (*catalog.key_blooms, catalog.tombstones, catalog.sources, *indexes):
        if extent is not None:
            parts.append(np.array([[extent.offset, extent.stored]], np.int64))
    return np.concatenate(parts)


def _places_of_column(entry: ColumnEntry | None) -> list[I64Array]:
    """Offset and stored bytes of all that ``entry`` names, int64 (n, 2)."""
    if entry is None:
        return []
    extents = [extent for extent in (entry.dictionary, entry.bloom) if extent is not None]
    return [
        np.stack([entry.blocks.offsets, entry.blocks.stored], axis=1),
        *(np.array([[extent.offset, extent.stored]], np.int64) for extent in extents),
    ]
