"""A JSON array of objects, or an object that holds one, to numbered rows: one object at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import IO, Any

from audiomem_sql.errors import DataTypeError, LimitError
from audiomem_sql.ingest.contents import VALUE_LIMIT, open_text, storage_error
from audiomem_sql.ingest.record_columns import Choose, NumberedRows, Report
from audiomem_sql.ingest.sources import Source

_STEP = 1 << 16
_TOKEN = 64
_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")
_KINDS = {list: "an array", str: "a string", bool: "true or false", type(None): "null"}


def has_rows(source: Source) -> bool:
    """Whether the file is an array of objects, or an object with one such array.

    Beside its array an object has nothing but single values, and objects and arrays that are empty; what has
    more to say is text.
    Malformed JSON that does not begin with an array of objects is text as well.
    """
    with _opened(source, tolerant=True) as stream:
        try:
            return Scanner(source.label, stream).array() is not None
        except DataTypeError:
            return False


def read_json_array(source: Source, choose: Choose, report: Report | None = None) -> NumberedRows:
    """The objects of the array (`has_rows`), with the values that JSON gives them, by line and row.

    Raises `DataTypeError` naming the line for what is not JSON, `LimitError` for an object beyond
    `VALUE_LIMIT`. With `report`, items that are no objects are reported, and left out.
    """
    with _opened(source, tolerant=True) as stream:
        path = Scanner(source.label, stream).array()
    with _opened(source, tolerant=report is not None) as stream:
        scanner = Scanner(source.label, stream)
        if path:
            scanner.go_to(path[0])
        is_first = True
        for number, (item, line) in enumerate(scanner.items(), 1):
            if not isinstance(item, dict):
                fault = f"this is {_KINDS.get(type(item), 'a number')} where an object is expected"
                if report is None:
                    raise scanner.malformed(fault, line)
                report(f"line {line}, row {number}", fault)
                continue
            if is_first:
                choose(list(item))
                is_first = False
            yield item, f"line {line}, row {number}"
        if not path and scanner.peek():
            raise scanner.malformed("there is more behind the array")


def _opened(source: Source, *, tolerant: bool) -> IO[str]:
    return open_text(source.path, source.label, tolerant=tolerant)


class Scanner:
    """Reads JSON value by value; no more than one value of `VALUE_LIMIT` characters is in memory.

    label: names the file in messages. decoder: makes the values.
    """

    def __init__(self, label: str, stream: IO[str], decoder: json.JSONDecoder = _DECODER) -> None:
        self._label = label
        self._stream = stream
        self._decoder = decoder
        self._text = ""
        self._at = 0
        self._is_whole = False  # the text reaches to the end of the file
        self.line = 1

    def array(self) -> list[str] | None:
        """The member that has the objects, none if the whole is an array of them; None if there is none."""
        if self.peek() == "[":
            self._take()
            return [] if self.peek() == "{" else None
        if self.peek() != "{":
            return None
        found: list[str] = []
        for name in self.members():
            mark = self.peek()
            if mark == "[":
                items = self.items()
                first = next(items, None)
                if first is None:
                    continue
                if not isinstance(first[0], dict) or found:
                    return None
                found.append(name)
                for _ in items:
                    pass
            elif self.value() and mark == "{":
                return None
        return found or None

    def go_to(self, name: str) -> None:
        """Go to the member of that name of the object that is next."""
        for member in self.members():
            if member == name:
                return
            self.value()

    def members(self) -> Iterator[str]:
        """The names in the object that is next; the caller reads the value behind each."""
        self._open("{")
        while self.peek() != "}":
            name = self.value()
            if not isinstance(name, str) or self.peek() != ":":
                raise self.malformed("this is not JSON (a name and a colon are expected)")
            self._take()
            yield name
            self._separator("}")
        self._take()

    def items(self) -> Iterator[tuple[Any, int]]:
        """The values in the array that is next, with the line on which each begins."""
        self._open("[")
        while self.peek() != "]":
            line = self.line
            yield self.value(), line
            self._separator("]")
        self._take()

    def _open(self, mark: str) -> None:
        if self.peek() != mark:
            raise self.malformed(f"this is not JSON ({mark} is expected)")
        self._take()

    def _separator(self, closing: str) -> None:
        mark = self.peek()
        if mark == ",":
            self._take()
        elif mark != closing:
            raise self.malformed(f"this is not JSON (a comma or {closing} is expected)")

    def peek(self) -> str:
        """The next character that is no white space; "" at the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            end = space.end() if space else self._at
            self.line += self._text.count("\n", self._at, end)
            self._at = end
            if end < len(self._text) or self._is_whole:
                return self._text[end : end + 1]
            self._more(_STEP)

    def _take(self) -> None:
        self._at += 1

    def value(self) -> Any:
        """The next value."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                # what is cut off at the end of the text is wrong there, or where a string begins
                is_cut = error.pos + _TOKEN > len(self._text) or error.msg.startswith("Unterminated")
                if self._is_whole or not is_cut:
                    line = self.line + self._text.count("\n", self._at, error.pos)
                    raise self.malformed(f"this is not JSON ({error.msg})", line) from error
            except RecursionError as error:
                raise self.malformed("the JSON is nested too deeply") from error
            except ValueError as error:  # an integer of thousands of digits
                raise self.malformed(f"this JSON cannot be read ({error})") from error
            else:
                if self._is_whole or end < len(self._text):  # a number may go on
                    self.line += self._text.count("\n", self._at, end)
                    self._at = end
                    return value
            self._more(max(_STEP, len(self._text) - self._at))

    def _more(self, size: int) -> None:
        """Read so many characters more, and forget those that were taken."""
        try:
            read = self._stream.read(size)
        except OSError as error:
            raise storage_error(error, self._label) from error
        except UnicodeDecodeError as error:
            raise self.malformed("the text changed while it was read") from error
        self._text = self._text[self._at :] + read
        self._at = 0
        self._is_whole = not read
        if len(self._text) > VALUE_LIMIT:
            raise LimitError(
                f"a value has more than {VALUE_LIMIT} characters, or is not closed",
                file=self._label,
                place=f"line {self.line}",
                remedy="Write it as JSON Lines, one object a line.",
            )

    def malformed(self, fault: str, line: int | None = None) -> DataTypeError:
        """What is wrong on a line, by default the one that is being read."""
        return DataTypeError(
            fault,
            file=self._label,
            place=f"line {line or self.line}",
            remedy="Correct the JSON there.",
        )
