"""The FLAC file in a stream: stretches of the files that a playlist names, as one place of bytes."""

from __future__ import annotations

import os
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Hashable, Iterator, Sequence
from contextlib import closing
from itertools import accumulate

from audiomem_sql.audio import MOST_PLAYLIST_BYTES, Part, parsed_playlist
from audiomem_sql.bytes import ByteSource, open_source
from audiomem_sql.errors import DamagedFileError, NotAudioMemoryError, StorageError
from audiomem_sql.machine.digests import blake2b
from audiomem_sql.machine.urls import is_url, shown, without_query
from audiomem_sql.remote.file import RemoteFile

#: Files of a stream that are open at the same time.
_MOST_OPEN = 32


class StreamedFile(ByteSource):
    """The FLAC file that the playlist at ``where``, a path or a URL, leads to.

    partial: files may be missing at the end, because they have not arrived yet; ``size`` ends with the last
    one that is there. Otherwise reading one that is missing is a StorageError. ``identity``: the playlist,
    and how many files are there. Raises as ``open_source`` and ``RemoteFile`` do, and what
    ``audio/mp4/playlist.py:parsed_playlist`` does.
    """

    def __init__(self, where: str, *, partial: bool = False) -> None:
        self.name = shown(where) if is_url(where) else where
        self._where = where
        self._partial = partial
        text, self._media, parts = _playlist(where)
        self._begin(text, parts, _arrived(self._media, parts) if partial else len(parts))

    def _begin(self, text: bytes, parts: Sequence[Part], arrived: int) -> None:
        self.prefers_short_reads = is_url(self._where)
        self._text = text
        self._parts = parts
        self._arrived = arrived
        ends = list(accumulate(part.length for part in parts))
        self._starts = [0, *ends]
        self.size = self._starts[arrived]
        #: Bytes when all of it has arrived.
        self.size_in_all = ends[-1]
        #: By number; those that were used last are at the end.
        self._open: OrderedDict[int, ByteSource] = OrderedDict()
        self._lock = threading.Lock()
        self._closed = False
        digest = blake2b(text, digest_size=16).hexdigest()
        self.identity: Hashable = ("stream", self.name, digest, arrived)

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Ranges of one file of the stream are asked for together."""
        if self._closed:
            raise StorageError("the file is closed", file=self.name, remedy="Open the table again.")
        pieces = [list(self._pieces(*each)) for each in ranges]
        by_part: dict[int, list[tuple[int, int]]] = {}
        for number, place, length in (piece for own in pieces for piece in own):
            by_part.setdefault(number, []).append((place, length))
        answers = {number: iter(self._read(number, wanted)) for number, wanted in by_part.items()}
        return [b"".join(next(answers[number]) for number, _, _ in own) for own in pieces]

    def prefetch(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Each file of the stream is told its ranges."""
        if not self.prefers_short_reads:
            return
        by_part: dict[int, list[tuple[int, int]]] = {}
        for number, place, length in (piece for each in ranges for piece in self._pieces(*each)):
            by_part.setdefault(number, []).append((place, length))
        for number, wanted in by_part.items():
            self._file(number).prefetch(wanted)

    def is_current(self) -> bool:
        """Whether the playlist is the same, and no more files are there."""
        text, media, parts = _playlist(self._where)
        return text == self._text and (not self._partial or _arrived(media, parts) == self._arrived)

    def _pieces(self, offset: int, length: int) -> Iterator[tuple[int, int, int]]:
        """The parts of a range: number of the file, place in it, bytes."""
        stop = min(offset + length, self.size)
        number = bisect_right(self._starts, offset) - 1
        while offset < stop:
            end = min(stop, self._starts[number + 1])
            yield number, self._parts[number].place + offset - self._starts[number], end - offset
            offset, number = end, number + 1

    def _read(self, number: int, wanted: Sequence[tuple[int, int]]) -> list[bytes]:
        answers = self._file(number).read(wanted)
        if any(len(answer) != length for answer, (_, length) in zip(answers, wanted, strict=True)):
            raise self._not_there(number)
        return answers

    def _file(self, number: int) -> ByteSource:
        """File ``number`` of the stream, opened."""
        with self._lock:
            source = self._open.pop(number, None)
            if source is None:
                source = self._opened(number)
                while len(self._open) >= _MOST_OPEN:
                    # whoever reads it in another thread has it still: it is closed with its last user
                    self._open.popitem(last=False)
            self._open[number] = source
            return source

    def _opened(self, number: int) -> ByteSource:
        where = _beside(self._media, self._parts[number].name)
        try:
            source = _source(where)
        except (StorageError, NotAudioMemoryError) as error:
            if _is_there(where):
                raise
            raise self._not_there(number) from error
        if source.size < self._parts[number].place + self._parts[number].length:
            source.close()
            raise self._not_there(number)
        return source

    def _not_there(self, number: int) -> StorageError:
        return StorageError(
            f"{self._parts[number].name}, file {number + 1} of the {len(self._parts)} of the stream, "
            "has not arrived",
            file=self.name,
            remedy="Wait for it, or open what is there with partial=True (in SQL partial=on).",
        )

    def reopen(self) -> StreamedFile:
        """The same state of the stream; the playlist is not read again."""
        other = StreamedFile.__new__(StreamedFile)
        other.name, other._where, other._partial = self.name, self._where, self._partial
        other._media = self._media
        other._begin(self._text, self._parts, self._arrived)
        return other

    def close(self) -> None:
        """Let go of all files; twice is harmless."""
        with self._lock:
            self._closed = True
            while self._open:
                self._open.popitem()[1].close()


