"""The first rows of a table as short texts: for a person who wants to see what is in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from audiomem_sql.columns.exact_python import python_values
from audiomem_sql.columns.shown import shown_images
from audiomem_sql.columns.types import ColumnType
from audiomem_sql.table.contract import ReadableTable

#: Rows and columns that are shown; the rest is counted.
ROWS, COLUMNS = 10, 20
#: Characters of a value that are shown, and items of a list.
_LONGEST, _ITEMS = 60, 4
_CUT = "…"


@dataclass(frozen=True, slots=True)
class FirstRows:
    """The first rows. names: of the columns that are shown. cells: a text for each value, row by row."""

    names: tuple[str, ...]
    cells: list[tuple[str, ...]]
    rows: int
    columns: int

    @classmethod
    def of(cls, table: ReadableTable) -> FirstRows:
        """Those of a table. Raises what reading raises."""
        names = table.schema.names
        shown = table.head(ROWS, names[:COLUMNS])
        types = [column.type for column in table.schema.columns[:COLUMNS]]
        columns = [
            [cut(_shown(value)) for value in _values(array, column_type)]
            for array, column_type in zip(shown.columns, types, strict=True)
        ]
        cells = list(zip(*columns, strict=True)) if columns else []
        return cls(names[:COLUMNS], cells, len(table), len(names))

    def text(self) -> str:
        """In columns, for terminals."""
        lines = [tuple(cut(name) for name in self.names), *self.cells]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        lines.insert(1, tuple("─" * width for width in widths))
        parts = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        ]
        if more := [
            counted(count, f"more {unit}")
            for count, unit in (
                (self.rows - len(self.cells), "row"),
                (self.columns - len(self.names), "column"),
            )
            if count > 0
        ]:
            parts.append(f"and {' and '.join(more)}")
        return "\n".join(parts)


def counted(count: int, unit: str) -> str:
    """1 row, 1,000 rows."""
    return f"{count:,} {unit}{'' if count == 1 else 's'}"


def cut(text: str) -> str:
    """A text in one line, of which the beginning is shown if it is long."""
    line = "".join(letter if letter.isprintable() else " " for letter in text[: _LONGEST + 1])
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + _CUT


def _values(array: pa.ChunkedArray[Any], column_type: ColumnType) -> list[Any]:
    """What is shown of a column: of a logical type what SQL sees."""
    if column_type.logical is None:
        return [value for chunk in array.chunks for value in python_values(chunk)]
    return [image for chunk in array.chunks for image in shown_images(chunk, column_type)]


def _shown(value: Any) -> str:
    """A value, of which enough for its first characters."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"x'{value[:_LONGEST].hex()}'"
    if isinstance(value, str):
        return value[: _LONGEST + 1]
    if isinstance(value, Mapping):
        pairs = list(value.items())
        return f"{{{_listed([f'{key}: {_shown(each)}' for key, each in pairs[:_ITEMS]], len(pairs))}}}"
    if isinstance(value, list | tuple):
        return f"[{_listed([_shown(each) for each in value[:_ITEMS]], len(value))}]"
    return str(value)


def _listed(items: list[str], count: int) -> str:
    return ", ".join([*items, _CUT] if count > len(items) else items)
