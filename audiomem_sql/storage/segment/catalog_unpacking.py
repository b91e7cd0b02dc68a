"""Unpacks the fields of a catalog. Nothing in a map is believed.

Every count, length and place is checked against the fields that were unpacked before it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgpack

from audiomem_sql.blocks.bloom import filter_bytes
from audiomem_sql.blocks.directory import BlockDirectory
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.text_vectors import holds_passages
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.storage.segment.catalog import (
    MAX_EXTENT_BYTES,
    MAX_ROWS,
    Catalog,
    ColumnEntry,
    Extent,
    KeywordExtents,
    SchemaHistory,
    VectorExtents,
)
from audiomem_sql.storage.segment.catalog_features import CHECKS, COMBINED_KEYS
from audiomem_sql.storage.segment.catalog_history import history_of
from audiomem_sql.storage.segment.catalog_values import unpack_entry, unpack_extent
from audiomem_sql.storage.segment.checked_values import count, integer

_INTEGER = ColumnType(Kind.INTEGER)
#: The largest stored columns that are kept after they were read, in bytes.
_KEPT_BYTES = 16 << 10


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the map.

    name: its key. pack: its value. attribute: of the catalog, which ``unpack`` gives; none for a field that
    another one unpacks. feature: of which segments it is; others leave it out, and have ``absent()`` instead.
    optional: left out, too, where it is empty.
    """

    name: str
    pack: Callable[[Catalog], Any]
    attribute: str = ""
    unpack: Callable[[Unpacking], Any] | None = None
    feature: str | None = None
    absent: Callable[[], Any] = lambda: None
    optional: bool = False


@dataclass(slots=True)
class Unpacking:
    """A map as it is unpacked.

    fields: by the attribute of the catalog that they give. values: the attributes that are known so far.
    """

    content: Mapping[str, Any]
    fields: Mapping[str, Field]
    values: dict[str, Any] = field(default_factory=dict)

    def has(self, feature: str) -> bool:
        """Whether the segment has a feature."""
        return feature in self.content["requires"]

    def value(self, attribute: str) -> Any:
        """An attribute of the catalog, unpacked at the first call."""
        if attribute not in self.values:
            entry = self.fields[attribute]
            assert entry.unpack is not None
            missing = entry.feature is not None and not self.has(entry.feature)
            self.values[attribute] = entry.absent() if missing else entry.unpack(self)
        return self.values[attribute]

    @property
    def schema(self) -> Schema:
        """The stored columns."""
        schema: Schema = self.value("schema")
        return schema

    @property
    def version_range(self) -> tuple[int, int]:
        """The first and the last version."""
        versions = self.value("versions")
        return versions[0].number, versions[-1].number

    def extent(self, value: Any, most: int = MAX_EXTENT_BYTES) -> Extent | None:
        """An extent of the segment."""
        return unpack_extent(value, self.value("data_bytes"), most)

    def entry(self, value: Any, column_type: ColumnType = _INTEGER) -> ColumnEntry:
        """The entry of a column of the segment."""
        return unpack_entry(value, column_type, self.value("rows"), self.value("data_bytes"))


def unpack_schema(unpacking: Unpacking) -> Schema:
    """The stored columns, with CHECK and keys of several columns."""
    content = unpacking.content
    stored = (
        content["schema"],
        content["checks"] if unpacking.has(CHECKS) else (),
        content["keys"] if unpacking.has(COMBINED_KEYS) else (),
    )
    packed = msgpack.packb(stored)
    return _schema_of(packed) if len(packed) <= _KEPT_BYTES else Schema.from_catalog(*stored)


@functools.lru_cache(maxsize=4)
def _schema_of(packed: bytes) -> Schema:
    """The columns, which are the same in the segments of a table."""
    return Schema.from_catalog(*msgpack.unpackb(packed, strict_map_key=False))


def unpack_entries(unpacking: Unpacking) -> tuple[ColumnEntry | None, ...]:
    """The entries of the columns with blocks: not the rowid's alias, nor the vectors of texts."""
    schema, entries = unpacking.schema, unpacking.content["columns"]
    if len(entries) != len(schema):
        raise DamagedFileError("the catalog has another number of columns than its schema")
    without = {schema.rowid_column}
    without |= {
        number for number in unpacking.value("vectors") if schema.columns[number].vector_index is None
    }
    return tuple(
        None if number in without else unpacking.entry(value, column.type)
        for number, (value, column) in enumerate(zip(entries, schema.columns, strict=True))
    )


