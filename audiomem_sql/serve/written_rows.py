"""Rows that clients send, in any format, as the engine takes them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from audiomem_sql.columns.column import fold
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import BIT, ColumnType, Kind
from audiomem_sql.errors import AudioMemError, DataTypeError, QueryError
from audiomem_sql.serve.problems import Problem
from audiomem_sql.serve.requests import bytes_of

_NUMBERS = {"Infinity": float("inf"), "-Infinity": float("-inf"), "NaN": float("nan")}


def rows_of(content_type: str | None, content: bytes, schema: Schema) -> tuple[Any, int]:
    """(rows, how many) of a body. Problem 415 for another format, QueryError for what is not of it."""
    media_type = (content_type or "application/json").partition(";")[0].strip().lower()
    read = _READERS.get(media_type)
    if read is None:
        raise Problem(415, f"rows come as {', '.join(sorted(_READERS))}")
    try:
        return read(content, schema)
    except AudioMemError:
        raise
    except (ValueError, pa.ArrowException, RecursionError, OSError) as error:
        raise QueryError(
            f"the body is no {media_type}: {type(error).__name__}", remedy="Check it, and its Content-Type."
        ) from None


def _json(content: bytes, schema: Schema) -> tuple[Any, int]:
    loaded = _loaded(content)
    rows = loaded["rows"] if isinstance(loaded, dict) and set(loaded) == {"rows"} else loaded
    return _converted(rows if isinstance(rows, list) else [rows], schema)


def _lines(content: bytes, schema: Schema) -> tuple[Any, int]:
    return _converted([_loaded(line) for line in content.splitlines() if line.strip()], schema)


def _arrow(content: bytes, schema: Schema) -> tuple[Any, int]:
    with pa.ipc.open_stream(content) as reader:
        table = reader.read_all()
    table.validate(full=True)  # offsets and UTF-8 are whatever somebody wrote
    return table, table.num_rows


def _parquet(content: bytes, schema: Schema) -> tuple[Any, int]:
    from pyarrow import parquet

    table = parquet.read_table(io.BytesIO(content))
    table.validate(full=True)
    return table, table.num_rows


_READERS: Mapping[str, Callable[[bytes, Schema], tuple[Any, int]]] = {
    "application/json": _json,
    "application/x-ndjson": _lines,
    "application/vnd.apache.arrow.stream": _arrow,
    "application/vnd.apache.parquet": _parquet,
}
MEDIA_TYPES = tuple(_READERS)


def _loaded(text: bytes) -> Any:
    return json.loads(text, parse_constant=_refused_number)


def _refused_number(name: str) -> Any:
    raise ValueError(name)


def _converted(rows: list[Any], schema: Schema) -> tuple[list[dict[str, Any]], int]:
    """Rows whose values are what the columns hold, of what JSON has for them (``values``)."""
    columns = {fold(column.name): column.type for column in schema.columns}
    made = []
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise QueryError(
                "a row is an object", place=f"row {number}", remedy='Send [{"name": value, …}, …].'
            )
        made.append(
            {name: _value(value, columns.get(fold(name)), name, number) for name, value in row.items()}
        )
    return made, len(made)


def _value(value: Any, kind: ColumnType | None, name: str, number: int) -> Any:
    if kind is None or value is None or kind.logical is not None:
        return value
    is_bits = kind.kind is Kind.FLOAT and kind.element == BIT
    try:
        if (kind.kind is Kind.BLOB or is_bits) and isinstance(value, str):
            return bytes_of(value)
        if kind.kind is Kind.JSON and isinstance(value, dict | list):
            return json.dumps(value, ensure_ascii=False)
    except QueryError as error:
        raise DataTypeError(error.what, place=f"row {number}, column {name}", remedy=error.remedy) from None
    return _NUMBERS.get(value, value) if kind.kind is Kind.REAL and isinstance(value, str) else value
