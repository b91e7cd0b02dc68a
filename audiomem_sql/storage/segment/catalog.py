"""The catalog: everything about a segment except its values; ``catalog_packing`` makes bytes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from audiomem_sql.blocks.directory import BlockDirectory
from audiomem_sql.columns.schema import Schema
from audiomem_sql.storage.segment.seal import Seal

#: Most bytes of an extent before compression.
MAX_EXTENT_BYTES = 1 << 30
#: An extent of more bytes before compression has at most so many times those that are stored.
LARGE_EXTENT_BYTES = 256 << 20
MAX_EXTENT_RATIO = 1024
MAX_ROWS = 1 << 48


@dataclass(frozen=True, slots=True)
class Extent:
    """A compressed piece of the data stream: place, bytes there, bytes before compression."""

    offset: int
    stored: int
    raw: int


def fits_an_extent(stored: int, raw: int, most: int = MAX_EXTENT_BYTES) -> bool:
    """Whether ``raw`` bytes, which compression made ``stored``, may be an extent; most: at most so many."""
    return raw <= most and raw <= max(LARGE_EXTENT_BYTES, stored * MAX_EXTENT_RATIO)


@dataclass(frozen=True, slots=True)
class Version:
    """One commit: its number, its time (µs since 1970, UTC), the rows that it added and removed."""

    number: int
    time: int
    inserted: int
    deleted: int
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Migration:
    """One change of the columns: its number in the table, from 1, the version that made it, and its text."""

    number: int
    version: int
    text: str


@dataclass(frozen=True, slots=True)
class SchemaHistory:
    """How the columns of a segment change from version to version.

    schemas: empty, or the columns from the first version on, and from each that changed them. migrations:
    what those versions did; after a vacuum also those before the first version. next_column: above every id
    that a column had.
    """

    schemas: tuple[tuple[int, Schema], ...] = ()
    migrations: tuple[Migration, ...] = ()
    next_column: int = 0


#: Of a segment that knows of no changes.
NO_HISTORY = SchemaHistory()


@dataclass(frozen=True, slots=True)
class KeywordExtents:
    """Where the keyword index of a column is: its header, and its pieces, which are not compressed."""

    header: Extent
    pieces: Extent


@dataclass(frozen=True, slots=True)
class VectorExtents:
    """Where the index of a column of vectors is: its header, and its lists.

    has_trellis: the codes of its vectors are those of a trellis.
    """

    header: Extent
    lists: tuple[Extent, ...]
    has_trellis: bool = False


@dataclass(frozen=True, slots=True)
class ColumnEntry:
    """Where a column's blocks are, and its compression dictionary and Bloom filter if it has them."""

    blocks: BlockDirectory
    dictionary: Extent | None = None
    bloom: Extent | None = None


@dataclass(frozen=True, slots=True)
class Catalog:
    """The catalog of one segment.

    ``entries`` has one entry for each stored column: those of the schema in order, except the one that is the
    rowid's alias, which is not stored twice. ``first_rowid`` is set when the rowids are first, first + 1, …;
    otherwise ``rowids`` is the entry of a hidden INTEGER column. ``created`` and ``ended`` are hidden columns
    too: the version that made each row, and the one that deleted it (NULL: none in this segment). Without
    ``created`` the last version made every row; without ``ended`` none was deleted here. ``schema`` is how
    the rows are stored, and what every version of the segment shows, unless ``history`` has others. With
    ``created`` a rowid may be there several times, and ``tombstones`` has a version for each rowid.
    ``key_blooms`` are the filters of ``schema.combined_keys``. ``comments``, in a protected segment, are
    those of the FLAC file, so that it can be made again. ``vectors`` has the indexes of vectors by
    the place of their columns: those of texts stand for blocks, and have no entry; those of INDEXED columns
    are beside the blocks. ``seal`` says what the segment continues; None in
    format version 1. ``given_rowid`` is the greatest rowid that AUTOINCREMENT must not give again, also where
    its row is not here; 0 where that says nothing.
    """

    table_id: bytes
    segment_id: bytes
    schema: Schema
    rows: int
    versions: tuple[Version, ...]
    entries: tuple[ColumnEntry | None, ...]
    data_bytes: int
    first_rowid: int | None = None
    rowids: ColumnEntry | None = None
    low_rowid: int = 0
    high_rowid: int = 0
    created: ColumnEntry | None = None
    ended: ColumnEntry | None = None
    key_blooms: tuple[Extent | None, ...] = ()
    tombstones: Extent | None = None
    sources: Extent | None = None
    tags: dict[str, int] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    history: SchemaHistory = NO_HISTORY
    comments: dict[str, str] = field(default_factory=dict)
    vectors: dict[int, VectorExtents] = field(default_factory=dict)
    keywords: dict[int, KeywordExtents] = field(default_factory=dict)
    seal: Seal | None = None
    given_rowid: int = 0

    @property
    def schemas(self) -> tuple[tuple[int, Schema], ...]:
        """(first version with it, schema), oldest first; at least one."""
        return self.history.schemas or ((self.first_version, self.schema),)

    def bind(self, reader: Any) -> None:
        """Read pages of block directories with ``reader``, a ``PageReader``, from now on."""
        for number, entry in enumerate(self.entries):
            if entry is not None:
                entry.blocks.bind(reader, number)

    def is_index_only(self, column: int) -> bool:
        """Whether an index of vectors stands for the blocks of ``column``."""
        return column in self.vectors and self.schema.columns[column].vector_index is None

    def schema_at(self, version: int) -> Schema:
        """The columns that the table had at ``version``, one of this segment's."""
        newest = self.schemas[0][1]
        for first, schema in self.schemas:
            if first <= version:
                newest = schema
        return newest

    @property
    def first_version(self) -> int:
        """The first commit in this segment."""
        return self.versions[0].number

    @property
    def last_version(self) -> int:
        """The last commit in this segment."""
        return self.versions[-1].number
