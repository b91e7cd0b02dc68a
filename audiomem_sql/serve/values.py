"""Values as JSON has them, after I-JSON (RFC 7493).

| value | JSON |
|---|---|
| INTEGER | a number; beyond ±(2⁵³ − 1) the digits as a string (RFC 7493, 2.2) |
| REAL | a number; "Infinity", "-Infinity" as in JSON of Protocol Buffers |
| TEXT, JSON | a string |
| BLOB, BIT[n] | a string, base64 (RFC 4648, 4) |
| BOOLEAN | true, false; of SQL 1 and 0 |
| TIMESTAMP | a string, as SQL shows it, UTC: 2024-03-02 11:30:00 |
| FLOAT[n], INT8[n] | an array of numbers; of SQL, which has bytes there, base64 |
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.columns.logical.forms import stored_form
from audiomem_sql.columns.sql_values import sql_values
from audiomem_sql.columns.types import BIT, ColumnType, Kind, arrow_type

#: The greatest integer that every reader of JSON has exactly.
MAX_SAFE = (1 << 53) - 1


def json_value(value: Any) -> Any:
    """A value of SQL: None, int, float, str or bytes."""
    kind = type(value)
    if kind is int:
        return value if -MAX_SAFE <= value <= MAX_SAFE else str(value)
    if kind is float:
        return value if math.isfinite(value) else _named(value)
    if kind is bytes:
        return base64.b64encode(value).decode("ascii")
    return value


def json_values(array: pa.Array, column_type: ColumnType) -> list[Any]:
    """The values of an array, the engine's or as users get it, one a row."""
    node = column_type.logical
    if node is not None and array.type != arrow_type(column_type):
        array = stored_form(node, array)
    kind = column_type.kind
    if kind is Kind.BOOLEAN:
        return array.to_pylist()  # type: ignore[no-any-return]
    if kind is Kind.FLOAT and column_type.element != BIT:
        vectors: list[Any] = array.to_pylist()
        flat = array.flatten().to_numpy(zero_copy_only=False)
        if flat.dtype.kind == "f" and not np.isfinite(flat).all():
            return [None if vector is None else [json_value(float(x)) for x in vector] for vector in vectors]
        return vectors
    values = sql_values(array, column_type)
    if kind in (Kind.TEXT, Kind.JSON, Kind.TIMESTAMP):
        return values
    return [json_value(value) for value in values]


def column_lists(batch: pa.RecordBatch, types: Sequence[ColumnType]) -> list[list[Any]]:
    """The values of every column of a batch."""
    return [json_values(array, kind) for array, kind in zip(batch.columns, types, strict=True)]


def distinct(names: Sequence[str]) -> list[str]:
    """Names of a result, none of them twice: ``a``, ``a:1``, as SQLite calls them in a sub-select."""
    made: list[str] = []
    taken = set(names)
    seen: set[str] = set()
    for name in names:
        number, chosen = 0, name
        while chosen in seen or (number and chosen in taken):
            number += 1
            chosen = f"{name}:{number}"
        seen.add(chosen)
        made.append(chosen)
    return made


def _named(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
