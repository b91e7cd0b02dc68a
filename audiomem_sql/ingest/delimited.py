"""CSV and TSV (RFC 4180, with any of four delimiters) to numbered rows."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterator, Sequence
from typing import IO

from audiomem_sql.errors import DataTypeError, LimitError, SchemaError
from audiomem_sql.ingest.contents import VALUE_LIMIT, open_text, storage_error
from audiomem_sql.ingest.record_columns import Choose, NumberedRows, Report
from audiomem_sql.ingest.sources import Source, suffix_of

DELIMITERS = ",;\t|"
_SAMPLE_SIZE = 1 << 16
#: Characters that are read again, in all, behind lines whose quotation marks are wrong.
_AGAIN_LIMIT = 4 * VALUE_LIMIT
#: Lines behind one that are looked at to know whether it is the only one that is wrong.
_LOOKED_AT = 1000


def read_delimited(source: Source, choose: Choose, report: Report | None = None) -> NumberedRows:
    """The rows below the header; all values are text, None where a line is short.

    An unnamed column is called ``column3`` by its position. Blank lines are passed over. Raises `SchemaError`
    for a header that is missing or names a column twice, `DataTypeError` for lines that are longer than the
    header or quoted wrongly, `LimitError` for fields beyond `VALUE_LIMIT`. With `report`, lines below the
    header that are wrong are reported, and left out.
    """
    delimiter = "\t" if suffix_of(source.path) == ".tsv" else _find_delimiter(source)
    with open_text(source.path, source.label, tolerant=report is not None) as stream:
        records = _Records(source, stream, delimiter, report)
        header, line = records.next() or ([], 0)
        if not header:
            return
        names = _column_names(source, header, line)
        choose(names)
        records.width = len(names)
        while (record := records.next()) is not None:
            fields, line = record
            if len(fields) > len(names) and any(fields[len(names) :]):
                fault = f"{len(fields)} fields where the header has {len(names)}"
                if report is None:
                    raise DataTypeError(
                        fault,
                        file=source.label,
                        place=f"line {line}",
                        remedy="Quote fields that have the delimiter in them.",
                    )
                report(f"line {line}", fault)
                continue
            row: dict[str, str | None] = dict.fromkeys(names)
            row.update(zip(names, fields, strict=False))
            yield row, f"line {line}"


def _column_names(source: Source, header: Sequence[str], line: int) -> list[str]:
    """The names that the header gives. SchemaError for a header that is none."""
    names = [name if name.strip() else f"column{index}" for index, name in enumerate(header, 1)]
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise SchemaError(
            f"two columns are called {double!r}",
            file=source.label,
            place=f"line {line}",
            remedy="Rename one.",
        )
    if all(_is_number(name) for name in header):
        raise SchemaError(
            "the first line has only numbers",
            file=source.label,
            place=f"line {line}",
            remedy="Put the column names there.",
        )
    return names


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


class _Lines:
    """The lines of a stream, with those of the last record at hand: they can be read again.

    ``number``: that of the last line. ``record``: the lines since `begin`.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._again: deque[str] = deque()
        self.number = 0
        self.record: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._stream)
        self.record.append(line)
        self.number += 1
        return line

    def begin(self) -> None:
        self.record = []

    def read_again(self, lines: Sequence[str]) -> None:
        """Let the last of the lines, which are `lines`, come once more."""
        self._again.extendleft(reversed(lines))
        self.number -= len(lines)


