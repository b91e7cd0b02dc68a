"""JSON Lines, arrays of JSON objects, and objects behind each other; numbers as they are written."""

from __future__ import annotations

import base64
import contextlib
import io
import json
from collections.abc import Callable, Iterator
from typing import IO, Any

from audiomem_sql.errors import DataTypeError, LimitError
from audiomem_sql.importing.bad_lines import REFUSE, BadLines
from audiomem_sql.importing.contract import Wishes
from audiomem_sql.importing.inputs import Input, Inputs, opened
from audiomem_sql.importing.python_columns import PythonColumns, Real, json_text
from audiomem_sql.importing.python_rows import Line, PythonRows, Row, no_row
from audiomem_sql.ingest.contents import VALUE_LIMIT
from audiomem_sql.ingest.json_array import Scanner

Told = Callable[[int], object]
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | bytes:
    """An object; bytes where it says that it is some, as ``audiomem export`` and sqlite-utils write them."""
    made = dict(pairs)
    if made.keys() == {"$base64", "encoded"} and made["$base64"] is True:
        return base64.b64decode(made["encoded"], validate=True)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two members are called {double!r}")
    return made


_DECODER = json.JSONDecoder(parse_float=Real, parse_constant=Real, object_pairs_hook=_object)


@contextlib.contextmanager
def open_rows(inputs: Inputs, wishes: Wishes, bad: BadLines) -> Iterator[PythonRows]:
    """The rows of files of JSON."""

    def rows(told: Told) -> Iterator[Row]:
        before = 0
        for file in inputs.files:
            with opened(file) as (stream, at):
                text = _text(stream)
                items = _lines if inputs.kind == "jsonl" else _items
                for row in items(file, text, bad):
                    told(before + at())
                    yield row
            before += file.size

    columns = PythonColumns(wishes, inputs.label, holds_json=False)
    yield PythonRows(inputs, bad, rows, columns)


def _text(stream: IO[bytes]) -> IO[str]:
    buffered: Any = stream if hasattr(stream, "peek") else io.BufferedReader(stream)
    start = buffered.peek(3)
    encoding = "utf-16" if start.startswith(_UTF16) else "utf-8-sig"
    return io.TextIOWrapper(buffered, encoding, errors="surrogateescape", newline="\n")


def _lines(file: Input, stream: IO[str], bad: BadLines) -> Iterator[Row]:
    number = 0
    while line := stream.readline(VALUE_LIMIT + 1):
        number += 1
        if len(line) > VALUE_LIMIT:
            raise LimitError(
                f"the line has more than {VALUE_LIMIT} characters",
                file=file.label,
                place=f"line {number}",
                remedy="Write one object a line.",
            )
        if line.isspace():
            continue
        try:
            line.encode()
            row = _DECODER.decode(line)
        except (ValueError, RecursionError) as error:
            yield no_row(bad, _bytes(line), _fault(error), file.label, f"line {number}")
            continue
        if isinstance(row, dict):
            yield row if bad.mode == REFUSE else Line(row, _bytes(line), file.label, f"line {number}")
        else:
            yield no_row(bad, _bytes(line), "this is no object", file.label, f"line {number}")


def _bytes(line: str) -> bytes:
    return line.encode("utf-8", "surrogateescape")


def _fault(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"this is not JSON ({error.msg}, character {error.pos + 1})"
    if isinstance(error, UnicodeEncodeError):
        return "this is not UTF-8"
    if isinstance(error, RecursionError):
        return "the JSON is nested too deeply"
    return f"this JSON cannot be read ({error})"


def _items(file: Input, stream: IO[str], bad: BadLines) -> Iterator[Row]:
    """The objects of an array, or those that stand behind each other."""
    scanner = Scanner(file.label, stream, _DECODER)
    if scanner.peek() == "[":
        items = scanner.items()
    else:
        items = _following(scanner)
    for number, (item, line) in enumerate(items, 1):
        place = f"line {line}, row {number}"
        if not isinstance(item, dict):
            yield no_row(bad, json_text(item), "this is no object", file.label, place)
            continue
        if bad.mode == REFUSE:
            yield item
            continue
        text = json_text(item)
        try:
            text.encode()
        except UnicodeEncodeError:
            yield no_row(bad, _bytes(text), "this is not UTF-8", file.label, place)
            continue
        yield Line(item, text, file.label, place)
    if scanner.peek():
        raise DataTypeError(
            "there is more behind the array",
            file=file.label,
            place=f"line {scanner.line}",
            remedy="Correct the JSON there.",
        )


def _following(scanner: Scanner) -> Iterator[tuple[Any, int]]:
    while scanner.peek():
        line = scanner.line
        yield scanner.value(), line
