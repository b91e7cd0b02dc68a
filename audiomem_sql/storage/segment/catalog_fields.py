"""The fields of a catalog: each is packed and unpacked by one entry of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from audiomem_sql.errors import DamagedFileError
from audiomem_sql.storage.pages import SEGMENT_ID_BYTES
from audiomem_sql.storage.segment.catalog import MAX_ROWS, NO_HISTORY, Catalog, Extent
from audiomem_sql.storage.segment.catalog_features import (
    CHECKS,
    COMBINED_KEYS,
    FEATURES,
    KEYWORDS,
    ROW_VERSIONS,
    SCHEMA_CHANGES,
    VECTORS,
)
from audiomem_sql.storage.segment.catalog_history import (
    pack_migrations,
    pack_schemas,
    pack_versions,
    unpack_versions,
)
from audiomem_sql.storage.segment.catalog_unpacking import (
    Field,
    Unpacking,
    unpack_created,
    unpack_ended,
    unpack_entries,
    unpack_first_rowid,
    unpack_history,
    unpack_key_blooms,
    unpack_keywords,
    unpack_rowid_range,
    unpack_rowids,
    unpack_schema,
    unpack_vectors,
)
from audiomem_sql.storage.segment.catalog_values import pack_entry, pack_extent
from audiomem_sql.storage.segment.checked_values import count, identifier
from audiomem_sql.storage.segment.seal import Seal

TABLE_ID_BYTES = 16


def _pack_vectors(catalog: Catalog) -> list[Any]:
    return [
        [
            column,
            pack_extent(index.header),
            [pack_extent(extent) for extent in index.lists],
            *([True] if index.has_trellis else []),
        ]
        for column, index in sorted(catalog.vectors.items())
    ]


def _pack_keywords(catalog: Catalog) -> list[Any]:
    return [
        [column, pack_extent(index.header), pack_extent(index.pieces)]
        for column, index in sorted(catalog.keywords.items())
    ]


#: In the order of the map.
FIELDS = (
    Field("requires", lambda c: [feature for feature, needed in FEATURES.items() if needed(c)]),
    Field(
        "table", lambda c: c.table_id, "table_id", lambda u: identifier(u.content["table"], TABLE_ID_BYTES)
    ),
    Field(
        "segment",
        lambda c: c.segment_id,
        "segment_id",
        lambda u: identifier(u.content["segment"], SEGMENT_ID_BYTES),
    ),
    Field("schema", lambda c: c.schema.to_catalog(), "schema", unpack_schema),
    Field("checks", lambda c: [check.to_catalog() for check in c.schema.checks], feature=CHECKS),
    Field("keys", lambda c: [key.to_catalog() for key in c.schema.keys], feature=COMBINED_KEYS),
    Field(
        "key_blooms",
        lambda c: [pack_extent(bloom) for bloom in c.key_blooms],
        "key_blooms",
        unpack_key_blooms,
        feature=COMBINED_KEYS,
        absent=tuple,
    ),
    Field("rows", lambda c: c.rows, "rows", lambda u: count(u.content["rows"], MAX_ROWS)),
    Field(
        "versions",
        lambda c: pack_versions(c.versions),
        "versions",
        lambda u: unpack_versions(u.content["versions"]),
    ),
    Field("columns", lambda c: [pack_entry(entry) for entry in c.entries], "entries", unpack_entries),
    Field("data_bytes", lambda c: c.data_bytes, "data_bytes", lambda u: count(u.content["data_bytes"])),
    Field("first_rowid", lambda c: c.first_rowid, "first_rowid", unpack_first_rowid),
    Field("rowids", lambda c: pack_entry(c.rowids), "rowids", unpack_rowids),
    Field("rowid_range", lambda c: [c.low_rowid, c.high_rowid], "rowid_range", unpack_rowid_range),
    Field(
        "given_rowid",
        lambda c: c.given_rowid,
        "given_rowid",
        lambda u: count(u.content.get("given_rowid", 0)),
        optional=True,
    ),
    Field("created", lambda c: pack_entry(c.created), "created", unpack_created, feature=ROW_VERSIONS),
    Field("ended", lambda c: pack_entry(c.ended), "ended", unpack_ended, feature=ROW_VERSIONS),
    Field(
        "tombstones",
        lambda c: pack_extent(c.tombstones),
        "tombstones",
        lambda u: u.extent(u.content["tombstones"]),
    ),
    Field("sources", lambda c: pack_extent(c.sources), "sources", lambda u: u.extent(u.content["sources"])),
    Field(
        "tags",
        lambda c: c.tags,
        "tags",
        lambda u: {str(name): count(number) for name, number in dict(u.content.get("tags", {})).items()},
        optional=True,
    ),
    Field("options", lambda c: c.options, "options", lambda u: dict(u.content["options"])),
    Field(
        "schemas",
        lambda c: pack_schemas(c.history),
        "history",
        unpack_history,
        feature=SCHEMA_CHANGES,
        absent=lambda: NO_HISTORY,
    ),
    Field("migrations", lambda c: pack_migrations(c.history), feature=SCHEMA_CHANGES),
    Field("next_column", lambda c: c.history.next_column, feature=SCHEMA_CHANGES),
    Field(
        "comments",
        lambda c: c.comments,
        "comments",
        lambda u: {str(name): str(text) for name, text in dict(u.content.get("comments", {})).items()},
        optional=True,
    ),
    Field(
        "seal",
        lambda c: None if c.seal is None else c.seal.pack(),
        "seal",
        lambda u: None if u.content.get("seal") is None else Seal.unpack(u.content["seal"]),
        optional=True,
    ),
    Field("vectors", _pack_vectors, "vectors", unpack_vectors, feature=VECTORS, absent=dict),
    Field("keywords", _pack_keywords, "keywords", unpack_keywords, feature=KEYWORDS, absent=dict),
)
_BY_ATTRIBUTE = {entry.attribute: entry for entry in FIELDS if entry.attribute}
#: The attributes in the order in which they are unpacked: what others are checked against comes first.
_UNPACK_ORDER = (
    *("schema", "rows", "data_bytes", "versions", "entries", "key_blooms", "rowid_range", "created", "ended"),
    *(
        "rowids",
        "table_id",
        "segment_id",
        "first_rowid",
        "tombstones",
        "sources",
        "tags",
        "options",
        "history",
    ),
    *("keywords", "comments", "seal", "given_rowid"),
)


def map_of(catalog: Catalog) -> dict[str, Any]:
    """The map of ``catalog``, without the fields that it leaves out."""
    features = {feature for feature, needed in FEATURES.items() if needed(catalog)}
    packed = {}
    for entry in FIELDS:
        if entry.feature is None or entry.feature in features:
            value = entry.pack(catalog)
            if value or not entry.optional:
                packed[entry.name] = value
    return packed


#: What is as large as the segment, and takes the time of unpacking a catalog.
_LARGE = ("schema", "entries", "key_blooms", "rowids", "vectors", "keywords")


def catalog_of(content: Mapping[str, Any], known: Catalog | None = None) -> Catalog:
    """The inverse; DamagedFileError for a map that contradicts itself.

    A map of other values than those that are written raises one of ``catalog_packing.MALFORMED``. known: a
    catalog that was unpacked, with the same rows and blocks, for no more data: these are not unpacked again.
    """
    unpacking = Unpacking(content, _BY_ATTRIBUTE)
    if known is not None:
        values = {attribute: getattr(known, attribute) for attribute in _LARGE}
        unpacking.values.update({name: value for name, value in values.items() if value is not None})
    for attribute in _UNPACK_ORDER:
        unpacking.value(attribute)
    values = dict(unpacking.values)
    low, high = values.pop("rowid_range")
    catalog = Catalog(**values, low_rowid=low, high_rowid=high)
    _check_bytes(catalog)
    return catalog


def _check_bytes(catalog: Catalog) -> None:
    """DamagedFileError if what a catalog names has more bytes than there are.

    Then some are named twice, or a million times, and reading everything takes as much time as it likes.
    """
    entries = [*catalog.entries, catalog.rowids, catalog.created, catalog.ended]
    extents: list[Extent | None] = [catalog.tombstones, catalog.sources, *catalog.key_blooms]
    named = 0
    for entry in entries:
        if entry is not None:
            extents += entry.dictionary, entry.bloom
            named += entry.blocks.stored_bytes
    for vectors in catalog.vectors.values():
        extents += vectors.header, *vectors.lists
    for keywords in catalog.keywords.values():
        extents += keywords.header, keywords.pieces
    named += sum(extent.stored for extent in extents if extent is not None)
    if named > catalog.data_bytes:
        raise DamagedFileError(
            f"the catalog names {named:,} bytes in a data stream of {catalog.data_bytes:,}"
        )
