"""The rows that a search has found, a few columns of them: no others are read, so that damage there does no harm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import BoolArray, I64Array
from audiomem_sql.columns.selection import taken
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.scan.lost_rows import tell_lost_rows
from audiomem_sql.scan.scan import Readable
from audiomem_sql.storage.segment import ReadableSegment


def found_rows(
    readable: Readable, rowids: I64Array, columns: Sequence[int]
) -> tuple[BoolArray, list[pa.Array]]:
    """Rows by rowid: which of int64 (n,) ``rowids``, each there once, exist, bool (n,); and the values of ``columns`` in those.

    An array for each column, in the order of ``rowids``. Where damage is passed over, a row that is lost does not exist.
    """
    wanted = np.full(len(rowids), True)
    places: list[I64Array] = [np.empty(0, np.int64)]
    pieces: list[list[pa.Array]] = []
    pending = readable.pending
    if pending is not None and len(pending):
        order = np.argsort(pending.rowids, kind="stable")
        at = np.minimum(np.searchsorted(pending.rowids[order], rowids), len(order) - 1)
        own = order[at]
        here = np.flatnonzero(pending.rowids[own] == rowids)
        places.append(here)
        pieces.append([taken(pending.arrays[column], own[here]) for column in columns])
        wanted[here] = False
    for view in reversed(readable.views):
        left = np.flatnonzero(wanted)
        rows = np.fromiter((view.find(rowid) for rowid in rowids[left].tolist()), np.int64, len(left))
        left, rows = left[rows >= 0], rows[rows >= 0]
        if len(rows):
            rising = np.argsort(rows, kind="stable")
            left, rows, arrays = _taken(view.segment, left[rising], rows[rising], columns)
            places.append(left)
            pieces.append(arrays)
            wanted[left] = False
    place = np.concatenate(places)
    back = np.argsort(place, kind="stable")
    if not pieces:
        return ~wanted, []
    return ~wanted, [taken(pa.concat_arrays(list(column)), back) for column in zip(*pieces, strict=True)]


def _taken(
    segment: ReadableSegment, places: I64Array, rows: I64Array, columns: Sequence[int]
) -> tuple[I64Array, I64Array, list[pa.Array]]:
    """Places, rows and values of the rows that can be read."""
    try:
        return places, rows, [segment.take(column, rows) for column in columns]
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
    return places[whole], rows[whole], [segment.take(column, rows[whole]) for column in columns]


def _error(segment: ReadableSegment, row: int, columns: Sequence[int]) -> DamagedFileError | None:
    try:
        for column in columns:
            segment.slice(column, row, row + 1)
    except DamagedFileError as error:
        return error
    return None
