"""The small values of a catalog, packed and checked: numbers, identifiers, extents and column entries."""

from __future__ import annotations

from typing import Any

from audiomem_sql.blocks.bloom import filter_bytes
from audiomem_sql.blocks.directory import MAX_DICTIONARY_BYTES, BlockDirectory
from audiomem_sql.columns.types import ColumnType
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.storage.segment.catalog import ColumnEntry, Extent

_MOST_INT64 = (1 << 63) - 1


def integer(value: Any, least: int = -(1 << 63), greatest: int = _MOST_INT64) -> int:
    """``value``, if it is an integer of the range. DamagedFileError, as from all here, if it is not."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= greatest:
        shown = value if isinstance(value, int) else type(value).__name__
        raise DamagedFileError(f"the catalog holds {shown} where a number from {least} to {greatest} must be")
    return value


def count(value: Any, greatest: int = _MOST_INT64) -> int:
    """``value``, if it is an integer from 0 to ``greatest``."""
    return integer(value, 0, greatest)


def identifier(value: Any, size: int) -> bytes:
    """``value``, if it is ``size`` bytes."""
    if not isinstance(value, bytes) or len(value) != size:
        raise DamagedFileError("the catalog holds an identifier of the wrong length")
    return value


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
    if raw > most:
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
    blocks = BlockDirectory.from_catalog(value["blocks"], column_type, rows, data_bytes)
    return ColumnEntry(
        blocks,
        unpack_extent(value["dictionary"], data_bytes, MAX_DICTIONARY_BYTES),
        unpack_extent(value["bloom"], data_bytes, filter_bytes(rows)),
    )
