"""A sheet of an Excel workbook (XLSX), through openpyxl: what formulas gave, dates as dates."""

from __future__ import annotations

import contextlib
import csv
import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from audiomem_sql.columns.column import fold
from audiomem_sql.errors import AudioMemError, DamagedFileError, MissingExtraError, SchemaError
from audiomem_sql.importing.bad_lines import REFUSE, BadLines
from audiomem_sql.importing.contract import Wishes
from audiomem_sql.importing.inputs import Input, Inputs, opened
from audiomem_sql.importing.python_columns import PythonColumns, text_of
from audiomem_sql.importing.python_rows import Line, PythonRows, Row, no_row
from audiomem_sql.importing.tables import chosen_table


@contextlib.contextmanager
def open_rows(inputs: Inputs, wishes: Wishes, bad: BadLines) -> Iterator[PythonRows]:
    """The rows of a sheet, by default of the first; the first row that has cells names the columns."""
    (file,) = inputs.files
    openpyxl = needed("reads")
    with opened(file) as (stream, at), contextlib.ExitStack() as stack:
        with _reading(file):
            book = openpyxl.load_workbook(stream, read_only=True, data_only=True)
            stack.callback(book.close)
            names = [sheet.title for sheet in book.worksheets]
            wanted = wishes.table or (names[0] if names else None)
            sheet = book[chosen_table(names, wanted, file.label)]
            header = _header(file, sheet, wishes.header)
        columns = PythonColumns(wishes, file.label)
        for name in header:
            columns.known(name)

        def rows(told: Callable[[int], object]) -> Iterator[Row]:
            skipped = not wishes.header
            for number, values in _rows(file, sheet):
                if all(value is None for value in values):
                    continue
                if not skipped:
                    skipped = True
                    continue
                told(at())
                place = f"sheet {sheet.title}, row {number}"
                while len(values) > len(header) and values[-1] is None:
                    values.pop()
                if len(values) > len(header):
                    fault = f"a cell has no column: the first row names {len(header)}"
                    yield no_row(bad, _line(values), fault, file.label, place)
                    continue
                row = dict(zip(header, values, strict=False))
                yield row if bad.mode == REFUSE else Line(row, _line(values), file.label, place)

        yield PythonRows(inputs, bad, rows, columns, head=_line(header) if wishes.header else "")


def _line(values: Sequence[Any]) -> str:
    """Values as a line of TSV."""
    made = io.StringIO()
    texts = ["" if value is None else text_of(value) for value in values]
    csv.writer(made, delimiter="\t", lineterminator="").writerow(texts)
    return made.getvalue()


def needed(does: str) -> Any:
    """The package openpyxl; MissingExtraError without it."""
    try:
        import openpyxl
    except ImportError:
        raise MissingExtraError(
            f"openpyxl is not installed, which {does} workbooks", remedy="pip install 'audiomem-sql[excel]'."
        ) from None
    return openpyxl


def _header(file: Input, sheet: Any, named: bool) -> Sequence[str]:
    for row in sheet.iter_rows(values_only=True):
        if all(value is None for value in row):
            continue
        if not named:
            return [f"column{index}" for index in range(1, len(row) + 1)]
        while row[-1] is None:
            row = row[:-1]
        names = [f"column{i}" if value is None else text_of(value) for i, value in enumerate(row, 1)]
        for place, name in enumerate(names):
            if fold(name) in map(fold, names[:place]):
                raise SchemaError(f"two columns are called {name!r}", file=file.label, remedy="Rename one.")
        return names
    raise SchemaError("the sheet is empty", file=file.label, place=f"sheet {sheet.title}")


def _rows(file: Input, sheet: Any) -> Iterator[tuple[int, list[Any]]]:
    """The rows with their numbers."""
    with _reading(file):
        for number, cells in enumerate(sheet.iter_rows(), 1):
            yield number, [_value(cell) for cell in cells]


def _value(cell: Any) -> Any:
    value = cell.value
    if (
        isinstance(value, datetime)
        and "h" not in str(cell.number_format).lower()
        and value == _midnight(value)
    ):
        return value.date()
    return value


def _midnight(value: datetime) -> datetime:
    return value.replace(hour=0, minute=0, second=0, microsecond=0)


@contextlib.contextmanager
def _reading(file: Input) -> Iterator[None]:
    try:
        yield
    except AudioMemError:
        raise
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, AttributeError, SyntaxError) as error:
        raise DamagedFileError(
            f"the workbook cannot be read ({' '.join(str(error).split())[:200]})",
            file=file.label,
            remedy="Open it with the program that wrote it, and save it again.",
        ) from error
