"""AsciiDoc to sections, line by line: comments, attributes and conditions are left out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.document import Document, assemble
from audiomem_sql.ingest.documents.lines import Heading, cut

_HEADING = re.compile(r"(={1,6}|#{1,6})\s+(\S.*?)(?:\s+\1)?\s*")
_UNDERLINE = re.compile(r"(=+|-+|~+|\^+|\++)\s*")
_FENCE = re.compile(r"(/{4,}|-{4,}|\.{4,}|\+{4,}|={4,}|\*{4,}|_{4,}|--|`{3,}\w*|\|={3,})\s*")
_ATTRIBUTE = re.compile(r":!?[\w-]+!?:(?:\s.*)?")
_BLOCK_ATTRIBUTES = re.compile(r"\[(?:\[[^\]]*\]|[^\[\]]*)\]\s*")
_CONDITION = re.compile(r"(?:ifdef|ifndef|ifeval|endif|include)::.*\[.*\]\s*")
_LINK = re.compile(
    r"(?:link:|xref:|mailto:)([^\s\[\]]{1,500})\[([^\]\n]{0,500})\]"
    r"|<<([^<>,\n]{1,300})(?:,([^<>\n]{1,300}))?>>"
)
_URL = re.compile(r"(https?://[^\s\[\]]{1,500})\[([^\]\n]{1,500})\]")

#: Blocks whose lines are not looked into.
_LITERAL = "-.+`"
_LEVELS = "=-~^+"


def read(content: Content) -> Iterator[Document]:
    """The document in an AsciiDoc file."""
    yield parse_asciidoc(content.text())


def parse_asciidoc(text: str) -> Document:
    """The document in `text`, whose lines end in a line feed; each piece knows the line on which it begins.

    ``= Title`` is the title. Comments, attributes, the lines around blocks, ``include`` and conditions are
    left out; links leave their words, listings their code.
    """
    lines = text.split("\n")
    headings: list[Heading] = []
    fence = ""  # the line that closes the comment or listing around
    at = 0
    while at < len(lines):
        line = lines[at].rstrip()
        if fence:
            if line == fence:
                lines[at], fence = "", ""
            elif fence[0] == "/":
                lines[at] = ""
        elif (heading := _heading_at(lines, at)) is not None:
            headings.append(heading)
            at = heading.after
            continue
        elif _FENCE.fullmatch(line):
            if line[0] == "/" or (line[0] in _LITERAL and line != "--"):
                fence = "```" if line[0] == "`" else line
            lines[at] = ""
        elif line.startswith("//") or _is_setting(line):
            lines[at] = ""
        else:
            lines[at] = _URL.sub(r"\2", _LINK.sub(_words, lines[at]))
        at += 1
    return assemble(cut(lines, headings))


def _is_setting(line: str) -> bool:
    return any(kind.fullmatch(line) for kind in (_ATTRIBUTE, _BLOCK_ATTRIBUTES, _CONDITION))


def _heading_at(lines: list[str], at: int) -> Heading | None:
    """The heading that begins at line `at`: ``== Words``, or words with a line below them of their length."""
    match = _HEADING.fullmatch(lines[at])
    if match is not None:
        return Heading(len(match[1]), _LINK.sub(_words, match[2]), at, at + 1)
    words = lines[at].strip()
    if at + 1 == len(lines) or not words or lines[at][0].isspace() or (at and lines[at - 1].strip()):
        return None
    rule = _UNDERLINE.fullmatch(lines[at + 1])
    if rule is None or abs(len(rule[1]) - len(words)) > 1 or not any(c.isalnum() for c in words):
        return None
    return Heading(_LEVELS.index(rule[1][0]) + 1, words, at, at + 2)


def _words(link: re.Match[str]) -> str:
    return link[2] or link[1] or link[4] or link[3]
