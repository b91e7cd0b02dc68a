"""reStructuredText to sections, line by line: directives leave their text, comments and options are left out.

Headings are found as in plain text ("Sections" in the reStructuredText Markup Specification). docutils is not
used: it knows neither Sphinx's directives nor the lines on which its nodes begin.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.document import Document, assemble
from audiomem_sql.ingest.documents.lines import cut
from audiomem_sql.ingest.documents.text import underlined

_MARKUP = re.compile(r"(\s*)\.\.(?:\s+(.*))?")
_DIRECTIVE = re.compile(r"(?:\|[^|]+\| )?([\w:+.-]+)\s*::(?:\s+(.*))?")
_TARGET = re.compile(r"_(?:[^:]|\\:)*:|__(?::|\s)")
_NOTE = re.compile(r"\[[^\]]+\]")
_OPTION = re.compile(r"\s+:([\w+. -]+):(?:\s+(.*))?")
_ROLE = re.compile(r":[A-Za-z][\w:+.-]{0,40}:`([^`\n]{1,300})`")
_ROLE_TARGET = re.compile(r"(.+?)\s*<[^<>]+>")

_DROPPED_DIRECTIVES = (
    "toctree contents index meta highlight module currentmodule py:module py:currentmodule default-role "
    "role raw include literalinclude tabularcolumns sectnum section-numbering header footer default-domain "
    "automodule autoclass autofunction automethod autosummary target-notes"
)
#: Directives whose content is no text, or is written somewhere else.
_DROPPED = frozenset(_DROPPED_DIRECTIVES.split())
#: Directives whose content is not looked into: it is written in another language.
_LITERAL = frozenset(("code", "code-block", "sourcecode", "parsed-literal", "math", "productionlist"))


def read(content: Content) -> Iterator[Document]:
    """The document in a file of reStructuredText."""
    yield parse_restructuredtext(content.text())


def parse_restructuredtext(text: str) -> Document:
    """The document in `text`, whose lines end in a line feed; each piece knows the line on which it begins.

    Comments, targets, options of directives, and directives without text of their own (``toctree``,
    ``index``) are left out. ``code-block`` leaves its code, roles leave their words.
    """
    lines = text.split("\n")
    _clear_markup(lines)
    return assemble(cut(lines, underlined(lines)))


def _clear_markup(lines: list[str]) -> None:
    """Take out of `lines` what is no text; their number stays."""
    at = 0
    while at < len(lines):
        match = _MARKUP.fullmatch(lines[at])
        if match is None:
            stripped = lines[at].rstrip()
            lines[at] = _ROLE.sub(_words, lines[at])
            at = _end(lines, at + 1, _indent(lines[at])) if stripped.endswith("::") else at + 1
        else:
            at = _explicit(lines, at, len(match[1]), (match[2] or "").strip())


def _explicit(lines: list[str], at: int, indent: int, markup: str) -> int:
    """Take out what is no text of the explicit markup at line `at`; the line to go on with."""
    directive = _DIRECTIVE.fullmatch(markup)
    if directive is None:
        if _NOTE.match(markup):  # a footnote, a citation
            return at + 1
        stop = at + 1 if _TARGET.match(markup) else _end(lines, at + 1, indent)
        lines[at:stop] = [""] * (stop - at)
        return stop
    name = directive[1].lower()
    stop = _end(lines, at + 1, indent)
    if name in _DROPPED:
        lines[at:stop] = [""] * (stop - at)
        return stop
    if name in _LITERAL:
        lines[at] = " " * (indent + 3) + directive[2] if name == "math" and directive[2] else ""
    elif name in ("image", "figure"):
        lines[at] = ""
    else:
        lines[at] = _ROLE.sub(_words, lines[at])
    option = at + 1
    while option < stop and (match := _OPTION.fullmatch(lines[option])):
        lines[option] = " " * (indent + 3) + match[2] if match[1] == "alt" and match[2] else ""
        option += 1
    return stop if name in _LITERAL else option


def _end(lines: list[str], at: int, indent: int) -> int:
    """The line behind those from `at` on that are blank or indented by more than `indent`."""
    stop = at
    while at < len(lines):
        if lines[at].strip():
            if _indent(lines[at]) <= indent:
                break
            stop = at + 1
        at += 1
    return stop


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _words(role: re.Match[str]) -> str:
    """What a role shows: the title of a reference, or its target."""
    match = _ROLE_TARGET.fullmatch(role[1])
    return match[1] if match else role[1].lstrip("~!")
