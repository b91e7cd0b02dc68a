"""A segment with the columns of another schema: some were added, dropped or renamed since it was written.

A column that the file does not have is made of blocks that hold its initial value over and over, with zone
maps that say so, so that scans prune it like any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.blocks.bloom import BloomFilter
from audiomem_sql.blocks.directory import BlockDirectory
from audiomem_sql.blocks.zones import Zones
from audiomem_sql.columns.column import Column
from audiomem_sql.columns.layouts import initial_value, places_in
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.stored_values import array_of
from audiomem_sql.columns.types import ColumnType, arrow_type
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.machine.memory import check_room
from audiomem_sql.storage.segment.catalog import ColumnEntry
from audiomem_sql.storage.segment.column_numbers import is_derived_column, name_of_column, type_of_column
from audiomem_sql.storage.segment.contract import ReadableSegment

if TYPE_CHECKING:
    from audiomem_sql.indexes.vectors import VectorIndex
    from audiomem_sql.indexes.words import KeywordIndex

#: Most rows, and about the most bytes, of a block of initial values.
_BLOCK_ROWS = 1 << 14
_BLOCK_BYTES = 1 << 20
#: What the directory takes in memory for a block.
_DIRECTORY_BYTES = 256


class EvolvedSegments:
    """The evolved segments that were made of one segment, as long as somebody has them."""

    def __init__(self) -> None:
        self._by_schema: WeakValueDictionary[Any, EvolvedSegment] = WeakValueDictionary()

    def of(self, segment: ReadableSegment, schema: Schema) -> ReadableSegment:
        """``segment`` with the columns of ``schema``; itself if those are its own."""
        if segment.schema.is_same(schema):
            return segment
        key = (schema, schema.ids)
        evolved = self._by_schema.get(key)
        if evolved is None:
            evolved = self._by_schema[key] = EvolvedSegment(segment, schema)
        return evolved


class EvolvedSegment:
    """``stored`` with the columns of ``schema``. DamagedFileError if a column has another type in it."""

    def __init__(self, stored: ReadableSegment, schema: Schema) -> None:
        self.stored = stored
        self.path, self.identity, self.file = stored.path, stored.identity, stored.file
        self.catalog, self.rows, self.data_cell = stored.catalog, stored.rows, stored.data_cell
        self.digest = stored.digest
        self.limits = stored.limits
        self.schema = schema
        self.indexes: dict[tuple[int | tuple[int, ...], str], Any] = {}
        try:
            self._stored_columns = places_in(stored.schema, schema)
        except DamagedFileError as error:
            error.at(file=stored.path, place="catalog")
            raise
        self._initial: dict[int, InitialValues] = {}
        # What does not depend on the columns of the schema is as in the stored segment.
        self.with_schema = stored.with_schema
        self.forget, self.read_once, self.extent = stored.forget, stored.read_once, stored.extent
        self.rowids, self.rowid, self.find, self.find_many = (
            stored.rowids,
            stored.rowid,
            stored.find,
            stored.find_many,
        )
        self.created, self.ended, self.tombstones = stored.created, stored.ended, stored.tombstones

    @property
    def cache_bytes(self) -> int:
        """What the cache keeps that its blocks are in."""
        return self.stored.cache_bytes

    @property
    def skip_damage(self) -> bool:
        """Leave out rows that cannot be recovered, instead of raising an error."""
        return self.stored.skip_damage

    @skip_damage.setter
    def skip_damage(self, skip: bool) -> None:
        self.stored.skip_damage = skip

    @property
    def null_damage(self) -> bool:
        """Put NULL for values that cannot be recovered, in rows whose rowid can."""
        return self.stored.null_damage

    @null_damage.setter
    def null_damage(self, null: bool) -> None:
        self.stored.null_damage = null

    def close(self) -> None:
        """Do nothing: the file belongs to the stored segment."""

    # -- columns ---------------------------------------------------------------------------------------------

    def _stored_column(self, column: int) -> int | None:
        """The number of ``column`` in the stored segment; None if it is not stored."""
        return column if column < 0 else self._stored_columns[column]

    def _initial_values(self, column: int) -> InitialValues:
        values = self._initial.get(column)
        if values is None:
            values = self._initial[column] = InitialValues(self.schema.columns[column], self.rows, self.path)
        return values

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
        stored = self._stored_column(column)
        return stored is not None and self.stored.is_index_only(stored)

    def entry(self, column: int) -> ColumnEntry | None:
        """The catalog entry of ``column``, made up for one that is not stored."""
        stored = self._stored_column(column)
        return self._initial_values(column).entry if stored is None else self.stored.entry(stored)

    def directory(self, column: int) -> BlockDirectory | None:
        """The block directory of ``column``."""
        entry = self.entry(column)
        return None if entry is None else entry.blocks

    # -- values ----------------------------------------------------------------------------------------------

    def block(self, column: int, number: int) -> pa.Array:
        """Block ``number`` of ``column``, decoded."""
        stored = self._stored_column(column)
        return (
            self._initial_values(column).block(number)
            if stored is None
            else self.stored.block(stored, number)
        )

    def slice(self, column: int, start: int, stop: int, *, coded: bool = False) -> pa.Array:
        """Rows start … stop - 1 of ``column`` as one array."""
        stored = self._stored_column(column)
        if stored is None:
            return self._initial_values(column).repeated(stop - start, coded=coded)
        return self.stored.slice(stored, start, stop, coded=coded)

    def take(self, column: int, rows: I64Array, *, coded: bool = False) -> pa.Array:
        """The values of ``column`` at ``rows``, ascending int64 (n,)."""
        stored = self._stored_column(column)
        if stored is None:
            return self._initial_values(column).repeated(len(rows), coded=coded)
        return self.stored.take(stored, rows, coded=coded)

    def prefetch(self, columns: Iterable[int], rows: I64Array | Sequence[int]) -> None:
        """Tell that ``columns`` will be read at ``rows``, ascending."""
        stored = (self._stored_column(column) for column in columns)
        self.stored.prefetch([column for column in stored if column is not None], rows)

    # -- indexes ---------------------------------------------------------------------------------------------

    def may_contain(self, column: int, key: int | str | bytes) -> bool:
        """Whether ``column`` may hold ``key``, by its Bloom filter; True when it has none."""
        stored = self._stored_column(column)
        return stored is None or self.stored.may_contain(stored, key)

    def bloom(self, column: int) -> BloomFilter | None:
        """The Bloom filter of ``column``."""
        stored = self._stored_column(column)
        return None if stored is None else self.stored.bloom(stored)

    def key_bloom(self, number: int) -> BloomFilter | None:
        """The Bloom filter of a key of several columns, if the stored segment has that key."""
        columns = tuple(self._stored_columns[column] for column in self.schema.combined_keys[number])
        for stored_number, stored_columns in enumerate(self.stored.schema.combined_keys):
            if stored_columns == columns:
                return self.stored.key_bloom(stored_number)
        return None

    def vector_index(self, column: int) -> VectorIndex | None:
        """The index of vectors of ``column``; None if it has none, or one that the schema does not know."""
        stored = self._stored_column(column)
        if stored is None:
            return None
        has, wants = self.stored.schema.columns[stored], self.schema.columns[column]
        return self.stored.vector_index(stored) if has.vector_index == wants.vector_index else None

    def keyword_index(self, column: int) -> KeywordIndex | None:
        """The keyword index of ``column``; None if it has none, or one of other words than it has by now."""
        stored = self._stored_column(column)
        if stored is None:
            return None
        has, wants = self.stored.schema.columns[stored], self.schema.columns[column]
        is_same = has.tokenize == wants.tokenize or not (has.indexed and wants.indexed)
        return self.stored.keyword_index(stored) if is_same else None


class InitialValues:
    """A column of ``rows`` rows that no file holds: every row has the initial value of ``column``."""

    def __init__(self, column: Column, rows: int, path: str) -> None:
        value = initial_value(column)
        size = 8 if value is None or not isinstance(value, str | bytes) else max(len(value), 8)
        block_rows = max(1, min(_BLOCK_ROWS, rows, _BLOCK_BYTES // size))
        check_room(_DIRECTORY_BYTES * (rows // block_rows), path)
        starts = np.append(np.arange(0, rows, block_rows, dtype=np.int64), rows)
        counts = np.diff(starts)
        self._type = column.type
        #: The largest block.
        self._values = array_of([value] * block_rows, column.type)
        _, low, high = Zones.of(self._values.slice(0, 1), column.type)
        zones = Zones.build(
            counts.tolist(),
            [(0 if value is not None else count, low, high) for count in counts.tolist()],
            column.type,
        )
        nothing = np.zeros(len(counts), np.int64)
        #: What the catalog of a file that had the column would say.
        self.entry = ColumnEntry(
            BlockDirectory(starts, nothing, nothing, counts * size, nothing.astype(np.uint8), zones)
        )

    def block(self, number: int) -> pa.Array:
        """Block ``number``."""
        return self._values.slice(0, int(self.entry.blocks.zones.rows[number]))

    def repeated(self, count: int, *, coded: bool = False) -> pa.Array:
        """The value ``count`` times; coded: as a dictionary array."""
        if not count:
            return pa.nulls(0, arrow_type(self._type))
        size = len(self._values)
        pieces = [self._values.slice(0, min(size, count - start)) for start in range(0, count, size)]
        array = pieces[0] if len(pieces) == 1 else pa.concat_arrays(pieces)
        return array.dictionary_encode() if coded else array
