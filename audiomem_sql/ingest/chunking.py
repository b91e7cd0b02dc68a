"""Cuts documents into pieces that are small enough to embed and large enough to mean something.

A chunk is a slice of its section: at most `size` characters, never across a heading, and cut at the best
boundary that the window has, in this order: paragraph, sentence, line, word. Only a word longer than the
window is cut inside, and then between characters as readers see them (not before an accent or inside a joined
emoji).

The time is linear: every window is scanned once and advances, over any two windows, by about `size`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from audiomem_sql.errors import OptionError
from audiomem_sql.ingest.documents.document import Document, Section, place_of

SIZE = 800
SMALLEST_SIZE = 50

_PARAGRAPH, _SENTENCE, _LINE, _WORD = range(4)
_INDENT = 16  # leading spaces of a first line that are kept
_STEPS_BACK = 24  # how far a hard cut looks for the edge of a character

_SPACE = re.compile(r"\s+")
_WIDE_STOP = re.compile(r"[。！？｡]+[」』）”’]*(?=\S)")  # scripts that put no space after a sentence
_STOPS = ".!?…。！？｡"
_CLOSING = "\"'”’»)]}*_`」』）"
_OPENING = "\"'“‘«([{*_`「『（"
_STARTERS = _OPENING + "-#>~@$"  # what a sentence, or the line of markup around it, may begin with
_TITLE_SEPARATORS = "-–—|·:»«/"

_NEVER_LAST = (
    "mr mrs ms messrs dr prof rev hon st mt sr jr gen col lt sgt capt gov sen rep pres "
    "vs viz cf ca approx resp incl al fig figs eq eqs ref refs ed eds dept est"
)
_NOT_BEFORE_NUMBERS = (
    "no nos nr p pp vol vols ch chap sec sect art par para tab app ver v "
    "jan feb mar apr jun jul aug sep sept oct nov dec"
)
_ABBREVIATIONS = frozenset(_NEVER_LAST.split())
_BEFORE_NUMBERS = frozenset(_NOT_BEFORE_NUMBERS.split())


@dataclass(frozen=True)
class Chunk:
    """A piece of a document.

    `title` is the document's title and the headings above the piece; `place` is where it stands in the file
    (`place_of`), None if that is nowhere in particular.
    """

    title: str | None
    text: str
    place: str | None = None


class _Cut(NamedTuple):
    """The text may end before `stop` and go on at `resume`; between them is only white space."""

    stop: int
    resume: int
    rank: int


def check_sizes(size: int, overlap: int, min_size: int | None = None) -> int:
    """The smallest size that a chunk is cut to on purpose.

    Raises `OptionError` for sizes that cannot work.
    """
    if size < SMALLEST_SIZE:
        raise OptionError(
            f"chunk size {size} is too small", remedy=f"Use {SMALLEST_SIZE} characters or more."
        )
    if not 0 <= overlap < size:
        raise OptionError(
            f"overlap {overlap} does not fit chunks of {size} characters",
            remedy=f"Use 0 to {size - 1}; a tenth of the chunk size is common.",
        )
    smallest = size // 4 if min_size is None else min_size
    if not 0 <= smallest <= size // 2:
        raise OptionError(
            f"min_size {smallest} does not fit chunks of {size} characters", remedy=f"Use 0 to {size // 2}."
        )
    return smallest


def chunk(
    document: Document, *, size: int = SIZE, overlap: int = 0, min_size: int | None = None
) -> Iterator[Chunk]:
    """The chunks of `document` in order; none is blank, none is longer than `size` characters.

    `overlap`: each chunk starts with whole sentences from the end of the one before, up to this many
    characters, as long as a new sentence still fits behind them. `min_size`: a paragraph or sentence is not
    ended below this many characters while more text follows (default: a quarter of `size`). A short section
    is a short chunk nevertheless.

    Raises `OptionError` at once for sizes that cannot work.
    """
    smallest = check_sizes(size, overlap, min_size)

    def pieces() -> Iterator[Chunk]:
        for section in document.sections:
            title = _title(document.title, (*section.parents, section.heading or ""))
            lines, counted = section.line, 0
            for start, _, stop in spans(section.text, size, overlap, smallest):
                if lines is not None:
                    lines += section.text.count("\n", counted, start)
                    counted = start
                yield Chunk(title, section.text[start:stop], _place(document, section, lines))

    return pieces()


def _place(document: Document, section: Section, line: int | None) -> str | None:
    parts = (document.place, section.place, None if line is None else place_of(line=line))
    return "&".join(part for part in parts if part) or None


def _title(title: str | None, headings: tuple[str, ...]) -> str | None:
    parts = [title] if title else []
    for heading in headings:
        if not heading or (parts and _repeats(heading, parts[-1])):
            continue
        if len(parts) > bool(title) and _extends(heading, parts[-1]):
            parts.pop()
        parts.append(heading)
    return ": ".join(parts) or None


def _repeats(heading: str, title: str) -> bool:
    """Whether `title` is `heading`, or that with the name of a site behind it ("Install — The Handbook")."""
    if not title.casefold().startswith(heading.casefold()):
        return False
    rest = title[len(heading) :]
    return not rest or (rest[0].isspace() and rest.lstrip()[:1] in _TITLE_SEPARATORS)


def _extends(heading: str, above: str) -> bool:
    """Whether `heading` has the one above in front: ``Table.append`` below ``Table``, in source code."""
    return heading.startswith(above) and heading[len(above) :][:1] in (".", ":")


def spans(text: str, size: int, overlap: int, min_size: int) -> Iterator[tuple[int, int, int]]:
    """``(start, fresh, stop)`` of each chunk: ``text[start:fresh]`` repeats the end of the one before."""
    end = len(text.rstrip())
    opening = _SPACE.match(text)
    position = _resume(text, -1, opening.end()) if opening else 0
    sentences: list[int] = []  # where sentences begin that the next chunk may repeat, in order
    while position < end:
        if not sentences and end - position <= size:
            yield position, position, end
            return
        cuts = _cuts(text, position, position + size, end)
        start, cut = _choose(cuts, sentences, position, size, end, min_size)
        if cut is None and text[position].isspace():  # the word fits without the indent before it
            position += size - len(text[position : position + size].lstrip())
            continue
        if cut is None:
            edge = _character_edge(text, position, position + size)
            cut = _Cut(edge, edge, _WORD)
        yield start, position, cut.stop
        if overlap:
            begun = [*sentences, position, *(c.resume for c in cuts if c.rank <= _SENTENCE)]
            sentences = [s for s in begun if max(start + 1, cut.stop - overlap) <= s < cut.stop]
        position = cut.resume


def _choose(
    cuts: list[_Cut], sentences: list[int], position: int, size: int, end: int, min_size: int
) -> tuple[int, _Cut | None]:
    """Where the chunk starts, with the longest overlap that leaves room for a sentence, and where it ends."""
    rest = _Cut(end, end, _PARAGRAPH)
    for start in sentences:
        if end - start <= size:
            return start, rest
    for start in sentences:
        cut = _best(cuts, start, start + size, end, min_size, _SENTENCE)
        if cut is not None:
            return start, cut
    if end - position <= size:
        return position, rest
    return position, _best(cuts, position, position + size, end, min_size, _WORD)


def _best(cuts: list[_Cut], start: int, limit: int, end: int, min_size: int, worst: int) -> _Cut | None:
    """The last cut of the best rank up to `limit` that leaves neither this chunk nor the rest too small."""
    balanced = min(limit, end - min_size)
    for rank in range(worst + 1):
        least = start + min_size if rank < _WORD else start
        for edge in (limit,) if rank == _PARAGRAPH or balanced == limit else (balanced, limit):
            for cut in reversed(cuts):
                if cut.stop < least:
                    break
                if cut.stop <= edge and (cut.rank == rank or rank == _WORD):
                    return cut
    return None


def _cuts(text: str, position: int, limit: int, end: int) -> list[_Cut]:
    """Where ``text[position:limit]`` may be cut before `end`, in order.

    White space that begins at `limit` counts.
    """
    cuts: list[_Cut] = []
    edge = min(limit + 1, end)
    for match in _SPACE.finditer(text, position, edge):
        stop, after = match.span()
        if stop == position:
            continue
        if after == edge:
            run = _SPACE.match(text, stop)
            after = run.end() if run else after
        lines = text.count("\n", stop, after)
        if lines > 1:
            rank = _PARAGRAPH
        elif _ends_sentence(text, stop, after):
            rank = _SENTENCE
        else:
            rank = _LINE if lines else _WORD
        cuts.append(_Cut(stop, _resume(text, stop, after) if lines else after, rank))
    if not text.isascii():
        wide = [_Cut(m.end(), m.end(), _SENTENCE) for m in _WIDE_STOP.finditer(text, position, edge)]
        cuts = sorted(cuts + wide) if wide else cuts
    return cuts


def _resume(text: str, stop: int, after: int) -> int:
    """Where the text goes on after the white space from `stop` to `after`: a first line keeps its indent.

    A `stop` of -1 is the start of the text, which begins a line as well.
    """
    newline = text.rfind("\n", max(stop, 0), after)
    if newline < 0 <= stop:
        return after
    return newline + 1 if after - newline - 1 <= _INDENT else after


def _ends_sentence(text: str, stop: int, after: int) -> bool:
    """Whether the white space from `stop` to `after` stands between two sentences."""
    last = stop - 1
    while last > 0 and stop - last < 5 and text[last] in _CLOSING:
        last -= 1
    mark = text[last]
    if mark not in _STOPS:
        return False
    follower = text[after]
    if follower.islower() or not (follower.isalnum() or follower in _STARTERS or not follower.isascii()):
        return False
    if mark != ".":
        return True
    first = last
    while first > 0 and last - first < 24 and not text[first - 1].isspace():
        first -= 1
    word = text[first:last].lstrip(_OPENING)
    lowered = word.lower()
    if lowered in _ABBREVIATIONS or (lowered in _BEFORE_NUMBERS and follower.isdigit()):
        return False
    if word and all(len(letter) == 1 and letter.isalpha() for letter in word.split(".")):
        return False  # an initial, or "e.g", "U.S"
    if word.isdigit():  # "1." at the start of a line numbers a list
        before = text[max(0, first - 8) : first]
        return bool(before.rpartition("\n")[2].strip())
    return True


def _character_edge(text: str, position: int, limit: int) -> int:
    """The last place up to `limit` that is not inside a character made of several code points."""
    for edge in range(limit, max(position + 1, limit - _STEPS_BACK), -1):
        if not _joined(text, position, edge):
            return edge
    return limit


def _joined(text: str, position: int, edge: int) -> bool:
    """Whether the code points around `edge` are one character to a reader (after UAX 29, shortened)."""
    before, after = text[edge - 1], text[edge]
    if before.isascii() and after.isascii():
        return False
    if before == "\u200d" or after in "\u200d\u200c" or unicodedata.category(after).startswith("M"):
        return True
    if "\U0001f3fb" <= after <= "\U0001f3ff":  # skin tones
        return True
    first = edge  # flags are pairs of letters
    while _is_flag_letter(after) and first > position and _is_flag_letter(text[first - 1]):
        first -= 1
    return (edge - first) % 2 == 1


def _is_flag_letter(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"
