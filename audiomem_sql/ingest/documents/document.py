"""What a reader of prose hands over: a document, cut into sections at its headings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote

HEADING_LIMIT = 300
"""A "heading" of more characters than this is text: an unclosed ``<h1>``, for instance."""


@dataclass(frozen=True)
class Section:
    """The text below one heading, down to the next heading of any level.

    ``heading`` is None for text before the first heading; ``parents`` are the headings above this one,
    outermost first. ``place``: where it stands in the document, as a fragment of a URL (`place_of`): a page,
    a slide, a time. ``line``: the line of the file, counted from 1, in which ``text`` begins, where ``text``
    is that of the file line by line; chunks then know their lines.
    """

    heading: str | None
    text: str
    parents: tuple[str, ...] = ()
    place: str | None = None
    line: int | None = None


@dataclass(frozen=True)
class Document:
    """One text with its title; ``sections`` are in reading order and none of them is blank.

    ``place``: which of the texts in the file this is, as a fragment of a URL (`place_of`): a message, a
    member of an archive. ``created_at``: when it was written, UTC without a zone, where it says so.
    ``importance``: 0 to 1, where it says so.
    """

    title: str | None
    sections: list[Section]
    place: str | None = None
    created_at: datetime | None = None
    importance: float | None = None

    def inside(self, place: str, created_at: datetime | None = None) -> Document:
        """The same as a part of the file in which it is at ``place``; its date, or else ``created_at``."""
        joined = f"{place}&{self.place}" if self.place else place
        return replace(self, place=joined, created_at=self.created_at or created_at)


def place_of(**parts: object) -> str:
    """A place as a fragment of a URL: ``page=3``, ``slide=4``, ``sheet=Prices&row=5``, ``t=83.5``.

    ``page`` as PDF readers take it, ``t`` in seconds as browsers do (Media Fragments), ``line`` from 1.
    """
    return "&".join(f"{name}={quote(str(value), safe='/ :@!,')}" for name, value in parts.items())


class Part(NamedTuple):
    """A heading with its level (1 is outermost; 0 for text before any heading) and the text below it.

    ``place`` and ``line`` are those of the section; where there is no text, the line is that of the heading.
    """

    level: int
    heading: str | None
    text: str
    place: str | None = None
    line: int | None = None


def assemble(parts: Sequence[Part], title: str | None = None) -> Document:
    """The document made of `parts`.

    Without a `title`, the only heading of level 1 becomes it. A heading with nothing below it and no
    subheading keeps its words by becoming the text of its own section.
    """
    sections: list[Section] = []
    above: list[tuple[int, str]] = []
    tops: list[str] = []
    for index, (level, name, text, place, line) in enumerate(parts):
        heading = " ".join(name.split()) if name else ""
        if len(heading) > HEADING_LIMIT:
            line = None if text.strip() else line
            heading, text = "", f"{heading}\n\n{text}".rstrip()
        while above and above[-1][0] >= level:
            above.pop()
        if level == 1:
            tops.append(heading)
        if not text.strip():
            is_leaf = index + 1 == len(parts) or parts[index + 1].level <= level
            text = heading if is_leaf else ""
        if text.strip():
            parents = tuple(name for _, name in above)
            sections.append(Section(heading or None, text, parents, place, line))
        if heading:
            above.append((level, heading))
    chosen = " ".join(title.split()) if title else ""
    if not chosen and len(tops) == 1:
        chosen = tops[0]
    return Document(chosen[:HEADING_LIMIT] or None, sections)
