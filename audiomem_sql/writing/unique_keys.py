"""The unique keys of a table, of one column or of several: which row has a key.

A row is looked for among the rows of a transaction, those of the log, and the segments. A key is named by the
numbers of its columns. The rowid is not among them: finding a row by that is what segments are made for.
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
from audiomem_sql.scan import Filter, ManyRows, find_rows, scan
from audiomem_sql.scan.lookup import value_at
from audiomem_sql.shards import ShardedSnapshot
from audiomem_sql.storage.segment import ReadableSegment
from audiomem_sql.versions import SegmentView, Snapshot

#: Rows that are hashed at once.
_ROWS_AT_ONCE = 1 << 16
#: The numbers of a key's columns.
KeyColumns: TypeAlias = tuple[int, ...]
#: A key's values as the collations of its columns compare them.
Folded: TypeAlias = tuple[StoredValue, ...]


class UniqueKeys:
    """The keys of ``snapshot`` without the rows in ``deleted``, and with those that were put in since."""

    def __init__(self, snapshot: Snapshot, deleted: Set[int]) -> None:
        self._snapshot = snapshot
        self._schema = snapshot.schema
        self._deleted = deleted
        #: Where a key is looked for; empty where that depends on the key.
        self._whole = () if isinstance(snapshot, ShardedSnapshot) else (snapshot,)
        self.all: tuple[KeyColumns, ...] = (
            *((number,) for number in self._schema.key_columns),
            *self._schema.combined_keys,
        )
        self._own: dict[KeyColumns, dict[Folded, int]] = {key_columns: {} for key_columns in self.all}
        self._logged: dict[tuple[int, KeyColumns], dict[Folded, int]] = {}

    def put(self, rowid: int, row: Row) -> None:
        """A row is there now."""
        for key_columns, own in self._own.items():
            key = self.fold(key_columns, row)
            if key is not None:
                own[key] = rowid

    def take(self, row: Row) -> None:
        """A row that was put in is gone."""
        for key_columns, own in self._own.items():
            key = self.fold(key_columns, row)
            if key is not None:
                own.pop(key, None)

    def fold(self, key_columns: KeyColumns, row: Sequence[StoredValue]) -> Folded | None:
        """The key of a row; None if a part is NULL, or NaN, as such a key equals no other."""
        key = []
        for number in key_columns:
            value = row[number]
            if value is None or value != value:
                return None
            key.append(folded(value, self._schema.columns[number]))
        return tuple(key)

    def own(self, key_columns: KeyColumns) -> dict[Folded, int] | None:
        """The rowids of the rows that were put in, by key; None if this is no key."""
        return self._own.get(key_columns)

    def names(self, key_columns: KeyColumns) -> str:
        """The columns of a key, as SQLite's messages list them."""
        return ", ".join(self._schema.columns[number].name for number in key_columns)

    def key_text(self, key_columns: KeyColumns, row: Sequence[StoredValue]) -> str:
        """The key of a row for a message."""
        values = [as_sql(row[number], self._schema.columns[number].type) for number in key_columns]
        return f"key {values[0]!r}" if len(values) == 1 else f"key ({', '.join(map(repr, values))})"

    def conflicts(self, row: Sequence[StoredValue]) -> Iterator[tuple[KeyColumns, int]]:
        """The keys that a new row shares with others, and the rowids of those."""
        for key_columns in self.all:
            other = self.find(key_columns, row)
            if other is not None:
                yield key_columns, other

    def with_rowid(
        self, row: Sequence[StoredValue], other: Sequence[StoredValue] | None
    ) -> Iterator[KeyColumns]:
        """The keys with the rowid in them that two rows of one rowid share."""
        for key_columns in self._schema.rowid_keys:
            key = self.fold(key_columns, row)
            if key is not None and other is not None and key == self.fold(key_columns, other):
                yield key_columns

    def find(self, key_columns: KeyColumns, row: Sequence[StoredValue]) -> int | None:
        """The rowid of the row that has the same key as ``row``.

        None if there is none, or the key has a NULL or NaN.
        """
        key = self.fold(key_columns, row)
        if key is None:
            return None
        own = self._own[key_columns].get(key)
        if own is not None:
            return own
        search = self._find_one if len(key_columns) == 1 else self._find_combined
        for place in self._whole or self._places(key_columns, row):
            logged = self._logged_keys(place, key_columns).get(key)
            if logged is not None and logged not in self._deleted:
                return logged
            for rowid in search(place, key_columns, row, key):
                if rowid not in self._deleted:
                    return rowid
        return None

    def _places(self, key_columns: KeyColumns, row: Sequence[StoredValue]) -> Sequence[Snapshot]:
        """The shards that a row with the same key may be in."""
        snapshot = self._snapshot
        assert isinstance(snapshot, ShardedSnapshot)
        return [snapshot.shard(number) for number in snapshot.chosen(self._filters(key_columns, row))]

    def logged(self, key_columns: KeyColumns) -> dict[Folded, int]:
        """The keys of the rows in the log of a table that has no shards."""
        return self._logged_keys(self._snapshot, key_columns)

    def _logged_keys(self, place: Snapshot, key_columns: KeyColumns) -> dict[Folded, int]:
        """The keys of the rows in the log."""
        rowids = self._logged.get((id(place), key_columns))  # as long as the snapshot lives, so does this
        if rowids is None:
            keys = ((self.fold(key_columns, row), rowid) for rowid, row in place.own_rows.items())
            rowids = {key: rowid for key, rowid in keys if key is not None}
            self._logged[id(place), key_columns] = rowids
        return rowids

    def _filters(self, key_columns: KeyColumns, row: Sequence[StoredValue]) -> list[Filter]:
        columns = [(number, self._schema.columns[number]) for number in key_columns]
        return [
            Filter(
                number,
                bind(
                    Predicate(number, Op.EQ, as_sql(row[number], column.type)), column.type, column.collation
                ),
            )
            for number, column in columns
        ]

    def _find_one(
        self, place: Snapshot, key_columns: KeyColumns, row: Sequence[StoredValue], key: Folded
    ) -> Iterator[int]:
        filters = self._filters(key_columns, row)
        keys = filters[0].bound.keys
        for view in place.views:
            segment = view.segment
            if (
                keys
                and segment.bloom(key_columns[0]) is not None
                and not segment.may_contain(key_columns[0], keys[0])
            ):
                continue
            yield from self._in_segment(view, filters)

    def _find_combined(
        self, place: Snapshot, key_columns: KeyColumns, row: Sequence[StoredValue], key: Folded
    ) -> Iterator[int]:
        hashed = hash_key(key)
        number = self._schema.combined_keys.index(key_columns)
        filters: list[Filter] = []
        for view in place.views:
            segment = view.segment
            bloom = segment.key_bloom(number)
            if not segment.rows or (bloom is not None and not bloom.may_contain(hashed)[0]):
                continue
            filters = filters or self._filters(key_columns, row)
            index = combined_index(segment, key_columns)
            if index is None:
                yield from (
                    int(r)
                    for batch in scan(_OneSegment(self._snapshot, view), (), filters)
                    for r in batch.rowids
                )
                continue
            for row_number in index.rows(hashed).tolist():
                same = all(item.bound.test(value_at(segment, item.column, row_number)) for item in filters)
                if same and view.is_live(row_number):
                    yield segment.rowid(row_number)

    def _in_segment(self, view: SegmentView, filters: list[Filter]) -> Iterator[int]:
        only = _OneSegment(self._snapshot, view)
        positions = find_rows(only, filters)
        if positions is None or isinstance(positions, ManyRows):
            batches = scan(only, (), filters) if positions is None else positions.batches(())
            yield from (int(r) for batch in batches for r in batch.rowids)
        else:
            yield from (segment.rowid(row) for segment, row in positions)


