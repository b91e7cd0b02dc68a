"""The text of a document as a reader of an office format meets it: headings, paragraphs, items, rows."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from audiomem_sql.errors import LimitError
from audiomem_sql.ingest.documents.document import Part

#: Characters of text in one document.
TEXT_LIMIT = 128 << 20
#: Titles that programs give to what has none.
_NO_TITLES = frozenset(
    (
        "powerpoint presentation",
        "powerpoint-präsentation",
        "présentation powerpoint",
        "presentation",
        "untitled",
        "document",
        "word document",
        "slide 1",
        "title",
        "unknown",
        "(anonymous)",
        "anonymous",
        "none",
        "about:blank",
    )
)
_PROGRAM = re.compile(r"Microsoft (?:Word|PowerPoint|Excel) - ", re.IGNORECASE)
_TIME = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d))?(?:\.\d*)?(Z|[+-]\d\d:\d\d)?)?)?)?"
)
_LONE = re.compile("[\ud800-\udfff]")


class Blocks:
    """Collects text below headings, as the parts that `assemble` takes.

    Paragraphs are separated by blank lines; lines of the same list or table are not.
    """

    def __init__(self) -> None:
        self._parts: list[Part] = []
        self._pieces: list[str] = []
        self._group: object = None
        self._level = 0
        self._heading: str | None = None
        self._place: str | None = None
        self._count = 0

    def heading(self, level: int, text: str, place: str | None = None) -> None:
        """The text from here on is below this heading; an empty ``text`` begins a part without one."""
        self._close()
        self._level, self._heading, self._place = level, text.strip() or None, place
        self._spend(len(text))

    def paragraph(self, text: str) -> None:
        """A paragraph; nothing if it is blank."""
        self.line(text, object())

    def line(self, text: str, group: object) -> None:
        """A line, directly below the one before if that is of the same ``group``; nothing if it is blank."""
        text = text.rstrip()
        if not text.strip():
            return
        if self._pieces:
            self._pieces.append("\n" if group is self._group else "\n\n")
        self._pieces.append(text)
        self._group = group
        self._spend(len(text))

    def _spend(self, count: int) -> None:
        self._count += count
        if self._count > TEXT_LIMIT:
            raise too_much_text()

    def _close(self) -> None:
        if self._pieces or self._heading:
            self._parts.append(Part(self._level, self._heading, "".join(self._pieces), self._place))
        self._pieces = []
        self._group = None

    def finish(self) -> list[Part]:
        """The parts so far."""
        self._close()
        self._level, self._heading, self._place = 0, None, None
        return self._parts


def too_much_text() -> LimitError:
    """The error for a document whose text is beyond `TEXT_LIMIT`."""
    return LimitError(
        f"it has more than {TEXT_LIMIT >> 20} million characters of text",
        remedy="Split it into smaller ones.",
    )


def cells(texts: list[str]) -> str:
    """A row of a table as a line, `` | `` between its cells; nothing if all are blank."""
    flat = [" ".join(text.split()) for text in texts]
    while flat and not flat[-1]:
        flat.pop()
    return " | ".join(flat)


def clean(text: str) -> str:
    """``text`` without NULs and lone surrogates; pairs of surrogates become their character."""
    if _LONE.search(text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
    return text.replace("\0", "")


def title_of(text: str | None) -> str | None:
    """A title that somebody gave; None for one that a program gives to everything."""
    title = _PROGRAM.sub("", " ".join(clean(text or "").split()))
    return None if not title or title.casefold() in _NO_TITLES else title


def time_of(text: str | None) -> datetime | None:
    """A time of the W3C's form (``2024-03-05T14:30:00Z``), UTC without a zone; None for what is none."""
    match = _TIME.match((text or "").strip())
    if match is None:
        return None
    numbers = [
        int(part) if part else low for part, low in zip(match.groups()[:6], (1, 1, 1, 0, 0, 0), strict=True)
    ]
    try:
        when = datetime(*numbers)  # type: ignore[arg-type]
        if match[7] and match[7] != "Z":
            when = (
                datetime.fromisoformat(f"{when.isoformat()}{match[7]}").astimezone(UTC).replace(tzinfo=None)
            )
    except (ValueError, OverflowError):
        return None
    return when
