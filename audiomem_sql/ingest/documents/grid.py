"""Rows of a spreadsheet as text: with the names that a row of headers gives, each row a section."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from audiomem_sql.ingest.documents.blocks import TEXT_LIMIT, clean, too_much_text
from audiomem_sql.ingest.documents.document import Document, Section, place_of

#: Rows of one `Document`; a sheet of more becomes several, so that it is never all in memory.
ROWS = 2000
#: Rows that are looked at for one of headers.
_LOOKED_AT = 10
#: Characters of a header; a longer text is none.
_HEADER_LIMIT = 100

#: A row: its number from 1, and its texts by column from 1, of cells that are not blank.
Row = tuple[int, Mapping[int, str]]


class Sheets:
    """Makes documents of the rows of one file; ``title`` and ``created_at`` are those of the file."""

    def __init__(self, title: str | None, created_at: datetime | None) -> None:
        self._title = title
        self._created_at = created_at
        self._count = 0

    def documents(self, sheet: str, rows: Iterator[Row]) -> Iterator[Document]:
        """The documents of one sheet. LimitError where all sheets have more text than is read."""
        sections: list[Section] = []
        name = " ".join(clean(sheet).split()) or "Sheet"
        for number, text in self._texts(rows):
            self._count += len(text)
            if self._count > TEXT_LIMIT:
                raise too_much_text().at(place=f"sheet {name}, row {number}")
            sections.append(Section(name, text, place=place_of(sheet=name, row=number)))
            if len(sections) >= ROWS:
                yield Document(self._title, sections, created_at=self._created_at)
                sections = []
        if sections:
            yield Document(self._title, sections, created_at=self._created_at)

    def _texts(self, rows: Iterator[Row]) -> Iterator[tuple[int, str]]:
        first: list[Row] = []
        headers: Mapping[int, str] | None = None
        for number, row in rows:
            if not row:
                continue
            if headers is None and len(first) < _LOOKED_AT and len(row) == 1:
                first.append((number, row))  # a title above the headers, or a list
                continue
            if headers is None:
                for n, above in first:
                    yield n, _joined(above)
                first = []
                headers = row if _are_headers(row) else {}
                if headers:
                    first = [(number, row)]
                    continue
            first = []
            yield number, _named(row, headers) if headers else _joined(row)
        for number, row in first:
            yield number, _joined(row)


def _are_headers(row: Mapping[int, str]) -> bool:
    texts = list(row.values())
    return len({text.casefold() for text in texts}) == len(texts) and all(
        len(text) <= _HEADER_LIMIT and not _is_value(text) for text in texts
    )


def _is_value(text: str) -> bool:
    """Whether a text is a number, a date or a truth value, and so no name of a column."""
    return not any(letter.isalpha() for letter in text) or text in ("TRUE", "FALSE")


def _joined(row: Mapping[int, str]) -> str:
    return " | ".join(text for _, text in sorted(row.items()))


def _named(row: Mapping[int, str], headers: Mapping[int, str]) -> str:
    return "\n".join(
        f"{' '.join(headers[column].split())}: {text}" if column in headers else text
        for column, text in sorted(row.items())
    )
