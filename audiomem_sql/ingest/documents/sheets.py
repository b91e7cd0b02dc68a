"""Spreadsheets (XLSX): the rows of every sheet, as values: what formulas gave, dates as dates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache

from audiomem_sql.ingest.documents.blocks import TEXT_LIMIT, too_much_text
from audiomem_sql.ingest.documents.content import EXPANDED_LIMIT
from audiomem_sql.ingest.documents.document import Document
from audiomem_sql.ingest.documents.grid import Row, Sheets
from audiomem_sql.ingest.documents.package import Package
from audiomem_sql.ingest.documents.xml_events import End, Start, Text

#: Formats with a number of their own (ECMA-376 part 1, 18.8.30) that are dates and times, or percentages.
_DATES = frozenset((*range(14, 18), 22, *range(27, 32), 36, *range(50, 59)))
_TIMES = frozenset((18, 19, 20, 21, 32, 33, 34, 35, 45, 46, 47))
_PERCENT = frozenset((9, 10))
_LITERAL = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\[\]]*\]', re.IGNORECASE)
#: Characters of a format that are looked at; Excel allows no more.
_CODE_LIMIT = 255
_REFERENCE = re.compile(r"([A-Za-z]{1,3})(\d{1,7})")
#: Columns of a sheet, and its rows.
COLUMNS = 16_384
ROWS = 1_048_576


def documents(package: Package) -> Iterator[Document]:
    """The sheets of a workbook, in its order; hidden ones too."""
    main = package.main_part("xl/workbook.xml")
    relations = package.relations(main)
    names: list[tuple[str, str]] = []
    epoch = datetime(1899, 12, 30)
    for event in package.events(main):
        if isinstance(event, Start) and event.tag == "sheet":
            names.append((event.attributes.get("name", ""), event.attributes.get("r:id", "")))
        elif isinstance(event, Start) and event.attributes.get("date1904") in ("1", "true"):
            epoch = datetime(1904, 1, 1)
    parts = {relation.kind: relation.target for relation in relations.values()}
    cells = _Cells(
        _strings(package, parts.get("sharedStrings", "")), _formats(package, parts.get("styles", "")), epoch
    )
    said = package.properties()
    sheets = Sheets(said.title, said.created_at)
    for name, key in names:
        if key in relations and relations[key].target in package:
            part = relations[key].target
            yield from sheets.documents(name, cells.rows(package, part))
            yield from sheets.documents(name, _comments(package, part))


def _strings(package: Package, part: str) -> list[str]:
    """The texts that cells share; what a text is read out as (phonetic) is left out."""
    found: list[str] = []
    pieces: list[str] = []
    is_text = False
    dropped = 0
    for event in package.events(part) if part in package else ():
        if isinstance(event, Text):
            if is_text and not dropped:
                pieces.append(event.text)
        elif event.tag == "t":
            is_text = isinstance(event, Start)
        elif event.tag == "rPh":
            dropped += 1 if isinstance(event, Start) else -1
        elif event.tag == "si" and isinstance(event, End):
            found.append("".join(pieces))
            pieces = []
    return found


def _formats(package: Package, part: str) -> list[str]:
    """What each style of a cell shows: a ``date``, ``time``, ``length``, ``percent`` or nothing of these."""
    codes: dict[int, str] = {}
    found: list[str] = []
    inside = False
    for event in package.events(part) if part in package else ():
        if event_is(event, "cellXfs"):
            inside = isinstance(event, Start)
        elif isinstance(event, Start) and event.tag == "numFmt":
            code = event.attributes.get("formatCode", "")[:_CODE_LIMIT]
            codes[_int(event.attributes.get("numFmtId"))] = code
        elif isinstance(event, Start) and event.tag == "xf" and inside:
            number = _int(event.attributes.get("numFmtId"))
            found.append(_shown(number, codes.get(number, "")))
    return found


def event_is(event: Start | End | Text, tag: str) -> bool:
    """Whether an element of that name begins or ends."""
    return not isinstance(event, Text) and event.tag == tag


def _int(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 10 else 0


@lru_cache(maxsize=1024)
def _shown(number: int, code: str) -> str:
    if number in _DATES or number in _TIMES or number in _PERCENT:
        return (
            "date"
            if number in _DATES
            else "time"
            if number != 46 and number in _TIMES
            else ("length" if number == 46 else "percent")
        )
    code = _LITERAL.sub("", code.split(";")[0]).lower()
    if "[" in code:
        return "length"
    if "general" in code:
        return ""
    if "y" in code or "d" in code or ("m" in code and "h" not in code and "s" not in code):
        return "date"
    if "h" in code or "s" in code:
        return "time"
    return "percent" if "%" in code else ""


class _Cells:
    """How the cells of a workbook are read."""

    def __init__(self, strings: list[str], formats: list[str], epoch: datetime) -> None:
        self._strings = strings
        self._formats = formats
        self._epoch = epoch
        self._count = 0

    def rows(self, package: Package, part: str) -> Iterator[Row]:
        """The rows of one sheet that have something in them."""
        row: dict[int, str] = {}
        number = column = 0
        kind = style = ""
        pieces: list[str] = []
        is_value = False
        for event in package.events(part, EXPANDED_LIMIT):
            if isinstance(event, Text):
                if is_value:
                    pieces.append(event.text)
                continue
            tag = event.tag
            if isinstance(event, End):
                if tag in ("v", "t"):
                    is_value = False
                elif tag == "c" and column <= COLUMNS:
                    row[column] = self._text(kind, style, "".join(pieces))
                elif tag == "row" and number <= ROWS:
                    yield number, {at: text for at, text in row.items() if text}
                elif tag == "sheetData":
                    return
            elif tag in ("v", "t"):
                is_value = True
            elif tag == "c":
                said = event.attributes
                kind, style, pieces = said.get("t", "n"), said.get("s", ""), []
                match = _REFERENCE.match(said.get("r", ""))
                column = _column(match[1]) if match else column + 1
            elif tag == "row":
                number = _int(event.attributes.get("r")) or number + 1
                row, column = {}, 0

    def _text(self, kind: str, style: str, value: str) -> str:
        if kind == "s":
            index = _int(value)
            value = self._strings[index] if value.strip() and index < len(self._strings) else ""
        elif kind == "b":
            value = {"1": "TRUE", "0": "FALSE"}.get(value.strip(), value)
        elif kind == "n":
            index = _int(style)
            value = self._number(value, self._formats[index] if index < len(self._formats) else "")
        value = value.strip()
        self._count += len(value)
        if self._count > TEXT_LIMIT:
            raise too_much_text()
        return value

    def _number(self, value: str, shown: str) -> str:
        try:
            number = float(value)
            if shown == "percent":
                return f"{number * 100:.10g}%"
            if shown == "length":
                seconds = round(number * 86_400)
                return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
            if shown:
                return self._time(number, shown)
        except (ValueError, OverflowError):
            return value
        return f"{int(number)}" if number.is_integer() and abs(number) < 1e15 else f"{number:.15g}"

    def _time(self, number: float, shown: str) -> str:
        # The day 29 February 1900, which was none, is the sixtieth of the older calendar.
        days = number + 1 if self._epoch.year == 1899 and 0 < number < 60 and shown == "date" else number
        when = self._epoch + timedelta(seconds=round(days * 86_400))
        if shown == "time" and 0 <= number < 1:
            return f"{when:%H:%M:%S}"
        if not (when.hour or when.minute or when.second):
            return f"{when.date()}"
        return str(when)


def _column(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - 64
    return number


def _comments(package: Package, sheet: str) -> Iterator[Row]:
    """The comments on cells of a sheet, each as a row of its own."""
    for relation in package.relations(sheet).values():
        if relation.kind not in ("comments", "threadedComment") or relation.target not in package:
            continue
        number, pieces, is_text = 0, [""], False
        for event in package.events(relation.target):
            if isinstance(event, Text):
                if is_text:
                    pieces.append(event.text)
            elif event.tag in ("t", "text"):
                is_text = isinstance(event, Start)
            elif event.tag in ("comment", "threadedComment"):
                text = " ".join("".join(pieces).split())
                if isinstance(event, Start):
                    match = _REFERENCE.match(event.attributes.get("ref", ""))
                    number = int(match[2]) if match else 0
                elif text:
                    yield number, {1: f"Comment: {text}"}
                pieces = []
