"""How much rows matter, by the column ``importance``: 0 to 1, as ``audiomem ingest`` makes it.

Blocks hold consecutive rows, so a block matters as much as the row of it that matters most. Blocks are
therefore cut where rows that matter differently follow each other, but not into many small ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import Kind
from audiomem_sql.storage.segment.data_spool import Stratum

COLUMN = "importance"
#: From here on a row is IMPORTANT; below MINOR it is minor. A row without a value is neither.
IMPORTANT = 0.75
MINOR = 0.25
#: Rows that matter alike are put apart if they are at least so many.
STRETCH_ROWS = 32
#: A stretch is cut at multiples of its least number of rows divided by this.
GRAINS = 16


def importance_column(schema: Schema) -> int | None:
    """The place of the column that says how much a row matters; None where there is none."""
    for place, column in enumerate(schema.columns):
        is_plain = column.type.logical is None
        if is_plain and column.name.lower() == COLUMN and column.type.kind in (Kind.REAL, Kind.INTEGER):
            return place
    return None


def stretches(
    importance: pa.Array, columns: Sequence[pa.Array], least_bytes: int
) -> Iterator[tuple[Stratum, int, int]]:
    """(stratum, first row, row behind the last) of rows that matter alike, in order.

    columns: arrays of the same rows as ``importance``. least_bytes: of a stretch, about.
    """
    rows = len(importance)
    values = np.asarray(importance.cast(pa.float64(), safe=False).fill_null((IMPORTANT + MINOR) / 2))
    strata = np.where(values >= IMPORTANT, Stratum.IMPORTANT, Stratum.ORDINARY)
    strata = np.where(values < MINOR, Stratum.MINOR, strata)
    size = sum(int(array.nbytes) for array in columns) / rows
    least_rows = max(STRETCH_ROWS, int(least_bytes / max(size, 1)))
    grains = np.arange(0, rows, least_rows // GRAINS)
    most_important = np.minimum.reduceat(strata, grains)
    changes = np.flatnonzero(np.diff(most_important, prepend=-1))
    current, start = int(most_important[0]), 0
    for stratum, row in zip(most_important[changes].tolist(), grains[changes].tolist(), strict=True):
        if (
            row - start < least_rows
        ):  # too short to be put apart: it matters as much as what follows, if that is more
            current = min(current, stratum)
        elif stratum != current:
            yield Stratum(current), start, row
            current, start = stratum, row
    yield Stratum(current), start, rows
