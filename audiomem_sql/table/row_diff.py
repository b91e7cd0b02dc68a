"""What is different between two versions: rows that one of them lacks, and rows with other values.

Only rows that a commit between the two touched are read. A row is known by its rowid; one that was deleted
and inserted again, by the table's key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from audiomem_sql.arrays import I64Array, distinct
from audiomem_sql.columns.column import fold
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.sql_values import sql_values
from audiomem_sql.scan import fetch_rows
from audiomem_sql.table.reader import TableReader
from audiomem_sql.versions import changes

ADDED, REMOVED, CHANGED = "added", "removed", "changed"
#: Rows that are read at once.
_ROWS = 4096

_Row = dict[int, Any]


@dataclass(frozen=True, slots=True)
class RowDifference:
    """A row that differs.

    change: added, removed or changed. key: the values of the table's key, or its rowid, by name. before,
    after: the values, by name, in either version, as SQL has them; of a changed row those that differ.
    """

    change: str
    key: dict[str, Any]
    before: dict[str, Any]
    after: dict[str, Any]


def column_differences(before: Schema, after: Schema) -> dict[str, list[Any]]:
    """Names of columns that were added and removed, and pairs of old and new names."""
    old, new = ({column.id: column.name for column in each.visible.columns} for each in (before, after))
    return {
        "added": [name for number, name in new.items() if number not in old],
        "removed": [name for number, name in old.items() if number not in new],
        "renamed": [[name, new[number]] for number, name in old.items() if new.get(number, name) != name],
    }


def differences(table: TableReader, first: int, second: int) -> Iterator[RowDifference]:
    """The rows in which version ``second`` differs from version ``first``, which may be the later one.

    By rowid; rows that a key finds again come last. QueryError, with the versions that are kept, if one of
    the two is not.
    """
    old, new = table.at(first), table.at(second)
    low, high = sorted((first, second))
    if low == high:
        return
    touched = changes(table.snapshot, low + 1, high, values=False)
    rowids = distinct(np.array([change.rowid for change in touched], np.int64))
    key = key_of(new.schema)
    lost: dict[tuple[Any, ...], int] = {}
    came: dict[tuple[Any, ...], int] = {}
    by_key = bool(key) and all(number in old.schema.ids for number in key)
    for rowid, before, after in _pairs(old, new, rowids):
        if before is not None and after is not None:
            yield from _changed(old.schema, new.schema, key, rowid, before, after)
        elif before is None and after is None:
            continue
        elif not by_key:
            yield _one_sided(old.schema, new.schema, key, rowid, before, after)
        elif before is not None:
            lost[tuple(before[number] for number in key)] = rowid
        elif after is not None:
            came[tuple(after[number] for number in key)] = rowid
    again = lost.keys() & came.keys()
    for gone, arrived in ((lost, {}), ({}, came)):
        ids = np.array(sorted(n for k, n in (gone or arrived).items() if k not in again), np.int64)
        for rowid, before, after in _pairs(old if gone else None, new if arrived else None, ids):
            yield _one_sided(old.schema, new.schema, key, rowid, before, after)
    for name in sorted(again, key=lambda each: came[each]):
        before = next(_pairs(old, None, np.array([lost[name]], np.int64)))[1]
        after = next(_pairs(None, new, np.array([came[name]], np.int64)))[2]
        assert before is not None
        assert after is not None
        yield from _changed(old.schema, new.schema, key, came[name], before, after)


def key_of(schema: Schema) -> tuple[int, ...]:
    """The ids of the columns of the table's key, which is not the rowid; empty without one."""
    for column in schema.visible.columns:
        if column.primary_key and not column.is_rowid:
            return (column.id,)
    for combined in schema.keys:
        if combined.primary:
            folded = [fold(name) for name in combined.columns]
            return tuple(column.id for column in schema.columns if fold(column.name) in folded)
    return ()


def _pairs(old: Any, new: Any, rowids: I64Array) -> Iterator[tuple[int, _Row | None, _Row | None]]:
    """Each of ``rowids``, and its values by the ids of columns in two snapshots; None where it is not."""
    for start in range(0, len(rowids), _ROWS):
        part = rowids[start : start + _ROWS]
        before, after = _rows(old, part), _rows(new, part)
        yield from zip(part.tolist(), before, after, strict=True)


def _rows(snapshot: Any, rowids: I64Array) -> Sequence[_Row | None]:
    if snapshot is None:
        return [None] * len(rowids)
    columns = snapshot.schema.visible.columns
    exist, arrays = fetch_rows(snapshot, rowids, range(len(columns)))
    values = zip(
        *(sql_values(array, column.type) for array, column in zip(arrays, columns, strict=False)),
        strict=True,
    )
    ids = [column.id for column in columns]
    return [dict(zip(ids, next(values), strict=True)) if is_there else None for is_there in exist.tolist()]


def _key_values(schema: Schema, key: Sequence[int], rowid: int, row: _Row) -> dict[str, Any]:
    names = {column.id: column.name for column in schema.columns}
    if key:
        return {names[number]: row[number] for number in key if number in row}
    alias = schema.rowid_column
    return {"rowid" if alias is None else schema.columns[alias].name: rowid}


def _named(schema: Schema, row: _Row) -> dict[str, Any]:
    return {column.name: row[column.id] for column in schema.visible.columns}


def _one_sided(
    old: Schema, new: Schema, key: Sequence[int], rowid: int, before: _Row | None, after: _Row | None
) -> RowDifference:
    if after is None:
        assert before is not None
        return RowDifference(REMOVED, _key_values(old, key, rowid, before), _named(old, before), {})
    return RowDifference(ADDED, _key_values(new, key, rowid, after), {}, _named(new, after))


def _changed(
    old: Schema, new: Schema, key: Sequence[int], rowid: int, before: _Row, after: _Row
) -> Iterator[RowDifference]:
    """The difference of a row that both have, if there is one; a column that one lacks is none."""
    names = {column.id: column.name for column in new.visible.columns}
    different = [number for number in names if number in before and not _same(before[number], after[number])]
    if different:
        yield RowDifference(
            CHANGED,
            _key_values(new, key, rowid, after),
            {names[number]: before[number] for number in different},
            {names[number]: after[number] for number in different},
        )


def _same(one: Any, other: Any) -> bool:
    """NaN is the same as NaN."""
    return type(one) is type(other) and (one == other or (one != one and other != other))
