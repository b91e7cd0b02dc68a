"""The small parts of a catalog, packed and checked: extents and column entries."""

from __future__ import annotations

from typing import Any

from audiomem_sql.blocks.bloom import filter_bytes
from audiomem_sql.blocks.directory import MAX_DICTIONARY_BYTES, BlockDirectory
from audiomem_sql.columns.types import ColumnType
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.storage.segment.catalog import ColumnEntry, Extent, fits_an_extent
from audiomem_sql.storage.segment.checked_values import count
from audiomem_sql.storage.segment.grouped_directory import GroupedDirectory


def pack_extent(extent: Extent | None) -> list[int] | None:
    """An extent as a list of three numbers."""
    return None if extent is None else [extent.offset, extent.stored, extent.raw]


def unpack_extent(value: Any, data_bytes: int, most: int) -> Extent | None:
    """An extent, or None, inside a data stream of ``data_bytes``.

    most: bytes before compression.
    """
    if value is None:
        return None
    offset, stored, raw = map(count, value)
    if offset + stored > data_bytes:
        raise DamagedFileError("the catalog names a place outside the segment")
    if not fits_an_extent(stored, raw, most):
        raise DamagedFileError("the catalog names an extent that is larger than any that is written")
    return Extent(offset, stored, raw)


def pack_entry(entry: ColumnEntry | None) -> dict[str, Any] | None:
    """A column entry as a map."""
    if entry is None:
        return None
    return {
        "blocks": entry.blocks.to_catalog(),
        "dictionary": pack_extent(entry.dictionary),
        "bloom": pack_extent(entry.bloom),
    }


def unpack_entry(value: Any, column_type: ColumnType, rows: int, data_bytes: int) -> ColumnEntry:
    """The inverse, of a column of ``rows`` rows in a data stream of ``data_bytes``."""
    packed = value["blocks"]
    kind = GroupedDirectory if "groups" in packed else BlockDirectory
    blocks = kind.from_catalog(packed, column_type, rows, data_bytes)
    return ColumnEntry(
        blocks,
        unpack_extent(value["dictionary"], data_bytes, MAX_DICTIONARY_BYTES),
        unpack_extent(value["bloom"], data_bytes, filter_bytes(rows)),
    )
