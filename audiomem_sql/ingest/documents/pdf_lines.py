"""The lines of a PDF page in reading order, and the paragraphs that they make.

PDFium gives the text in the order in which it was drawn, which nearly always is that of reading. Where a line
stands above one that was drawn before it, the lines are put in order by their places: the page is cut at the
widest white space across it, and again, until nothing can be cut (the X-Y cut of Nagy and Seth, 1984).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from audiomem_sql.ingest.documents.blocks import clean

if TYPE_CHECKING:
    import pypdfium2

#: Lines of a page that are put in order; more is a drawing.
ORDERED_LINES = 2000
#: A hyphen at the end of a line, where PDFium takes it that a word goes on, most often in the next line.
_HYPHENS = "\x02\ufffe"
_INSIDE = re.compile("[\x02\ufffe](?=(.))")
_BREAK = re.compile(r"\r\n|\r|\n")
_END = re.compile(r"[.!?:;…。！？][\"'”’»)\]]*$")
_ITEM = re.compile(r"(?:[•◦▪‣·–—*-]|\(?(?:\d{1,3}|[a-zA-Z])[.)])\s")


class Line(NamedTuple):
    """A line of text: its box in points, y upwards."""

    text: str
    left: float
    bottom: float
    right: float
    top: float

    @property
    def height(self) -> float:
        """How high it is."""
        return self.top - self.bottom


def lines_of(page: pypdfium2.PdfTextPage) -> list[Line]:
    """The lines of a page that are not blank, in reading order."""
    import pypdfium2.raw as raw

    text = page.get_text_range()
    if len(text) != page.count_chars():
        # Characters of two units, or left out: counted one by one.
        codes = (raw.FPDFText_GetUnicode(page, index) for index in range(page.count_chars()))
        text = "".join(chr(code) if 0 < code < 0x110000 else "\ufffd" for code in codes)
    lines: list[Line] = []
    start = 0
    for match in (*_BREAK.finditer(text), None):
        stop = match.start() if match is not None else len(text)
        line = _line(page, raw, text, start, stop)
        if line is not None:
            lines.append(line)
        start = match.end() if match is not None else stop
    return _in_order(lines) if _is_out_of_order(lines) else lines


def _line(page: pypdfium2.PdfTextPage, raw: object, text: str, start: int, stop: int) -> Line | None:
    while start < stop and text[start].isspace():
        start += 1
    while stop > start and text[stop - 1].isspace():
        stop -= 1
    words = clean(_INSIDE.sub(lambda found: "" if found[1].islower() else "-", text[start:stop]))
    if not words:
        return None
    first = _box(page, raw, start)
    last_at = stop - 1
    while last_at > start and text[last_at] in _HYPHENS:
        last_at -= 1
    last = _box(page, raw, last_at)
    if first is None or last is None:
        return Line(words, 0, 0, 0, 0)
    return Line(
        words, min(first[0], last[0]), min(first[1], last[1]), max(first[2], last[2]), max(first[3], last[3])
    )


def _box(page: pypdfium2.PdfTextPage, raw: object, index: int) -> tuple[float, float, float, float] | None:
    found = raw.FS_RECTF()  # type: ignore[attr-defined]
    if not raw.FPDFText_GetLooseCharBox(page, index, found):  # type: ignore[attr-defined]
        return None
    return found.left, min(found.bottom, found.top), found.right, max(found.bottom, found.top)


def _overlap(a: Line, b: Line) -> bool:
    return a.left < b.right and b.left < a.right


def _is_out_of_order(lines: Sequence[Line]) -> bool:
    """Whether a line stands wholly above the one drawn before it, and in the same column."""
    return any(b.bottom >= a.top - 0.2 * a.height and _overlap(a, b) for a, b in pairwise(lines))


def _in_order(lines: list[Line]) -> list[Line]:
    if len(lines) > ORDERED_LINES:
        return lines
    waiting, ordered = [lines], []
    while waiting:
        group = waiting.pop()
        pieces = _rows(group) if len(group) > 1 else [group]
        if len(pieces) == 1 and len(group) > 1:
            pieces = _columns(group)
        if len(pieces) == 1:
            ordered += sorted(group, key=lambda line: (-line.top, line.left))
        else:
            waiting.extend(reversed(pieces))
    return ordered


def _columns(lines: list[Line]) -> list[list[Line]]:
    """The lines cut at the widest white space from top to bottom; all of them if there is none."""
    by_left = sorted(lines, key=lambda line: line.left)
    widest, cut, edge = 0.0, 0, by_left[0].right
    for index, line in enumerate(by_left[1:], 1):
        if line.left - edge > widest:
            widest, cut = line.left - edge, index
        edge = max(edge, line.right)
    height = sum(line.height for line in lines) / len(lines)
    if widest < max(0.5 * height, 4) or min(cut, len(lines) - cut) < 2:
        return [lines]
    columns = by_left[:cut], by_left[cut:]
    return [[line for line in lines if line in column] for column in map(set, columns)]


def _rows(lines: list[Line]) -> list[list[Line]]:
    """The lines cut at white space across all of them, where that is wider than between lines."""
    by_top = sorted(lines, key=lambda line: -line.top)
    gaps: list[tuple[float, int]] = []
    edge = by_top[0].bottom
    for index, line in enumerate(by_top[1:], 1):
        if edge - line.top > 0:
            gaps.append((edge - line.top, index))
        edge = min(edge, line.bottom)
    height = sum(line.height for line in lines) / len(lines)
    cuts = [index for gap, index in gaps if gap > 0.6 * height]
    return [by_top[a:b] for a, b in zip([0, *cuts], [*cuts, len(lines)], strict=True)]


def paragraphs(lines: Sequence[Line]) -> list[str]:
    """Lines to paragraphs: those that belong together are joined, words cut at line ends made whole."""
    found: list[str] = []
    before: Line | None = None
    width = max((line.right for line in lines), default=0.0) - min((line.left for line in lines), default=0.0)
    for line in lines:
        if before is None or not _continues(before, line):
            found.append(line.text)
        elif before.text[-1] in _HYPHENS:
            found[-1] = found[-1][:-1] + line.text
        elif _is_full(before, line, width) and not _ITEM.match(line.text):
            found[-1] += f" {line.text}"
        else:
            found[-1] += f"\n{line.text}"
        before = line
    return [text for text in (re.sub("[\x02\ufffe]", "-", text).strip() for text in found) if text]


def _continues(before: Line, line: Line) -> bool:
    """Whether a line is in the same paragraph as the one before it."""
    if before.text[-1] in _HYPHENS:
        return True
    gap = before.bottom - line.top
    high, low = max(before.height, line.height), min(before.height, line.height)
    return gap < 0.5 * high and gap > -1.5 * high and low > 0.85 * high


def _is_full(before: Line, line: Line, width: float) -> bool:
    """Whether the line before goes as far as the page lets it, so that its sentence goes on."""
    return before.right - before.left > 0.6 * width or (
        not _END.search(before.text) and before.right >= line.right
    )
