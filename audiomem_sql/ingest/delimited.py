"""CSV and TSV (RFC 4180, with any of four delimiters) to numbered rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from audiomem_sql.errors import DataTypeError, LimitError, SchemaError
from audiomem_sql.ingest.contents import VALUE_LIMIT, open_text, storage_error
from audiomem_sql.ingest.record_columns import Choose, NumberedRows
from audiomem_sql.ingest.sources import Source, suffix_of

DELIMITERS = ",;\t|"
_SAMPLE_SIZE = 1 << 16


def read_delimited(source: Source, choose: Choose) -> NumberedRows:
    """The rows below the header; all values are text, None where a line is short.

    An unnamed column is called ``column3`` by its position. Blank lines are passed over. Raises `SchemaError`
    for a header that is missing or names a column twice, `DataTypeError` for lines that are longer than the
    header or quoted wrongly, `LimitError` for fields beyond `VALUE_LIMIT`.
    """
    delimiter = "\t" if suffix_of(source.path) == ".tsv" else _find_delimiter(source)
    lines = _parsed(source, delimiter)
    header, place = next(lines, ([], ""))
    if not header:
        return
    names = [name if name.strip() else f"column{index}" for index, name in enumerate(header, 1)]
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise SchemaError(
            f"two columns are called {double!r}", file=source.name, place=place, remedy="Rename one."
        )
    if all(_is_number(name) for name in header):
        raise SchemaError(
            "the first line has only numbers",
            file=source.name,
            place=place,
            remedy="Put the column names there.",
        )
    choose(names)
    for fields, place in lines:
        if len(fields) > len(names) and any(fields[len(names) :]):
            raise DataTypeError(
                f"{len(fields)} fields where the header has {len(names)}",
                file=source.name,
                place=place,
                remedy="Quote fields that have the delimiter in them.",
            )
        row: dict[str, str | None] = dict.fromkeys(names)
        row.update(zip(names, fields, strict=False))
        yield row, place


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _parsed(source: Source, delimiter: str) -> Iterator[tuple[list[str], str]]:
    """The fields of every line that is not blank, with the number of the line on which it begins."""
    with open_text(source.path, source.name) as stream:
        reader = csv.reader(stream, delimiter=delimiter, strict=True)
        line = 1
        try:
            while True:
                fields = _next_row(reader)
                if fields is None:
                    return
                if fields:
                    yield fields, f"line {line}"
                line = reader.line_num + 1
        except csv.Error as error:
            if "field larger" in str(error):
                raise LimitError(
                    f"a field has more than {VALUE_LIMIT} characters",
                    file=source.name,
                    place=f"line {line}",
                    remedy="Close the quotation mark that is open there.",
                ) from error
            raise DataTypeError(
                f"this is not CSV ({error})",
                file=source.name,
                place=f"line {line}",
                remedy="Check the quotation marks; inside a field they are doubled.",
            ) from error
        except UnicodeDecodeError as error:
            raise DataTypeError(
                "the text changed while it was read", file=source.name, place=f"line {line}"
            ) from error
        except OSError as error:
            raise storage_error(error, source.name) from error


def _next_row(reader: Iterator[list[str]]) -> list[str] | None:
    """The next row under our own field limit: the csv module has one for the whole process."""
    before = csv.field_size_limit(VALUE_LIMIT)
    try:
        return next(reader, None)
    finally:
        csv.field_size_limit(before)


def _find_delimiter(source: Source) -> str:
    """The delimiter for which most lines of a sample have as many fields as the header.

    Comma if there is none.
    """
    with open_text(source.path, source.name) as stream:
        try:
            sample = stream.read(_SAMPLE_SIZE)
        except OSError as error:
            raise storage_error(error, source.name) from error
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
        if len(sample) == _SAMPLE_SIZE and len(rows) > 2:
            rows.pop()  # cut off by the end of the sample
        width = len(rows[0]) if rows else 0
        score = (sum(len(row) == width for row in rows) / max(len(rows), 1), width)
        if width > 1 and score > best:
            best, delimiter = score, candidate
    return delimiter
