"""What a reader of prose hands over: a document, cut into sections at its headings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

HEADING_LIMIT = 300
"""A "heading" of more characters than this is text: an unclosed ``<h1>``, for instance."""


@dataclass(frozen=True)
class Section:
    """The text below one heading, down to the next heading of any level.

    ``heading`` is None for text before the first heading; ``parents`` are the headings above this one,
    outermost first.
    """

    heading: str | None
    text: str
    parents: tuple[str, ...] = ()


@dataclass(frozen=True)
class Document:
    """One text with its title; ``sections`` are in reading order and none of them is blank."""

    title: str | None
    sections: list[Section]


class Part(NamedTuple):
    """A heading with its level (1 is outermost; 0 for text before any heading) and the text below it."""

    level: int
    heading: str | None
    text: str


def assemble(parts: Sequence[Part], title: str | None = None) -> Document:
    """The document made of `parts`.

    Without a `title`, the only heading of level 1 becomes it. A heading with nothing below it and no
    subheading keeps its words by becoming the text of its own section.
    """
    sections: list[Section] = []
    above: list[tuple[int, str]] = []
    tops: list[str] = []
    for index, (level, name, text) in enumerate(parts):
        heading = " ".join(name.split()) if name else ""
        if len(heading) > HEADING_LIMIT:
            heading, text = "", f"{heading}\n\n{text}".rstrip()
        while above and above[-1][0] >= level:
            above.pop()
        if level == 1:
            tops.append(heading)
        if not text.strip():
            is_leaf = index + 1 == len(parts) or parts[index + 1].level <= level
            text = heading if is_leaf else ""
        if text.strip():
            sections.append(Section(heading or None, text, tuple(name for _, name in above)))
        if heading:
            above.append((level, heading))
    chosen = " ".join(title.split()) if title else ""
    if not chosen and len(tops) == 1:
        chosen = tops[0]
    return Document(chosen[:HEADING_LIMIT] or None, sections)
