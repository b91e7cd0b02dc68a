"""How much rows matter, by the column ``importance``: 0 to 1, as ``audiomem ingest`` makes it.

Blocks hold consecutive rows, so a block matters as much as the row of it that matters most. Blocks are therefore cut where rows that
matter differently follow each other, in steps of some kilobytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import Kind
from audiomem_sql.data_spool import Stratum

COLUMN = "importance"
IMPORTANT = 0.75
"""From here on a row is IMPORTANT, …"""
MINOR = 0.25
"""… and below that it is MINOR. A row without is neither."""
STEP_ROWS = 32
STEP_BYTES = 32 << 10
"""A stretch of rows that matter alike has at least so many rows, and about so many bytes of values."""


def importance_column(schema: Schema) -> int | None:
    """The place of the column that says how much a row matters; None where there is none."""
    for place, column in enumerate(schema.columns):
        if column.name.lower() == COLUMN and column.type.kind in (Kind.REAL, Kind.INTEGER):
            return place
    return None


def stretches(importance: pa.Array, columns: Sequence[pa.Array]) -> Iterator[tuple[Stratum, int, int]]:
    """(stratum, first row, row behind the last) of ``columns``, arrays of the same rows as ``importance``, in order."""
    rows = len(importance)
    values = np.asarray(importance.cast(pa.float64(), safe=False).fill_null((IMPORTANT + MINOR) / 2))
    strata = np.where(values >= IMPORTANT, Stratum.IMPORTANT, Stratum.ORDINARY)
    strata = np.where(values < MINOR, Stratum.MINOR, strata)
    size = sum(int(array.nbytes) for array in columns) / rows
    step = max(STEP_ROWS, int(STEP_BYTES / max(size, 1)))
    starts = np.arange(0, rows, step)
    most = np.minimum.reduceat(strata, starts)
    changes = np.flatnonzero(np.diff(most, prepend=-1))
    stops = [*starts[changes[1:]].tolist(), rows]
    for stratum, start, stop in zip(most[changes].tolist(), starts[changes].tolist(), stops, strict=True):
        yield Stratum(stratum), start, stop
