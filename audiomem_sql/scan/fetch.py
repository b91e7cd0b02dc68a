"""Rows by rowid, a few columns of them: no others are read, so that damage there does no harm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import BoolArray, I64Array
from audiomem_sql.columns.selection import taken
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.scan.lookup import value_at
from audiomem_sql.scan.lost_rows import tell_lost_rows
from audiomem_sql.scan.readable import Readable
from audiomem_sql.storage.segment import ReadableSegment


def fetch_rows(
    readable: Readable, rowids: I64Array, columns: Sequence[int]
) -> tuple[BoolArray, list[pa.Array]]:
    """Rows by rowid: which exist, bool (n,), and the values of ``columns`` in those.

    rowids: int64 (n,), each there once.
    An array for each column, in the order of ``rowids``. Where damage is passed over, a row that is lost does
    not exist.
    """
    missing = np.full(len(rowids), True)
    positions: list[I64Array] = [np.empty(0, np.int64)]
    pieces: list[list[pa.Array]] = []
    for part in _parts(readable, rowids):
        for found, arrays in _found(part, rowids, missing, columns):
            positions.append(found)
            pieces.append(arrays)
            missing[found] = False
        if not missing.any():
            break
    back = np.argsort(np.concatenate(positions), kind="stable")
    if not pieces:
        return ~missing, []
    return ~missing, [taken(pa.concat_arrays(list(parts)), back) for parts in zip(*pieces, strict=True)]


def _parts(readable: Readable, rowids: I64Array) -> Iterable[Readable]:
    """What has all rows with ``rowids``: itself, or one file after another where there are many."""
    holding = getattr(readable, "holding", None)
    return (readable,) if holding is None else holding(rowids)


def _found(
    readable: Readable, rowids: I64Array, missing: BoolArray, columns: Sequence[int]
) -> Iterator[tuple[I64Array, list[pa.Array]]]:
    """The rows that are ``missing`` of ``rowids``, piece by piece: int64 (n,) places there, and values."""
    pending = readable.pending
    if pending is not None and len(pending):
        order = np.argsort(pending.rowids, kind="stable")
        at = np.minimum(np.searchsorted(pending.rowids[order], rowids), len(order) - 1)
        own = order[at]
        here = np.flatnonzero((pending.rowids[own] == rowids) & missing)
        yield here, [taken(pending.arrays[column], own[here]) for column in columns]
    for view in reversed(readable.views):
        wanted = np.flatnonzero(missing)
        rows = np.fromiter((view.find(rowid) for rowid in rowids[wanted].tolist()), np.int64, len(wanted))
        wanted, rows = wanted[rows >= 0], rows[rows >= 0]
        if len(rows):
            rising = np.argsort(rows, kind="stable")
            read, arrays = _readable_rows(view.segment, rows[rising], columns)
            yield wanted[rising][read], arrays


def stored_values(rows: Sequence[tuple[ReadableSegment, int]], columns: Sequence[int]) -> list[list[Any]]:
    """The SQL values of each column of a few stored rows: for point queries, where arrays cost more."""
    for segment, row in rows:
        segment.prefetch(columns, [row])
    return [[value_at(segment, column, row) for segment, row in rows] for column in columns]


def _readable_rows(
    segment: ReadableSegment, rows: I64Array, columns: Sequence[int]
) -> tuple[BoolArray, list[pa.Array]]:
    """Which of ``rows``, ascending, can be read, bool (n,), and the values of ``columns`` in those."""
    segment.prefetch(columns, rows)
    try:
        return np.full(len(rows), True), [segment.take(column, rows) for column in columns]
    except DamagedFileError:
        if not segment.skip_damage:
            raise
    errors = [_error(segment, row, columns) for row in rows.tolist()]
    whole = np.array([error is None for error in errors], np.bool_)
    lost = np.flatnonzero(~whole)
    for run in np.split(lost, np.flatnonzero(np.diff(rows[lost]) != 1) + 1):
        error = errors[run[0]] if len(run) else None
        if error is not None:
            tell_lost_rows(segment, int(rows[run[0]]), int(rows[run[-1]]) + 1, error)
    return whole, [segment.take(column, rows[whole]) for column in columns]


def _error(segment: ReadableSegment, row: int, columns: Sequence[int]) -> DamagedFileError | None:
    """What reading a row fails with; None: it can be read."""
    try:
        for column in columns:
            segment.slice(column, row, row + 1)
    except DamagedFileError as error:
        return error
    return None
