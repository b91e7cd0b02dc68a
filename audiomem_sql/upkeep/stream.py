"""A table as a stream that players of HLS play: FLAC in fragmented MP4, and playlists.

What is streamed is one version, with those before it, in one segment with ``layout=remote``: columns whose
values are short come first, then the blocks of the others in the order of the rows, so that rows can be read
while the rest is on its way. A file that is like that already is cut as it is.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace

from audiomem_sql.audio import INDEX, VerbatimPages
from audiomem_sql.errors import OptionError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.durable import storage_error
from audiomem_sql.machine.progress import Progress
from audiomem_sql.storage.segment import TableFile, TableOptions, open_table_file
from audiomem_sql.upkeep.backup import write_backup, write_one_segment
from audiomem_sql.upkeep.stream_cut import CutFile
from audiomem_sql.upkeep.stream_target import target_at
from audiomem_sql.versions import Snapshot, TableFiles

#: Seconds of a media segment, by default and at most.
SECONDS = 6.0
MOST_SECONDS = 3600.0
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
        file = stack.enter_context(streamable_file(files, snapshot, options, target.scratch, progress))
        cut = CutFile(file, name, seconds)
        cut.check()
        done = 0
        for part in cut.parts:
            target.put(part.name, cut.content(part.name))
            done += part.length
            if progress is not None and part.seconds:
                progress(done, file.newest.file.sound.file.size)
        for playlist, content in cut.playlists.items():
            target.put(playlist, [content])
        target.finish()
        return Stream(
            target.address(INDEX),
            target.address(cut.media),
            snapshot.version,
            snapshot.rows,
            len(cut.parts) - 1,
            cut.seconds,
            sum(part.place + part.length for part in cut.parts),
        )


@contextlib.contextmanager
def streamable_file(
    files: TableFiles,
    snapshot: Snapshot,
    options: TableOptions,
    scratch: str | None = None,
    progress: Progress | None = None,
    *,
    copied: bool = False,
) -> Iterator[TableFile]:
    """The file that is cut: the table's own, or one that is written for this and then removed.

    scratch: the folder for it; None for that of temporary files. copied: never the table's own.
    """
    own = snapshot.table_file
    is_newest = own is not None and snapshot.version == snapshot.newest
    if not copied and own is not None and is_newest and _is_streamable(own, snapshot, options):
        yield own
        return
    with _scratch(scratch) as folder:
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
