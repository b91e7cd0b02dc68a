"""Tags of audio files to documents, through mutagen: what a piece is, its lyrics and its chapters."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from typing import IO, Any

from audiomem_sql.errors import DataTypeError, MissingExtraError, UnsupportedError
from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.document import Document, Section, place_of
from audiomem_sql.ingest.documents.subtitles import parse_lyrics, verses
from audiomem_sql.ingest.formats import is_table

_HEAD = 1 << 16
#: What is shown of a piece, and what tags of ID3, MP4, Vorbis, APE and ASF call it.
FIELDS = {
    "Title": ("TIT2", "\xa9nam", "title"),
    "Artist": ("TPE1", "\xa9ART", "artist", "author"),
    "Album": ("TALB", "\xa9alb", "album", "wm/albumtitle"),
    "Composer": ("TCOM", "\xa9wrt", "composer", "wm/composer"),
    "Date": ("TDRC", "\xa9day", "date", "year", "wm/year"),
    "Genre": ("TCON", "\xa9gen", "genre", "wm/genre"),
    "Description": ("TDES", "desc", "ldes", "description"),
    "Comment": ("COMM", "\xa9cmt", "comment"),
}
_LYRICS = ("USLT", "\xa9lyr", "lyrics", "unsyncedlyrics", "wm/lyrics")
#: Names of texts in RIFF files, and what Vorbis comments call the same.
_RIFF = {
    b"INAM": "title",
    b"IART": "artist",
    b"IPRD": "album",
    b"ICRD": "date",
    b"IGNR": "genre",
    b"ICMT": "comment",
}
_CHAPTER = re.compile(r"chapter(\d{1,4})")
_CLOCK = re.compile(r"(\d{1,3}):(\d{1,2}):(\d{1,2}(?:\.\d+)?)")
_LRC = re.compile(r"^\[\d{1,3}:\d{1,2}", re.MULTILINE)


def read(content: Content) -> Iterator[Document]:
    """The document that the tags of an audio file make; none if it has no tags.

    UnsupportedError for a FLAC file that is a table of this package.
    """
    with content.open() as stream:
        if is_table(stream.read(_HEAD)):
            raise UnsupportedError(
                "this is a table in a FLAC file, not music",
                file=content.name,
                remedy="Its rows are moved by SQL: INSERT INTO … SELECT.",
            )
        try:
            import mutagen
        except ImportError:
            raise MissingExtraError(
                "tags of audio files are read by mutagen, which is not installed",
                file=content.name,
                remedy="Run: pip install 'audiomem-sql[media]'",
            ) from None
        stream.seek(0)
        file = mutagen.File(stream)
        stream.seek(0)
        info = _riff_info(stream)
    if file is None:
        raise DataTypeError("this is no audio of a kind that is known", file=content.name)
    tags = {**info, **_texts(file.tags)}
    fields = {shown: _first(tags, names) for shown, names in FIELDS.items()}
    lines = [f"{shown}: {value}" for shown, value in fields.items() if value]
    title = " – ".join(value for value in (fields["Artist"], fields["Title"]) if value) or None
    sections = [Section(None, "\n".join(lines))] if lines else []
    sections += _lyrics(_first(tags, _LYRICS), file.tags)
    sections += [Section(name, name, place=place_of(t=_shown(at))) for at, name in _chapters(file, tags)]
    if sections:
        yield Document(title, sections)


def _texts(tags: Any) -> dict[str, list[str]]:
    """The tags that are texts, by their names: of ID3 and MP4 as they are, others in lower case."""
    known: dict[str, list[str]] = {}
    for key, value in _items(tags):
        frame, _, described = key.partition(":")
        name = described if frame == "TXXX" else frame if frame in _EXACT else key
        name = name if name in _EXACT else name.lower()
        known.setdefault(name, []).extend(text for each in _values(value) if (text := _text(each)))
    return known


_EXACT = frozenset(name for names in (*FIELDS.values(), _LYRICS) for name in names)


def _riff_info(stream: IO[bytes]) -> dict[str, list[str]]:
    """The texts that a WAV file has in its chunk ``LIST INFO``, under the names of Vorbis comments."""
    tags: dict[str, list[str]] = {}
    head = stream.read(12)
    while head[:4] == b"RIFF" and len(chunk := stream.read(8)) == 8:
        name, size = struct.unpack("<4sI", chunk)
        if name != b"LIST" or size > _HEAD or (data := stream.read(size))[:4] != b"INFO":
            behind = size + size % 2 - (size if name == b"LIST" and size <= _HEAD else 0)
            stream.seek(behind, io.SEEK_CUR)
            continue
        at = 4
        while at + 8 <= len(data):
            key, length = struct.unpack_from("<4sI", data, at)
            text = data[at + 8 : at + 8 + length].split(b"\0")[0]
            at += 8 + length + length % 2
            if key in _RIFF and text.strip():
                tags[_RIFF[key]] = [_decoded(text).strip()]
    return tags


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _items(tags: Any) -> list[tuple[str, Any]]:
    if tags is None:
        return []
    return [(str(item[0]), item[1]) for item in tags.items()] if hasattr(tags, "items") else list(tags)


def _values(value: Any) -> list[Any]:
    texts = getattr(value, "text", value)
    return texts if isinstance(texts, list) else [texts]


def _text(value: Any) -> str:
    if isinstance(value, bytes | bytearray):
        return ""
    return str(value).replace("\r\n", "\n").replace("\r", "\n").strip()


def _first(tags: dict[str, list[str]], names: tuple[str, ...]) -> str:
    """All values of the first of the names that has some, once each."""
    for name in names:
        if tags.get(name):
            return ", ".join(dict.fromkeys(tags[name]))
    return ""


def _lyrics(text: str, tags: Any) -> list[Section]:
    """Lyrics with their times, where they have some, or as one section."""
    for key, frame in _items(tags):
        if key.startswith("SYLT") and getattr(frame, "format", 0) == 2:
            lines = [f"[{int(at) // 60000}:{int(at) % 60000 / 1000:.2f}]{line}" for line, at in frame.text]
            text = "\n".join(lines) or text
    if _LRC.search(text):
        return [Section("Lyrics", s.text, place=s.place) for s in verses(parse_lyrics(text)[0])]
    return [Section("Lyrics", text)] if text else []


def _chapters(file: Any, tags: dict[str, list[str]]) -> list[tuple[float, str]]:
    """The chapters with a name, and the second at which each begins."""
    found: list[tuple[float, str]] = [
        (float(chapter.start), str(chapter.title).strip())
        for chapter in getattr(file, "chapters", None) or ()
    ]
    for key, frame in _items(file.tags):
        if key.startswith("CHAP:"):
            name = next((_text(sub.text[0]) for sub in frame.sub_frames.getall("TIT2") if sub.text), "")
            found.append((int(frame.start_time) / 1000, name))
    for key, values in tags.items():
        clock = _CLOCK.fullmatch(values[0]) if values and _CHAPTER.fullmatch(key) else None
        if clock is not None:
            at = int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3])
            found.append((at, "".join(tags.get(f"{key}name", [])[:1])))
    return sorted((at, name) for at, name in found if name)


def _shown(seconds: float) -> str:
    return f"{seconds:.3f}".rstrip("0").rstrip(".")
