"""What every room above reads segments through, whichever kind they are.

Three implementations: :class:`~audiomem_sql.storage.segment.reader.Segment` has a catalog,
:class:`~audiomem_sql.storage.segment.evolved.EvolvedSegment` shows a segment with the columns of another
schema, :class:`~audiomem_sql.storage.segment.unlisted.UnlistedSegment` has lost its catalog. The tests of the
contract are ``tests/storage/segment/readable_segment.py``.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.blocks.bloom import BloomFilter
from audiomem_sql.blocks.directory import BlockDirectory
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import ColumnType
from audiomem_sql.machine.limits import Limits
from audiomem_sql.storage.pages import PagedFile
from audiomem_sql.storage.segment.catalog import Catalog, ColumnEntry, Extent

if TYPE_CHECKING:
    from audiomem_sql.indexes.vectors import VectorIndex
    from audiomem_sql.indexes.words import KeywordIndex


class ReadableSegment(Protocol):
    """An immutable file of rows, numbered from 0, ascending by rowid. Safe to use from several threads.

    A column is named by its index in ``schema``, or by ROWID, CREATED or ENDED. Whatever cannot be read
    raises DamagedFileError with the file and the place.
    """

    path: str
    #: Which file this is, whatever is at ``path`` by now.
    identity: Hashable | None
    file: PagedFile
    #: Of the stored columns; where ``schema`` has others, its entries do not match them.
    catalog: Catalog
    schema: Schema
    rows: int
    #: The cell of ``file`` at which the data stream begins.
    data_cell: int
    #: Of the stored catalog; empty if it is lost.
    digest: bytes
    #: Of each column and collation, or key of several columns, that was looked up: how often, or its index
    #: once made.
    indexes: dict[tuple[int | tuple[int, ...], str], Any]
    #: Leave out rows that cannot be recovered, instead of raising an error.
    skip_damage: bool
    #: Put NULL for values that cannot be recovered, in rows whose rowid can.
    null_damage: bool

    @property
    def limits(self) -> Limits:
        """Of the profile that the segment was written with."""

    @property
    def cache_bytes(self) -> int:
        """What the cache keeps that its blocks are in."""

    def with_schema(self, schema: Schema) -> ReadableSegment:
        """The segment with the columns of ``schema``; itself if those are its own."""

    def forget(self) -> None:
        """Drop its blocks from the cache."""

    def close(self) -> None:
        """Close the file and drop its blocks from the cache."""

    def read_once(self) -> AbstractContextManager[None]:
        """While this lasts, blocks that this thread reads are not kept in the cache."""

    # -- columns ---------------------------------------------------------------------------------------------

    def column_type(self, column: int) -> ColumnType:
        """The type of ``column``."""

    def column_name(self, column: int) -> str:
        """The name of ``column`` in messages."""

    def is_derived(self, column: int) -> bool:
        """Whether ``column`` has the vectors of texts, which can be made anew."""

    def is_index_only(self, column: int) -> bool:
        """Whether ``column`` has neither blocks nor zone maps, but a vector index."""

    def entry(self, column: int) -> ColumnEntry | None:
        """The catalog entry of ``column``.

        None for an index-only column, and for rowids that are the run first_rowid, first_rowid + 1, ….
        """

    def directory(self, column: int) -> BlockDirectory | None:
        """The block directory of ``column``; None where :meth:`entry` is None."""

    # -- values ----------------------------------------------------------------------------------------------

    def block(self, column: int, number: int) -> pa.Array:
        """Block ``number`` of ``column``, decoded."""

    def slice(self, column: int, start: int, stop: int, *, coded: bool = False) -> pa.Array:
        """Rows start … stop - 1 of ``column`` as one array.

        coded: as a dictionary array with int32 codes, for a column of texts.
        """

    def take(self, column: int, rows: I64Array, *, coded: bool = False) -> pa.Array:
        """The values of ``column`` at ``rows``, ascending int64 (n,).

        Only the blocks that hold them are decoded.
        """

    def prefetch(self, columns: Iterable[int], rows: I64Array | Sequence[int]) -> None:
        """Tell that ``columns`` will be read at ``rows``, ascending: a store is asked for all at once."""

    def extent(self, extent: Extent) -> bytes:
        """The bytes of an extent that the catalog names, decompressed."""

    # -- rows ------------------------------------------------------------------------------------------------

    def rowids(self) -> I64Array:
        """All rowids, int64 (rows,), ascending; kept after the first call."""

    def rowid(self, row: int) -> int:
        """The rowid of ``row``."""

    def find(self, rowid: int) -> range:
        """The rows that have ``rowid``: one at most, unless the segment holds several commits."""

    def find_many(self, rowids: I64Array) -> I64Array:
        """The rows that have one of ``rowids``, distinct int64 (n,); ascending int64."""

    def created(self) -> I64Array:
        """The version that made each row, int64 (rows,)."""

    def ended(self) -> I64Array:
        """The version of this segment that deleted each row, int64 (rows,); NEVER where none did."""

    def tombstones(self) -> tuple[I64Array, I64Array]:
        """Rowids deleted from earlier segments, ascending, and the versions that did, int64 (n,) each."""

    # -- indexes ---------------------------------------------------------------------------------------------

    def may_contain(self, column: int, key: int | str | bytes) -> bool:
        """Whether ``column`` may hold ``key``, by its Bloom filter; True when it has none."""

    def bloom(self, column: int) -> BloomFilter | None:
        """The Bloom filter of ``column``."""

    def key_bloom(self, number: int) -> BloomFilter | None:
        """The Bloom filter of a key of several columns, by its index in ``schema.combined_keys``."""

    def vector_index(self, column: int) -> VectorIndex | None:
        """The index of vectors of ``column``; None if it has none."""

    def keyword_index(self, column: int) -> KeywordIndex | None:
        """The keyword index of ``column``; None if it has none."""
