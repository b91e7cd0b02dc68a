"""Books (EPUB): the chapters in reading order, each an XHTML file, with the titles that the contents give."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from urllib.parse import unquote

from audiomem_sql.errors import DamagedFileError, DataTypeError
from audiomem_sql.ingest import contents
from audiomem_sql.ingest.documents.blocks import TEXT_LIMIT, clean, time_of, title_of, too_much_text
from audiomem_sql.ingest.documents.document import Document, Section, place_of
from audiomem_sql.ingest.documents.html import parse_html
from audiomem_sql.ingest.documents.package import Package
from audiomem_sql.ingest.documents.xml_events import End, Start, Text

#: Bytes of one chapter.
CHAPTER_LIMIT = 64 << 20
_HTML = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")
#: Elements that XML may close at once, and HTML must not.
_CLOSED = re.compile(
    r"<(title|script|style|textarea|iframe|a|p|div|span|i|b|em|strong|td|th|li|h[1-6])((?:\s[^<>]{0,500})?)/>",
    re.IGNORECASE,
)
#: Fonts that are stored with a few bytes changed; the text is as it was.
_FONTS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")


def documents(package: Package) -> Iterator[Document]:
    """A document for each chapter of a book; DataTypeError for one that is encrypted."""
    _check_readable(package)
    book = _Book(package)
    count = 0
    for number, part in enumerate(book.spine, 1):
        if part not in package or part in book.left_out:
            continue
        data = package.read(part, CHAPTER_LIMIT)
        text = contents.decode(data, part, declared=True)
        found = parse_html(_CLOSED.sub(r"<\1\2></\1>", text))
        sections = [_placed(section, book.chapters.get(part), number) for section in found.sections]
        count += sum(len(section.text) for section in sections)
        if count > TEXT_LIMIT:
            raise too_much_text()
        if sections:
            yield Document(book.title, sections, created_at=book.created_at)


def _placed(section: Section, chapter: str | None, number: int) -> Section:
    """A section of a chapter, below the title that the contents give that."""
    above = (chapter,) if chapter and chapter not in (section.heading, *section.parents) else ()
    heading = section.heading
    if above and heading is None:
        above, heading = (), chapter
    return replace(
        section, heading=heading, parents=(*above, *section.parents), place=place_of(chapter=number)
    )


def _check_readable(package: Package) -> None:
    listed = "meta-inf/encryption.xml"
    for event in package.events(listed) if listed in package else ():
        said = event.attributes if isinstance(event, Start) and event.tag == "EncryptionMethod" else None
        if said is not None and said.get("Algorithm") not in _FONTS:
            raise DataTypeError(
                "the book is encrypted, as shops do",
                remedy="Use a copy without copy protection, or leave it out.",
            )


class _Book:
    """What the package document and the contents of a book say."""

    def __init__(self, package: Package) -> None:
        self._package = package
        self.spine: list[str] = []
        self.chapters: dict[str, str] = {}
        self.left_out: set[str] = set()
        root = self._root()
        self._folder = posixpath.dirname(root)
        said = package.texts(root)
        self.title = title_of(said.get("title"))
        self.created_at = time_of(said.get("date"))
        contents_parts = self._read_spine(root)
        for part in contents_parts:
            if part in package and not self.chapters:
                with suppress(DamagedFileError):  # the chapters can be read without
                    self._read_contents(part)

    def _root(self) -> str:
        for event in self._package.events("meta-inf/container.xml"):
            if isinstance(event, Start) and event.tag == "rootfile":
                part = event.attributes.get("full-path", "")
                if part in self._package:
                    return part
        raise DamagedFileError(
            "the book does not say where its chapters are", remedy="Make the EPUB file again."
        )

    def _path(self, folder: str, link: str) -> str:
        return posixpath.normpath(posixpath.join("/", folder, unquote(link.partition("#")[0]))).lstrip("/")

    def _read_spine(self, root: str) -> list[str]:
        """Fill ``spine``; the parts that hold the contents, the better one first."""
        items: dict[str, tuple[str, str]] = {}
        contents_parts: list[str] = []
        for event in self._package.events(root):
            if not isinstance(event, Start):
                continue
            said = event.attributes
            if event.tag == "item":
                path, kind = self._path(self._folder, said.get("href", "")), said.get("media-type", "")
                items[said.get("id", "")] = (path, kind)
                if "nav" in said.get("properties", "").split():
                    contents_parts.insert(0, path)
                    self.left_out.add(path)
                elif kind == "application/x-dtbncx+xml":
                    contents_parts.append(path)
            elif event.tag == "itemref" and said.get("idref") in items:
                path, kind = items[said["idref"]]
                if kind in _HTML:
                    self.spine.append(path)
        return contents_parts

    def _read_contents(self, part: str) -> None:
        """The titles of chapters, from the EPUB 3 navigation document or from the NCX of EPUB 2."""
        folder = posixpath.dirname(part)
        link, pieces, depth = "", [""], 0
        for event in self._package.events(part):
            if isinstance(event, Text):
                if depth:
                    pieces.append(event.text)
            elif event.tag in ("a", "text"):
                if isinstance(event, Start):
                    depth, pieces, link = 1, [], event.attributes.get("href", "")
                    continue
                depth = 0
                if event.tag == "a":
                    self._name(folder, link, "".join(pieces))
            elif event.tag == "content" and isinstance(event, Start):
                self._name(folder, event.attributes.get("src", ""), "".join(pieces))
            elif event.tag == "nav" and isinstance(event, End):
                break  # the lists of pages and landmarks come behind

    def _name(self, folder: str, link: str, text: str) -> None:
        title = " ".join(clean(text).split())
        path = self._path(folder, link)
        if title and path and "#" not in link:
            self.chapters[path] = title
        elif title and path:
            self.chapters.setdefault(path, title)
