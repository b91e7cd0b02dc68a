"""Plain text to sections: a line with a line of punctuation below it is a heading."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.document import Document, assemble
from audiomem_sql.ingest.documents.lines import Heading, cut

TITLE_LIMIT = 80
"""Characters of a first line that is taken for a title."""

_ADORNMENT = re.compile(r"([=\-~^\"'`#*+.:_])\1{2,}\s*")


def read(content: Content) -> Iterator[Document]:
    """The document in a text file; a log has neither headings nor a title."""
    yield parse_text(content.text(), headings=content.suffix != ".log")


def parse_text(text: str, *, headings: bool = True) -> Document:
    """The document in `text`, whose lines end in a line feed.

    With `headings`, underlined lines start sections, their levels in order of appearance (reStructuredText,
    "Sections"), and a short first line that stands alone is the title; it stays part of the text. Logs have
    neither.
    """
    lines = text.split("\n")
    if not headings:
        return assemble(cut(lines, ()))
    parts = cut(lines, underlined(lines))
    return assemble(parts, _first_line(parts[0].text) if parts and not parts[0].heading else None)


def underlined(lines: Sequence[str]) -> Iterator[Heading]:
    """The headings among `lines` that have a line of punctuation below them."""
    styles: list[tuple[str, bool]] = []
    at = 0
    while at < len(lines):
        next_heading = _heading_at(lines, at)
        if next_heading is None:
            at += 1
            continue
        name, style, line_count = next_heading
        if style not in styles:
            styles.append(style)
        yield Heading(styles.index(style) + 1, name, at, at + line_count)
        at += line_count


def _heading_at(lines: Sequence[str], at: int) -> tuple[str, tuple[str, bool], int] | None:
    """Heading, style (character, overlined) and number of lines, if one starts at line `at`."""
    if at and lines[at - 1].strip() and not _ADORNMENT.fullmatch(lines[at - 1]):
        return None
    overlined = bool(_ADORNMENT.fullmatch(lines[at]))
    under = at + 1 + overlined
    if under >= len(lines) or not _ADORNMENT.fullmatch(lines[under]):
        return None
    rule, name = lines[under].rstrip(), lines[under - 1].rstrip()
    if not name or _ADORNMENT.fullmatch(name) or len(rule) < len(name.strip()):
        return None
    if overlined:
        if lines[at].rstrip() != rule:
            return None
    elif name[0].isspace():
        return None
    return name.strip(), (rule[0], overlined), under - at + 1


def _first_line(text: str) -> str | None:
    line, _, rest = text.partition("\n")
    line = line.strip()
    stands_alone = bool(rest.strip()) and not rest.split("\n", 1)[0].strip()
    return line if stands_alone and len(line) <= TITLE_LIMIT and line[-1:] not in ".,;:" else None
