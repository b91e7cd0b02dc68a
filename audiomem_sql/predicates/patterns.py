"""LIKE and GLOB as SQLite's patternCompare understands them (func.c), and as Arrow does, over whole arrays.

A pattern is a row of segments between ``%`` (or ``*``). Each element of a segment takes exactly one
character, so the first place where a segment fits is the only one that has to be tried: matching takes time
proportional to pattern times text, never more. Segments of literal characters only are searched in the
array's buffer as bytes; the others are regular expressions without repetition, tried on the rows that hold
the pattern's longest literal.

Peculiarities kept: both sides end at their first NUL, and only ASCII letters fold.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from audiomem_sql.arrays import BoolArray
from audiomem_sql.columns.views import Strings
from audiomem_sql.predicates.native_matching import made_of
from audiomem_sql.predicates.substrings import LOWER, first_hits, has_at, lower_ascii, until_nul

#: Bytes of a pattern above which SQLite refuses it (SQLITE_LIMIT_LIKE_PATTERN_LENGTH).
MAX_PATTERN_BYTES = 50_000

#: Characters that some versions of SQLite take for U+FFFD.
DOUBTFUL = frozenset("\ufffd\ufffe\uffff")

_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


@dataclass(frozen=True)
class Segment:
    """Elements that match one character each.

    width: characters; literal: the text when every element is a plain character, else None; source: a regular
    expression; longest: the longest run of plain characters.
    """

    width: int
    literal: str | None
    source: str
    longest: str

    @cached_property
    def regex(self) -> re.Pattern[str]:
        """The segment as a regular expression of fixed width."""
        return re.compile(self.source, re.DOTALL)


@dataclass(frozen=True)
class Pattern:
    """A compiled pattern; ``segments`` empty means that nothing matches.

    ignore_case: ASCII letters match in either case, and are small ones here. until_nul: texts end at their
    first NUL.
    """

    segments: tuple[Segment, ...]
    ignore_case: bool
    until_nul: bool = True

    @classmethod
    def like(cls, pattern: str) -> Pattern:
        """``%`` any text, ``_`` one character, ASCII letters in either case."""
        return cls(_split(pattern.partition("\0")[0].translate(_LOWER), "%", "_", sets=False), True)

    @classmethod
    def glob(cls, pattern: str) -> Pattern:
        """``*`` any text, ``?`` one character, ``[a-z]`` and ``[^a-z]`` one character of a set."""
        return cls(_split(pattern.partition("\0")[0], "*", "?", sets=True), False)

    @classmethod
    def plain(cls, pattern: str, *, ignore_case: bool = False) -> Pattern:
        """``%`` any text, ``_`` one character, and a NUL is a character like any other."""
        lower = pattern.translate(_LOWER) if ignore_case else pattern
        return cls(_split(lower, "%", "_", sets=False), ignore_case, until_nul=False)

    @classmethod
    def pieces(cls, *pieces: str, ignore_case: bool = False) -> Pattern:
        """Literal ``pieces`` in order with any text between two of them; one alone is the whole text."""
        lower = [piece.translate(_LOWER) if ignore_case else piece for piece in pieces]
        segments = [_segment([(character, "") for character in piece]) for piece in lower]
        return cls(tuple(segments), ignore_case, until_nul=False)

    @property
    def prefix(self) -> str:
        """What every match starts with (for LIKE in lower case), as far as it is known."""
        literal = self.segments[0].literal if self.segments else None
        return literal or ""

    def prefix_ranges(self) -> list[tuple[bytes, bytes]]:
        """Ranges of which every match lies in one: for LIKE two, by the first letter's case.

        Their ends are right as far as 16 bytes tell.
        """
        prefix = self.prefix.encode("utf-8", "surrogatepass")
        above = prefix + b"\xff" * 16
        if not self.ignore_case:
            return [(prefix, above)]
        cases = {prefix[:1], prefix[:1].upper()}
        return [(first + prefix[1:].upper(), first + above[1:]) for first in sorted(cases)]

    @property
    def everything(self) -> bool:
        """Any text matches."""
        return len(self.segments) > 1 and all(segment.width == 0 for segment in self.segments)

    def matches(self, text: str) -> bool:
        """Whether one text matches."""
        if self.until_nul:
            text = text.partition("\0")[0]
        return self._fits(text.translate(_LOWER) if self.ignore_case and not text.islower() else text)

    def mask(self, values: Strings) -> BoolArray:
        """Whether each UTF-8 string matches, bool (n,)."""
        if not self.segments:
            return np.zeros(len(values), np.bool_)
        if self.everything:
            return np.ones(len(values), np.bool_)
        if any(segment.literal is None for segment in self.segments):
            return self._general_mask(values)
        words = [(segment.literal or "").encode("utf-8", "surrogatepass") for segment in self.segments]
        found = made_of(values, words, ignore_case=self.ignore_case, until_nul=self.until_nul)
        return self.literal_mask(values, words) if found is None else found

    def literal_mask(self, values: Strings, words: Sequence[bytes]) -> BoolArray:
        """What C says of segments that are literal ``words``: by anchors, and a search over the buffer."""
        values = until_nul(values) if self.until_nul else values
        first, middle, last = words[0], [word for word in words[1:-1] if word], words[-1]
        fold = LOWER if self.ignore_case else None
        lengths = values.lengths
        mask: BoolArray = lengths == len(first)
        if len(words) > 1:
            mask = lengths >= sum(map(len, words))
            if last:
                rows = np.flatnonzero(mask)
                some = values.take(rows)
                mask[rows] = has_at(some, some.ends - len(last), last, fold)
        if first:
            rows = np.flatnonzero(mask)
            some = values.take(rows)
            mask[rows] = has_at(some, some.starts, first, fold)
        rows = np.flatnonzero(mask)
        if not middle or not len(rows):
            return mask
        cased = self.ignore_case and any(byte in _LETTERS for word in middle for byte in word)
        text = lower_ascii(values.data) if cased else np.ascontiguousarray(values.data)
        starts, ends = values.starts[rows] + len(first), values.ends[rows] - len(last)
        for word in middle:
            hits = first_hits(text, word, starts, ends)
            hit = hits >= 0
            mask[rows[~hit]] = False
            rows, starts, ends = rows[hit], hits[hit] + len(word), ends[hit]
        return mask

    def _general_mask(self, values: Strings) -> BoolArray:
        """Some segment has wildcards: the longest literal chooses rows, which are matched one by one."""
        values = until_nul(values) if self.until_nul else values
        mask: BoolArray = values.lengths >= sum(segment.width for segment in self.segments)
        longest = max((segment.longest for segment in self.segments), key=len).encode(
            "utf-8", "surrogatepass"
        )
        if longest:
            words = (b"", longest, b"")
            found = made_of(values, words, ignore_case=self.ignore_case, until_nul=False)
            mask &= self.literal_mask(values, words) if found is None else found
        rows = np.flatnonzero(mask)
        ranges = zip(values.starts[rows].tolist(), values.ends[rows].tolist(), strict=True)
        texts = (values.data[start:end].tobytes() for start, end in ranges)
        if self.ignore_case:
            texts = (text.lower() for text in texts)
        mask[rows] = [self._fits(text.decode("utf-8", "replace")) for text in texts]
        return mask

    def _fits(self, text: str) -> bool:
        if not self.segments:
            return False
        first, last = self.segments[0], self.segments[-1]
        if len(self.segments) == 1:
            return len(text) == first.width and _at(first, text, 0)
        at, end = first.width, len(text) - last.width
        if at > end or not _at(first, text, 0) or not _at(last, text, end):
            return False
        for segment in self.segments[1:-1]:
            if segment.literal is not None:
                position = text.find(segment.literal, at, end)
            else:
                match = segment.regex.search(text, at, end)
                position = match.start() if match else -1
            if position < 0:
                return False
            at = position + segment.width
        return True


_LETTERS = frozenset(b"abcdefghijklmnopqrstuvwxyz")


def _at(segment: Segment, text: str, at: int) -> bool:
    if segment.literal is not None:
        return text.startswith(segment.literal, at)
    return segment.regex.match(text, at) is not None


def _split(pattern: str, match_all: str, match_one: str, *, sets: bool) -> tuple[Segment, ...]:
    """The segments of a pattern; none when a set is not closed, which never matches."""
    segments: list[Segment] = []
    elements: list[tuple[str | None, str]] = []  # (plain character, regular expression)
    at = 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character == match_all:
            segments.append(_segment(elements))
            elements = []
        elif character == match_one:
            elements.append((None, "."))
        elif sets and character == "[":
            end, source = _set(pattern, at)
            if end < 0:
                return ()
            elements.append((None, source))
            at = end
        else:
            elements.append((character, re.escape(character)))
    segments.append(_segment(elements))
    # an empty segment between two wildcards says nothing
    return (*segments[:1], *(segment for segment in segments[1:-1] if segment.width), *segments[1:][-1:])


def _segment(elements: list[tuple[str | None, str]]) -> Segment:
    runs = "".join("\0" if plain is None else plain for plain, _ in elements)
    return Segment(
        len(elements),
        None if any(plain is None for plain, _ in elements) else runs,
        "".join(source for _, source in elements),
        max(runs.split("\0"), key=len),
    )


def _set(pattern: str, at: int) -> tuple[int, str]:
    """(place behind, regular expression) of the set whose inside starts at ``at``.

    (-1, "") if it is not closed.
    """
    end = len(pattern)
    invert = at < end and pattern[at] == "^"
    at += invert
    ranges: list[tuple[str, str]] = []
    if at < end and pattern[at] == "]":
        ranges.append(("]", "]"))
        at += 1
    before: str | None = None
    while at < end and pattern[at] != "]":
        character = pattern[at]
        at += 1
        if character == "-" and before is not None and at < end and pattern[at] != "]":
            ranges.append((before, pattern[at]))
            at += 1
            before = None
        else:
            ranges.append((character, character))
            before = character
    if at >= end:
        return -1, ""
    inside = "".join(f"{re.escape(low)}-{re.escape(high)}" for low, high in ranges if low <= high)
    if not inside:
        return at + 1, "." if invert else r"(?!)."
    return at + 1, f"[{'^' if invert else ''}{inside}]"
