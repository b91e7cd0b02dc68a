"""CSV (RFC 4180) and TSV: NULL is nothing, an empty text is ``""``, bytes are in base64, vectors are JSON.

Logical types are the texts that SQL sees.
"""

from __future__ import annotations

import base64
import json
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from audiomem_sql.columns.shown import shown_images
from audiomem_sql.columns.types import ColumnType
from audiomem_sql.exporting.contract import Shape

#: Texts that are put in quotation marks: those with a mark, a line or a space at an end, and the empty one.
_QUOTED = r'["\r\n]|^$|^\s|\s$'


class DelimitedWriter:
    """Lines of CSV, or of TSV with another delimiter."""

    def __init__(self, stream: IO[bytes], shape: Shape, delimiter: str = ",") -> None:
        self._stream, self._delimiter = stream, delimiter
        self._types = [column.type for column in shape.columns]
        names = pa.array([column.name for column in shape.columns])
        self._stream.write(delimiter.join(self._quoted(names).to_pylist()).encode() + b"\n")

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        if not batch.num_rows:
            return
        columns = [
            self._texts(array, column_type).fill_null("")
            for array, column_type in zip(batch.columns, self._types, strict=True)
        ]
        if len(columns) == 1:
            lines = columns[0]
        else:
            lines = pc.binary_join_element_wise(*columns, self._delimiter)
        self._stream.write("\n".join(lines.to_pylist()).encode() + b"\n")

    def close(self) -> None:
        """Nothing is left to do."""

    def abandon(self) -> None:
        """Nothing is held."""

    def _texts(self, array: Any, column_type: ColumnType) -> Any:
        if column_type.logical is not None:
            images = shown_images(array, column_type)
            return self._quoted(
                pa.array([None if each is None else str(each) for each in images], pa.string())
            )
        kind = array.type
        if types.is_string(kind) or types.is_large_string(kind):
            return self._quoted(array.cast(pa.string()))
        if types.is_floating(kind):
            return pa.array([None if each is None else repr(each) for each in array.to_pylist()], pa.string())
        if types.is_timestamp(kind):
            return pc.replace_substring_regex(array.cast(pa.string()), r"(\.\d*[1-9])0+$|\.0+$", r"\1")
        if types.is_integer(kind) or types.is_boolean(kind):
            return array.cast(pa.string())
        return self._quoted(pa.array([_text(each) for each in array.to_pylist()], pa.string()))

    def _quoted(self, texts: Any) -> Any:
        marks = f"{_QUOTED}|[{self._delimiter}]"
        wanted = pc.match_substring_regex(texts, marks)
        if not pc.any(wanted).as_py():
            return texts
        doubled = pc.replace_substring(texts, '"', '""')
        return pc.if_else(wanted, pc.binary_join_element_wise('"', doubled, '"', ""), texts)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return json.dumps(value)
