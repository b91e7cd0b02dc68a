"""A catalog as bytes. Stored at the front of the file and again at the end.

A MessagePack map, compressed with zstd, behind a 16-byte header. Nothing in it is believed: every count, length and
place is checked against the file before it is used, and a feature that this version does not know is refused.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Any

import msgpack
import zstandard

from audiomem_sql.blocks.bloom import filter_bytes
from audiomem_sql.blocks.directory import MAX_DICTIONARY_BYTES, BlockDirectory
from audiomem_sql.columns.column import MAX_COLUMN_ID
from audiomem_sql.columns.layouts import places_in
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.errors import AudioMemError, DamagedFileError, FormatVersionError, LimitError
from audiomem_sql.protection.crc32c import crc32c
from audiomem_sql.storage.segment.catalog import (
    MAX_EXTENT_BYTES,
    MAX_ROWS,
    NO_HISTORY,
    Catalog,
    ColumnEntry,
    Extent,
    KeywordExtents,
    Migration,
    SchemaHistory,
    VectorExtents,
    Version,
)

#: What bytes raise that are no packed values, or not those that belong there.
MALFORMED = (
    zstandard.ZstdError,
    msgpack.UnpackException,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
)
CATALOG_MAGIC = b"AuMC"
#: magic, stored bytes behind this header, bytes before compression, CRC-32C of the stored bytes
CATALOG_HEADER = struct.Struct("<4s I I I")
#: Most bytes of a catalog, before or after compression.
MAX_CATALOG_BYTES = 1 << 28
#: Most elements of all lists and maps of a catalog together: what it may take in memory beyond its bytes.
MAX_ELEMENTS = 1 << 22
#: Most elements of one list or map.
MAX_LENGTH = 1 << 20
MAX_VERSIONS = 1 << 19
#: Most changes of the columns of a table.
MAX_MIGRATIONS = 1 << 16
TABLE_ID_BYTES = 16
SEGMENT_ID_BYTES = 8
#: The feature of segments that hold several commits: every row has the version that made it.
ROW_VERSIONS = "row-versions"
#: The feature of segments in which the columns change from one version to another.
SCHEMA_CHANGES = "schema-changes"
#: The features of tables that have CHECK, and keys of several columns: who writes to them must look at those.
CHECKS = "checks"
COMBINED_KEYS = "combined-keys"
#: The feature of segments that hold columns of vectors as indexes.
VECTORS = "vectors"
#: The feature of segments that have keyword indexes: who merges them must make new ones.
KEYWORDS = "keywords"
#: Features of a segment that a reader must know to read it rightly.
KNOWN_FEATURES = frozenset([ROW_VERSIONS, SCHEMA_CHANGES, CHECKS, COMBINED_KEYS, VECTORS, KEYWORDS])

_INTEGER = ColumnType(Kind.INTEGER)


def pack_catalog(catalog: Catalog) -> bytes:
    """Header and compressed map; LimitError if it is larger than a catalog may be."""
    content = {
        "requires": _requires(catalog),
        "table": catalog.table_id,
        "segment": catalog.segment_id,
        "schema": catalog.schema.to_catalog(),
        **_pack_constraints(catalog),
        "rows": catalog.rows,
        "versions": [[v.number, v.time, v.inserted, v.deleted, v.message] for v in catalog.versions],
        "columns": [_pack_entry(entry) for entry in catalog.entries],
        "data_bytes": catalog.data_bytes,
        "first_rowid": catalog.first_rowid,
        "rowids": _pack_entry(catalog.rowids),
        "rowid_range": [catalog.low_rowid, catalog.high_rowid],
        **({} if catalog.created is None else _pack_versions(catalog)),
        "tombstones": _pack_extent(catalog.tombstones),
        "sources": _pack_extent(catalog.sources),
        **({"tags": catalog.tags} if catalog.tags else {}),
        "options": catalog.options,
        **({} if catalog.history == NO_HISTORY else _pack_history(catalog.history)),
        **({"comments": catalog.comments} if catalog.comments else {}),
        **(
            {
                "vectors": [
                    [place, *_pack_vectors(catalog.vectors[place])] for place in sorted(catalog.vectors)
                ]
            }
            if catalog.vectors
            else {}
        ),
        **({"keywords": _pack_keywords(catalog)} if catalog.keywords else {}),
    }
    raw = msgpack.packb(content)
    if len(raw) > MAX_CATALOG_BYTES or len(catalog.versions) > MAX_VERSIONS:
        raise LimitError(
            f"a catalog of {len(raw):,} bytes and {len(catalog.versions):,} versions is over the limit of "
            f"{MAX_CATALOG_BYTES:,} and {MAX_VERSIONS:,}",
            remedy="Divide the table, or keep fewer versions.",
        )
    stored = zstandard.ZstdCompressor(level=12).compress(raw)
    return CATALOG_HEADER.pack(CATALOG_MAGIC, len(stored), len(raw), crc32c(stored)) + stored


def _requires(catalog: Catalog) -> list[str]:
    needed = {
        ROW_VERSIONS: catalog.created is not None,
        SCHEMA_CHANGES: catalog.history != NO_HISTORY,
        CHECKS: catalog.schema.checks,
        COMBINED_KEYS: catalog.schema.keys,
        VECTORS: catalog.vectors,
        KEYWORDS: catalog.keywords,
    }
    return [feature for feature, need in needed.items() if need]


def _pack_keywords(catalog: Catalog) -> list[Any]:
    return [
        [place, _pack_extent(found.header), _pack_extent(found.pieces)]
        for place, found in sorted(catalog.keywords.items())
    ]


def _pack_constraints(catalog: Catalog) -> dict[str, Any]:
    schema = catalog.schema
    packed: dict[str, Any] = {}
    if schema.checks:
        packed["checks"] = [check.to_catalog() for check in schema.checks]
    if schema.keys:
        packed["keys"] = [key.to_catalog() for key in schema.keys]
        packed["key_blooms"] = [_pack_extent(bloom) for bloom in catalog.key_blooms]
    return packed


def _pack_versions(catalog: Catalog) -> dict[str, Any]:
    return {"created": _pack_entry(catalog.created), "ended": _pack_entry(catalog.ended)}


def unpack_catalog(data: bytes) -> Catalog:
    """The inverse; DamagedFileError (without a file) for anything that contradicts itcatalog."""
    _, size, raw_size, crc = parse_header(data)
    stored = data[CATALOG_HEADER.size : CATALOG_HEADER.size + size]
    if len(stored) != size or crc32c(stored) != crc:
        raise DamagedFileError("the catalog does not match its CRC-32C")
    try:
        if zstandard.frame_content_size(stored) != raw_size:
            raise DamagedFileError("the catalog states two sizes")
        raw = zstandard.ZstdDecompressor().decompress(stored, max_output_size=raw_size)
        content = unpack_bounded(raw)
        unknown = set(content["requires"]) - KNOWN_FEATURES
        if unknown:
            raise FormatVersionError(
                f"needs features that this version does not have: {', '.join(sorted(map(str, unknown)))}",
                remedy="Open it with a newer audiomem-sql.",
            )
        return _from_map(content)
    except AudioMemError:
        raise
    except MALFORMED as error:
        raise DamagedFileError(
            f"the catalog cannot be understood ({type(error).__name__}: {error!s:.200})"
        ) from None


def _from_map(content: dict[str, Any]) -> Catalog:
    has_checks, has_keys = CHECKS in content["requires"], COMBINED_KEYS in content["requires"]
    schema = Schema.from_catalog(
        content["schema"],
        content["checks"] if has_checks else (),
        content["keys"] if has_keys else (),
    )
    rows, data_bytes = _count(content["rows"], MAX_ROWS), _count(content["data_bytes"])
    versions = tuple(
        Version(_count(n), _integer(t), _count(i), _count(d), None if m is None else str(m))
        for n, t, i, d, m in content["versions"]
    )
    numbers = [version.number for version in versions]
    if not numbers or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        raise DamagedFileError("the catalog's versions are not consecutive")
    stored = [None if i == schema.rowid_column else c.type for i, c in enumerate(schema.columns)]
    if len(content["columns"]) != len(stored):
        raise DamagedFileError("the catalog has another number of columns than its schema")
    vectors = _unpack_vectors(content, schema, data_bytes) if VECTORS in content["requires"] else {}
    stored = [None if place in vectors else kind for place, kind in enumerate(stored)]
    entries = tuple(
        None if kind is None else _unpack_entry(entry, kind, rows, data_bytes)
        for entry, kind in zip(content["columns"], stored, strict=True)
    )
    key_blooms = tuple(
        _unpack_extent(bloom, data_bytes, filter_bytes(rows))
        for bloom in (content["key_blooms"] if has_keys else ())
    )
    if len(key_blooms) != len(schema.combined_keys):
        raise DamagedFileError("the catalog has another number of filters than its schema has keys")
    first, low, high = content["first_rowid"], *map(_integer, content["rowid_range"])
    created = ended = None
    if ROW_VERSIONS in content["requires"]:
        created = _unpack_entry(content["created"], _INTEGER, rows, data_bytes)
        _check_versions(created.blocks, numbers, every=True)
        if content["ended"] is not None:
            ended = _unpack_entry(content["ended"], _INTEGER, rows, data_bytes)
            _check_versions(ended.blocks, numbers, every=False)
    rowids = None
    if first is None:
        rowids = _unpack_entry(content["rowids"], _INTEGER, rows, data_bytes)
        _check_rowids(rowids.blocks, low, high, unique=created is None)
    elif rows and (_integer(first) != low or low + rows - 1 != high):
        raise DamagedFileError("the catalog contradicts itself on rowids")
    return Catalog(
        table_id=_identifier(content["table"], TABLE_ID_BYTES),
        segment_id=_identifier(content["segment"], SEGMENT_ID_BYTES),
        schema=schema,
        rows=rows,
        versions=versions,
        entries=entries,
        data_bytes=data_bytes,
        first_rowid=None if first is None else _integer(first),
        rowids=rowids,
        low_rowid=low,
        high_rowid=high,
        created=created,
        ended=ended,
        key_blooms=key_blooms,
        tombstones=_unpack_extent(content["tombstones"], data_bytes, MAX_EXTENT_BYTES),
        sources=_unpack_extent(content["sources"], data_bytes, MAX_EXTENT_BYTES),
        tags={str(name): _count(number) for name, number in dict(content.get("tags", {})).items()},
        options=dict(content["options"]),
        history=_unpack_history(content, schema, numbers)
        if SCHEMA_CHANGES in content["requires"]
        else NO_HISTORY,
        vectors=vectors,
        keywords=_unpack_keywords(content, schema, data_bytes) if KEYWORDS in content["requires"] else {},
        comments={str(name): str(text) for name, text in dict(content.get("comments", {})).items()},
    )


def _pack_history(history: SchemaHistory) -> dict[str, Any]:
    return {
        "schemas": [
            [
                version,
                schema.to_catalog(),
                [check.to_catalog() for check in schema.checks],
                [key.to_catalog() for key in schema.keys],
            ]
            for version, schema in history.schemas
        ],
        "migrations": [[m.number, m.version, m.text] for m in history.migrations],
        "next_column": history.next_column,
    }


def _pack_vectors(index: VectorExtents) -> list[Any]:
    return [_pack_extent(index.header), [_pack_extent(each) for each in index.lists]]


def _unpack_vectors(content: dict[str, Any], schema: Schema, data_bytes: int) -> dict[int, VectorExtents]:
    """The indexes of the columns of vectors, by place."""
    found: dict[int, VectorExtents] = {}
    for place, header, lists in content["vectors"]:
        number = _count(place, len(schema) - 1)
        if number in found or schema.columns[number].type.kind is not Kind.FLOAT:
            raise DamagedFileError("the catalog has an index of vectors for a column that has none")
        extents = [_unpack_extent(each, data_bytes, MAX_EXTENT_BYTES) for each in (header, *lists)]
        if any(extent is None for extent in extents):
            raise DamagedFileError("the catalog has an index of vectors without a place")
        first, *others = [extent for extent in extents if extent is not None]
        found[number] = VectorExtents(first, tuple(others))
    return found


def _unpack_keywords(content: dict[str, Any], schema: Schema, data_bytes: int) -> dict[int, KeywordExtents]:
    """The keyword indexes, by the place of their columns."""
    found: dict[int, KeywordExtents] = {}
    for place, header, pieces in content["keywords"]:
        number = _count(place, len(schema) - 1)
        first = _unpack_extent(header, data_bytes, MAX_EXTENT_BYTES)
        second = _unpack_extent(pieces, data_bytes, MAX_ROWS)
        if number in found or schema.columns[number].type.kind is not Kind.TEXT or not first or not second:
            raise DamagedFileError("the catalog has a keyword index for a column that has none")
        found[number] = KeywordExtents(first, second)
    return found


def _unpack_history(content: dict[str, Any], stored: Schema, numbers: list[int]) -> SchemaHistory:
    schemas = tuple(
        (_count(version), Schema.from_catalog(*packed)) for version, *packed in content["schemas"]
    )
    firsts = [version for version, _ in schemas]
    if schemas and (
        firsts[0] != numbers[0] or any(b <= a for a, b in pairwise(firsts)) or firsts[-1] > numbers[-1]
    ):
        raise DamagedFileError("the catalog contradicts itself on the columns of its versions")
    for _, schema in schemas:
        places_in(stored, schema)
    if len(content["migrations"]) > MAX_MIGRATIONS:
        raise DamagedFileError("the catalog has more changes of columns than any that is written")
    migrations = tuple(Migration(_count(n), _count(v), str(text)) for n, v, text in content["migrations"])
    if any(b.number != a.number + 1 or b.version <= a.version for a, b in pairwise(migrations)) or any(
        m.version > numbers[-1] or not m.number for m in migrations
    ):
        raise DamagedFileError("the catalog's changes of columns are not in order")
    if set(firsts[1:]) - {migration.version for migration in migrations}:
        raise DamagedFileError("the catalog has a change of columns that says nothing")
    next_column = _count(content["next_column"], MAX_COLUMN_ID + 1)
    if any(column.id >= next_column for _, schema in ((0, stored), *schemas) for column in schema.columns):
        raise DamagedFileError("the catalog contradicts itself on the ids of columns")
    return SchemaHistory(schemas, migrations, next_column)


def parse_header(data: bytes) -> tuple[bytes, int, int, int]:
    """(magic, stored bytes, raw bytes, CRC-32C) from the first 16 bytes; DamagedFileError if they are not a header."""
    if len(data) < CATALOG_HEADER.size:
        raise DamagedFileError("the catalog ends inside its header")
    magic, stored, raw, crc = CATALOG_HEADER.unpack_from(data)
    if magic != CATALOG_MAGIC or max(stored, raw) > MAX_CATALOG_BYTES:
        raise DamagedFileError("there is no catalog where one must be")
    return magic, stored, raw, crc


class _Budget:
    """Counts the elements of lists and maps as they are unpacked; ValueError when there are too many."""

    def __init__(self) -> None:
        self.left = MAX_ELEMENTS

    def __call__(self, value: Any) -> Any:
        self.left -= 1 + len(value)
        if self.left < 0:
            raise ValueError("it has more elements than any that is written")
        return value


def unpack_bounded(raw: bytes) -> Any:
    """One MessagePack value, in bounded memory: an empty list takes one byte there and 64 here."""
    budget = _Budget()
    return msgpack.unpackb(
        raw,
        strict_map_key=True,
        max_map_len=MAX_LENGTH,
        max_array_len=MAX_LENGTH,
        max_ext_len=0,
        list_hook=budget,
        object_hook=budget,
    )


def _integer(value: Any, least: int = -(1 << 63), greatest: int = (1 << 63) - 1) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= greatest:
        shown = value if isinstance(value, int) else type(value).__name__
        raise DamagedFileError(f"the catalog holds {shown} where a number from {least} to {greatest} must be")
    return value


def _count(value: Any, greatest: int = (1 << 63) - 1) -> int:
    return _integer(value, 0, greatest)


def _identifier(value: Any, size: int) -> bytes:
    if not isinstance(value, bytes) or len(value) != size:
        raise DamagedFileError("the catalog holds an identifier of the wrong length")
    return value


def _check_rowids(blocks: BlockDirectory, low: int, high: int, *, unique: bool) -> None:
    """Stored rowids rise from block to block, from the least to the greatest, and none is NULL."""
    least, greatest = blocks.zones.low, blocks.zones.high
    assert least is not None
    assert greatest is not None
    if (
        blocks.zones.nulls.any()
        or (least[1:] < greatest[:-1]).any()
        or (unique and (least[1:] == greatest[:-1]).any())
        or (blocks.count and (int(least[0]), int(greatest[-1])) != (low, high))
    ):
        raise DamagedFileError("the catalog contradicts itself on rowids")


def _check_versions(blocks: BlockDirectory, numbers: list[int], *, every: bool) -> None:
    """Rows were made and deleted by versions of this segment; ``every``: none is NULL."""
    zones = blocks.zones
    assert zones.low is not None
    assert zones.high is not None
    filled = zones.filled
    if (every and zones.nulls.any()) or (
        filled.any()
        and not numbers[0] <= int(zones.low[filled].min()) <= int(zones.high[filled].max()) <= numbers[-1]
    ):
        raise DamagedFileError("the catalog contradicts itself on versions")


def _pack_extent(extent: Extent | None) -> list[int] | None:
    return None if extent is None else [extent.offset, extent.stored, extent.raw]


def _unpack_extent(value: Any, data_bytes: int, most: int) -> Extent | None:
    if value is None:
        return None
    offset, stored, raw = map(_count, value)
    if offset + stored > data_bytes:
        raise DamagedFileError("the catalog names a place outside the segment")
    if raw > most:
        raise DamagedFileError("the catalog names an extent that is larger than any that is written")
    return Extent(offset, stored, raw)


def _pack_entry(entry: ColumnEntry | None) -> dict[str, Any] | None:
    if entry is None:
        return None
    return {
        "blocks": entry.blocks.to_catalog(),
        "dictionary": _pack_extent(entry.dictionary),
        "bloom": _pack_extent(entry.bloom),
    }


def _unpack_entry(value: Any, column_type: ColumnType, rows: int, data_bytes: int) -> ColumnEntry:
    blocks = BlockDirectory.from_catalog(value["blocks"], column_type, rows, data_bytes)
    return ColumnEntry(
        blocks,
        _unpack_extent(value["dictionary"], data_bytes, MAX_DICTIONARY_BYTES),
        _unpack_extent(value["bloom"], data_bytes, filter_bytes(rows)),
    )
