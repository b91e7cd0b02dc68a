"""A segment read through a schema that is not its own: columns were added, dropped or renamed since it was written.

It is a Segment to all who read: columns are named by their place in the other schema. One that the file does not have
is made of blocks that hold its initial value over and over, with zone maps that say so, so that scans prune it like any.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.blocks.bloom import BloomFilter
from audiomem_sql.blocks.directory import BlockDirectory
from audiomem_sql.blocks.zones import Zones
from audiomem_sql.columns.layouts import initial_value, places_in
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.stored_values import array_of
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.indexes.vectors.index import VectorIndex
from audiomem_sql.indexes.words.index import KeywordIndex
from audiomem_sql.storage.segment.catalog import ColumnEntry
from audiomem_sql.storage.segment.reader import Segment

#: Most rows, and about the most bytes, of a block of initial values.
_ROWS = 1 << 14
_BYTES = 1 << 20


def seen_as(segment: Segment, schema: Schema) -> Segment:
    """``segment`` with the columns of ``schema``; itself if those are its own."""
    if segment.schema.is_same(schema):
        return segment
    key = (schema, schema.ids)
    found = segment.evolved.get(key)
    if found is None:
        found = segment.evolved[key] = EvolvedSegment(segment, schema)
    return found


class EvolvedSegment(Segment):
    """``stored`` with the columns of ``schema``. DamagedFileError if a column has another type in it."""

    def __init__(self, stored: Segment, schema: Schema) -> None:
        self.stored = stored
        self.path, self.identity, self.file = stored.path, stored.identity, stored.file
        self.catalog, self.rows, self.data_page = stored.catalog, stored.rows, stored.data_page
        self.schema = schema
        self.indexes = {}
        try:
            self._places = places_in(stored.schema, schema)
        except DamagedFileError as error:
            error.at(file=stored.path, place="catalog")
            raise
        self._constants: dict[int, tuple[ColumnEntry, pa.Array]] = {}

    @property
    def skip_damage(self) -> bool:  # type: ignore[override]
        """Leave out rows that cannot be recovered, instead of raising an error."""
        return self.stored.skip_damage

    @property
    def null_damage(self) -> bool:  # type: ignore[override]
        """Put NULL for values that cannot be recovered, in rows whose rowid can."""
        return self.stored.null_damage

    def forget(self) -> None:
        """Let go of the blocks of the segment behind."""
        self.stored.forget()

    def close(self) -> None:
        """Nothing: the file belongs to the segment behind."""

    def __del__(self) -> None:
        """The same."""

    def _place(self, column: int) -> int | None:
        """The column of the segment behind; None if it has none."""
        return column if column < 0 else self._places[column]

    def entry(self, column: int) -> ColumnEntry | None:
        """The catalog entry of ``column``, made up for one that is not stored."""
        place = self._place(column)
        return self._constant(column)[0] if place is None else self.stored.entry(place)

    def block(self, column: int, number: int) -> pa.Array:
        """Block ``number`` of ``column``, decoded."""
        place = self._place(column)
        if place is not None:
            return self.stored.block(place, number)
        entry, values = self._constant(column)
        return values.slice(0, int(entry.blocks.zones.rows[number]))

    def blocks(self, column: int, numbers: Sequence[int], *, coded: bool = False) -> list[pa.Array]:
        """Blocks of ``column``, decoded."""
        place = self._place(column)
        if place is not None:
            return self.stored.blocks(place, numbers, coded=coded)
        made = [self.block(column, number) for number in numbers]
        return [block.dictionary_encode() for block in made] if coded else made

    def _constant(self, column: int) -> tuple[ColumnEntry, pa.Array]:
        """The entry and the largest block of a column that is not stored."""
        found = self._constants.get(column)
        if found is None:
            declared = self.schema.columns[column]
            value = initial_value(declared)
            size = 8 if value is None or not isinstance(value, str | bytes) else max(len(value), 8)
            most = max(1, min(_ROWS, self.rows, _BYTES // size))
            starts = np.append(np.arange(0, self.rows, most, dtype=np.int64), self.rows)
            counts = np.diff(starts)
            values = array_of([value] * most, declared.type)
            one = Zones.of(values.slice(0, 1), declared.type)
            zones = Zones.build(
                counts.tolist(),
                [(0 if value is not None else count, *one[1:]) for count in counts.tolist()],
                declared.type,
            )
            nothing = np.zeros(len(counts), np.int64)
            blocks = BlockDirectory(starts, nothing, nothing, counts * size, nothing.astype(np.uint8), zones)
            found = self._constants[column] = ColumnEntry(blocks), values
        return found

    def is_index_only(self, column: int) -> bool:
        """Whether ``column`` has neither blocks nor zone maps, but an index."""
        return self._place(column) in self.catalog.vectors

    def vector_index(self, column: int) -> VectorIndex | None:
        """The index that stands for the blocks of ``column``."""
        place = self._place(column)
        return None if place is None else self.stored.vector_index(place)

    def keyword_index(self, column: int) -> KeywordIndex | None:
        """The keyword index of ``column``."""
        place = self._place(column)
        return None if place is None else self.stored.keyword_index(place)

    def holds_vectors(self, column: int) -> bool:
        """Whether an index stands for the blocks of ``column``: here those are seen to before anybody asks."""
        return False

    def slice(self, column: int, start: int, stop: int, *, coded: bool = False) -> pa.Array:
        """Rows start … stop - 1 of ``column`` as one array."""
        place = self._place(column)
        if place in self.catalog.vectors:
            return self.stored.slice(place, start, stop)
        return super().slice(column, start, stop, coded=coded)

    def take(self, column: int, rows: I64Array, *, coded: bool = False) -> pa.Array:
        """The values of ``column`` at ``rows``, ascending int64 (n,)."""
        place = self._place(column)
        if place in self.catalog.vectors:
            return self.stored.take(place, rows)
        return super().take(column, rows, coded=coded)

    def dictionary(self, column: int) -> bytes | None:
        """The compression dictionary of ``column``."""
        place = self._place(column)
        return None if place is None else self.stored.dictionary(place)

    def bloom(self, column: int) -> BloomFilter | None:
        """The Bloom filter of ``column``."""
        place = self._place(column)
        return None if place is None else self.stored.bloom(place)

    def key_bloom(self, number: int) -> BloomFilter | None:
        """The Bloom filter of a key of several columns, if the segment behind has that key."""
        wanted = tuple(self._places[place] for place in self.schema.combined_keys[number])
        for other, places in enumerate(self.stored.schema.combined_keys):
            if places == wanted:
                return self.stored.key_bloom(other)
        return None

    def rowids(self) -> I64Array:
        """All rowids."""
        return self.stored.rowids()

    def find(self, rowid: int) -> range:
        """The rows that have ``rowid``."""
        return self.stored.find(rowid)

    def find_many(self, rowids: I64Array) -> I64Array:
        """The rows that have ``rowids``."""
        return self.stored.find_many(rowids)

    def tombstones(self) -> tuple[I64Array, I64Array]:
        """Rowids deleted from segments before, and the versions that did."""
        return self.stored.tombstones()

    def extent(self, extent: Any) -> bytes:
        """The bytes of an extent."""
        return self.stored.extent(extent)
