"""A sorted index of one column of one segment, made in memory when the column is looked up often.

SQLite builds an automatic index for a join on a native table, never for a virtual one; this takes its place.
Without it, a join on a column that is no key would scan the column once for each row of the other table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.batch import Batch
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.sql_values import sql_values
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.columns.views import dictionary_codes, integers, reals, valid
from audiomem_sql.predicates.texts import Collation

_NONE = np.empty(0, np.int64)
#: A column is indexed at this many lookups; a small one at the first.
LOOKUPS_BEFORE_INDEX = 4
SMALL_ROWS = 4096
#: A text column with more bytes than this is scanned each time rather than indexed.
MAX_INDEX_BYTES = 256 << 20
#: So many rows outside the segments are looked through one by one rather than indexed.
FEW_ROWS = 64


class KeyIndex:
    """Maps a stored value, or for texts what a collation compares of it, to the rows that hold it."""

    def __init__(self, array: pa.Array, column_type: ColumnType, collation: str = "BINARY") -> None:
        present = np.flatnonzero(valid(array))
        self._codes: dict[Any, int] | None = None
        if column_type.kind in (Kind.INTEGER, Kind.TIMESTAMP, Kind.BOOLEAN):
            keys: np.ndarray[Any, Any] = integers(array)[present]
        elif column_type.kind is Kind.REAL:
            keys = reals(array)[present]
        else:
            keys = self._encode(array, column_type, collation)[present]
        order = np.argsort(keys, kind="stable")
        self._keys = keys[order]
        self._rows: I64Array = present[order]

    def _encode(self, array: pa.Array, column_type: ColumnType, collation: str) -> I64Array:
        """A number for each row, the same for the same key."""
        codes: dict[Any, int] = {}
        if column_type.kind is Kind.FLOAT:
            self._codes = codes
            return np.array(
                [codes.setdefault(value, len(codes)) for value in sql_values(array, column_type)], np.int64
            )
        encoded = array.dictionary_encode()
        values = encoded.dictionary.to_pylist()
        rows = np.where(valid(array), dictionary_codes(encoded), 0).astype(np.int64)
        if collation == "BINARY":
            self._codes = {value: code for code, value in enumerate(values)}
            return rows
        fold = Collation(collation).key
        self._codes = codes
        folded = np.array([codes.setdefault(fold(value), len(codes)) for value in values], np.int64)
        return folded[rows] if len(folded) else rows

    def rows(self, key: Any) -> I64Array:
        """The rows whose value is ``key``, ascending.

        key: int, float, str or bytes as stored, or a key of the collation.
        """
        if self._codes is not None:
            key = self._codes.get(key)
            if key is None:
                return _NONE
        keys = self._keys
        low = keys.searchsorted(key)
        if low == len(keys) or keys[low] != key:
            return _NONE
        return self._rows[low : keys.searchsorted(key, side="right")]


def indexed_rowids(
    rows: Batch,
    schema: Schema,
    indexes: dict[tuple[int, str], KeyIndex],
    place: int,
    collation: str,
    keys: Sequence[Any],
) -> list[int]:
    """The rowids of ``rows`` whose column ``place`` has one of ``keys``; the index is kept in ``indexes``."""
    index = indexes.get((place, collation))
    if index is None:
        index = indexes[place, collation] = KeyIndex(
            rows.arrays[place], schema.columns[place].type, collation
        )
    return sorted({int(rows.rowids[row]) for key in keys for row in index.rows(key)})
