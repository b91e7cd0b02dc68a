"""Texts that are kept line by line: what stands between their headings, and on which line that begins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from audiomem_sql.ingest.documents.document import HEADING_LIMIT, Part


class Heading(NamedTuple):
    """A heading in lines[at:after]. ``level``: 1 is outermost."""

    level: int
    text: str
    at: int
    after: int


def cut(lines: Sequence[str], headings: Iterable[Heading], *, before: int = 0) -> list[Part]:
    """The parts that ``lines`` have between ``headings``, each with the line on which it begins.

    The headings are in the order of the lines. One that is longer than `HEADING_LIMIT` is text, and its lines
    stay as they are. ``before``: lines of the file that stand before these.
    """
    parts: list[Part] = []
    level, name, at, start = 0, "", 0, 0
    for heading in (*headings, Heading(0, "", len(lines), len(lines))):
        first, text = block(lines, start, heading.at)
        if name or text:
            parts.append(Part(level, name or None, text, None, before + (first if text else at) + 1))
        level, name, at, start = heading
        if len(" ".join(name.split())) > HEADING_LIMIT:
            name, start = "", at
    return parts


def block(lines: Sequence[str], start: int, stop: int) -> tuple[int, str]:
    """The text of lines[start:stop] without blank lines at either end, and where its first line is."""
    while start < stop and not lines[start].strip():
        start += 1
    return start, "\n".join(lines[start:stop]).rstrip()