def unpack_key_blooms(unpacking: Unpacking) -> tuple[Extent | None, ...]:
    """The filters of keys of several columns, one for each."""
    blooms, most = unpacking.content["key_blooms"], filter_bytes(unpacking.value("rows"))
    extents = tuple(unpacking.extent(bloom, most) for bloom in blooms)
    if len(extents) != len(unpacking.schema.combined_keys):
        raise DamagedFileError("the catalog has another number of filters than its schema has keys")
    return extents


def unpack_rowid_range(unpacking: Unpacking) -> tuple[int, int]:
    """The least and the greatest rowid."""
    content = unpacking.content
    _, low, high = content["first_rowid"], *map(integer, content["rowid_range"])
    return low, high


def unpack_first_rowid(unpacking: Unpacking) -> int | None:
    """The first rowid where they are a run, else None."""
    first = unpacking.content["first_rowid"]
    return None if first is None else integer(first)


def unpack_created(unpacking: Unpacking) -> ColumnEntry:
    """The entry of the versions that made rows."""
    entry = unpacking.entry(unpacking.content["created"])
    _check_versions(entry.blocks, *unpacking.version_range, every=True)
    return entry


def unpack_ended(unpacking: Unpacking) -> ColumnEntry | None:
    """The entry of the versions that deleted rows, if any did."""
    value = unpacking.content["ended"]
    if value is None:
        return None
    entry = unpacking.entry(value)
    _check_versions(entry.blocks, *unpacking.version_range, every=False)
    return entry


def unpack_rowids(unpacking: Unpacking) -> ColumnEntry | None:
    """The entry of the rowids, if they are stored. They must fit the range that the catalog states."""
    first, rows = unpacking.content["first_rowid"], unpacking.value("rows")
    low, high = unpacking.value("rowid_range")
    if first is None:
        entry = unpacking.entry(unpacking.content["rowids"])
        _check_rowids(entry.blocks, low, high, unique=unpacking.value("created") is None)
        return entry
    if rows and (integer(first) != low or low + rows - 1 != high):
        raise DamagedFileError("the catalog contradicts itself on rowids")
    return None


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


def _check_versions(blocks: BlockDirectory, first: int, last: int, *, every: bool) -> None:
    """Rows were made and deleted by versions of this segment; ``every``: none is NULL."""
    zones = blocks.zones
    assert zones.low is not None
    assert zones.high is not None
    filled = zones.filled
    if (every and zones.nulls.any()) or (
        filled.any() and not first <= int(zones.low[filled].min()) <= int(zones.high[filled].max()) <= last
    ):
        raise DamagedFileError("the catalog contradicts itself on versions")


def unpack_vectors(unpacking: Unpacking) -> dict[int, VectorExtents]:
    """The indexes of the columns of vectors, by column number."""
    schema, indexes = unpacking.schema, dict[int, VectorExtents]()
    for column, header, lists, *has_trellis in unpacking.content["vectors"]:
        number = count(column, len(schema) - 1)
        indexed = schema.columns[number]
        if number in indexes or not (indexed.type.kind is Kind.FLOAT or holds_passages(indexed)):
            raise DamagedFileError("the catalog has an index of vectors for a column that has none")
        extents = [unpacking.extent(value) for value in (header, *lists)]
        if any(extent is None for extent in extents):
            raise DamagedFileError("the catalog has an index of vectors without a place")
        if has_trellis not in ([], [True]):
            raise DamagedFileError("the catalog has an index of vectors of a kind that does not exist")
        first, *others = [extent for extent in extents if extent is not None]
        indexes[number] = VectorExtents(first, tuple(others), bool(has_trellis))
    return indexes


def unpack_keywords(unpacking: Unpacking) -> dict[int, KeywordExtents]:
    """The keyword indexes, by column number."""
    schema, indexes = unpacking.schema, dict[int, KeywordExtents]()
    for column, header, pieces in unpacking.content["keywords"]:
        number = count(column, len(schema) - 1)
        first, second = unpacking.extent(header), unpacking.extent(pieces, MAX_ROWS)
        if number in indexes or schema.columns[number].type.kind is not Kind.TEXT or not first or not second:
            raise DamagedFileError("the catalog has a keyword index for a column that has none")
        indexes[number] = KeywordExtents(first, second)
    return indexes


def unpack_history(unpacking: Unpacking) -> SchemaHistory:
    """The changes of the columns."""
    return history_of(unpacking.content, unpacking.schema, *unpacking.version_range)