def combined_index(segment: ReadableSegment, key_columns: KeyColumns) -> CombinedIndex | None:
    """The index of a key of several columns, made when it was asked for often enough; None until then."""
    index: Any = segment.indexes.get((key_columns, ""))
    if isinstance(index, CombinedIndex):
        return index
    count = (index or 0) + 1
    segment.indexes[key_columns, ""] = count
    if count < LOOKUPS_BEFORE_INDEX and segment.rows > SMALL_ROWS:
        return None
    parts = [
        combined_hashes(segment, key_columns, start, min(start + _ROWS_AT_ONCE, segment.rows))
        for start in range(0, segment.rows, _ROWS_AT_ONCE)
    ]
    combined = CombinedIndex(
        np.concatenate([rows for rows, _ in parts]), np.concatenate([hashes for _, hashes in parts])
    )
    segment.indexes[key_columns, ""] = combined
    return combined


def combined_hashes(
    segment: ReadableSegment, key_columns: KeyColumns, start: int, stop: int
) -> tuple[I64Array, U64Array]:
    """Rows whose key has no NULL, int64 (n,), and the hashes of the keys, uint64 (n,).

    Of those from ``start`` to ``stop`` - 1.
    """
    arrays = [segment.slice(number, start, stop) for number in key_columns]
    rows, hashes = hash_rows(arrays, [segment.schema.columns[number] for number in key_columns])
    return rows + start, hashes


class _OneSegment:
    """A snapshot narrowed to one segment, without anything pending."""

    pending = None
    ordered = True

    def __init__(self, snapshot: Snapshot, view: SegmentView) -> None:
        self.schema = snapshot.schema
        self.views = (view,)
