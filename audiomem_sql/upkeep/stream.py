"""A table as a stream that players of HLS play: FLAC in fragmented MP4, and playlists.

What is streamed is one version, with those before it, in one segment with ``layout=remote``: columns whose
values are short come first, then the blocks of the others in the order of the rows, so that rows can be read
while the rest is on its way. A file that is like that already is cut as it is.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

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
from audiomem_sql.errors import DamagedFileError, OptionError, StorageError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.digests import blake2b
from audiomem_sql.machine.durable import storage_error
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.machine.progress import Progress
from audiomem_sql.storage.segment import Arrival, TableFile, TableOptions, open_table_file
from audiomem_sql.upkeep.backup import write_backup, write_one_segment
from audiomem_sql.upkeep.stream_target import Target, target_at
from audiomem_sql.versions import Snapshot, TableFiles

#: Seconds of a media segment, by default and at most.
SECONDS = 6.0
MOST_SECONDS = 3600.0
_NAME_BYTES = 8
_STEP_BYTES = 4 << 20
_LAYOUT = "remote"


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream that was written.

    playlist: where it is, for players; table: where the playlist is that has the name of the table.
    version, rows: of the table. segments: media segments. seconds: how long it plays. size: bytes of all
    files but the playlists.
    """

    playlist: str
    table: str
    version: int
    rows: int
    segments: int
    seconds: float
    size: int


def write_stream(
    files: TableFiles,
    snapshot: Snapshot,
    where: str | os.PathLike[str],
    options: TableOptions,
    name: str,
    *,
    seconds: float = SECONDS,
    progress: Progress | None = None,
) -> Stream:
    """Write what ``snapshot`` shows, with all versions before it, as a stream to a folder or a store.

    where: a folder that is empty or not there, or a URL below which nothing has the names of a stream. name:
    of the table. seconds: of a media segment, about. After an error there is no stream there.
    """
    if not 0 < seconds <= MOST_SECONDS:
        raise OptionError(f"a media segment has up to {MOST_SECONDS:g} seconds, not {seconds:g}")
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(target_at(where, snapshot.segments[0].path))
        file = stack.enter_context(_one_segment(files, snapshot, options, target, progress))
        return _Writer(file, target, name, seconds, progress).write(snapshot)


@contextlib.contextmanager
def _one_segment(
    files: TableFiles,
    snapshot: Snapshot,
    options: TableOptions,
    target: Target,
    progress: Progress | None,
) -> Iterator[TableFile]:
    """The file that is cut: the table's own, or one that is written for this and then removed."""
    own = snapshot.table_file
    if own is not None and snapshot.version == snapshot.newest and _is_streamable(own, snapshot, options):
        yield own
        return
    with _scratch(target.scratch) as folder:
        copy = os.path.join(folder, "copy.flac")
        remote = replace(options, layout=_LAYOUT)
        if files.is_remote:
            download = os.path.join(folder, "download.flac")
            write_backup(files, snapshot, download, options, progress)
            local = TableFiles.at(download)
            downloaded = local.load(BlockCache(0))
            try:
                write_one_segment(local, downloaded, copy, remote, progress)
            finally:
                downloaded.close()
        else:
            write_one_segment(files, snapshot, copy, remote, progress)
        file = open_table_file(copy, BlockCache(0))
        try:
            yield file
        finally:
            file.close()


@contextlib.contextmanager
def _scratch(where: str | None) -> Iterator[str]:
    """A folder for what is needed meanwhile. StorageError if it cannot be made."""
    try:
        folder = tempfile.TemporaryDirectory(
            dir=where, prefix=".audiomem-stream-", ignore_cleanup_errors=True
        )
    except OSError as error:
        raise storage_error(error, where or tempfile.gettempdir()) from error
    with folder as name:
        yield name


def _is_streamable(file: TableFile, snapshot: Snapshot, options: TableOptions) -> bool:
    """Whether the file of the table is one segment as it is streamed, and nothing else."""
    sound = file.newest.file.sound
    return (
        len(snapshot.segments) == 1
        and snapshot.found_log is None
        and not snapshot.needs_upgrade
        and not file.mixed
        and (file.front is None or not (file.front.is_open or file.front.appending))
        and options.layout == _LAYOUT
        and isinstance(sound, VerbatimPages)
        and sound.starts_the_file
        and file.announced is None
        and sound.offset(file.newest.file.frame_count) == sound.file.size
        and not any(file.newest.file.damage())
    )


class _Writer:
    """Writes a stream of the one segment in ``file``."""

    def __init__(
        self, file: TableFile, target: Target, name: str, seconds: float, progress: Progress | None
    ) -> None:
        self._file = file
        self._segment = file.newest
        self._target = target
        self._name = name
        self._progress = progress
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

    def write(self, snapshot: Snapshot) -> Stream:
        """Write all files, the playlists last."""
        spans = list(self._spans())
        titles = _titles(spans)
        parts = [self._write_metadata()]
        for number, ((first, stop, _), title) in enumerate(zip(spans, titles, strict=True), start=1):
            parts.append(self._write_segment(number, first, stop, title))
        size = sum(part.place + part.length for part in parts)
        bandwidth = max(int((part.place + part.length) * 8 / part.seconds) + 1 for part in parts[1:])
        media = _media_name(self._name)
        self._target.put(CHAPTERS, [chapters(self._chapters(spans, titles)).encode()])
        self._target.put(media, [media_playlist(parts).encode()])
        self._target.put(INDEX, [index_playlist(media, bandwidth).encode()])
        self._target.finish()
        return Stream(
            self._target.address(INDEX),
            self._target.address(media),
            snapshot.version,
            snapshot.rows,
            len(spans),
            self._time(self._frames),
            size,
        )

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

    def _write_metadata(self) -> Part:
        if not self._metadata.startswith(self._file.state.front[: len(self._metadata)]):
            raise StorageError(
                "somebody wrote to the file while it was streamed",
                file=self._file.path,
                remedy="Stream it again.",
            )
        head, place = initialisation(self._profile, self._metadata)
        name = f"{self._prefix}-init.mp4"
        self._target.put(name, [head])
        return Part(name, place, len(head) - place)

    def _write_segment(self, number: int, first: int, stop: int, title: str) -> Part:
        sizes = frame_sizes(self._profile, first, stop - first)
        start = self._sound.offset(first)
        length = int(sizes.sum())
        head = fragment_head(number, first, self._profile, sizes)
        name = f"{self._prefix}-{number:05d}.m4s"

        def content() -> Iterator[bytes]:
            yield head
            for place in range(start, start + length, _STEP_BYTES):
                check_interrupt()
                yield self._source.read_at(place, min(_STEP_BYTES, start + length - place))

        self._target.put(name, content())
        if self._progress is not None:
            self._progress(start + length, self._source.size)
        return Part(name, len(head), length, self._time(stop) - self._time(first), title)


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
