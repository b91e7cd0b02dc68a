"""What commits changed: the rows that each one added, removed and replaced."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.batch import Row
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.sql_values import sql_values
from audiomem_sql.columns.stored_values import as_sql
from audiomem_sql.storage.segment import ReadableSegment
from audiomem_sql.versions.change import Change
from audiomem_sql.versions.merge import Tombstones
from audiomem_sql.versions.snapshot import Snapshot

INSERT, DELETE, PREIMAGE, POSTIMAGE = "insert", "delete", "update_preimage", "update_postimage"


def changes(snapshot: Snapshot, first: int, last: int, *, values: bool = True) -> list[Change]:
    """What the commits ``first`` to ``last``, both included, changed.

    Ascending by version, then rowid, an old row before a new one. values: with those of the rows; else
    changes have none, and no column is read.

    QueryError, with the versions that are kept, if one of the two is not. The oldest version that a vacuum
    kept counts as having inserted all that it shows.
    """
    for version in (first, last):
        snapshot.check_kept(version)
    own = snapshot.own_changes(first, last, values=values)
    return list(_stored_changes(snapshot, first, last, values)) if own is None else own


def _stored_changes(snapshot: Snapshot, first: int, last: int, with_values: bool) -> Iterator[Change]:
    """What the segments and the log say of the commits ``first`` to ``last``."""
    added: dict[tuple[int, int], tuple[Any, ...]] = {}
    removed: dict[tuple[int, int], tuple[Any, ...]] = {}
    segments, oldest = snapshot.segments_since(first), snapshot.versions[0].number
    logged = _logged_tombstones(snapshot)
    for number, segment in enumerate(segments):
        if not segment.rows or segment.catalog.first_version > last:
            continue
        created, rowids = segment.created(), segment.rowids()
        later = _joined([Tombstones.of(segments[number + 1 :]), logged])
        ended = np.minimum(segment.ended(), later.ends(rowids, created))
        shown = ended > oldest  # by one of the versions that are kept
        for versions, rows_by_key in ((np.maximum(created, oldest), added), (ended, removed)):
            for low, high, schema in _spans(snapshot, first, last):
                rows = np.flatnonzero(shown & (versions >= low) & (versions <= high))
                keys = zip(versions[rows].tolist(), rowids[rows].tolist(), strict=True)
                if with_values:
                    rows_by_key.update(zip(keys, _values(segment.with_schema(schema), rows), strict=True))
                else:
                    rows_by_key.update((key, ()) for key in keys)
    live: dict[int, Row] = {}
    types = [column.type for column in snapshot.schemas[-1][1].visible.columns] if with_values else []
    for record in snapshot.logged:
        for rowid in record.deleted:
            row = live.pop(rowid, None)
            if row is not None and first <= record.version <= last:
                removed[record.version, rowid] = tuple(map(as_sql, row, types))
        for rowid, row in record.inserted:
            live[rowid] = row
            if first <= record.version <= last:
                added[record.version, rowid] = tuple(map(as_sql, row, types))
    return in_order(added, removed)


def _spans(snapshot: Snapshot, first: int, last: int) -> Iterator[tuple[int, int, Schema]]:
    """The versions from ``first`` to ``last`` as stretches with the same columns: (first, last, schema)."""
    starts = [max(start, first) for start, _ in snapshot.schemas[1:]]
    for low, high, (_, schema) in zip([first, *starts], [*starts, last + 1], snapshot.schemas, strict=True):
        if low < high and low <= last:
            yield low, min(high - 1, last), schema


def in_order(
    added: dict[tuple[int, int], tuple[Any, ...]], removed: dict[tuple[int, int], tuple[Any, ...]]
) -> Iterator[Change]:
    """The changes that rows by version and rowid are, which commits added and removed."""
    for version, rowid in sorted(added.keys() | removed.keys()):
        key = (version, rowid)
        both = key in added and key in removed
        if key in removed:
            yield Change(version, rowid, PREIMAGE if both else DELETE, removed[key])
        if key in added:
            yield Change(version, rowid, POSTIMAGE if both else INSERT, added[key])


def _values(segment: ReadableSegment, rows: I64Array) -> Iterator[tuple[Any, ...]]:
    if not len(rows):
        return iter(())
    values = [
        sql_values(segment.take(number, rows), column.type)
        for number, column in enumerate(segment.schema.visible.columns)
    ]
    return zip(*values, strict=True)


def _logged_tombstones(snapshot: Snapshot) -> Tombstones:
    pairs = sorted({(rowid, record.version) for record in snapshot.logged for rowid in record.deleted})
    both = np.array(pairs, np.int64).reshape(-1, 2)
    return Tombstones(both[:, 0], both[:, 1])


def _joined(parts: Sequence[Tombstones]) -> Tombstones:
    rowids = np.concatenate([part.rowids for part in parts])
    versions = np.concatenate([part.versions for part in parts])
    order = np.lexsort((versions, rowids))
    return Tombstones(rowids[order], versions[order])
