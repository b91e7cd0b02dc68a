"""A source whose rows come as dicts of Python values: JSON, workbooks, SQLite."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa

from audiomem_sql.errors import DataTypeError
from audiomem_sql.importing.bad_lines import REFUSE, BadLines
from audiomem_sql.importing.inputs import Inputs
from audiomem_sql.importing.python_columns import PythonColumns

#: Rows that are looked at first, and rows of a batch.
SAMPLE_ROWS = 5000
BATCH_ROWS = 4096

Row = Mapping[str, Any]


class Line(dict[str, Any]):
    """A row that knows the line that it came from, and where that stood; with a ``fault`` it is no row."""

    __slots__ = ("fault", "file", "place", "text")

    def __init__(self, values: Row, text: str | bytes, file: str, place: str, fault: str = "") -> None:
        super().__init__(values)
        self.text, self.file, self.place, self.fault = text, file, place, fault


def no_row(bad: BadLines, text: str | bytes, fault: str, file: str, place: str) -> Line:
    """A line that is no row. DataTypeError if such are refused."""
    if bad.mode == REFUSE:
        bad.add(text, fault, file, place)
    return Line({}, text, file, place, fault)


class PythonRows:
    """Rows as often as they are asked for; see ``RowSource``.

    rows: begins anew, and calls what it is given with the bytes that are read; each is a ``Line`` where bad
    ones are not refused. columns: those that are known before the first row. head: of the file of bad lines.
    """

    sorts = False

    def __init__(
        self,
        inputs: Inputs,
        bad: BadLines,
        rows: Callable[[Callable[[int], object]], Iterator[Row]],
        columns: PythonColumns,
        key: str | None = None,
        head: str = "",
    ) -> None:
        self.key = key
        self._head = head
        self._inputs, self._bad, self._rows = inputs, bad, rows
        self._columns = columns
        self._done = 0

    def schema(self, whole: bool) -> pa.Schema:
        """The columns; see ``RowSource``."""
        rows = (row for row in self._rows(lambda done: None) if not _fault(row))
        for part in _parts(rows if whole else islice(rows, SAMPLE_ROWS)):
            self._columns.look(part)
        return self._columns.decide()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows; see ``RowSource``."""
        self._bad.begin(self._head)
        before = 0
        for part in _parts(self._rows(self._at)):
            good = part if self._bad.mode == REFUSE else self._good(part)
            if good:
                yield self._columns.batch(good, before)
            before += len(part)

    def _good(self, rows: Sequence[Row]) -> Sequence[Row]:
        """The rows whose values are of the declared types; the others are bad lines."""
        fault = next(filter(None, map(_fault, rows)), "")
        if not fault:
            try:
                self._columns.check(rows)
                return rows
            except DataTypeError as error:
                fault = ". ".join(part.rstrip(".") for part in (error.what, error.remedy) if part)
        if len(rows) > 1:
            half = len(rows) // 2
            return [*self._good(rows[:half]), *self._good(rows[half:])]
        (line,) = rows
        assert isinstance(line, Line)
        self._bad.add(line.text, fault, line.file, line.place)
        return ()

    def done(self) -> tuple[int, int]:
        """Bytes; see ``RowSource``."""
        return self._done, self._inputs.size

    def _at(self, done: int) -> None:
        self._done = done


def _fault(row: Row) -> str:
    return row.fault if isinstance(row, Line) else ""


def _parts(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while part := list(islice(rows, BATCH_ROWS)):
        yield part
