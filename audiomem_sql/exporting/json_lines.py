"""JSON Lines, and a JSON array of objects: bytes as ``{"$base64": true, "encoded": …}``, JSON as it is.

Logical types are what SQL sees: numbers with all their digits, nested values as JSON, and texts.
"""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import IO, Any

import pyarrow as pa

from audiomem_sql.columns.shown import shown_images
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.exporting.contract import Shape


class JsonWriter:
    """Objects, one a line; array: between brackets, with commas."""

    def __init__(self, stream: IO[bytes], shape: Shape, array: bool = False) -> None:
        self._stream, self._array = stream, array
        self._names = [json.dumps(column.name, ensure_ascii=False) for column in shape.columns]
        self._types = [column.type for column in shape.columns]
        self._count = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        columns = [
            _texts(array, column_type) for array, column_type in zip(batch.columns, self._types, strict=True)
        ]
        lines = []
        for row in zip(*columns, strict=True):
            pairs = (f"{name}: {text}" for name, text in zip(self._names, row, strict=True))
            lines.append("{" + ", ".join(pairs) + "}")
        if not lines:
            return
        if self._array:
            head = ",\n" if self._count else "[\n"
            self._stream.write((head + ",\n".join(lines)).encode())
        else:
            self._stream.write(("\n".join(lines) + "\n").encode())
        self._count += len(lines)

    def close(self) -> None:
        """The bracket behind an array."""
        if self._array:
            self._stream.write(b"\n]\n" if self._count else b"[]\n")

    def abandon(self) -> None:
        """Nothing is held."""


#: Logical types that are numbers of JSON, with all their digits.
_NUMBERS = frozenset(("DECIMAL", "HUGEINT", "UHUGEINT", "UBIGINT"))


def _texts(array: Any, column_type: ColumnType) -> list[str]:
    """The values of a column as JSON."""
    node = column_type.logical
    values = array.to_pylist() if node is None else shown_images(array, column_type)
    if column_type.kind is Kind.JSON or (node is not None and (node.is_nested or node.name in _NUMBERS)):
        return ["null" if each is None else str(each) for each in values]
    return list(map(json_text, values))


def json_text(value: Any) -> str:
    """A value as JSON. Infinity and NaN, which JSON does not have, are written as Python does."""
    if isinstance(value, bytes):
        return json.dumps({"$base64": True, "encoded": base64.b64encode(value).decode("ascii")})
    if isinstance(value, datetime):
        return json.dumps(value.isoformat())
    return json.dumps(value, ensure_ascii=False)
