"""A page of a block directory in two levels: the entries of a group of blocks, as byte planes.

rows u32 · nulls u32 · offsets i64 (differences, from the group's place on) · stored u32 · raw u32 ·
encodings u8 · low, high as in a zone map, where the type has them
"""

from __future__ import annotations

from typing import Any

import numpy as np

from audiomem_sql.arrays import I64Array
from audiomem_sql.blocks.byte_planes import from_planes, to_planes
from audiomem_sql.blocks.directory import MAX_BLOCK_BYTES, BlockDirectory
from audiomem_sql.blocks.zones import PREFIX, Zones
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.errors import DamagedFileError

_NUMBERS = (("rows", "<u4"), ("nulls", "<u4"), ("offsets", "<i8"), ("stored", "<u4"), ("raw", "<u4"))
_NUMBER_BYTES = sum(np.dtype(dtype).itemsize for _, dtype in _NUMBERS) + 1


def _bound_bytes(column_type: ColumnType) -> int:
    """Bytes of the least or the greatest value of a block."""
    if column_type.kind is Kind.FLOAT:
        return 0
    return PREFIX if column_type.kind in (Kind.TEXT, Kind.JSON, Kind.BLOB) else 8


def page_bytes(column_type: ColumnType, count: int) -> int:
    """Bytes of a page of ``count`` blocks, before compression."""
    return count * (_NUMBER_BYTES + 2 * _bound_bytes(column_type))


def pack_page(blocks: BlockDirectory, first: int, stop: int) -> bytes:
    """The entries of blocks ``first`` to ``stop`` - 1."""
    own = slice(first, stop)
    zones = blocks.zones
    arrays = {
        "rows": zones.rows[own],
        "nulls": zones.nulls[own],
        "offsets": np.diff(blocks.offsets[own], prepend=blocks.offsets[first]),
        "stored": blocks.stored[own],
        "raw": blocks.raw[own],
    }
    parts = [to_planes(arrays[name].astype(dtype)) for name, dtype in _NUMBERS]
    parts.append(blocks.encodings[own].tobytes())
    for bound in (zones.low, zones.high):
        if bound is not None:
            values = bound[own]
            parts.append(values.tobytes() if values.dtype.kind == "S" else to_planes(values))
    return b"".join(parts)


def unpack_page(data: bytes, count: int, column_type: ColumnType, rows: int) -> BlockDirectory:
    """The inverse: ``count`` blocks with ``rows`` rows, counted from the first of these, as are places.

    DamagedFileError (without a place) for one that contradicts itself.
    """
    if len(data) != page_bytes(column_type, count):
        raise DamagedFileError("a page of a block directory has the wrong length")
    at, arrays = 0, dict[str, Any]()
    for name, dtype in _NUMBERS:
        arrays[name] = from_planes(data, at, count, dtype)
        at += count * np.dtype(dtype).itemsize
    encodings, at = data[at : at + count], at + count
    packed = {name: arrays[name].astype("<i8").tobytes() for name in ("rows", "nulls")}
    size = _bound_bytes(column_type)
    for name in ("low", "high") if size else ():
        part = data[at : at + count * size]
        packed[name] = part if size == PREFIX else from_planes(part, 0, count, "<i8").tobytes()
        at += count * size
    entry = {
        "offsets": arrays["offsets"].tobytes(),
        "stored": arrays["stored"].tobytes(),
        "raw": arrays["raw"].tobytes(),
        "encodings": encodings,
        "zones": packed,
    }
    page = BlockDirectory.from_catalog(entry, column_type, rows, count * MAX_BLOCK_BYTES)
    if page.offsets[0] or (page.offsets[1:] < page.offsets[:-1] + page.stored[:-1]).any():
        raise DamagedFileError("the blocks of a page of a block directory are not in the order of their rows")
    return page


def group_zones(zones: Zones, firsts: I64Array) -> Zones:
    """What groups can contain, by what their blocks can; firsts: the first block of each."""
    stops = np.append(firsts[1:], len(zones))
    filled = zones.filled
    low: list[Any] = []
    high: list[Any] = []
    if zones.low is not None and zones.high is not None:
        for first, stop in zip(firsts.tolist(), stops.tolist(), strict=True):
            some = np.flatnonzero(filled[first:stop]) + first
            some = some if len(some) else np.array([first])
            low.append(min(zones.low[some].tolist()))
            high.append(max(zones.high[some].tolist()))
    return Zones(
        np.add.reduceat(zones.rows, firsts),
        np.add.reduceat(zones.nulls, firsts),
        None if zones.low is None else np.array(low, zones.low.dtype),
        None if zones.high is None else np.array(high, zones.high.dtype),
    )
