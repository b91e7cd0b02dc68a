"""Rows as arrays: what a scan yields, and what is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.affinity import StoredValue
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.stored_values import array_of, integer_array

Row = tuple[StoredValue, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Rows of a scan: rowids, int64 (n,), and an Arrow array of n rows for each requested column."""

    rowids: I64Array
    arrays: tuple[pa.Array, ...]

    def __len__(self) -> int:
        return len(self.rowids)

    @property
    def nbytes(self) -> int:
        """Bytes of the values."""
        return int(self.rowids.nbytes + sum(array.nbytes for array in self.arrays))

    def backwards(self) -> Batch:
        """The same rows, last first."""
        order = integer_array(np.arange(len(self) - 1, -1, -1))
        return Batch(self.rowids[::-1], tuple(array.take(order) for array in self.arrays))


def batch_of(rows: Sequence[tuple[int, Row]], schema: Schema) -> Batch:
    """Rows of stored values (at least one) as a batch with an array for every column of the schema."""
    rowids = np.fromiter((rowid for rowid, _ in rows), np.int64, len(rows))
    columns = zip(*(row for _, row in rows), strict=True)
    arrays = tuple(
        array_of(values, column.type) for values, column in zip(columns, schema.columns, strict=True)
    )
    return Batch(rowids, arrays)
