"""A file of one segment, cut into the files of a stream: their names, and what each of them has.

Nothing is written, and a media segment is read only when its content is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from audiomem_sql.audio import (
    CHAPTERS,
    INDEX,
    Chapter,
    Part,
    VerbatimPages,
    chapters,
    fragment_head,
    frame_sizes,
    index_playlist,
    initialisation,
    media_playlist,
)
from audiomem_sql.errors import DamagedFileError, StorageError
from audiomem_sql.machine.digests import blake2b
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.storage.segment import Arrival, TableFile

_NAME_BYTES = 8
_STEP_BYTES = 4 << 20


class CutFile:
    """The one segment in ``file`` as a stream of the table ``name``. seconds: of a media segment, about.

    parts: the initialisation section and the media segments, in order. media: the name of their playlist.
    playlists: the small files, by name, in the order in which they are written. DamagedFileError for a file
    whose frames are not as they were written.
    """

    def __init__(self, file: TableFile, name: str, seconds: float) -> None:
        self._file = file
        self._segment = file.newest
        sound = self._segment.file.sound
        if not isinstance(sound, VerbatimPages):
            raise DamagedFileError("its frames are not as they were written", file=file.path)
        self._sound = sound
        self._profile = sound.profile
        self._source = sound.file
        self._frames = self._segment.file.frame_count
        each = max(1, round(seconds * self._profile.sample_rate / self._profile.block_size))
        self._cuts = [*range(0, self._frames, each), self._frames]
        # Files of another state, or cut elsewhere, never have the same name: caches may keep them for ever.
        self._metadata = self._source.read_at(0, sound.offset(0))
        state = b"%s %d %s" % (file.newest.digest, each, self._metadata)
        self._prefix = blake2b(state, digest_size=_NAME_BYTES).hexdigest()
        self.media = _media_name(name)
        self.seconds = self._time(self._frames)
        spans = list(self._spans())
        titles = _titles(spans)
        self._initialisation, place = initialisation(self._profile, self._metadata)
        self.parts = [Part(f"{self._prefix}-init.mp4", place, len(self._initialisation) - place)]
        for number, ((first, stop, _), title) in enumerate(zip(spans, titles, strict=True), start=1):
            head, length = self._head(number, first, stop)
            duration = self._time(stop) - self._time(first)
            self.parts.append(Part(f"{self._prefix}-{number:05d}.m4s", len(head), length, duration, title))
        self._numbers = {part.name: number for number, part in enumerate(self.parts)}
        bandwidth = max(int((part.place + part.length) * 8 / part.seconds) + 1 for part in self.parts[1:])
        self.playlists = {
            CHAPTERS: chapters(self._chapters(spans, titles)).encode(),
            self.media: media_playlist(self.parts).encode(),
            INDEX: index_playlist(self.media, bandwidth).encode(),
        }

    def check(self) -> None:
        """StorageError if somebody wrote to the file meanwhile."""
        if not self._metadata.startswith(self._file.state.front[: len(self._metadata)]):
            raise StorageError(
                "somebody wrote to the file while it was streamed",
                file=self._file.path,
                remedy="Stream it again.",
            )

    def size(self, name: str) -> int | None:
        """Bytes of a part; None if there is none of this name."""
        number = self._numbers.get(name)
        return None if number is None else self.parts[number].place + self.parts[number].length

    def content(self, name: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes of a part, or those from ``start`` to ``stop``, read as they are asked for."""
        number = self._numbers[name]
        part = self.parts[number]
        if number:
            head, _ = self._head(number, self._cuts[number - 1], self._cuts[number])
            behind = self._sound.offset(self._cuts[number - 1]) - len(head)
        else:
            head, behind = self._initialisation, 0
        end = part.place + part.length if stop is None else stop
        if start < len(head):
            yield head[start:end]
            start = len(head)
        while start < end:
            check_interrupt()
            size = min(_STEP_BYTES, end - start)
            yield self._source.read_at(behind + start, size)
            start += size

    def _head(self, number: int, first: int, stop: int) -> tuple[bytes, int]:
        """(what stands in front of the frames of a media segment, bytes of these)."""
        sizes = frame_sizes(self._profile, first, stop - first)
        return fragment_head(number, first, self._profile, sizes), int(sizes.sum())

    def _chapters(
        self, spans: Sequence[tuple[int, int, tuple[int, int] | None]], titles: Sequence[str]
    ) -> list[Chapter]:
        """A chapter for each media segment that brings rows, and for those in a row that bring none."""
        listed: list[Chapter] = []
        for (first, stop, rowids), title in zip(spans, titles, strict=True):
            start, end = self._time(first), self._time(stop)
            if listed and listed[-1].title == title and rowids is None:
                listed[-1] = replace(listed[-1], seconds=end - listed[-1].start)
            else:
                listed.append(Chapter(start, end - start, title, rowids))
        return listed

    def _spans(self) -> Iterator[tuple[int, int, tuple[int, int] | None]]:
        """Of each media segment: its frames, from one to behind another, and the rowids that come with it."""
        segment = self._segment
        arrival = Arrival(segment.file, segment.catalog, segment.data_cell)
        before = 0
        for first, stop in zip(self._cuts[:-1], self._cuts[1:], strict=True):
            rows = segment.rows if stop == self._frames else arrival.rows(self._pages(stop))
            rowids = None if rows == before else (segment.rowid(before), segment.rowid(rows - 1))
            yield first, stop, rowids
            before = rows

    def _pages(self, frames: int) -> int:
        """Whole pages in the first ``frames`` frames."""
        return self._segment.file.source.pages_in(frames)

    def _time(self, frame: int) -> float:
        return frame * self._profile.block_size / self._profile.sample_rate


def _titles(spans: Sequence[tuple[int, int, tuple[int, int] | None]]) -> list[str]:
    """What each media segment has of the table."""
    with_rows = [number for number, (_, _, rowids) in enumerate(spans) if rowids is not None]
    titles = []
    for number, (_, _, rowids) in enumerate(spans):
        if rowids is not None:
            low, high = rowids
            titles.append(f"row {low:,}" if low == high else f"rows {low:,} to {high:,}")
        elif with_rows and with_rows[0] < number < with_rows[-1]:
            titles.append("rows on their way")
        else:
            titles.append("indexes" if with_rows and number > with_rows[-1] else "catalog and short columns")
    return titles


def _media_name(name: str) -> str:
    """The playlist that is called like the table, if a file of every system can be."""
    plain = name.isascii() and name.replace("-", "").replace("_", "").replace(" ", "").isalnum()
    stem = name if plain and name.lower() != "index" else "table"
    return f"{stem}.m3u8"
