"""An Excel workbook (XLSX) with one sheet, through openpyxl: what no cell holds is text, or refused."""

from __future__ import annotations

import base64
import json
import math
import re
from datetime import date, datetime
from typing import Any

import pyarrow as pa

from audiomem_sql.columns.shown import shown_images
from audiomem_sql.columns.types import ColumnType
from audiomem_sql.errors import LimitError, MissingExtraError
from audiomem_sql.exporting.contract import Shape

#: Rows of a sheet with that of the names, and characters of a cell.
ROWS, CHARACTERS = 1_048_576, 32_767
#: Integers that a number of Excel, a double, holds.
_EXACT = 1 << 53
_EARLIEST = date(1900, 3, 1)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_SECOND = re.compile(rf"{_DAY.pattern} \d{{2}}:\d{{2}}:\d{{2}}")


class WorkbookWriter:
    """The rows of one sheet."""

    def __init__(self, path: str, shape: Shape) -> None:
        try:
            import openpyxl
        except ImportError:
            raise MissingExtraError(
                "openpyxl is not installed, which writes workbooks",
                remedy="pip install 'audiomem-sql[excel]'.",
            ) from None
        self._path, self._names = path, [column.name for column in shape.columns]
        self._types = [column.type for column in shape.columns]
        self._book = openpyxl.Workbook(write_only=True)
        title = "".join("_" if letter in "[]:*?/\\" else letter for letter in shape.name)[:31]
        self._sheet = self._book.create_sheet(title or "Sheet1")
        self._sheet.append(self._names)
        self._rows = 1

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows. LimitError for more than a sheet has, or a text that is longer than a cell."""
        from openpyxl.utils.exceptions import IllegalCharacterError

        columns = map(_values, batch.columns, self._types)
        for row in zip(*columns, strict=True):
            self._rows += 1
            if self._rows > ROWS:
                raise LimitError(
                    f"a sheet has no more than {ROWS:,} rows",
                    remedy="Choose rows with --where, or write CSV.",
                )
            try:
                self._sheet.append([_cell(self._sheet, value) for value in row])
            except IllegalCharacterError:
                raise self._refused("a control character, which a workbook does not hold") from None
            if any(isinstance(value, str) and len(value) > CHARACTERS for value in row):
                raise self._refused(f"a text of more than {CHARACTERS:,} characters")

    def close(self) -> None:
        """Write the file."""
        self._book.save(self._path)

    def abandon(self) -> None:
        """End what openpyxl has begun, and remove its temporary file."""
        writer = self._sheet._writer
        try:
            self._sheet.close()
        finally:
            writer.xf.close()
            writer.cleanup()

    def _refused(self, what: str) -> LimitError:
        return LimitError(
            f"the row has {what}", place=f"row {self._rows - 1}", remedy="Write CSV, or leave the column out."
        )


def _values(array: Any, column_type: ColumnType) -> list[Any]:
    """The values of a column; those of logical types are what SQL sees, but for dates that cells may hold."""
    node = column_type.logical
    if node is None:
        return list(array.to_pylist())
    images = shown_images(array, column_type)
    if node.name == "DATE":
        return [date.fromisoformat(each) if each and _DAY.fullmatch(each) else each for each in images]
    if node.name in ("TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"):
        return [datetime.fromisoformat(each) if each and _SECOND.fullmatch(each) else each for each in images]
    return images


def _cell(sheet: Any, value: Any) -> Any:
    """A value as a cell holds it; what none holds exactly is text."""
    if value is None or isinstance(value, bool | float | str):
        if isinstance(value, float) and not isinstance(value, bool):
            return _number(sheet, value)
        return _plain(sheet, value) if isinstance(value, str) else value
    if isinstance(value, int):
        return value if -_EXACT <= value <= _EXACT else str(value)
    if isinstance(value, datetime):
        exact = value.date() >= _EARLIEST and not value.microsecond
        return value if exact else value.isoformat(" ")
    if isinstance(value, date):
        return value if value >= _EARLIEST else value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return json.dumps(value)


def _number(sheet: Any, value: float) -> Any:
    """A number with all its digits, of which openpyxl would write 16; infinity is text."""
    if not math.isfinite(value):
        return str(value)
    if float(f"{value:.16g}") == value:
        return value
    from openpyxl.cell.cell import WriteOnlyCell

    cell = WriteOnlyCell(sheet, value=0.0)
    cell._value = repr(value)
    return cell


def _plain(sheet: Any, text: str) -> Any:
    """A text that is no formula, though it begins like one."""
    if not text.startswith("="):
        return text
    from openpyxl.cell.cell import WriteOnlyCell

    cell = WriteOnlyCell(sheet, value="")
    cell.value = text
    cell.data_type = "s"
    return cell
