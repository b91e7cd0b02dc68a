"""A sorted index of one column of one segment, made in memory when the same column is looked up again and again.

SQLite builds an automatic index for a join on a native table, never for a virtual one; this takes its place. Without
it, a join on a column that is no key would scan the column once for each row of the other table.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.columns.views import integers, reals, valid
from audiomem_sql.types import I64Array

_NONE = np.empty(0, np.int64)
#: A column is indexed at this many lookups; a small one at the first.
LOOKUPS_BEFORE_INDEX = 4
SMALL_ROWS = 4096
#: A text column with more bytes than this is scanned each time rather than indexed.
MAX_INDEX_BYTES = 256 << 20


class KeyIndex:
    """Maps a stored value to the rows that hold it."""

    def __init__(self, array: pa.Array, column_type: ColumnType) -> None:
        present = np.flatnonzero(valid(array))
        self._codes: dict[Any, int] | None = None
        if column_type.kind in (Kind.INTEGER, Kind.TIMESTAMP, Kind.BOOLEAN):
            keys: np.ndarray[Any, Any] = integers(array)[present]
        elif column_type.kind is Kind.REAL:
            keys = reals(array)[present]
        else:
            encoded = array.dictionary_encode()
            self._codes = {key: code for code, key in enumerate(encoded.dictionary.to_pylist())}
            keys = np.asarray(encoded.indices.fill_null(-1) if encoded.null_count else encoded.indices)[
                present
            ]
        order = np.argsort(keys, kind="stable")
        self._keys = keys[order]
        self._rows: I64Array = present[order]

    def rows(self, key: Any) -> I64Array:
        """The rows whose value is ``key`` (int, float, str or bytes, as stored), ascending."""
        if self._codes is not None:
            key = self._codes.get(key)
            if key is None:
                return _NONE
        low = int(np.searchsorted(self._keys, key, side="left"))
        if low == len(self._keys) or self._keys[low] != key:
            return _NONE
        return self._rows[low : int(np.searchsorted(self._keys, key, side="right"))]
