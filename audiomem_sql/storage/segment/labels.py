"""Labels: what the data stream says of itself, so that its blocks can be read when no catalog is left.

Behind the stored bytes of every block, and of some other things, stands a **label**: what they are. Behind
some labels stands a **signpost**: what the segment is. Both belong to the bytes that a catalog names, of
which a zstd frame ends where it ends; who has a catalog never looks at them.

Their CRC-32C continues from that of the segment id, and they say where they are. So one that was copied into
a value, with the file or without it, is not taken for one.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import msgpack
import zstandard

from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import AudioMemError, DamagedFileError, LimitError
from audiomem_sql.protection.crc32c import crc32c
from audiomem_sql.storage.segment.catalog_packing import MALFORMED, unpack_bounded

LABEL_MAGIC = b"AuMB"
#: In format version 1, and in files that were made of such ones; logs begin with the same four bytes.
LABEL_MAGIC_1 = b"AuML"
#: magic, kind, encoding, column, place, first row, rows, NULLs, stored bytes, bytes before compression,
#: CRC-32C
LABEL = struct.Struct("<4s B B H Q Q I I I I I")
SIGNPOST_MAGIC = b"AuMS"
#: magic, stored bytes of the map behind it, its CRC-32C, flags, columns shown, place, rows, first version,
#: last version, time, first rowid, CRC-32C
SIGNPOST = struct.Struct("<4s I I H H Q Q Q Q q q I")
#: A signpost comes first, last, and whenever as many bytes again were stored, but at most so many; and at
#: least so many times its own size.
SIGNPOST_BYTES = 1 << 19
SIGNPOST_SHARE = 32
#: Most bytes of a signpost's map, stored or before compression.
MAX_SIGNPOST_BYTES = 1 << 24


class Labelled(IntEnum):
    """What a label stands behind."""

    BLOCK = 0
    #: Compressed with the dictionary of its column.
    BLOCK_WITH_DICTIONARY = 1
    DICTIONARY = 2
    TOMBSTONES = 3
    VECTOR_HEADER = 4
    VECTOR_LIST = 5


#: The columns that no schema lists: rowids, and the versions that made and that ended each row.
HIDDEN_COLUMNS = {-1: 0xFFFF, -2: 0xFFFE, -3: 0xFFFD}
#: A segment with more columns has no labels.
MAX_LABELLED_COLUMNS = 65_000
_COLUMN_OF_CODE = {code: column for column, code in HIDDEN_COLUMNS.items()}


@dataclass(frozen=True, slots=True)
class Label:
    """What the ``stored`` bytes at ``place`` of the data stream are.

    column: by its place in the schema, or below 0 as in ``column_numbers``.
    first: the first row of a block, the number of a list. raw: bytes before compression.
    """

    kind: Labelled
    column: int
    place: int
    stored: int
    raw: int
    first: int = 0
    rows: int = 0
    nulls: int = 0
    encoding: int = 0

    @property
    def end(self) -> int:
        """The place behind the label."""
        return self.place + self.stored + LABEL.size

    def pack(self, seed: int) -> bytes:
        """Its bytes; ``seed``: the CRC-32C of the segment id."""
        head = LABEL.pack(
            LABEL_MAGIC,
            self.kind,
            self.encoding,
            HIDDEN_COLUMNS.get(self.column, self.column),
            self.place,
            self.first,
            self.rows,
            self.nulls,
            self.stored,
            self.raw,
            0,
        )[:-4]
        return head + crc32c(head, seed).to_bytes(4, "little")

    @classmethod
    def unpack(cls, data: bytes, start: int, seed: int) -> Label | None:
        """The label at ``start`` of ``data``; None if there is none, or one of an unknown kind."""
        head = data[start : start + LABEL.size - 4]
        if len(data) < start + LABEL.size:
            return None
        magic, kind, encoding, column, place, first, rows, nulls, stored, raw, crc = LABEL.unpack_from(
            data, start
        )
        if magic not in (LABEL_MAGIC, LABEL_MAGIC_1) or crc32c(head, seed) != crc or kind > max(Labelled):
            return None
        return cls(
            Labelled(kind),
            _COLUMN_OF_CODE.get(column, column),
            place,
            stored,
            raw,
            first,
            rows,
            nulls,
            encoding,
        )


@dataclass(frozen=True, slots=True)
class Facts:
    """What a signpost says of its segment.

    shown: columns of the newest version; those behind them only older ones have. time: of the last version.
    first_rowid: where the rowids are consecutive, else None. versioned, ended, deleting: whether the versions
    that made each row, the versions that ended some, and the rowids that it deletes of others are stored.
    """

    rows: int
    shown: int
    first_version: int
    last_version: int
    time: int
    first_rowid: int | None
    versioned: bool
    ended: bool
    deleting: bool


@dataclass(frozen=True, slots=True)
class Signpost:
    """A signpost at ``place`` of the data stream.

    map_bytes, map_crc: of the map behind it (:func:`pack_map`).
    """

    place: int
    map_bytes: int
    map_crc: int
    facts: Facts

    def pack(self, seed: int) -> bytes:
        """The bytes before the map; ``seed``: the CRC-32C of the segment id."""
        facts = self.facts
        flags = (
            (facts.first_rowid is not None) | facts.versioned << 1 | facts.ended << 2 | facts.deleting << 3
        )
        head = SIGNPOST.pack(
            SIGNPOST_MAGIC,
            self.map_bytes,
            self.map_crc,
            flags,
            facts.shown,
            self.place,
            facts.rows,
            facts.first_version,
            facts.last_version,
            facts.time,
            facts.first_rowid or 0,
            0,
        )[:-4]
        return head + crc32c(head, seed).to_bytes(4, "little")

    @classmethod
    def unpack(cls, data: bytes, start: int, seed: int) -> Signpost | None:
        """The signpost at ``at`` of ``data``; None if there is none."""
        if len(data) < start + SIGNPOST.size:
            return None
        magic, size, crc, flags, shown, place, rows, first, last, time, rowid, own = SIGNPOST.unpack_from(
            data, start
        )
        if magic != SIGNPOST_MAGIC or crc32c(data[start : start + SIGNPOST.size - 4], seed) != own:
            return None
        facts = Facts(
            rows,
            shown,
            first,
            last,
            time,
            rowid if flags & 1 else None,
            bool(flags & 2),
            bool(flags & 4),
            bool(flags & 8),
        )
        return cls(place, size, crc, facts)


def pack_map(table_id: bytes, schema: Schema, options: Mapping[str, Any]) -> bytes:
    """The map of a signpost, compressed."""
    content = {
        "table": table_id,
        "schema": schema.to_catalog(),
        "checks": [check.to_catalog() for check in schema.checks],
        "keys": [key.to_catalog() for key in schema.keys],
        "options": dict(options),
    }
    raw = msgpack.packb(content)
    if len(raw) > MAX_SIGNPOST_BYTES:
        raise LimitError(
            f"columns and options of the table have {len(raw):,} bytes, the limit is {MAX_SIGNPOST_BYTES:,}",
            remedy="Shorten the defaults of its columns.",
        )
    return _compressed_map(raw)


@functools.lru_cache(maxsize=8)
def _compressed_map(raw: bytes) -> bytes:
    """The same for all segments of a table that come one after the other."""
    return zstandard.ZstdCompressor(level=12).compress(raw)


def unpack_map(stored: bytes) -> tuple[bytes, Schema, dict[str, Any]]:
    """Table id, columns and options; DamagedFileError, without a file, for what is none."""
    try:
        size = zstandard.frame_content_size(stored)
        if not 0 <= size <= MAX_SIGNPOST_BYTES:
            raise ValueError("it is larger than any that is written")
        raw = zstandard.ZstdDecompressor().decompress(stored, max_output_size=size)
        content = unpack_bounded(raw)
        table, options = content["table"], content["options"]
        if not isinstance(table, bytes) or len(table) != 16 or not isinstance(options, dict):
            raise TypeError("its table id or its options are none")
        return table, Schema.from_catalog(content["schema"], content["checks"], content["keys"]), options
    except AudioMemError:
        raise
    except MALFORMED as error:
        raise DamagedFileError(
            f"a signpost cannot be understood ({type(error).__name__}: {error!s:.200})"
        ) from None
