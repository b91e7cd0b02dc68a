"""Checks of a whole segment that no reader needs, for ``audiomem verify``."""

from __future__ import annotations

import numpy as np

from audiomem_sql.arrays import I64Array
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.machine.digests import blake2b
from audiomem_sql.storage.pages import DIGEST_BYTES
from audiomem_sql.storage.segment.catalog import Catalog, ColumnEntry
from audiomem_sql.storage.segment.catalog_copies import first_cells, raw_catalog
from audiomem_sql.storage.segment.contract import ReadableSegment

#: Bytes of the data stream that are read at once.
_AT_ONCE = 4 << 20


def check_copies(segment: ReadableSegment) -> None:
    """DamagedFileError unless all copies of the catalog are the same."""
    for cell in list(first_cells(segment.file))[1:]:
        if raw_catalog(segment.file, cell) != raw_catalog(segment.file, 0):
            raise DamagedFileError(
                "two copies of the catalog differ",
                file=segment.path,
                place=f"page {cell // segment.file.layout.cells}",
            )


def check_data(segment: ReadableSegment) -> None:
    """DamagedFileError unless the data stream is the one that the segment was sealed with."""
    catalog, file = segment.catalog, segment.file
    if catalog.seal is None:
        return
    digest = blake2b(digest_size=DIGEST_BYTES)
    for start in range(0, catalog.data_bytes, _AT_ONCE):
        digest.update(file.read(segment.data_cell, start, min(_AT_ONCE, catalog.data_bytes - start)))
    if digest.digest() != catalog.seal.data_digest:
        raise DamagedFileError("the data is not that which the segment was sealed with", file=segment.path)


def check_places(segment: ReadableSegment) -> None:
    """DamagedFileError unless everything in the data stream has its own place, without gaps.

    It is not known of blocks whose directory page is lost.
    """
    entries = segment.catalog.entries
    if any(entry is not None and entry.blocks.of_labels for entry in entries):
        return
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
        entry.blocks.places(),
        *(np.array([[extent.offset, extent.stored]], np.int64) for extent in extents),
    ]
