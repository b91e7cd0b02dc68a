"""JSON Lines (one object a line) to numbered rows."""

from __future__ import annotations

import json
from typing import Any

from audiomem_sql.errors import DataTypeError, LimitError
from audiomem_sql.ingest.contents import VALUE_LIMIT, open_text, storage_error
from audiomem_sql.ingest.record_columns import Choose, NumberedRows, Report
from audiomem_sql.ingest.sources import Source


def read_json_lines(source: Source, choose: Choose, report: Report | None = None) -> NumberedRows:
    """The objects, with the values that JSON gives them. Blank lines are passed over.

    Raises `DataTypeError` naming the line for what is not a JSON object, `LimitError` for lines beyond
    `VALUE_LIMIT`. With `report`, lines that are no JSON objects are reported, and left out.
    """
    with open_text(source.path, source.label, tolerant=report is not None) as stream:
        number = 0
        is_first = True
        while True:
            number += 1
            try:
                line = stream.readline(VALUE_LIMIT + 1)
            except OSError as error:
                raise storage_error(error, source.label) from error
            except UnicodeDecodeError as error:
                raise _malformed(source, number, "the text changed while it was read") from error
            if not line:
                return
            if len(line) > VALUE_LIMIT:
                raise LimitError(
                    f"the line has more than {VALUE_LIMIT} characters",
                    file=source.label,
                    place=f"line {number}",
                    remedy="Write one object a line.",
                )
            if not line.isspace():
                try:
                    row = _parse(source, number, line)
                except DataTypeError as error:
                    if report is None:
                        raise
                    report(f"line {number}", error.what)
                    continue
                if is_first:
                    choose(list(row))
                    is_first = False
                yield row, f"line {number}"


def _parse(source: Source, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise _malformed(
            source, number, f"this is not JSON ({error.msg}, character {error.pos + 1})"
        ) from error
    except RecursionError as error:
        raise _malformed(source, number, "the JSON is nested too deeply") from error
    except ValueError as error:  # an integer of thousands of digits
        raise _malformed(source, number, f"this JSON cannot be read ({error})") from error
    if not isinstance(row, dict):
        kind = {list: "an array", str: "a string", bool: "true or false", type(None): "null"}.get(
            type(row), "a number"
        )
        raise _malformed(source, number, f"this is {kind} where an object is expected")
    return row


def _malformed(source: Source, number: int, fault: str) -> DataTypeError:
    return DataTypeError(
        fault, file=source.label, place=f"line {number}", remedy="Write one JSON object a line."
    )
