"""A segment: an immutable FLAC file of rows in rowid order, read block by block.

    | catalog | data stream: blocks, dictionaries, filters | catalog again |

Opening reads the catalog only.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.blocks.bloom import BloomFilter, hash_keys
from audiomem_sql.blocks.directory import BlockDirectory
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import ColumnType
from audiomem_sql.errors import AudioMemError, DamagedFileError, QueryError
from audiomem_sql.machine.block_cache import SHARED, BlockCache
from audiomem_sql.machine.durable import file_identity
from audiomem_sql.machine.limits import Limits, cache_room, limits_of
from audiomem_sql.storage.pages import PagedFile
from audiomem_sql.storage.segment.catalog import Catalog, ColumnEntry, Extent
from audiomem_sql.storage.segment.catalog_copies import StoredCatalog, any_catalog
from audiomem_sql.storage.segment.column_blocks import ColumnBlocks, LostBlocks
from audiomem_sql.storage.segment.column_numbers import (
    is_derived_column,
    name_of_column,
    type_of_column,
)
from audiomem_sql.storage.segment.column_values import ColumnValues
from audiomem_sql.storage.segment.contract import ReadableSegment
from audiomem_sql.storage.segment.data_stream import DataStream
from audiomem_sql.storage.segment.evolved import EvolvedSegments
from audiomem_sql.storage.segment.hidden_columns import (
    HiddenColumns,
    ListedHiddenColumns,
    LossyHiddenColumns,
)
from audiomem_sql.storage.segment.row_lookup import RowLookup
from audiomem_sql.storage.segment.stored_indexes import StoredIndexes
from audiomem_sql.storage.segment.tombstones import read_tombstones

if TYPE_CHECKING:
    from audiomem_sql.indexes.vectors import VectorIndex
    from audiomem_sql.indexes.words import KeywordIndex
    from audiomem_sql.storage.segment.partial import ArrivedCatalog


class Segment:
    """A segment with a catalog: a ``ReadableSegment`` made of parts, each of which reads one kind of thing.

    No part refers to the segment, so that the file is closed as soon as nobody has the segment any more.
    """

    def __init__(
        self,
        file: PagedFile,
        catalog: Catalog,
        data_cell: int,
        cache: BlockCache,
        identity: Hashable | None = None,
        lost: LostBlocks | None = None,
        digest: bytes = b"",
        part: ArrivedCatalog | None = None,
    ) -> None:
        """Digest: of the stored catalog, see :class:`~audiomem_sql.storage.segment.seal.Seal`.

        lost: for a catalog that was put together from labels, the blocks that cannot be read. part: for a
        segment that has not arrived as a whole, where ``catalog`` comes from.
        """
        self.path = file.path
        self.identity = identity
        self.file = file
        self.catalog = catalog
        self.schema = catalog.schema
        self.rows = catalog.rows
        self.data_cell = data_cell
        self.digest = digest
        self.skip_damage = False
        self.null_damage = False
        self.indexes: dict[tuple[int | tuple[int, ...], str], Any] = {}
        cache.make_room(cache_room(self.limits))
        self._stream = DataStream(file, data_cell)
        catalog.bind(self._stream)
        #: What is there of a segment that has not arrived as a whole.
        self.arrived = None if part is None else part.arrived
        self._missing_indexes = frozenset[int]() if part is None else part.missing
        whole = {} if part is None else part.whole
        self._blocks = ColumnBlocks(self._stream, catalog, cache, lost or {}, whole)
        self._stored_indexes = StoredIndexes(self._stream, catalog)
        self._values = ColumnValues(catalog, self._blocks, self._stored_indexes)
        self._hidden: HiddenColumns = (
            ListedHiddenColumns(catalog, self._values, self.path)
            if lost is None
            else LossyHiddenColumns(catalog, self._blocks, self._values, lost, self.path)
        )
        self._lookup = RowLookup(catalog, self._hidden)
        self._evolved = EvolvedSegments()

    @classmethod
    def open(cls, path: str, cache: BlockCache = SHARED) -> Segment:
        """Open the newest segment at ``path``, by the first copy of the catalog that can be read."""
        identity = file_identity(path)
        file = PagedFile.open(path)
        try:
            return cls.of(file, cache, identity)
        except AudioMemError as error:
            file.close()
            error.at(file=path, place="catalog")
            raise
        except BaseException:
            file.close()
            raise

    @classmethod
    def of(
        cls,
        file: PagedFile,
        cache: BlockCache,
        identity: Hashable | None,
        stored: StoredCatalog | None = None,
        *,
        partial: bool = False,
    ) -> Segment:
        """The segment in ``file``, which is taken over unless an error is raised.

        stored: its catalog, if that was read already. partial: it may end before all of it has arrived.
        """
        stored = stored or any_catalog(file)
        if stored.catalog.segment_id != file.header.segment_id:
            raise DamagedFileError("the catalog belongs to another segment", file=file.path)
        part = None
        if partial:
            from audiomem_sql.storage.segment.partial import arrived_catalog

            part = arrived_catalog(file, stored)
        catalog = stored.catalog if part is None else part.catalog
        return cls(file, catalog, stored.data_cell, cache, identity, digest=stored.digest, part=part)

    @property
    def limits(self) -> Limits:
        """Of the profile that the segment was written with."""
        return limits_of(self.catalog.options.get("profile"))

    def with_schema(self, schema: Schema) -> ReadableSegment:
        """The segment with the columns of ``schema``; itself if those are its own."""
        return self._evolved.of(self, schema)

    def forget(self) -> None:
        """Drop its blocks from the cache."""
        self._blocks.forget()

    def close(self) -> None:
        """Close the file and drop its blocks from the cache."""
        self.forget()
        self.file.close()

    def __del__(self) -> None:
        if hasattr(self, "_blocks"):
            self.close()

    @property
    def cache_bytes(self) -> int:
        """What the cache keeps that its blocks are in."""
        return self._blocks.cache_bytes

    def read_once(self) -> AbstractContextManager[None]:
        """While this lasts, blocks that this thread reads are not kept in the cache."""
        return self._blocks.read_once()

    # -- columns ---------------------------------------------------------------------------------------------

    def column_type(self, column: int) -> ColumnType:
        """The type of ``column``."""
        return type_of_column(self.schema, column)

    def column_name(self, column: int) -> str:
        """The name of ``column`` in messages."""
        return name_of_column(self.schema, column)

    def is_derived(self, column: int) -> bool:
        """Whether ``column`` has the vectors of texts, which can be made anew."""
        return is_derived_column(self.schema, column)

    def is_index_only(self, column: int) -> bool:
        """Whether ``column`` has neither blocks nor zone maps, but a vector index."""
        return self.catalog.is_index_only(column)

    def entry(self, column: int) -> ColumnEntry | None:
        """The catalog entry of ``column``."""
        return self._blocks.entry(column)

    def directory(self, column: int) -> BlockDirectory | None:
        """The block directory of ``column``."""
        return self._blocks.directory(column)

    # -- values ----------------------------------------------------------------------------------------------

    def block(self, column: int, number: int) -> pa.Array:
        """Block ``number`` of ``column``, decoded."""
        return self._blocks.block(column, number)

    def slice(self, column: int, start: int, stop: int, *, coded: bool = False) -> pa.Array:
        """Rows start … stop - 1 of ``column`` as one array."""
        return self._values.slice(column, start, stop, coded=coded)

    def take(self, column: int, rows: I64Array, *, coded: bool = False) -> pa.Array:
        """The values of ``column`` at ``rows``, ascending int64 (n,)."""
        return self._values.take(column, rows, coded=coded)

    def prefetch(self, columns: Iterable[int], rows: I64Array | Sequence[int]) -> None:
        """Tell that ``columns`` will be read at ``rows``, ascending."""
        self._values.prefetch(columns, rows)

    def extent(self, extent: Extent) -> bytes:
        """The bytes of an extent that the catalog names, decompressed."""
        return self._stream.extent(extent)

    # -- rows ------------------------------------------------------------------------------------------------

    def rowids(self) -> I64Array:
        """All rowids, int64 (rows,), ascending; kept after the first call."""
        return self._hidden.rowids()

    def rowid(self, row: int) -> int:
        """The rowid of ``row``."""
        return self._lookup.rowid(row)

    def find(self, rowid: int) -> range:
        """The rows that have ``rowid``."""
        return self._lookup.find(rowid, self)

    def find_many(self, rowids: I64Array) -> I64Array:
        """The rows that have ``rowids``, int64 (n,), ascending."""
        return self._lookup.find_many(rowids)

    def created(self) -> I64Array:
        """The version that made each row, int64 (rows,)."""
        return self._hidden.created()

    def ended(self) -> I64Array:
        """The version that deleted each row, int64 (rows,), or NEVER."""
        return self._hidden.ended()

    def tombstones(self) -> tuple[I64Array, I64Array]:
        """Rowids deleted from earlier segments, ascending, and the versions that did, int64 (n,) each."""
        return read_tombstones(self._stream, self.catalog)

    # -- indexes ---------------------------------------------------------------------------------------------

    def may_contain(self, column: int, key: int | str | bytes) -> bool:
        """Whether ``column`` may hold ``key``, by its Bloom filter; True when it has none."""
        try:
            bloom = self.bloom(column)
        except DamagedFileError:
            if not self.skip_damage:
                raise
            return True
        return bloom is None or bool(bloom.may_contain(hash_keys([key]))[0])

    def bloom(self, column: int) -> BloomFilter | None:
        """The Bloom filter of ``column``."""
        return self._stored_indexes.bloom(column, self._blocks.entry(column))

    def key_bloom(self, number: int) -> BloomFilter | None:
        """The Bloom filter of a key of several columns, by its index in ``schema.combined_keys``."""
        return self._stored_indexes.key_bloom(number)

    def vector_index(self, column: int) -> VectorIndex | None:
        """The index of vectors of ``column``; None if it has none."""
        self._check_indexed(column)
        return self._stored_indexes.vector_index(column)

    def keyword_index(self, column: int) -> KeywordIndex | None:
        """The keyword index of ``column``; None if it has none."""
        self._check_indexed(column)
        return self._stored_indexes.keyword_index(column, partial(self._values.take, column))

    def _check_indexed(self, column: int) -> None:
        """QueryError for an index that has not arrived."""
        if column in self._missing_indexes:
            raise QueryError(
                "the index of the column has not arrived",
                file=self.path,
                place=f"column {self.column_name(column)}",
                remedy="Search it when all of the table is there.",
            )
