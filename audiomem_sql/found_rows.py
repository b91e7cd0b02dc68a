"""The rows that a search has found, a few columns of them: no others are read, so that damage there does no harm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from audiomem_sql.scan import Readable
from audiomem_sql.types import BoolArray, I64Array


def found_rows(
    readable: Readable, rowids: I64Array, columns: Sequence[int]
) -> tuple[BoolArray, list[pa.Array]]:
    """Rows by rowid: which of int64 (n,) ``rowids``, each there once, exist, bool (n,); and the values of ``columns`` in those.

    An array for each column, in the order of ``rowids``.
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
        pieces.append([pending.arrays[column].take(pa.array(own[here])) for column in columns])
        wanted[here] = False
    for view in reversed(readable.views):
        left = np.flatnonzero(wanted)
        rows = np.fromiter((view.find(rowid) for rowid in rowids[left].tolist()), np.int64, len(left))
        left, rows = left[rows >= 0], rows[rows >= 0]
        if len(rows):
            rising = np.argsort(rows, kind="stable")
            places.append(left[rising])
            pieces.append([view.segment.take(column, rows[rising]) for column in columns])
            wanted[left] = False
    place = np.concatenate(places)
    back = pa.array(np.argsort(place, kind="stable"))
    if not pieces:
        return ~wanted, []
    return ~wanted, [pa.concat_arrays(list(column)).take(back) for column in zip(*pieces, strict=True)]