class _Records:
    """The records of a stream that are not blank, each with the number of its first line.

    ``width``: fields that a record has, once that is known; from then on what is wrong is reported, if there
    is a `report`, and left out.
    """

    def __init__(self, source: Source, stream: IO[str], delimiter: str, report: Report | None) -> None:
        self.width = 0
        self._source = source
        self._delimiter = delimiter
        self._report = report
        self._lines = _Lines(stream)
        self._reader = csv.reader(self._lines, delimiter=delimiter, strict=True)
        self._left_again = _AGAIN_LIMIT

    def next(self) -> tuple[list[str], int] | None:
        """The next one. DataTypeError, LimitError, or StorageError for what cannot be read."""
        while True:
            self._lines.begin()
            line = self._lines.number + 1
            try:
                fields = _next_row(self._reader)
            except csv.Error as error:
                self._refuse_or_skip(line, str(error))
            except UnicodeDecodeError as error:
                raise DataTypeError(
                    "the text changed while it was read", file=self._source.label, place=f"line {line}"
                ) from error
            except OSError as error:
                raise storage_error(error, self._source.label) from error
            else:
                if fields is None or fields:
                    return None if fields is None else (fields, line)

    def _refuse_or_skip(self, line: int, fault: str) -> None:
        """Report the record that begins on `line`, or raise."""
        is_large = "field larger" in fault
        if self._report is not None and self.width and self._left_again > 0:
            record = self._lines.record
            is_open = is_large or "unexpected end" in fault
            if len(record) > 1 and self._stands_alone(record, is_open):
                self._lines.read_again(record[1:])
                self._left_again -= sum(map(len, record))
                self._report(f"line {line}", "a quotation mark is not closed")
                return
            if not is_large:
                until = f", up to line {self._lines.number}" if len(record) > 1 else ""
                self._report(f"line {line}", f"this is not CSV ({fault}){until}")
                return
        if is_large:
            raise LimitError(
                f"a field has more than {VALUE_LIMIT} characters",
                file=self._source.label,
                place=f"line {line}",
                remedy="Close the quotation mark that is open there.",
            )
        raise DataTypeError(
            f"this is not CSV ({fault})",
            file=self._source.label,
            place=f"line {line}",
            remedy="Check the quotation marks; inside a field they are doubled.",
        )

    def _stands_alone(self, record: Sequence[str], is_open: bool) -> bool:
        """Whether only the first line of `record` is wrong: a mark is open there, and lines of rows follow.

        Otherwise the lines belong together, and would become rows that nobody wrote. `is_open`: the mark is
        not closed; else the last line has one more.
        """
        inner = record[1:] if is_open else record[1:-1]
        if not is_open:
            before, _, _ = record[-1].partition('"')
            if before and not before.endswith(self._delimiter):
                return False
        looked_at = inner[:_LOOKED_AT]
        return not looked_at or 2 * sum(map(self._is_row, looked_at)) > len(looked_at)

    def _is_row(self, line: str) -> bool:
        try:
            fields = next(csv.reader([line], delimiter=self._delimiter, strict=True), None)
        except csv.Error:
            return False
        return not fields or len(fields) == self.width


def _next_row(reader: Iterator[list[str]]) -> list[str] | None:
    """The next row under our own field limit: the csv module has one for the whole process."""
    before = csv.field_size_limit(VALUE_LIMIT)
    try:
        return next(reader, None)
    finally:
        csv.field_size_limit(before)


def _find_delimiter(source: Source) -> str:
    """The delimiter of a file, by its start."""
    with open_text(source.path, source.label, tolerant=True) as stream:
        try:
            sample = stream.read(_SAMPLE_SIZE)
        except OSError as error:
            raise storage_error(error, source.label) from error
    return delimiter_of(sample, is_cut=len(sample) == _SAMPLE_SIZE)


def delimiter_of(sample: str, *, is_cut: bool) -> str:
    """The delimiter for which most lines of a sample have as many fields as the header.

    Comma if there is none. is_cut: the sample ends somewhere in a line.
    """
    best, delimiter = (0.0, 0), ","
    for candidate in DELIMITERS:
        rows: list[list[str]] = []
        reader = csv.reader(io.StringIO(sample, newline=""), delimiter=candidate)
        try:
            while (row := _next_row(reader)) is not None:
                if row:
                    rows.append(row)
        except csv.Error:
            continue
        if is_cut and len(rows) > 2:
            rows.pop()  # cut off by the end of the sample
        width = len(rows[0]) if rows else 0
        score = (sum(len(row) == width for row in rows) / max(len(rows), 1), width)
        if width > 1 and score > best:
            best, delimiter = score, candidate
    return delimiter
