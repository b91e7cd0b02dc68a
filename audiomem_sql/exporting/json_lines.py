"""JSON Lines, and a JSON array of objects: bytes as ``{"$base64": true, "encoded": …}``, JSON as it is."""

from __future__ import annotations

import base64
import json
from datetime import date, datetime, time
from decimal import Decimal
from typing import IO, Any

import pyarrow as pa

from audiomem_sql.columns.types import Kind
from audiomem_sql.exporting.contract import Shape


class JsonWriter:
    """Objects, one a line; array: between brackets, with commas."""

    def __init__(self, stream: IO[bytes], shape: Shape, array: bool = False) -> None:
        self._stream, self._array = stream, array
        self._names = [json.dumps(column.name, ensure_ascii=False) for column in shape.columns]
        self._raw = [column.type.kind is Kind.JSON for column in shape.columns]
        self._count = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        columns = [
            [("null" if each is None else each) if raw else json_text(each) for each in column.to_pylist()]
            for column, raw in zip(batch.columns, self._raw, strict=True)
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


def json_text(value: Any) -> str:
    """A value as JSON. Infinity and NaN, which JSON does not have, are written as Python does."""
    if isinstance(value, bytes):
        return json.dumps({"$base64": True, "encoded": base64.b64encode(value).decode("ascii")})
    if isinstance(value, datetime | date | time):
        return json.dumps(value.isoformat())
    if isinstance(value, Decimal):
        return f"{value:f}"
    return json.dumps(value, ensure_ascii=False, default=str)
