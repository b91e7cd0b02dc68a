"""The unique keys of a table, of one column or of several: which row has a key, and which rows are in the way of a new one.

Looked for in turn among the rows of a transaction, those of the log, and the segments. A key is named by the places of its
columns. The rowid is not among them: finding a row by that is what segments are made for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from typing import Any, TypeAlias

import numpy as np

from audiomem_sql.arrays import I64Array, U64Array
from audiomem_sql.columns.affinity import StoredValue
from audiomem_sql.columns.batch import Row
from audiomem_sql.columns.stored_values import as_sql
from audiomem_sql.indexes.keys.combined import CombinedIndex, folded, hash_key, hash_rows
from audiomem_sql.indexes.keys.index import LOOKUPS_BEFORE_INDEX, SMALL_ROWS
from audiomem_sql.predicates import Op, Predicate, bind
from audiomem_sql.scan import Filter, find_rows, scan
from audiomem_sql.scan.lookup import value_at
from audiomem_sql.storage.segment import ReadableSegment
from audiomem_sql.versions import SegmentView, Snapshot

#: Rows that are hashed at once.
_ROWS_AT_ONCE = 1 << 16
#: The places of a key's columns.
Places: TypeAlias = tuple[int, ...]
#: A key's values as the collations of its columns compare them.
Folded: TypeAlias = tuple[StoredValue, ...]


class UniqueKeys:
    """The keys of ``snapshot`` without the rows in ``deleted``, and with those that were put in since."""

    def __init__(self, snapshot: Snapshot, deleted: Set[int]) -> None:
        self._snapshot = snapshot
        self._schema = snapshot.schema
        self._deleted = deleted
        self.all: tuple[Places, ...] = (
            *((place,) for place in self._schema.key_columns),
            *self._schema.combined_keys,
        )
        self._own: dict[Places, dict[Folded, int]] = {places: {} for places in self.all}
        self._logged: dict[Places, dict[Folded, int]] = {}

    def put(self, rowid: int, row: Row) -> None:
        """A row is there now."""
        for places, own in self._own.items():
            key = self.fold(places, row)
            if key is not None:
                own[key] = rowid

    def take(self, row: Row) -> None:
        """A row that was put in is gone."""
        for places, own in self._own.items():
            key = self.fold(places, row)
            if key is not None:
                own.pop(key, None)

    def fold(self, places: Places, row: Sequence[StoredValue]) -> Folded | None:
        """The key of a row; None if a part is NULL, as such a key equals no other."""
        key = []
        for place in places:
            value = row[place]
            if value is None:
                return None
            key.append(folded(value, self._schema.columns[place]))
        return tuple(key)

    def own(self, places: Places) -> dict[Folded, int] | None:
        """The rowids of the rows that were put in, by key; None if this is no key."""
        return self._own.get(places)

    def names(self, places: Places) -> str:
        """The columns of a key, as SQLite's messages list them."""
        return ", ".join(self._schema.columns[place].name for place in places)

    def shown(self, places: Places, row: Sequence[StoredValue]) -> str:
        """The key of a row for a message."""
        values = [as_sql(row[place], self._schema.columns[place].type) for place in places]
        return f"key {values[0]!r}" if len(values) == 1 else f"key ({', '.join(map(repr, values))})"

    def conflicts(self, row: Sequence[StoredValue]) -> Iterator[tuple[Places, int]]:
        """The keys that a new row shares with others, and the rowids of those."""
        for places in self.all:
            other = self.find(places, row)
            if other is not None:
                yield places, other

    def find(self, places: Places, row: Sequence[StoredValue]) -> int | None:
        """The rowid of the row that has the same key as ``row``; None if there is none, or the key has a NULL."""
        key = self.fold(places, row)
        if key is None:
            return None
        own = self._own[places].get(key)
        if own is not None:
            return own
        logged = self._logged_keys(places).get(key)
        if logged is not None and logged not in self._deleted:
            return logged
        search = self._find_one if len(places) == 1 else self._find_combined
        return next((rowid for rowid in search(places, row, key) if rowid not in self._deleted), None)

    def _logged_keys(self, places: Places) -> dict[Folded, int]:
        """The keys of the rows in the log."""
        found = self._logged.get(places)
        if found is None:
            keys = ((self.fold(places, row), rowid) for rowid, row in self._snapshot.own_rows.items())
            found = self._logged[places] = {key: rowid for key, rowid in keys if key is not None}
        return found

    def _filters(self, places: Places, row: Sequence[StoredValue]) -> list[Filter]:
        columns = [(place, self._schema.columns[place]) for place in places]
        return [
            Filter(
                place,
                bind(Predicate(place, Op.EQ, as_sql(row[place], column.type)), column.type, column.collation),
            )
            for place, column in columns
        ]

    def _find_one(self, places: Places, row: Sequence[StoredValue], key: Folded) -> Iterator[int]:
        filters = self._filters(places, row)
        keys = filters[0].bound.keys
        for view in self._snapshot.views:
            segment = view.segment
            if keys and segment.bloom(places[0]) is not None and not segment.may_contain(places[0], keys[0]):
                continue
            yield from self._in_segment(view, filters)

    def _find_combined(self, places: Places, row: Sequence[StoredValue], key: Folded) -> Iterator[int]:
        hashed = hash_key(key)
        number = self._schema.combined_keys.index(places)
        filters: list[Filter] = []
        for view in self._snapshot.views:
            segment = view.segment
            bloom = segment.key_bloom(number)
            if not segment.rows or (bloom is not None and not bloom.may_contain(hashed)[0]):
                continue
            filters = filters or self._filters(places, row)
            index = combined_index(segment, places)
            if index is None:
                yield from (
                    int(r) for batch in scan(_Only(self._snapshot, view), (), filters) for r in batch.rowids
                )
                continue
            for found in index.rows(hashed).tolist():
                same = all(item.bound.test(value_at(segment, item.column, found)) for item in filters)
                if same and view.is_live(found):
                    yield segment.rowid(found)

    def _in_segment(self, view: SegmentView, filters: list[Filter]) -> Iterator[int]:
        only = _Only(self._snapshot, view)
        found = find_rows(only, filters)
        if found is None:
            yield from (int(r) for batch in scan(only, (), filters) for r in batch.rowids)
        else:
            yield from (segment.rowid(row) for segment, row in found)


