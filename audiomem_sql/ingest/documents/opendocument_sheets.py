"""OpenDocument spreadsheets (ODS): the rows of every sheet as values."""

from __future__ import annotations

from collections.abc import Iterator

from audiomem_sql.ingest.documents.blocks import TEXT_LIMIT, too_much_text
from audiomem_sql.ingest.documents.content import EXPANDED_LIMIT
from audiomem_sql.ingest.documents.document import Document
from audiomem_sql.ingest.documents.grid import Row, Sheets
from audiomem_sql.ingest.documents.opendocument import described
from audiomem_sql.ingest.documents.package import Package
from audiomem_sql.ingest.documents.sheets import COLUMNS, ROWS
from audiomem_sql.ingest.documents.word_styles import number
from audiomem_sql.ingest.documents.xml_events import Event, Start, Text

#: Rows and cells that are alike are written so often, though the file says that there are more.
REPEATS = 100
_CELLS = ("table-cell", "covered-table-cell")


def documents(package: Package) -> Iterator[Document]:
    """The sheets of an OpenDocument spreadsheet, in its order."""
    said = described(package)
    sheets = Sheets(said.title, said.created_at)
    events = package.events("content.xml", EXPANDED_LIMIT)
    reader = _Reader()
    for event in events:
        if isinstance(event, Start) and event.tag == "table":
            yield from sheets.documents(event.attributes.get("name", ""), reader.rows(events))


class _Reader:
    """Reads the rows of one table after the other from the events of ``content.xml``."""

    def __init__(self) -> None:
        self._count = 0

    def rows(self, events: Iterator[Event]) -> Iterator[Row]:
        """The rows up to the end of the table that began, those that have something in them."""
        at, repeated, depth = 0, 1, 1
        row: dict[int, str] = {}
        column = 1
        for event in events:
            if isinstance(event, Text):
                continue
            is_start = isinstance(event, Start)
            if event.tag == "table":
                depth += 1 if is_start else -1
                if not depth:
                    return
            elif event.tag == "table-row":
                if isinstance(event, Start):
                    row, column = {}, 1
                    repeated = number(event.attributes.get("number-rows-repeated"), 1) or 1
                    continue
                for extra in range(min(repeated, REPEATS) if row else 0):
                    if at + extra < ROWS:
                        yield at + extra + 1, row
                at += repeated
            elif event.tag in _CELLS and isinstance(event, Start):
                column = self._add(row, column, event, events)

    def _add(self, row: dict[int, str], column: int, start: Start, events: Iterator[Event]) -> int:
        """Put the cell that starts at ``column`` into ``row``; the column behind it."""
        text, notes = self._cell(start, events)
        wide = number(start.attributes.get("number-columns-repeated"), 1) or 1
        for extra in range(min(wide, REPEATS) if text else 0):
            if column + extra <= COLUMNS:
                row[column + extra] = self._counted(text)
        if notes:
            row[column] = self._counted(f"{row.get(column, '')} (Comment: {notes})".strip())
        return column + wide

    def _counted(self, text: str) -> str:
        self._count += len(text)
        if self._count > TEXT_LIMIT:
            raise too_much_text()
        return text

    def _cell(self, start: Start, events: Iterator[Event]) -> tuple[str, str]:
        """What a cell says, and the comment on it, up to its end."""
        lines: list[str] = []
        notes: list[str] = []
        pieces: list[str] = []
        depth, paragraphs, comments = 1, 0, 0
        for event in events:
            if isinstance(event, Text):
                if paragraphs:
                    pieces.append(event.text)
                continue
            step = 1 if isinstance(event, Start) else -1
            if event.tag in _CELLS:
                depth += step
                if not depth:
                    break
            elif event.tag == "annotation":
                comments += step
            elif event.tag == "p":
                paragraphs += step
                if not paragraphs:
                    (notes if comments else lines).append("".join(pieces))
                    pieces = []
            elif event.tag in ("s", "tab", "line-break") and step > 0:
                pieces.append(" ")
        return _value(start.attributes, "\n".join(lines).strip()), " ".join(" ".join(notes).split())


def _value(said: dict[str, str], shown: str) -> str:
    """A date in ISO 8601, a number without what its format adds, any other cell as it is shown."""
    kind = said.get("value-type", "")
    if kind == "date":
        return said.get("date-value", shown).replace("T00:00:00", "").replace("T", " ")
    if kind == "boolean":
        return said.get("boolean-value", shown).upper()
    if kind in ("float", "currency"):
        try:
            value = float(said.get("value", ""))
            return f"{int(value)}" if value.is_integer() and abs(value) < 1e15 else f"{value:.15g}"
        except (ValueError, OverflowError):
            return shown
    return shown
