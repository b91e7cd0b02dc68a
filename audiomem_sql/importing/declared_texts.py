"""Columns of texts whose type is a logical one that was said: the engine converts them, as it does in SQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from audiomem_sql.columns.arrow_cast import cast_column
from audiomem_sql.columns.column import Column
from audiomem_sql.columns.types import STORED_MARK, arrow_type
from audiomem_sql.errors import DataTypeError
from audiomem_sql.importing.delimited_sql import TextColumn


def stored_field(column: TextColumn) -> pa.Field | None:
    """The field of the stored values; None for a column that DuckDB converts."""
    if column.logical is None:
        return None
    return pa.field(column.name, arrow_type(column.logical), metadata=STORED_MARK)


def stored_array(column: TextColumn, texts: Any) -> tuple[Any, list[int]]:
    """The stored values of ``texts``, and the rows whose text is none, which are NULL."""
    assert column.logical is not None
    target = Column(column.name, column.logical)
    parts: list[Any] = []
    misfits: list[int] = []
    for start, made, size in _parts(target, texts, 0):
        if made is None:
            misfits.append(start)
            made = pa.nulls(size, arrow_type(column.logical))
        parts += made.chunks if isinstance(made, pa.ChunkedArray) else [made]
    return pa.concat_arrays(parts or [pa.nulls(0, arrow_type(column.logical))]), misfits


def _parts(target: Column, texts: Any, start: int) -> Iterator[tuple[int, Any, int]]:
    """Where each part begins, its values, None for a row that has none, and its rows."""
    try:
        yield start, cast_column(target, [texts]), len(texts)
    except DataTypeError:
        if len(texts) == 1:
            yield start, None, 1
            return
        half = len(texts) // 2
        yield from _parts(target, texts.slice(0, half), start)
        yield from _parts(target, texts.slice(half), start + half)
