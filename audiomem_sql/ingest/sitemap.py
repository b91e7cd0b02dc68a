"""Sitemaps: the pages of a site (sitemaps.org, protocol 0.9)."""

from __future__ import annotations

from typing import Any
from xml.parsers import expat

from audiomem_sql.errors import DamagedFileError, LimitError

#: Pages, or sitemaps, that are taken from one sitemap: those that the protocol allows.
MOST_LOCATIONS = 50_000
_LONGEST = 2048


class _Parser:
    """Collects the text of every ``loc``; whatever declares entities is refused."""

    def __init__(self) -> None:
        self.root: str | None = None
        self.locations: list[str] = []
        self._text: list[str] | None = None
        self._depth = 0
        self._expat = expat.ParserCreate()
        self._expat.StartElementHandler = self._start
        self._expat.EndElementHandler = self._end
        self._expat.CharacterDataHandler = self._characters
        self._expat.StartDoctypeDeclHandler = self._doctype

    def feed(self, data: bytes) -> None:
        """All of a sitemap."""
        self._expat.Parse(data, True)

    def _doctype(self, *_: Any) -> None:
        raise ValueError("it declares a document type")

    def _start(self, tag: str, _: Any) -> None:
        name = tag.rpartition(":")[2]
        self.root = self.root or name
        self._depth += 1
        if self._depth > 16:
            raise ValueError("its elements are too deep")
        if name == "loc" and self._depth == 3:
            self._text = []

    def _end(self, tag: str) -> None:
        self._depth -= 1
        if self._text is not None:
            location = "".join(self._text).strip()
            self._text = None
            if location and len(location) <= _LONGEST:
                self.locations.append(location)

    def _characters(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)


def is_sitemap(start: bytes) -> bool:
    """Whether content that begins with ``start`` is a sitemap, or an index of some."""
    return b"<urlset" in start or b"<sitemapindex" in start


def locations(data: bytes, url: str) -> tuple[list[str], bool]:
    """The URLs in a sitemap, and whether they are those of further sitemaps.

    DamagedFileError for what is no sitemap, LimitError for one with more than ``MOST_LOCATIONS``.
    """
    parser = _Parser()
    try:
        parser.feed(data)
    except (expat.ExpatError, ValueError) as error:
        raise DamagedFileError(
            f"the sitemap cannot be read ({error})", file=url, remedy="Name the pages themselves."
        ) from None
    if parser.root not in ("urlset", "sitemapindex"):
        raise DamagedFileError(
            "this is no sitemap", file=url, remedy="Name the pages themselves, or the address of the sitemap."
        )
    if len(parser.locations) > MOST_LOCATIONS:
        raise LimitError(
            f"the sitemap has more than {MOST_LOCATIONS:,} addresses", file=url, remedy="Split it."
        )
    return parser.locations, parser.root == "sitemapindex"
