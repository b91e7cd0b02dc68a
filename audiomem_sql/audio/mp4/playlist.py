"""The playlists of a stream (RFC 8216): which files it has, and where the bytes of the FLAC file are in them.

Two are written. ``index.m3u8`` names the codec, and the chapters; it leads to the other one, which is called
like the table and names the files. Lines of ours begin with ``#AUDIOMEM``, which players pass over:

    #AUDIOMEM-STREAM:1               in both: the version of this description
    #AUDIOMEM-BYTES:<place>,<bytes>  what the file that is named next has of the FLAC file, and from where on

The stretches, one behind the other, are the FLAC file, byte for byte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import NoReturn
from urllib.parse import quote, unquote

from audiomem_sql.errors import DamagedFileError, FormatVersionError, NotAudioMemoryError

INDEX = "index.m3u8"
CHAPTERS = "chapters.json"
_VERSION = 1
#: Most bytes of a playlist, and most files that it names.
MOST_PLAYLIST_BYTES = 64 << 20
_STREAM = re.compile(r"#AUDIOMEM-STREAM:(\d{1,9})")
_BYTES = re.compile(r"#AUDIOMEM-BYTES:(\d{1,18}),(\d{1,18})")
_MAP = re.compile(r'#EXT-X-MAP:URI="([^"]+)"')


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of the FLAC file: the file that has it, from which byte on, and how many bytes.

    seconds: how long it plays; 0 for metadata. title: what it has of the table.
    """

    name: str
    place: int
    length: int
    seconds: float = 0.0
    title: str = ""


@dataclass(frozen=True, slots=True)
class Chapter:
    """A stretch of the sound, in seconds, and the first and last rowid that can be read from its end on."""

    start: float
    seconds: float
    title: str
    rowids: tuple[int, int] | None


def media_playlist(parts: Sequence[Part]) -> str:
    """The playlist of all parts; the first has the metadata blocks, and is the initialisation section."""
    longest = max((part.seconds for part in parts), default=0.0)
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        f"#AUDIOMEM-STREAM:{_VERSION}",
        f"#EXT-X-TARGETDURATION:{max(1, ceil(longest))}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        "#EXT-X-INDEPENDENT-SEGMENTS",
    ]
    for number, part in enumerate(parts):
        lines.append(f"#AUDIOMEM-BYTES:{part.place},{part.length}")
        if number == 0:
            lines.append(f'#EXT-X-MAP:URI="{quote(part.name)}"')
        else:
            lines += [f"#EXTINF:{part.seconds:.6f},{part.title}", quote(part.name)]
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""])


def index_playlist(media: str, bandwidth: int) -> str:
    """The playlist that names the codec and the chapters. media: the other one. bandwidth: bits a second."""
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        f"#AUDIOMEM-STREAM:{_VERSION}",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        f'#EXT-X-SESSION-DATA:DATA-ID="com.apple.hls.chapters",URI="{CHAPTERS}"',
        f'#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},CODECS="fLaC"',
        quote(media),
    ]
    return "\n".join([*lines, ""])


def chapters(listed: Sequence[Chapter]) -> str:
    """Chapters as Apple's players read them."""
    entries = []
    for number, chapter in enumerate(listed, start=1):
        entry: dict[str, object] = {
            "chapter": number,
            "start-time": round(chapter.start, 6),
            "duration": round(chapter.seconds, 6),
            "titles": [{"language": "en", "title": chapter.title}],
        }
        if chapter.rowids is not None:
            keys = ("first-rowid", "last-rowid")
            entry["metadata"] = [
                {"key": key, "value": rowid} for key, rowid in zip(keys, chapter.rowids, strict=True)
            ]
        entries.append(entry)
    return json.dumps(entries, indent=1) + "\n"


def parsed_playlist(text: bytes, name: str) -> str | list[Part]:
    """The parts that a playlist names, or the name of the other playlist that it leads to.

    name: for messages. NotAudioMemoryError for a playlist of something else, FormatVersionError for one that
    a later version wrote, DamagedFileError for one that contradicts itself.
    """
    lines = text.decode(errors="replace").splitlines()
    marks = [match for match in map(_STREAM.fullmatch, lines) if match]
    if lines[:1] != ["#EXTM3U"] or not marks:
        raise NotAudioMemoryError(
            "is no playlist of a table",
            file=name,
            remedy="Tables are streamed with `audiomem stream`; of another stream make one FLAC file first.",
        )
    if any(int(mark[1]) != _VERSION for mark in marks):
        raise FormatVersionError(
            f"needs version {marks[0][1]} of playlists",
            file=name,
            remedy="Open it with a newer audiomem-sql.",
        )
    if any(line.startswith("#EXT-X-STREAM-INF") for line in lines):
        for line in lines:
            if line and line[0] != "#":
                return _plain(line, name)
        _refuse(name, "it leads to no other one")
    if "#EXT-X-ENDLIST" not in lines:
        _refuse(name, "it ends in the middle")
    return _parts(lines, name)


def _parts(lines: Sequence[str], name: str) -> list[Part]:
    parts: list[Part] = []
    stretch: tuple[int, int] | None = None
    for line in lines:
        if match := _BYTES.fullmatch(line):
            stretch = int(match[1]), int(match[2])
            continue
        match = _MAP.fullmatch(line)
        if match is None and (not line or line.startswith("#")):
            continue
        if stretch is None or (match is None) != bool(parts):
            _refuse(name, f"{line:.60} is out of place")
        parts.append(Part(_plain(line if match is None else match[1], name), *stretch))
        stretch = None
    if len(parts) < 2:
        _refuse(name, "it names no sound")
    return parts


def _plain(uri: str, name: str) -> str:
    """The name of a file beside the playlist; nothing that leads elsewhere is followed."""
    plain = unquote(uri)
    if plain in ("", ".", "..") or "/" in plain or "\\" in plain or "\0" in plain or "?" in uri:
        _refuse(name, f"{uri:.60} is no file beside it")
    return plain


def _refuse(name: str, what: str) -> NoReturn:
    raise DamagedFileError(
        f"the playlist is damaged: {what}", file=name, remedy="Stream the table again with `audiomem stream`."
    )
