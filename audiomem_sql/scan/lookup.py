"""Finding few rows by key, for point queries and joins, where a scan would cost too much each time.

An equality on the rowid is arithmetic or a binary search. On any other column it goes through Bloom filters,
and from the fourth time on through a sorted index in memory (see key_index). A key that many rows have gives
them as :class:`ManyRows`, which are read as they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array, distinct
from audiomem_sql.columns.batch import Batch
from audiomem_sql.columns.sql_values import sql_value
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.indexes.keys.index import LOOKUPS_BEFORE_INDEX, MAX_INDEX_BYTES, SMALL_ROWS, KeyIndex
from audiomem_sql.scan.filters import Filter
from audiomem_sql.scan.readable import Readable, narrowed
from audiomem_sql.scan.scanner import scan_rows
from audiomem_sql.storage.segment import ROWID, ReadableSegment

#: More keys than this at once are found by a scan.
MAX_KEYS = 64
#: Up to so many rows of a key are read one by one, and more of them part by part.
FEW_FOUND = 64
#: Many rows have a key that is in one of so many rows of the first block.
_FEW_OF = 128
#: Under which name the keys of those are kept beside the indexes of a column, which have names of collations.
_FREQUENT = "frequent keys"
_PLAIN = (Kind.INTEGER, Kind.REAL, Kind.TEXT, Kind.JSON, Kind.BLOB)


@dataclass(frozen=True, slots=True, eq=False)
class ManyRows:
    """The rows of a key that many have, and what else they have to pass.

    parts: segments, each with its live rows, ascending int64 (n,).
    """

    parts: tuple[tuple[ReadableSegment, I64Array], ...]
    filters: tuple[Filter, ...] = ()

    def batches(self, columns: Sequence[int]) -> Iterator[Batch]:
        """The rows that pass, decoded as they are asked for."""
        return scan_rows(self.parts, columns, self.filters)


#: Few rows as (segment, row), or many.
FoundRows: TypeAlias = list[tuple[ReadableSegment, int]] | ManyRows


def find_rows(view: Readable, filters: Sequence[Filter]) -> FoundRows | None:
    """The stored rows that pass ``filters``, if a key leads to them.

    None if only a scan would.

    Rows that a transaction has not written yet are not among them.
    """
    rowid_column = view.schema.rowid_column
    chosen: tuple[Filter, str, Sequence[Any]] | None = None
    for item in filters:
        known = item.bound.lookup
        if known is None or len(known[1]) > MAX_KEYS:
            continue
        if not known[1]:
            return []
        if item.column == ROWID or item.column == rowid_column:
            chosen = (item, *known)
            break
        chosen = chosen or (item, *known)
    if chosen is None:
        return None
    item, collation, keys = chosen
    rows_found = find_by_key(narrowed(view, filters), item.column, collation, keys)
    if rows_found is None or len(filters) == 1:
        return rows_found
    if isinstance(rows_found, ManyRows):
        return ManyRows(rows_found.parts, tuple(other for other in filters if other is not item))
    return [position for position in rows_found if _passes(position, filters, item)]


def find_by_key(view: Readable, column: int, collation: str, keys: Sequence[Any]) -> FoundRows | None:
    """The stored rows whose ``column`` has one of ``keys`` (see Bound.lookup).

    None if only a scan would find them.
    """
    if any(each.segment.skip_damage for each in view.views):
        return None  # a scan knows how to leave rows out
    if column == ROWID or column == view.schema.rowid_column:
        return list(_by_rowid(view, keys))
    parts: list[tuple[ReadableSegment, I64Array]] = []
    count = 0
    for segment_view in view.views:
        segment = segment_view.segment
        rows = _by_key(segment, column, collation, keys)
        if rows is None:
            return None
        if len(rows):
            rows = segment_view.live_ones(rows)
            parts.append((segment, rows))
            count += len(rows)
    if count > FEW_FOUND:
        return ManyRows(tuple(parts))
    return [(segment, row) for segment, rows in parts for row in rows.tolist()]


def _by_rowid(view: Readable, keys: Sequence[Any]) -> Iterator[tuple[ReadableSegment, int]]:
    for key in sorted(set(keys)) if len(keys) > 1 else keys:
        for segment_view in reversed(view.views):
            row = segment_view.find(key)
            if row >= 0:
                yield segment_view.segment, row
                break


_NONE = np.empty(0, np.int64)


def _by_key(segment: ReadableSegment, column: int, collation: str, keys: Sequence[Any]) -> I64Array | None:
    if not segment.rows:
        return _NONE
    index = key_index(segment, column, collation, keys)
    if index is not None:
        if len(keys) == 1:
            return index.rows(keys[0])
        return distinct(np.concatenate([index.rows(key) for key in keys]))
    if (
        collation == "BINARY"
        and segment.bloom(column) is not None
        and not any(segment.may_contain(column, key) for key in keys)
    ):
        return _NONE
    return None


def key_index(
    segment: ReadableSegment, column: int, collation: str = "BINARY", keys: Sequence[Any] = ()
) -> KeyIndex | None:
    """The index of a column, made when it was asked for often enough.

    None until then, for very large columns, and as long as all ``keys`` were such as many rows have: a scan
    finds those at once, and an index takes as long as many scans.
    """
    index = segment.indexes.get((column, collation))
    if isinstance(index, KeyIndex):
        return index
    count = (index or 0) + 1
    if segment.rows > SMALL_ROWS:
        if count == LOOKUPS_BEFORE_INDEX and keys and _are_frequent(segment, column, collation, keys):
            return None
        segment.indexes[column, collation] = count
        if count < LOOKUPS_BEFORE_INDEX:
            return None
    directory = segment.directory(column)
    if directory is not None and directory.raw_bytes > MAX_INDEX_BYTES:
        return None
    made = KeyIndex(segment.slice(column, 0, segment.rows), segment.column_type(column), collation)
    segment.indexes[column, collation] = made
    return made


def _are_frequent(segment: ReadableSegment, column: int, collation: str, keys: Sequence[Any]) -> bool:
    """Whether many rows have each of ``keys``, as far as the first block tells."""
    if collation != "BINARY":
        return False
    frequent = segment.indexes.get((column, _FREQUENT))
    if frequent is None:
        directory = segment.directory(column)
        block = None if directory is None or not directory.count else segment.block(column, 0)
        if block is None or len(block) < _FEW_OF:
            frequent = frozenset()
        else:
            counted = block.value_counts().flatten()
            often = np.flatnonzero(np.asarray(counted[1]) >= len(block) // _FEW_OF)
            frequent = frozenset(counted[0][int(place)].as_py() for place in often)
        segment.indexes[column, _FREQUENT] = frequent
    return all(key in frequent for key in keys)


def _passes(position: tuple[ReadableSegment, int], filters: Sequence[Filter], known: Filter) -> bool:
    """Whether the row passes all filters; ``known`` is the one that led to it."""
    segment, row = position
    return all(item is known or item.bound.test(value_at(segment, item.column, row)) for item in filters)


def value_at(segment: ReadableSegment, column: int, row: int) -> Any:
    """The SQL value of ``column`` in one row."""
    directory = segment.directory(column)
    if directory is None:
        first = segment.catalog.first_rowid
        assert first is not None
        return first + row
    directory = directory.around((row,))
    number = directory.find(row)
    return scalar(
        segment.block(column, number), row - int(directory.starts[number]), segment.column_type(column)
    )


def scalar(array: pa.Array, row: int, column_type: ColumnType) -> Any:
    """The SQL value of one row of an array."""
    if column_type.kind in _PLAIN and column_type.logical is None:
        return array[row].as_py()
    return sql_value(array, row, column_type)
