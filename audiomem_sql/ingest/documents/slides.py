"""Slides (PPTX): a section for each, with its title, tables, charts, diagrams, notes and comments."""

from __future__ import annotations

from collections.abc import Iterator

from audiomem_sql.ingest.documents.blocks import Blocks, cells
from audiomem_sql.ingest.documents.document import Document, assemble, place_of
from audiomem_sql.ingest.documents.package import Package
from audiomem_sql.ingest.documents.xml_events import End, Event, Start, Text

_TITLES = ("title", "ctrTitle")
#: Placeholders that say the same on every slide.
_FURNITURE = ("sldNum", "dt", "ftr", "hdr", "sldImg")


def documents(package: Package) -> Iterator[Document]:
    """The slides of a presentation in the order in which they are shown."""
    main = package.main_part("ppt/presentation.xml")
    relations = package.relations(main)
    ids = [
        event.attributes.get("r:id", "")
        for event in package.events(main)
        if isinstance(event, Start) and event.tag == "sldId"
    ]
    parts = [relations[one].target for one in ids if one in relations and relations[one].target in package]
    blocks = Blocks()
    for number, part in enumerate(parts, 1):
        _slide(package, part, number, blocks)
    said = package.properties()
    found = assemble(blocks.finish(), said.title)
    title = found.title if said.title else next((s.heading for s in found.sections), None)
    yield Document(title, found.sections, created_at=said.created_at)


def _slide(package: Package, part: str, number: int, blocks: Blocks) -> None:
    shapes = _Shapes()
    for event in package.events(part):
        shapes.take(event)
    blocks.heading(2, shapes.title, place_of(slide=number))
    _write(shapes.groups, blocks)
    for relation in package.relations(part).values():
        if relation.target not in package:
            continue
        if relation.kind in ("chart", "diagramData"):
            _write([_words(package, relation.target)], blocks)
        elif relation.kind == "notesSlide":
            notes = _Shapes()
            for event in package.events(relation.target):
                notes.take(event)
            if notes.groups:
                notes.groups[0][0] = f"Notes: {notes.groups[0][0]}"
            _write(notes.groups, blocks)
        elif relation.kind == "comments":
            for text in _words(package, relation.target):
                blocks.paragraph(f"Comment: {text}")


def _write(groups: list[list[str]], blocks: Blocks) -> None:
    for group in groups:
        for line in group:
            blocks.line(line, group)


def _words(package: Package, part: str) -> list[str]:
    """The texts in a chart, a diagram or comments, each once."""
    found: dict[str, None] = {}
    pieces: list[str] = []
    depth = 0
    for event in package.events(part):
        if isinstance(event, Text):
            if depth:
                pieces.append(event.text)
        elif event.tag in ("t", "v", "text"):
            depth += 1 if isinstance(event, Start) else -1
            if isinstance(event, End) and not depth and event.tag != "t":
                pieces.append("\n")
        elif event.tag == "p" and isinstance(event, End):
            pieces.append("\n")
    for line in "".join(pieces).split("\n"):
        if line.strip():
            found[line.strip()] = None
    return list(found)


class _Shapes:
    """The texts on one slide, in the order of its shapes.

    ``title``: that of its title's placeholder. ``groups``: the lines of each other shape.
    """

    def __init__(self) -> None:
        self.title = ""
        self.groups: list[list[str]] = []
        self._lines: list[str] = []
        self._pieces: list[str] = []
        self._kind = ""
        self._row: list[str] | None = None
        self._level = 0
        self._is_text = False
        self._dropped = 0

    def take(self, event: Event) -> None:
        """The next event of the slide."""
        if isinstance(event, Text):
            if self._is_text and not self._dropped:
                self._pieces.append(event.text)
        elif event.tag == "Fallback":
            self._dropped += 1 if isinstance(event, Start) else -1
        elif self._dropped:
            return
        elif isinstance(event, Start):
            self._start(event.tag, event.attributes)
        else:
            self._end(event.tag)

    def _start(self, tag: str, said: dict[str, str]) -> None:
        match tag:
            case "sp" | "graphicFrame" | "pic" | "cxnSp":
                self._close()
            case "ph":
                self._kind = said.get("type", "body")
            case "cNvPr" if said.get("descr", "").strip():
                self._lines.append(f"Image: {' '.join(said['descr'].split())}")
            case "t":
                self._is_text = True
            case "br":
                self._pieces.append("\n")
            case "pPr":
                level = said.get("lvl", "0")
                self._level = int(level) if level in ("1", "2", "3", "4", "5", "6", "7", "8") else 0
            case "tr":
                self._row = []
            case "tc" if self._row is not None:
                self._row.append("")

    def _end(self, tag: str) -> None:
        match tag:
            case "t":
                self._is_text = False
            case "p":
                self._paragraph("".join(self._pieces).strip())
                self._pieces = []
                self._level = 0
            case "tr" if self._row is not None:
                self._lines.append(cells(self._row))
                self._row = None
            case "sp" | "graphicFrame" | "pic" | "cxnSp" | "sld" | "notes":
                self._close()

    def _paragraph(self, text: str) -> None:
        if self._row:
            self._row[-1] = f"{self._row[-1]} {text}"
        elif text:
            self._lines.append("  " * self._level + text)

    def _close(self) -> None:
        lines = [line for line in self._lines if line.strip()]
        if self._kind in _TITLES and not self.title:
            self.title = " ".join(" ".join(lines).split())
        elif lines and self._kind not in _FURNITURE:
            self.groups.append(lines)
        self._lines, self._kind = [], ""
