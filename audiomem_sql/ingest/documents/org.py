"""Org to sections, line by line: drawers, comments and settings are left out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.document import Document, assemble
from audiomem_sql.ingest.documents.lines import Heading, cut

_HEADING = re.compile(r"(\*+)\s+(.*?)\s*")
_TAGS = re.compile(r"\s+:[\w@#%:]+:$")
_STATE = re.compile(r"(?:TODO|DONE|NEXT|WAITING|HOLD|CANCELLED|CANCELED)\s+|\[#\w\]\s+|COMMENT\s+")
_KEYWORD = re.compile(r"\s*#\+([\w-]+)(?:\[[^\]]*\])?:\s*(.*)", re.IGNORECASE)
_BLOCK = re.compile(r"\s*#\+(begin|end)_(\w+)\b.*", re.IGNORECASE)
_DRAWER = re.compile(r"\s*:([\w-]+):\s*", re.IGNORECASE)
_LINK = re.compile(r"\[\[([^\[\]\n]{1,500})\](?:\[([^\[\]\n]{1,500})\])?\]")
_ESCAPED = re.compile(r"(\s*),(?=,*(?:\*|#\+))")


def read(content: Content) -> Iterator[Document]:
    """The document in an Org file."""
    yield parse_org(content.text())


def parse_org(text: str) -> Document:
    """The document in `text`, whose lines end in a line feed; each piece knows the line on which it begins.

    ``#+TITLE`` is the title. Headings lose their state, priority and tags. Drawers, comments, other settings
    and the lines around blocks are left out; links leave their words.
    """
    lines = text.split("\n")
    headings: list[Heading] = []
    title: list[str] = []
    drawers = _closed_drawers(lines)
    block, drawer = "", False
    for at, line in enumerate(lines):
        heading = _HEADING.fullmatch(line)
        if heading is not None:
            headings.append(Heading(len(heading[1]), _heading(heading[2]), at, at + 1))
            block, drawer = "", False
        elif drawer:
            drawer = line.strip().upper() != ":END:"
            lines[at] = ""
        elif (edge := _BLOCK.fullmatch(line)) is not None:
            block = edge[2].lower() if edge[1].lower() == "begin" else ""
            lines[at] = ""
        elif block:
            lines[at] = "" if block == "comment" else _ESCAPED.sub(r"\1", line)
        elif (keyword := _KEYWORD.fullmatch(line)) is not None:
            if keyword[1].lower() == "title":
                title.append(_LINK.sub(_words, keyword[2]))
            lines[at] = keyword[2] if keyword[1].lower() in ("caption", "subtitle") else ""
        elif at in drawers:
            drawer = True
            lines[at] = ""
        elif line.lstrip() == "#" or line.lstrip().startswith("# "):
            lines[at] = ""
        else:
            lines[at] = _LINK.sub(_words, line)
    return assemble(cut(lines, headings), " ".join(title))


def _heading(words: str) -> str:
    words = _TAGS.sub("", words)
    while match := _STATE.match(words):
        words = words[match.end() :]
    return _LINK.sub(_words, words)


def _words(link: re.Match[str]) -> str:
    return link[2] or link[1]


def _closed_drawers(lines: list[str]) -> set[int]:
    """The lines below which a drawer is closed before the next heading."""
    closed: set[int] = set()
    is_closed = False
    for at in range(len(lines) - 1, -1, -1):
        if is_closed and _DRAWER.fullmatch(lines[at]):
            closed.add(at)
        if lines[at].strip().upper() == ":END:":
            is_closed = True
        elif _HEADING.fullmatch(lines[at]):
            is_closed = False
    return closed
