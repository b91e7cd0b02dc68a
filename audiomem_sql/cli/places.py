"""Where a row comes from, as a path or a URL with a fragment, and as a link that a terminal opens.

A row has its ``source``, a path or a URL, and its ``place`` there, the fragment of a URL: ``page=3``,
``line=12``, ``t=83.5``, ``member=docs/a.md``. A link is an OSC 8 sequence, which a terminal shows as its
text: https://gist.github.com/egmontkob/eb114294efbcd5adb1944c9f3cb5feda.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote

#: What a URL begins with; a letter alone is a drive.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
#: The line in a fragment.
_LINE = re.compile(r"(?<![^&])line=[0-9]{1,9}(?![0-9])")
#: Characters of a fragment that stay as they are.
_FRAGMENT = "=&/?:@!$'()*+,;~-._"


@dataclass(frozen=True, slots=True)
class Place:
    """source: a path, absolute or not, or a URL. place: the fragment, None for the whole of it."""

    source: str
    place: str | None = None

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Place | None:
        """The place of a row, by the names of columns; None without a source."""
        source, place = row.get("source"), row.get("place")
        if not isinstance(source, str) or not source:
            return None
        return cls(source, place if isinstance(place, str) and place else None)

    def __str__(self) -> str:
        return self.source if self.place is None else f"{self.source}#{self.place}"

    @property
    def is_url(self) -> bool:
        """Whether the source is a URL."""
        return bool(_SCHEME.match(self.source))

    @property
    def parts(self) -> dict[str, str]:
        """What the fragment says, by name; the first of each name."""
        parts: dict[str, str] = {}
        for name, value in parse_qsl(self.place or "", keep_blank_values=True):
            parts.setdefault(name, value)
        return parts

    def number(self, name: str) -> int | None:
        """A number of the fragment, such as that of a page; None without."""
        digits = re.match(r"[0-9]{1,9}(?![0-9])", self.parts.get(name, ""))
        return None if digits is None else int(digits[0])

    def further(self, lines: int) -> Place:
        """The place so many lines on, where this one is a line; elsewhere this one."""
        line = self.number("line") if lines else None
        if line is None:
            return self
        return Place(self.source, _LINE.sub(f"line={line + lines}", self.place or "", count=1))

    def path(self, file: str) -> str | None:
        """The absolute path of a source that is a file; None for a URL.

        One that is not absolute is looked for in this folder, then in that of ``file``, the table.
        """
        if self.is_url:
            return None
        if os.path.isabs(self.source) or os.path.lexists(self.source):
            return os.path.abspath(self.source)
        beside = os.path.join(os.path.dirname(os.path.abspath(file)), self.source)
        return beside if os.path.lexists(beside) else os.path.abspath(self.source)

    def link(self, file: str) -> str:
        """A URL: the source's own, or ``file://`` with the absolute path; the place is the fragment."""
        path = self.path(file)
        url = self.source if path is None else "file://" + quote(os.fsencode(path))
        return url if self.place is None else f"{url}#{quote(self.place, safe=_FRAGMENT + '%')}"


def shown(place: Place, file: str) -> str:
    """The place as a terminal shows it: text that is a link, or, where stdout is none, the text alone."""
    from audiomem_sql.cli.output import printable

    text = printable(str(place))
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b]8;;{printable(place.link(file))}\x1b\\{text}\x1b]8;;\x1b\\"
