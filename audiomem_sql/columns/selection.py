"""Rows of Arrow arrays by position, without loading ``pyarrow.compute`` for a few.

That module takes 8 MB of memory, and to load it takes longer than a query.
"""

from __future__ import annotations

import sys

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.kernels import kernels
from audiomem_sql.columns.stored_values import integer_array

__all__ = ["MAX_RUNS", "kernels", "taken"]

#: So many runs of neighbouring rows are cut out and joined; more are left to Arrow's kernel.
MAX_RUNS = 512


def taken(array: pa.Array, rows: I64Array) -> pa.Array:
    """The values at ``rows``, int64 (n,), of an array without NULLs among its places."""
    if "pyarrow.compute" in sys.modules or not len(rows):
        return array.take(integer_array(rows)) if len(rows) else array.slice(0, 0)
    starts = np.flatnonzero(np.diff(rows, prepend=rows[0] - 2) != 1)
    if len(starts) > MAX_RUNS:
        return array.take(integer_array(rows))
    counts = np.diff(starts, append=len(rows))
    pieces = [
        array.slice(row, count) for row, count in zip(rows[starts].tolist(), counts.tolist(), strict=True)
    ]
    return pieces[0] if len(pieces) == 1 else pa.concat_arrays(pieces)