def combined_index(segment: ReadableSegment, places: Places) -> CombinedIndex | None:
    """The index of a key of several columns, made when it was asked for often enough; None until then."""
    index: Any = segment.indexes.get((places, ""))
    if isinstance(index, CombinedIndex):
        return index
    count = (index or 0) + 1
    segment.indexes[places, ""] = count
    if count < LOOKUPS_BEFORE_INDEX and segment.rows > SMALL_ROWS:
        return None
    parts = [
        combined_hashes(segment, places, start, min(start + _ROWS_AT_ONCE, segment.rows))
        for start in range(0, segment.rows, _ROWS_AT_ONCE)
    ]
    made = CombinedIndex(
        np.concatenate([rows for rows, _ in parts]), np.concatenate([found for _, found in parts])
    )
    segment.indexes[places, ""] = made
    return made


def combined_hashes(
    segment: ReadableSegment, places: Places, start: int, stop: int
) -> tuple[I64Array, U64Array]:
    """Of rows start … stop - 1 those whose key has no NULL, int64 (n,), and the hashes of their keys, uint64 (n,)."""
    arrays = [segment.slice(place, start, stop) for place in places]
    rows, hashes = hash_rows(arrays, [segment.schema.columns[place] for place in places])
    return rows + start, hashes


class _Only:
    """A snapshot narrowed to one segment, without anything pending."""

    pending = None
    ordered = True

    def __init__(self, snapshot: Snapshot, view: SegmentView) -> None:
        self.schema = snapshot.schema
        self.views = (view,)
