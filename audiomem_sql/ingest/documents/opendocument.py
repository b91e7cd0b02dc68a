"""OpenDocument texts and presentations (ODT, ODP): headings, lists, tables, notes, comments, slides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from audiomem_sql.ingest.documents.blocks import Blocks, cells, time_of, title_of
from audiomem_sql.ingest.documents.document import Document, assemble, place_of
from audiomem_sql.ingest.documents.package import Package, protected
from audiomem_sql.ingest.documents.word_styles import number
from audiomem_sql.ingest.documents.xml_events import Event, Start, Text

_DROPPED = frozenset(
    (
        "tracked-changes",
        "forms",
        "note-citation",
        "automatic-styles",
        "sequence-decls",
        "binary-data",
        "object",
    )
)
#: Spaces that one element may stand for.
_SPACES = 1000
#: How often a cell of a table is written that is said to be there again and again.
_REPEATS = 100


def documents(package: Package) -> Iterator[Document]:
    """The document in an OpenDocument package, with what its meta-data say."""
    said = described(package)
    styles = _Styles()
    for part in ("styles.xml", "content.xml"):
        for event in package.events(part) if part in package else ():
            styles.take(event)
            if isinstance(event, Start) and event.tag == "body":
                break
    reader = _Reader(styles)
    for event in package.events("content.xml"):
        reader.take(event)
    found = assemble(reader.blocks.finish(), said.title or reader.title)
    title = found.title
    if title is None and reader.slide:
        title = next((section.heading for section in found.sections), None)
    yield Document(title, found.sections, created_at=said.created_at)


def described(package: Package) -> Document:
    """Title and time of creation; DataTypeError where a password is needed."""
    if "meta-inf/manifest.xml" in package:
        for event in package.events("meta-inf/manifest.xml"):
            if isinstance(event, Start) and event.tag == "encryption-data":
                raise protected()
    said = package.texts("meta.xml")
    when = time_of(said.get("creation-date")) or time_of(said.get("date"))
    return Document(title_of(said.get("title")), [], created_at=when)


class _Styles:
    """Which styles are of titles, and which lists have numbers."""

    def __init__(self) -> None:
        self.titles: set[str] = {"Title"}
        self.numbered: set[tuple[str, int]] = set()
        self._list = ""

    def take(self, event: Event) -> None:
        if not isinstance(event, Start):
            return
        said = event.attributes
        if event.tag == "style" and said.get("parent-style-name") == "Title":
            self.titles.add(said.get("name", ""))
        elif event.tag == "list-style":
            self._list = said.get("name", "")
        elif event.tag == "list-level-style-number" and said.get("num-format"):
            self.numbered.add((self._list, number(said.get("level"), 1) or 1))


@dataclass(slots=True)
class _Paragraph:
    pieces: list[str] = field(default_factory=list)
    level: int | None = None
    style: str = ""
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Note:
    """A note or a comment: what its paragraphs go to instead of the text."""

    before: str
    owner: _Paragraph | None
    lines: list[str] = field(default_factory=list)
    author: str = ""


@dataclass(slots=True)
class _Table:
    row: list[list[str]] = field(default_factory=list)
    repeats: int = 1


class _Reader:
    """Turns the events of ``content.xml`` into blocks."""

    def __init__(self, styles: _Styles) -> None:
        self.blocks = Blocks()
        self.title: str | None = None
        self.slide = 0
        self._styles = styles
        self._open: list[_Paragraph] = []
        self._tables: list[_Table] = []
        self._notes: list[_Note] = []
        self._lists: list[tuple[str, list[int]]] = []
        self._marker = ""
        self._dropped = 0
        self._inside_body = False
        self._field: str | None = None
        self._is_title = False
        self._group: object = object()

    def take(self, event: Event) -> None:
        """The next event."""
        if isinstance(event, Text):
            if self._dropped or not self._inside_body:
                return
            if self._field is not None:
                self._field += event.text
            elif self._open:
                self._open[-1].pieces.append(" ".join(event.text.replace("\n", " ").split(" ")))
        elif event.tag in _DROPPED:
            self._dropped += 1 if isinstance(event, Start) else -1
        elif self._dropped:
            return
        elif event.tag == "body":
            self._inside_body = isinstance(event, Start)
        elif isinstance(event, Start):
            self._start(event.tag, event.attributes)
        else:
            self._end(event.tag)

    def _start(self, tag: str, said: dict[str, str]) -> None:
        match tag:
            case "p":
                self._open.append(_Paragraph(style=said.get("style-name", "")))
            case "h":
                self._open.append(_Paragraph(level=number(said.get("outline-level"), 1)))
            case "s" | "tab" | "line-break" if self._open:
                count = min(number(said.get("c"), 1) or 1, _SPACES)
                self._open[-1].pieces.append({"s": " " * count, "tab": "\t", "line-break": "\n"}[tag])
            case "list":
                name = said.get("style-name") or (self._lists[-1][0] if self._lists else "")
                if not self._lists:
                    self._group = object()
                self._lists.append((name, [0]))
            case "list-item" if self._lists:
                self._item()
            case "note" | "annotation":
                owner = self._open[-1] if self._open else None
                self._notes.append(_Note("Note: " if tag == "note" else "Comment", owner))
            case "creator" | "date" | "date-string" | "title" | "desc":
                self._field = ""
            case "page":
                self.slide += 1
                self.blocks.heading(2, "", place_of(slide=self.slide))
            case "frame" | "custom-shape":
                self._is_title = said.get("class") == "title"
            case "notes" if self.slide:
                self.blocks.paragraph("Notes:")
            case _:
                self._table(tag, said)

    def _table(self, tag: str, said: dict[str, str]) -> None:
        if tag == "table":
            self._tables.append(_Table())
        elif tag == "table-row" and self._tables:
            self._tables[-1].row = []
        elif tag in ("table-cell", "covered-table-cell") and self._tables:
            self._tables[-1].row.append([])
            self._tables[-1].repeats = min(number(said.get("number-columns-repeated"), 1) or 1, _REPEATS)

    def _item(self) -> None:
        name, counts = self._lists[-1]
        counts[0] += 1
        depth = len(self._lists)
        mark = f"{counts[0]}." if (name, min(depth, 10)) in self._styles.numbered else "-"
        self._marker = "  " * min(depth - 1, 8) + mark + " "

    def _end(self, tag: str) -> None:
        match tag:
            case "p" | "h" if self._open:
                self._paragraph(self._open.pop())
            case "list" if self._lists:
                self._lists.pop()
            case "list-item":
                self._marker = ""
            case "note" | "annotation" if self._notes:
                self._note(self._notes.pop())
            case "creator" | "date" | "date-string" | "title" | "desc":
                self._said(tag, " ".join((self._field or "").split()))
                self._field = None
            case "table-cell" | "covered-table-cell" if self._tables and self._tables[-1].row:
                table = self._tables[-1]
                table.row += (
                    [list(table.row[-1]) for _ in range(table.repeats - 1)] if any(table.row[-1]) else []
                )
            case "table-row" if self._tables:
                self._row()
            case "table" if self._tables:
                self._tables.pop()
            case "frame" | "custom-shape":
                self._is_title = False

    def _said(self, tag: str, text: str) -> None:
        if tag == "creator" and self._notes:
            self._notes[-1].author = text
        elif tag in ("title", "desc") and text:
            owner = self._open[-1].notes if self._open else None
            line = f"Image: {text}"
            owner.append(line) if owner is not None else self.blocks.paragraph(line)

    def _note(self, note: _Note) -> None:
        text = "\n".join(line for line in note.lines if line.strip())
        before = note.before
        if before == "Comment":
            before = f"Comment by {note.author}: " if note.author else "Comment: "
        if text and note.owner is not None:
            note.owner.notes.append(before + text)
        elif text:
            self.blocks.paragraph(before + text)

    def _row(self) -> None:
        table = self._tables[-1]
        line = cells([" ".join(cell) for cell in table.row])
        table.row = []
        if len(self._tables) > 1 and self._tables[-2].row:
            self._tables[-2].row[-1].append(line)
        else:
            self.blocks.line(line, table)

    def _paragraph(self, paragraph: _Paragraph) -> None:
        text = "".join(paragraph.pieces).strip()
        if self._notes:
            self._notes[-1].lines.append(text)
            return
        if self._tables and self._tables[-1].row:
            self._tables[-1].row[-1] += [text, *paragraph.notes]
            return
        if self._is_title and self.slide:
            self.blocks.heading(2, text, place_of(slide=self.slide))
        elif paragraph.level is not None and text:
            self.blocks.heading(paragraph.level, text)
        elif self._lists and text:
            self.blocks.line((self._marker or "  " * len(self._lists)) + text, self._group)
            self._marker = ""
        else:
            if self.title is None and paragraph.style in self._styles.titles and text:
                self.title = " ".join(text.split())
            self.blocks.paragraph(text)
        for note in paragraph.notes:
            self.blocks.paragraph(note)
