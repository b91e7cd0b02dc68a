"""Plain text and reStructuredText to sections: a line with a line of punctuation below it is a heading."""

from __future__ import annotations

import re

from audiomem_sql.ingest.documents import Document, Part, assemble

TITLE_LIMIT = 80
"""Characters of a first line that is taken for a title."""

_ADORNMENT = re.compile(r"([=\-~^\"'`#*+.:_])\1{2,}\s*")


def parse_text(text: str, *, headings: bool = True) -> Document:
    """The document in `text`, whose lines end in a line feed.

    With `headings`, underlined lines start sections, their levels in order of appearance (reStructuredText,
    "Sections"), and a short first line that stands alone is the title; it stays part of the text. Logs have
    neither.
    """
    if not headings:
        return assemble([Part(0, None, _trim(text))] if text.strip() else [])
    lines = text.split("\n")
    parts: list[Part] = []
    styles: list[tuple[str, bool]] = []
    level, heading, start = 0, None, 0
    at = 0
    while at < len(lines):
        next_heading = _heading_at(lines, at)
        if next_heading is None:
            at += 1
            continue
        name, style, line_count = next_heading
        parts.append(Part(level, heading, _trim("\n".join(lines[start:at]))))
        if style not in styles:
            styles.append(style)
        level, heading = styles.index(style) + 1, name
        at = start = at + line_count
    parts.append(Part(level, heading, _trim("\n".join(lines[start:]))))
    parts = [part for part in parts if part.heading or part.text]
    return assemble(parts, _first_line(parts[0].text) if parts and not parts[0].heading else None)


def _trim(text: str) -> str:
    """`text` without blank lines at either end."""
    stripped = text.lstrip()
    line = text.rfind("\n", 0, len(text) - len(stripped)) + 1
    return text[line:].rstrip()


def _heading_at(lines: list[str], at: int) -> tuple[str, tuple[str, bool], int] | None:
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
