"""PDF files through PDFium: a section for each page, and each heading on it; scanned pages by OCR."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from audiomem_sql.errors import AudioMemError, DamagedFileError, DataTypeError, MissingExtraError
from audiomem_sql.ingest.documents import ocr
from audiomem_sql.ingest.documents.blocks import TEXT_LIMIT, clean, title_of, too_much_text
from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.document import Document, Section, place_of
from audiomem_sql.ingest.documents.package import protected
from audiomem_sql.ingest.documents.pdf_lines import lines_of, paragraphs

if TYPE_CHECKING:
    import pypdfium2

#: PDFium does one thing at a time.
_LOCK = threading.Lock()
#: Entries of an outline that are read, and how deep.
OUTLINE_LIMIT = 20_000
_DEPTH = 10
_PASSWORD = 4  # FPDF_ERR_PASSWORD
_TIME = re.compile(r"(?:D:)?(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:([+\-Z])(?:(\d\d)'?(\d\d)?)?)?")
_SPACE = re.compile(r"\s+")


class Entry(NamedTuple):
    """An entry of the outline: its level from 1, and its title."""

    level: int
    title: str


def read(content: Content) -> Iterator[Document]:
    """The document in a PDF file.

    Pages that are images without text are read by tesseract, if that is installed; those that are not read
    are reported to ``content``, and are an error if there is nothing else.
    """
    try:
        import pypdfium2
    except ImportError:
        raise MissingExtraError(
            "a PDF file needs the package pypdfium2",
            remedy="Install it with: pip install 'audiomem-sql[documents]'",
        ) from None
    data: Any = (
        content.path if content.path is not None and content.path.suffix.lower() != ".gz" else content.read()
    )
    with _LOCK:
        try:
            file = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as error:
            if getattr(error, "err_code", None) == _PASSWORD or "assword" in str(error):
                raise protected() from error
            raise DamagedFileError(
                "PDFium cannot read it: the file is broken",
                remedy="Open it with another program and print it to a new file, or leave it out.",
            ) from error
        try:
            found = _Reader(file, content).document()
        finally:
            file.close()
    yield found


class _Reader:
    """Reads one open file; ``_unread`` are pages with images and no text, ``_broken`` those damaged."""

    def __init__(self, file: pypdfium2.PdfDocument, content: Content) -> None:
        self._file = file
        self._content = content
        self._sections: list[Section] = []
        self._above: list[Entry] = []
        self._unread: list[int] = []
        self._broken: list[int] = []
        self._why = ""
        self._count = 0

    def document(self) -> Document:
        """The document in the file."""
        import pypdfium2

        outline = self._outline()
        for index in range(len(self._file)):
            try:
                page = self._file[index]
            except pypdfium2.PdfiumError:
                self._broken.append(index + 1)
                continue
            try:
                self._page(page, index + 1, outline.get(index, []))
            finally:
                page.close()
        self._tell()
        said = self._file.get_metadata_dict()
        created_at = time_of(said.get("CreationDate")) or time_of(said.get("ModDate"))
        title = title_of(said.get("Title"))
        if title is not None and re.fullmatch(r"\S+\.(?:docx?|pptx?|xlsx?|indd|qxd|tex|dvi|pdf|odt)", title):
            title = None  # the name of the file that it was made from
        return Document(title, self._sections, created_at=created_at)

    def _tell(self) -> None:
        """Report the pages that were not read; an error if that is all there is."""
        problems: list[AudioMemError] = []
        if self._unread:
            problems.append(
                DataTypeError(
                    f"{_pages(self._unread)} without text, a scan: {self._why}",
                    place=_named(self._unread),
                    remedy="Install tesseract, or give the file a layer of text with ocrmypdf.",
                )
            )
        if self._broken:
            problems.append(
                DamagedFileError(
                    "PDFium cannot read this page"
                    if len(self._broken) == 1
                    else "PDFium cannot read these pages",
                    place=_named(self._broken),
                    remedy="Open it with another program and print it to a new file.",
                )
            )
        if problems and not self._sections:
            raise problems[0]
        for problem in problems:
            self._content.report(problem)

    def _outline(self) -> dict[int, list[Entry]]:
        """The entries of the outline by the page, from 0, that they lead to."""
        found: dict[int, list[Entry]] = {}
        for number, bookmark in enumerate(self._file.get_toc(max_depth=_DEPTH)):
            if number >= OUTLINE_LIMIT:
                break
            title = " ".join(clean(bookmark.get_title()).split())
            target = bookmark.get_dest()
            index = target.get_index() if target is not None else None
            if title and index is not None:
                found.setdefault(index, []).append(Entry(bookmark.level + 1, title))
        return found

    def _page(self, page: pypdfium2.PdfPage, number: int, entries: list[Entry]) -> None:
        text_page = page.get_textpage()
        try:
            lines = paragraphs(lines_of(text_page))
        finally:
            text_page.close()
        if not lines and _has_image(page):
            text, why = ocr.read_page(page)
            if why:
                self._unread.append(number)
                self._why = why
            lines = [line for line in text.split("\n\n") if line.strip()]
        self._count += sum(map(len, lines))
        if self._count > TEXT_LIMIT:
            raise too_much_text()
        self._write(lines, number, entries)

    def _write(self, paragraphs_of_page: list[str], number: int, entries: list[Entry]) -> None:
        """The sections of a page: one before the first heading on it, and one for each heading."""
        waiting = list(entries)
        place = place_of(page=number)
        texts: list[str] = []
        for text in paragraphs_of_page:
            rest = text
            while waiting and (cut := _after(rest, waiting[0].title)) is not None:
                self._close(texts, place)
                texts = []
                self._enter(waiting.pop(0))
                rest = rest[cut:].strip()
            if rest:
                texts.append(rest)
        if waiting and len(waiting) == len(entries):  # none of them is found: they are of the whole page
            for entry in waiting:
                self._enter(entry)
            waiting = []
        self._close(texts, place)
        for entry in waiting:
            self._enter(entry)

    def _enter(self, entry: Entry) -> None:
        while self._above and self._above[-1].level >= entry.level:
            self._above.pop()
        self._above.append(entry)

    def _close(self, texts: list[str], place: str) -> None:
        if texts:
            headings = [entry.title for entry in self._above]
            heading = headings.pop() if headings else None
            self._sections.append(Section(heading, "\n\n".join(texts), tuple(headings), place))


def _after(text: str, title: str) -> int | None:
    """Where ``text`` goes on behind ``title``, if it begins with that, with a number before it or not."""
    wanted = _SPACE.sub("", title).casefold()
    start = re.match(
        r"\s*(?:(?:chapter|section|part|appendix)\s+)?(?:[\dA-Z]+\.)*\d*\.?\s*", text, re.IGNORECASE
    )
    for begin in {0, start.end() if start else 0}:
        at = 0
        for position in range(begin, min(len(text), begin + 4 * len(title) + 20)):
            letter = text[position].casefold()
            if letter.isspace():
                continue
            if not wanted.startswith(letter, at):
                break
            at += len(letter)
            if at == len(wanted):
                end = position + 1
                return end if end == len(text) or not text[end].isalnum() else None
    return None


def _has_image(page: pypdfium2.PdfPage) -> bool:
    import pypdfium2.raw as raw

    return next(iter(page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=4)), None) is not None


def _pages(numbers: list[int]) -> str:
    return "1 page is an image" if len(numbers) == 1 else f"{len(numbers):,} pages are images"


def _named(numbers: list[int]) -> str:
    """``page 3``, ``pages 1-4, 7``: the first ten ranges of them."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    shown = [f"{a}" if a == b else f"{a}-{b}" for a, b in ranges[:10]] + ["…"] * (len(ranges) > 10)
    return f"page{'s' * (len(numbers) > 1)} {', '.join(shown)}"


def time_of(text: str | None) -> datetime | None:
    """A time as PDF writes it (``D:20240305143000+01'00'``), UTC without a zone; None for what is none."""
    match = _TIME.match((text or "").strip())
    if match is None:
        return None
    numbers = [
        int(part) if part else low for part, low in zip(match.groups()[:6], (1, 1, 1, 0, 0, 0), strict=True)
    ]
    try:
        when = datetime(*numbers)  # type: ignore[arg-type]
        if match[7] in ("+", "-") and match[8]:
            offset = timedelta(hours=int(match[8]), minutes=int(match[9] or 0))
            zone = timezone(offset if match[7] == "+" else -offset)
            when = when.replace(tzinfo=zone).astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None
    return when
