"""Rows of several scans, or of a table whose segments are in no order, by rowid."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from audiomem_sql.columns.batch import Batch
from audiomem_sql.columns.stored_values import integer_array
from audiomem_sql.scan.spans import FILTER_ROWS


def in_rowid_order(batches: Iterable[Batch], *, descending: bool = False, skip: int = 0) -> Iterator[Batch]:
    """The rows of all ``batches`` by rowid, but for the first ``skip``.

    All are collected before the first is given.
    """
    collected = list(batches)
    if not collected:
        return
    rowids = np.concatenate([batch.rowids for batch in collected])
    order = np.argsort(rowids)
    order = order[::-1][skip:] if descending else order[skip:]
    columns = [
        pa.chunked_array(arrays) for arrays in zip(*(batch.arrays for batch in collected), strict=True)
    ]
    for start in range(0, len(order), FILTER_ROWS):
        rows = order[start : start + FILTER_ROWS]
        yield Batch(
            rowids[rows], tuple(column.take(integer_array(rows)).combine_chunks() for column in columns)
        )
