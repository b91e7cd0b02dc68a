"""Subtitles and lyrics to documents: SubRip, WebVTT, SubStation and LRC, their cues as paragraphs."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from audiomem_sql.errors import DataTypeError
from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.document import Document, Section, place_of

#: Seconds of silence after which a paragraph ends.
SILENCE = 5.0
#: Characters from which on the end of a sentence ends a paragraph, and at which any cue does.
ENOUGH, MOST = 300, 700
#: Times at which one line of lyrics is sung.
TIMES_LIMIT = 100

_CLOCK = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,3}))?"
_TIMES = re.compile(rf"\s*{_CLOCK}\s*-->\s*{_CLOCK}")
_TAGS = re.compile(r"</?[a-zA-Z][^<>]*>|<\d[^<>]*>|\{\\[^{}]*\}")
_VOICE = re.compile(r"<v(?:\.[^\s<>]*)?\s{1,200}([^\s<>][^<>]*)>")
_LRC_TIME = re.compile(r"\s*\[(\d{1,3}):(\d{1,2})(?:[.:](\d{1,3}))?\]")
_LRC_WORD = re.compile(r"<\d{1,3}:\d{1,2}(?:[.:]\d{1,3})?>")
_LRC_TAG = re.compile(r"\[([a-zA-Z#]+):([^\]]*)\]\s*$")
_ENDS = (".", "!", "?", "…", "。", "！", "？", '."', '!"', '?"', "»")


class Cue(NamedTuple):
    """A text that is shown from ``start`` to ``end``, in seconds."""

    start: float
    end: float
    text: str


def read(content: Content) -> Iterator[Document]:
    """The document in a file of SubRip or WebVTT."""
    yield Document(None, paragraphs(_cues(content)))


def read_ass(content: Content) -> Iterator[Document]:
    """The document in a file of SubStation Alpha, older or advanced."""
    title: str | None = None
    cues: list[Cue] = []
    fields = ["layer", "start", "end", "style", "name", "marginl", "marginr", "marginv", "effect", "text"]
    for line in content.text().split("\n"):
        key, _, value = line.partition(":")
        key = key.strip().lower()
        if key == "title":
            title = value.strip() or None
        elif key == "format" and "text" in value.lower():
            fields = [name.strip().lower() for name in value.split(",")]
        elif key == "dialogue":
            row = dict(zip(fields, value.split(",", len(fields) - 1), strict=False))
            start, end = _seconds(row.get("start", "")), _seconds(row.get("end", ""))
            if start is not None and end is not None:
                text = row.get("text", "").replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")
                cues.append(Cue(start, end, _with_name(row.get("name", ""), _plain(text))))
    if not cues:
        raise _nothing(content)
    cues.sort(key=lambda cue: cue.start)
    yield Document(title, paragraphs(cues))


def read_lyrics(content: Content) -> Iterator[Document]:
    """The document in a file of LRC: lyrics by their verses, which empty lines end."""
    lines, tags = parse_lyrics(content.text())
    name = " – ".join(tags[key] for key in ("ar", "ti") if tags.get(key)) or None
    yield Document(name, verses(lines))


def parse_lyrics(text: str) -> tuple[list[Cue], dict[str, str]]:
    """The lines of LRC in order of time, a repeated one as often as it is sung; and its tags."""
    tags: dict[str, str] = {}
    cues: list[Cue] = []
    for line in text.split("\n"):
        rest = line.strip()
        starts: list[float] = []
        at = 0
        while found := _LRC_TIME.match(rest, at):
            if len(starts) < TIMES_LIMIT:
                starts.append(int(found[1]) * 60 + int(found[2]) + _fraction(found[3]))
            at = found.end()
        rest = rest[at:]
        if starts:
            words = " ".join(_LRC_WORD.sub(" ", rest).split())
            cues += [Cue(start, start, words) for start in starts]
        elif tag := _LRC_TAG.match(rest):
            tags[tag[1].lower()] = tag[2].strip()
        elif rest:
            cues.append(Cue(cues[-1].start if cues else 0.0, 0.0, rest))
    return sorted(cues, key=lambda cue: cue.start), tags


def verses(cues: Iterable[Cue]) -> list[Section]:
    """Lines that an empty one ends, each verse at its time."""
    sections: list[Section] = []
    verse: list[Cue] = []
    for cue in [*cues, Cue(0.0, 0.0, "")]:
        if cue.text:
            verse.append(cue)
        elif verse:
            text = "\n".join(line.text for line in verse)
            sections.append(Section(None, text, place=place_of(t=_shown(verse[0].start))))
            verse = []
    return sections


def paragraphs(cues: Iterable[Cue]) -> list[Section]:
    """Cues joined: a section ends with a sentence once it is long enough, or before a silence."""
    sections: list[Section] = []
    text, start, end = "", 0.0, 0.0
    for cue in cues:
        words = " ".join(cue.text.split())
        if not words:
            continue
        is_over = len(text) >= MOST or (len(text) >= ENOUGH and text.endswith(_ENDS))
        if text and (is_over or cue.start - end > SILENCE):
            sections.append(Section(None, text, place=place_of(t=_shown(start))))
            text = ""
        if not text:
            text, start = words, cue.start
        elif not text.endswith(words):  # captions that roll repeat what was shown before
            text = f"{text} {words}"
        end = max(end, cue.end)
    if text:
        sections.append(Section(None, text, place=place_of(t=_shown(start))))
    return sections


def _cues(content: Content) -> list[Cue]:
    lines = content.text().split("\n")
    cues: list[Cue] = []
    at = 0
    while at < len(lines):
        times = _TIMES.match(lines[at]) if "-->" in lines[at] else None
        at += 1
        if times is None:
            continue
        begin = at
        while at < len(lines) and lines[at].strip() and "-->" not in lines[at]:
            at += 1
        if at < len(lines) and "-->" in lines[at] and at - 1 > begin and lines[at - 1].strip().isdecimal():
            stop = at - 1  # the number of the next cue, without a blank line before it
        else:
            stop = at
        text = _VOICE.sub(r"\1: ", "\n".join(lines[begin:stop]))
        start, end = _clock(times.groups()[:4]), _clock(times.groups()[4:])
        cues.append(Cue(start, end, html.unescape(_plain(text))))
    if not cues and lines[0].strip() not in ("", "WEBVTT"):
        raise _nothing(content)
    return cues


def _nothing(content: Content) -> DataTypeError:
    return DataTypeError(
        "there are no subtitles in it", file=content.name, remedy="Rename it to .txt if it is another text."
    )


def _plain(text: str) -> str:
    return _TAGS.sub("", text)


def _with_name(name: str, text: str) -> str:
    return f"{name.strip()}: {text}" if name.strip() and text.strip() else text


def _seconds(clock: str) -> float | None:
    found = re.fullmatch(_CLOCK, clock.strip())
    return _clock(found.groups()) if found else None


def _clock(parts: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, fraction = parts
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0) + _fraction(fraction)


def _fraction(digits: str | None) -> float:
    return int(digits) / 10 ** len(digits) if digits else 0.0


def _shown(seconds: float) -> str:
    return f"{seconds:.3f}".rstrip("0").rstrip(".")
