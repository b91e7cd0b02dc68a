"""Arrow arrays as lists of the values that SQL sees: int, float, str, bytes or None."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.columns.timestamps import render_many
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.columns.views import integers, reals, strings, valid


def sql_values(array: pa.Array, column_type: ColumnType) -> list[Any]:
    """One Python value a row.

    BOOLEAN becomes 0 or 1, TIMESTAMP its text, FLOAT[n] its little-endian bytes.
    """
    if column_type.logical is not None:
        from audiomem_sql.columns.logical.texts import sql_images  # most tables have none

        return sql_images(column_type.logical, array)
    kind = column_type.kind
    values: list[Any]
    if kind is Kind.INTEGER or kind is Kind.BOOLEAN:
        values = integers(array).tolist()
    elif kind is Kind.REAL:
        values = reals(array).tolist()
    elif kind is Kind.TIMESTAMP:
        values = list(render_many(np.where(valid(array), integers(array), 0)))
    elif kind is Kind.FLOAT:
        found = strings(array)
        data = found.data.tobytes()
        values = [data[i:j] for i, j in zip(found.starts.tolist(), found.ends.tolist(), strict=True)]
    elif array.null_count == 0 and kind is not Kind.BLOB:
        return _texts(array)
    else:
        return array.to_pylist()  # type: ignore[no-any-return]  # to_numpy would import pandas
    if array.null_count:
        for row in np.flatnonzero(~valid(array)).tolist():
            values[row] = None
    return values


def sql_array(array: pa.Array, column_type: ColumnType) -> Any:
    """What SQL sees of a column: for logical types an array of texts, or a list; others as they are."""
    if column_type.logical is None:
        return array
    from audiomem_sql.columns.logical import texts  # most tables have none

    return texts.sql_array(column_type.logical, array)


def _texts(array: pa.Array) -> list[str]:
    found = strings(array)
    data = found.data.tobytes()
    if data.isascii():
        text = data.decode("ascii")
        starts = found.starts.tolist()
        return [text[i:j] for i, j in zip(starts, found.ends.tolist(), strict=True)]
    return array.to_pylist()  # type: ignore[no-any-return]


def sql_value(array: pa.Array, row: int, column_type: ColumnType) -> Any:
    """The value of one row, as in :func:`sql_values`."""
    return sql_values(array.slice(row, 1), column_type)[0]