def _source(where: str) -> ByteSource:
    return RemoteFile(where) if is_url(where) else open_source(where)


def _beside(playlist: str, name: str) -> str:
    """The file ``name`` beside a playlist. Of a URL the query is left out, as players do (RFC 3986)."""
    if is_url(playlist):
        from urllib.parse import quote

        return f"{without_query(playlist).rpartition('/')[0]}/{quote(name)}"
    return os.path.join(os.path.dirname(playlist), name)


def _playlist(where: str) -> tuple[bytes, str, list[Part]]:
    """The text of the playlist at ``where`` and of the one that it leads to, where that is, and its parts."""
    name = shown(where) if is_url(where) else where
    text = _text(where)
    found = parsed_playlist(text, name)
    if isinstance(found, list):
        return text, where, found
    media = _beside(where, found)
    more = _text(media)
    parts = parsed_playlist(more, shown(media) if is_url(media) else media)
    if isinstance(parts, str):
        raise DamagedFileError("the playlist leads to another one that does", file=name)
    return text + more, media, parts


def _text(where: str) -> bytes:
    with closing(_source(where)) as source:
        if source.size > MOST_PLAYLIST_BYTES:
            raise NotAudioMemoryError("is too large for a playlist", file=source.name)
        return source.read_at(0, source.size)


def _arrived(media: str, parts: Sequence[Part]) -> int:
    """How many files of a stream are there, from the first one on; in a store it is searched by halves."""
    low, high = 0, len(parts)
    if is_url(media):
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if _is_whole(media, parts[middle]) else (low, middle)
        return low
    while low < high and _is_whole(media, parts[low]):
        low += 1
    return low


def _is_whole(media: str, part: Part) -> bool:
    where = _beside(media, part.name)
    if not is_url(where):
        try:
            return os.path.getsize(where) >= part.place + part.length
        except OSError:
            return False
    try:
        with closing(_source(where)) as source:
            return source.size >= part.place + part.length
    except (StorageError, NotAudioMemoryError):
        return False


def _is_there(where: str) -> bool:
    """Whether a local file is there; of a store its error says what is wrong, unless it says just that."""
    return not is_url(where) and os.path.lexists(where)
