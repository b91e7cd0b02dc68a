"""The list of rows that a segment's commits deleted from segments before it."""

from __future__ import annotations

import struct

import numpy as np

from audiomem_sql.arrays import I64Array
from audiomem_sql.blocks.integers import decode_integers, encode_integers
from audiomem_sql.errors import DamagedFileError, LimitError
from audiomem_sql.storage.segment.catalog import Catalog
from audiomem_sql.storage.segment.data_stream import DataStream

#: Most deleted rows that one segment can list.
MAX_TOMBSTONES = 1 << 26
#: Number of rowids in the list of deleted rows; the rowids follow as in a block of INTEGERS.
TOMBSTONES_HEADER = struct.Struct("<Q")


def pack_tombstones(rowids: I64Array, versions: I64Array | None, path: str) -> bytes:
    """The list as stored: ``rowids``, ascending, and the version that deleted each, unless the last one did.

    LimitError, which names ``path``, for more rows than a segment can list.
    """
    if len(rowids) > MAX_TOMBSTONES:
        raise LimitError(
            f"one commit deletes {len(rowids):,} rows, the limit is {MAX_TOMBSTONES:,}",
            file=path,
            remedy="Divide it into several transactions.",
        )
    packed = TOMBSTONES_HEADER.pack(len(rowids)) + encode_integers(rowids)
    return packed if versions is None else packed + encode_integers(versions)


def read_tombstones(stream: DataStream, catalog: Catalog) -> tuple[I64Array, I64Array]:
    """Rowids deleted from segments before this one, and the versions that did, int64 (n,) each.

    Ascending by rowid. No rowid is there twice, because after the first deletion it can only be in this
    segment. DamagedFileError if the list cannot be read or contradicts ``catalog``.
    """
    extent = catalog.tombstones
    if extent is None:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    try:
        return _unpack_tombstones(stream.extent(extent), catalog)
    except DamagedFileError as error:
        stream.locate(error, extent)
        raise


def _unpack_tombstones(data: bytes, catalog: Catalog) -> tuple[I64Array, I64Array]:
    count = int.from_bytes(data[: TOMBSTONES_HEADER.size], "little")
    if len(data) < TOMBSTONES_HEADER.size or count > MAX_TOMBSTONES:
        raise DamagedFileError("the list of deleted rows has an impossible length")
    rowids, end = decode_integers(data, TOMBSTONES_HEADER.size, count)
    if catalog.created is None:
        versions = np.full(count, catalog.last_version, np.int64)
    else:
        versions, end = decode_integers(data, end, count)
    if end != len(data) or (rowids[1:] <= rowids[:-1]).any():
        raise DamagedFileError("the list of deleted rows has the wrong length, or is not in order")
    if ((versions < catalog.first_version) | (versions > catalog.last_version)).any():
        raise DamagedFileError("a row is deleted by a version of another segment")
    return rowids, versions
