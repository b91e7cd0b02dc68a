"""RTF: paragraphs, headings by outline level, tables, markers of lists, notes, title and date."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from audiomem_sql.errors import DamagedFileError, LimitError
from audiomem_sql.ingest.documents.blocks import Blocks, cells, clean, title_of
from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.document import Document, assemble
from audiomem_sql.ingest.documents.rtf_words import CHARACTERS, CHARSETS, DROPPED, KEPT, SYMBOLS, codec

#: Groups inside groups.
DEPTH_LIMIT = 1000
#: Bytes of one file; pictures make large ones.
SIZE_LIMIT = 256 << 20
_TOKEN = re.compile(
    rb"\\([a-zA-Z]{1,40})(-?\d{1,10})? ?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z])|([{}])|([^\\{}\r\n]+)|[\r\n]+|\\"
)
_HEADING = re.compile(r"heading ([1-9])\b", re.IGNORECASE)


@dataclass(slots=True)
class _Group:
    """What holds inside a pair of braces."""

    target: str = "text"
    skip: int = 1
    codec: str = ""
    hidden: bool = False


@dataclass(slots=True)
class _Style:
    level: int | None = None
    name: str = ""


@dataclass(slots=True)
class _Texts:
    """Pieces of text that go somewhere: the body, a note, a title, a marker of a list."""

    pieces: list[str] = field(default_factory=list)

    def take(self) -> str:
        text = clean("".join(self.pieces))
        self.pieces.clear()
        return text


def read(content: Content) -> Iterator[Document]:
    """The document in an RTF file. DamagedFileError for one that ends in the middle."""
    data = content.read()
    if len(data) > SIZE_LIMIT:
        raise LimitError(f"it is larger than {SIZE_LIMIT >> 20} MiB", remedy="Save it in another format.")
    reader = _Reader()
    reader.read(data)
    said = assemble(reader.blocks.finish(), title_of(reader.title))
    yield Document(said.title, said.sections, created_at=reader.created_at)


class _Reader:
    """Reads the tokens of one file."""

    def __init__(self) -> None:
        self.blocks = Blocks()
        self.title: str | None = None
        self.created_at: datetime | None = None
        self._group = _Group()
        self._stack: list[_Group] = []
        self._texts: dict[str, _Texts] = {}
        self._bytes = bytearray()
        self._left = 0  # characters after \u that stand for the same one
        self._codec = "cp1252"
        self._fonts: dict[int, str] = {}
        self._font = 0
        self._styles: dict[int, _Style] = {}
        self._style = _Style()
        self._level: int | None = None
        self._marker = ""
        self._row: list[str] = []
        self._in_table = False
        self._table: object = object()
        self._list: object = object()
        self._notes: list[str] = []
        self._time: dict[str, int] = {}
        self._is_new = False  # the group has just begun
        self._is_optional = False

    def read(self, data: bytes) -> None:
        """Read the whole file."""
        at, end = 0, len(data)
        while at < end:
            match = _TOKEN.match(data, at)
            if match is None:  # never: each byte begins a token
                at += 1
                continue
            at = match.end()
            word, number, hexadecimal, symbol, brace, text = match.groups()
            if word is not None:
                if word == b"bin":
                    at += max(0, int(number or 0))
                else:
                    self._word(word.decode("ascii"), None if number is None else int(number))
            elif hexadecimal is not None:
                self._raw(bytes((int(hexadecimal, 16),)))
            elif text is not None:
                self._raw(text)
            elif brace is not None:
                self._open() if brace == b"{" else self._close()
            elif symbol is not None:
                self._symbol(symbol)
        if self._stack:
            raise DamagedFileError(
                "the file ends in the middle",
                place=f"byte {end}",
                remedy="Get the whole file, or leave it out.",
            )
        self._paragraph()

    # --- groups

    def _open(self) -> None:
        self._flush()
        if len(self._stack) >= DEPTH_LIMIT:
            raise LimitError(f"there are groups inside groups, more than {DEPTH_LIMIT} deep")
        self._stack.append(self._group)
        self._group = replace(self._group)
        self._is_new, self._is_optional = True, False

    def _close(self) -> None:
        self._flush()
        target = self._group.target
        if not self._stack:
            return
        self._group = self._stack.pop()
        if target != self._group.target:
            self._leave(target)

    def _leave(self, target: str) -> None:
        """What was read of a group with a text of its own goes where it belongs."""
        text = self._texts[target].take() if target in self._texts else ""
        if target in ("footnote", "annotation") and text.strip():
            author = self._texts["atnauthor"].take().strip() if "atnauthor" in self._texts else ""
            before = "Note: " if target == "footnote" else f"Comment by {author}: " if author else "Comment: "
            self._notes.append(before + " ".join(text.split()))
        elif target == "listtext":
            self._marker = " ".join(text.split())
        elif target == "title":
            self.title = text
        elif target == "atnauthor":
            self._texts["atnauthor"].pieces.append(text)
        elif target == "stylesheet" or target == "style":
            match = _HEADING.search(text)
            if match and self._style.level is None:
                self._style.level = int(match[1])
            self._style = _Style()
        elif target == "creatim":
            time = self._time
            try:
                parts = ("yr", "mo", "dy", "hr", "min", "sec")
                self.created_at = datetime(*(time.get(part, int(part in ("mo", "dy"))) for part in parts))  # type: ignore[arg-type]
            except ValueError:
                pass
            self._time = {}

    # --- words

    def _word(self, word: str, number: int | None) -> None:
        self._flush()
        is_new, self._is_new = self._is_new, False
        if is_new and self._target(word):
            return
        target = self._group.target
        if target == "dropped":
            return
        if word in CHARACTERS:
            self._put(CHARACTERS[word])
        elif word == "u" and number is not None:
            self._put(chr(number & 0xFFFF) if number < 65536 else chr(min(number, 0x10FFFF)))
            self._left = self._group.skip
        elif target == "creatim":
            self._time[word] = number or 0
        elif not self._coded(word, number):
            self._styled(word, number) if target in ("style", "stylesheet") else self._layout(word, number)

    def _coded(self, word: str, number: int | None) -> bool:
        """Whether a word says how the bytes behind it are read, or that they are hidden."""
        if word == "uc":
            self._group.skip = min(number or 0, 16)
        elif word == "f" and number is not None:
            self._font = number
            self._group.codec = self._fonts.get(number, "")
        elif word == "fcharset" and self._group.target == "fonttbl":
            if number in CHARSETS and number:
                self._fonts[self._font] = codec(CHARSETS[number])
        elif word == "ansicpg" and number:
            self._codec = codec(number)
        elif word in ("mac", "pc"):
            self._codec = "mac_roman" if word == "mac" else "cp437"
        elif word == "plain":
            self._group.codec, self._group.hidden = "", False
        elif word in ("v", "deleted"):
            self._group.hidden = number != 0
        else:
            return False
        return True

    def _target(self, word: str) -> bool:
        """Where the text of a group that begins with ``word`` goes; whether the word says that."""
        group = self._group
        if group.target == "dropped":
            return False
        if word in DROPPED or (self._is_optional and word not in KEPT):
            group.target = "dropped"
        elif word in ("fonttbl", "creatim", "footnote", "annotation", "atnauthor"):
            group.target = word
        elif word in ("listtext", "pntext"):
            group.target = "listtext"
        elif word == "title" and group.target == "info":
            group.target = "title"
        elif word in ("info", "stylesheet"):
            group.target = word
        elif group.target == "stylesheet":
            group.target = "style"
            return False
        else:
            return False
        return True

    def _styled(self, word: str, number: int | None) -> None:
        if word == "s" and number is not None and len(self._styles) < 10_000:
            self._styles[number] = self._style
        elif word == "outlinelevel" and number is not None and number < 9:
            self._style.level = number + 1

    def _layout(self, word: str, number: int | None) -> None:
        if self._group.target in ("footnote", "annotation"):
            if word in ("par", "sect", "page", "cell"):
                self._put(" ")
            return
        match word:
            case "par" | "sect" | "page":
                if word == "page" and self._in_table:
                    return
                self._paragraph()
            case "pard":
                self._level, self._in_table = None, False
            case "intbl":
                self._in_table = True
            case "s" if number in self._styles:
                self._level = self._styles[number].level if number is not None else None
            case "outlinelevel" if number is not None and number < 9:
                self._level = number + 1
            case "cell" | "nestcell":
                self._row.append(self._take())
            case "row" | "nestrow":
                self.blocks.line(cells(self._row), self._table)
                self._row = []
                self._write_notes()
            case _:
                pass

    # --- text

    def _symbol(self, symbol: bytes) -> None:
        if symbol == b"*":
            self._is_optional = True
            return
        self._flush()
        if symbol in (b"\n", b"\r"):
            self._layout("par", None)
        elif symbol in SYMBOLS:
            self._put(SYMBOLS[symbol])

    def _raw(self, data: bytes) -> None:
        self._is_new = False
        if self._left:
            count = min(self._left, len(data))
            self._left -= count
            data = data[count:]
        if data and self._group.target != "dropped":
            self._bytes += data

    def _flush(self) -> None:
        if self._bytes:
            text = self._bytes.decode(self._group.codec or self._codec, "replace")
            self._bytes.clear()
            self._put(text)

    def _put(self, text: str) -> None:
        self._left = 0
        if not text or self._group.hidden or self._group.target == "dropped":
            return
        self._texts.setdefault(self._group.target, _Texts()).pieces.append(text)

    def _take(self) -> str:
        return self._texts["text"].take() if "text" in self._texts else ""

    def _paragraph(self) -> None:
        self._flush()
        marker, self._marker = self._marker, ""
        said = self._texts.setdefault("text", _Texts())
        if self._in_table and (self._row or said.pieces):
            said.pieces.append(" ")
            return
        text = said.take()
        self._table = object()
        if self._level is not None and text.strip():
            self.blocks.heading(self._level, text)
        elif marker:
            mark = "-" if not any(letter.isalnum() for letter in marker) else marker
            self.blocks.line(f"{mark} {text.strip()}", self._list)
        else:
            self._list = object()
            self.blocks.paragraph(text.strip("\n"))
        self._write_notes()

    def _write_notes(self) -> None:
        for note in self._notes:
            self.blocks.paragraph(note)
        self._notes = []
