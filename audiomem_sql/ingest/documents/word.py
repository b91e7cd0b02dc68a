"""Word documents (DOCX): paragraphs, headings by style, lists, tables, notes, comments, text boxes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from audiomem_sql.ingest.documents.blocks import Blocks, cells
from audiomem_sql.ingest.documents.document import Document, assemble
from audiomem_sql.ingest.documents.package import Package
from audiomem_sql.ingest.documents.word_styles import Lists, Styles, number, read_lists, read_styles
from audiomem_sql.ingest.documents.xml_events import End, Event, Start, Text

#: Elements that are left out with all that is in them: what was deleted or moved away, the second of two
#: forms of the same thing, fields' codes.
_DROPPED = frozenset(
    ("Fallback", "moveFrom", "del", "delText", "instrText", "rPr", "sectPr", "posOffset", "pPrChange")
)
_BREAKS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-", "ptab": "\t"}


@dataclass(slots=True)
class _Paragraph:
    """One paragraph while it is read."""

    pieces: list[str] = field(default_factory=list)
    style: str = ""
    outline: int | None = None
    list_id: str | None = None
    list_level: int | None = None
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        return "".join(self.pieces)


@dataclass(slots=True)
class _Table:
    """One table while it is read: the cells of its row, each with the paragraphs so far."""

    row: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def documents(package: Package) -> Iterator[Document]:
    """The document in a Word package, with its core properties."""
    main = package.main_part("word/document.xml")
    parts = {relation.kind: relation.target for relation in package.relations(main).values()}
    styles = read_styles(package, parts.get("styles", ""))
    notes: dict[str, str] = {}
    for kind, tag in (("footnotes", "footnote"), ("endnotes", "endnote"), ("comments", "comment")):
        part = parts.get(kind, "")
        if part in package:
            notes |= _notes(package, part, tag)
    reader = _Reader(styles, read_lists(package, parts.get("numbering", "")), notes)
    for event in package.events(main):
        reader.take(event)
    said = package.properties()
    found = assemble(reader.blocks.finish(), said.title or reader.title)
    yield Document(found.title, found.sections, created_at=said.created_at)


def _notes(package: Package, part: str, tag: str) -> dict[str, str]:
    """The notes in a part by ``tag`` and id, each as the line that stands below its paragraph."""
    found: dict[str, str] = {}
    reader = _Reader(Styles(), Lists({}), {})
    key, before, is_text = "", "", True
    for event in package.events(part):
        if isinstance(event, Start) and event.tag == tag:
            said = event.attributes
            key = f"{tag} {said.get('id', '')}"
            is_text = said.get("type", "normal") == "normal"
            who = said.get("author", "").strip()
            before = "Comment: " if not who else f"Comment by {who}: "
            reader = _Reader(Styles(), Lists({}), {})
        elif isinstance(event, End) and event.tag == tag:
            text = "\n".join(part.text for part in reader.blocks.finish()).strip()
            if text and is_text:
                found[key] = before + text if tag == "comment" else f"[{key.split()[1]}] {text}"
        else:
            reader.take(event)
    return found


class _Reader:
    """Turns the events of a part into blocks."""

    def __init__(self, styles: Styles, lists: Lists, notes: dict[str, str]) -> None:
        self.blocks = Blocks()
        self.title: str | None = None
        self._styles = styles
        self._lists = lists
        self._notes = notes
        self._open: list[_Paragraph] = []
        self._tables: list[_Table] = []
        self._tables_of_boxes: list[list[_Table]] = []
        self._dropped = 0  # how deep in what is left out
        self._is_text = False
        self._group: object = object()

    def take(self, event: Event) -> None:
        """The next event of the part."""
        if isinstance(event, Text):
            if self._is_text and self._open and not self._dropped:
                self._open[-1].pieces.append(event.text)
        elif self._dropped:
            if event.tag in _DROPPED:
                self._dropped += 1 if isinstance(event, Start) else -1
        elif event.tag in _DROPPED:
            self._dropped += isinstance(event, Start)
        elif isinstance(event, Start):
            self._start(event.tag, event.attributes)
        else:
            self._end(event.tag)

    def _start(self, tag: str, said: dict[str, str]) -> None:
        match tag:
            case "t":
                self._is_text = True
            case "p":
                self._open.append(_Paragraph())
            case "tbl":
                self._tables.append(_Table())
            case "tr" if self._tables:
                self._tables[-1].row = []
            case "tc" if self._tables:
                self._tables[-1].row.append([])
            case "txbxContent":
                self._tables_of_boxes.append(self._tables)
                self._tables = []
            case _ if self._open:
                self._inside(self._open[-1], tag, said)

    def _inside(self, paragraph: _Paragraph, tag: str, said: dict[str, str]) -> None:
        match tag:
            case "pStyle":
                paragraph.style = said.get("val", "")
            case "outlineLvl":
                paragraph.outline = number(said.get("val"))
            case "numId":
                paragraph.list_id = said.get("val", "")
            case "ilvl":
                paragraph.list_level = number(said.get("val"))
            case "docPr" if said.get("descr", "").strip():
                paragraph.notes.append(f"Image: {' '.join(said['descr'].split())}")
            case "footnoteReference" | "endnoteReference" | "commentReference":
                kind, number_of = tag.removesuffix("Reference"), said.get("id", "")
                note = self._notes.get(f"{kind} {number_of}")
                if note is not None:
                    paragraph.notes.append(note)
                    if kind != "comment":
                        paragraph.pieces.append(f"[{number_of}]")
            case _ if tag in _BREAKS:
                # a tab stop that the paragraph defines has the same name
                if not (tag == "tab" and "pos" in said) and said.get("type") != "page":
                    paragraph.pieces.append(_BREAKS[tag])

    def _end(self, tag: str) -> None:
        match tag:
            case "t":
                self._is_text = False
            case "p" if self._open:
                self._paragraph(self._open.pop())
            case "tr" if self._tables:
                self._row(self._tables[-1])
            case "tbl" if self._tables:
                self._tables.pop()
            case "txbxContent" if self._tables_of_boxes:
                self._tables = self._tables_of_boxes.pop()

    def _row(self, table: _Table) -> None:
        line = cells([" ".join(cell) for cell in table.row])
        notes, table.notes, table.row = table.notes, [], []
        outer = self._tables[-2] if len(self._tables) > 1 else None
        if outer is not None and outer.row:
            outer.row[-1].append(line)
            outer.notes += notes
            return
        self.blocks.line(line, table)
        for note in notes:
            self.blocks.paragraph(note)

    def _paragraph(self, paragraph: _Paragraph) -> None:
        text = paragraph.text()
        if self._tables and self._tables[-1].row:
            self._tables[-1].row[-1].append(text)
            self._tables[-1].notes += paragraph.notes
            return
        level = self._styles.level(paragraph.style)
        if paragraph.outline is not None and paragraph.outline < 9:
            level = paragraph.outline + 1
        if level is not None and text.strip():
            if level == 0 and self.title is None:
                self.title = " ".join(text.split())
            self.blocks.heading(max(level, 1), text) if level else self.blocks.paragraph(text)
        elif text.strip():
            self._text(paragraph, text)
        for note in paragraph.notes:
            self.blocks.paragraph(note)

    def _text(self, paragraph: _Paragraph, text: str) -> None:
        list_id, list_level = self._styles.list_of(paragraph.style)
        list_id = paragraph.list_id if paragraph.list_id is not None else list_id
        list_level = paragraph.list_level if paragraph.list_level is not None else list_level
        if list_id and list_id != "0":
            self.blocks.line(self._lists.marker(list_id, list_level or 0) + text, self._group)
        else:
            self._group = object()
            self.blocks.paragraph(text)
