"""A commit: rows and deletions become a segment, written beside, fsynced, and renamed into place.

The segment is a delta, unless the table had no rows so far: then it takes the base's place, so that one file
remains. Until :meth:`PendingCommit.accept` the commit can be taken back; the writer's lock must be held until
then.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.batch import Batch
from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import DamagedFileError, LimitError, StorageError
from audiomem_sql.machine.durable import fsync_folder, storage_error
from audiomem_sql.machine.progress import Progress
from audiomem_sql.machine.writer_lock import WriterLock
from audiomem_sql.sound.band_health import unhealthy
from audiomem_sql.storage.log import LogContent, LogWriter
from audiomem_sql.storage.segment import (
    NO_HISTORY,
    Migration,
    SchemaHistory,
    SegmentWriter,
    TableOptions,
    Version,
    check_version_count,
)
from audiomem_sql.versions import Snapshot, TableFiles, known_sources, pack_sources, unpack_sources


@dataclass(frozen=True, slots=True)
class Commit:
    """What is committed: rows, and rowids that are deleted before.

    batches: in ascending rowid order, with an array for every column. inserted: how many rows; None when only
    the batches tell. message: for the list of versions. sources: the packed list of ingested sources. schema:
    the columns from this commit on, which then has no rows; ``change`` says how they changed.
    """

    batches: Iterable[Batch]
    inserted: int | None
    deleted: I64Array = field(default_factory=lambda: np.empty(0, np.int64))
    message: str | None = None
    sources: bytes | None = None
    schema: Schema | None = None
    change: str = ""


@dataclass(slots=True)
class LoggedCommit:
    """A commit that is in the log."""

    version: int
    writer: LogWriter
    before: LogContent | None
    after: LogContent

    def accept(self) -> None:
        """The commit stands."""

    def take_back(self) -> None:
        """Undo the commit."""
        if self.before is not None:
            self.writer.cut(self.before)
        else:
            self.writer.cut(self.after.emptied())


@dataclass(slots=True)
class PendingCommit:
    """A commit that is on the disk under its final name."""

    version: int
    path: str
    previous: str | None = None  # what stood at path before, under a temporary name

    def accept(self) -> None:
        """The commit stands."""
        self.forget_previous()

    def take_back(self) -> None:
        """Undo the commit: no trace of it remains."""
        try:
            if self.previous is not None:
                os.replace(self.previous, self.path)
                self.previous = None
            else:
                os.unlink(self.path)
            fsync_folder(os.path.dirname(self.path))
        except OSError as error:
            raise storage_error(error, self.path) from error

    def keep_previous(self, name: str) -> None:
        """Give what stands at path another name, from which :meth:`take_back` brings it back."""
        os.link(self.path, name)
        self.previous = name

    def forget_previous(self) -> None:
        """Delete what stood at path before."""
        if self.previous is not None:
            with contextlib.suppress(OSError):  # what stays is removed by the next writer's sweep
                os.unlink(self.previous)
            self.previous = None


def now() -> int:
    """The time of a commit: microseconds since 1970, UTC."""
    return time.time_ns() // 1000


def check_version_fits(snapshot: Snapshot) -> None:
    """LimitError if the table keeps as many versions as one segment can hold.

    It counts those of all segments together: a vacuum makes one of them.
    """
    try:
        check_version_count(snapshot.kept)
    except LimitError as error:
        error.at(file=snapshot.segments[0].path)
        raise


def commit_time(snapshot: Snapshot) -> int:
    """The time of the next commit: now, but later than the newest one, whatever the clock does."""
    return max(now(), snapshot.newest_time + 1)


def write_commit(
    files: TableFiles,
    lock: WriterLock,
    snapshot: Snapshot,
    options: TableOptions,
    commit: Commit,
    progress: Progress | None = None,
) -> PendingCommit:
    """Write ``commit`` on top of ``snapshot``, durably.

    ``lock`` must be held, and is on the new base if there is one.

    On any error the files are as they were.
    """
    check_version_fits(snapshot)
    number = snapshot.newest + 1
    replaces_base = len(snapshot.segments) == 1 and not snapshot.segments[0].rows
    path = files.base if replaces_base else _new_delta(files, number)
    writer = SegmentWriter(
        path,
        commit.schema or snapshot.schema,
        options.write_options(unhealthy(snapshot)),
        table_id=snapshot.segments[0].catalog.table_id,
        table_options=options.to_catalog(),
        like=files.base,
    )
    pending = PendingCommit(number, path)
    temporary: str | None = None
    try:
        for batch in commit.batches:
            writer.add(batch.rowids, batch.arrays)
        _finish(writer, snapshot, commit, number, replaces_base=replaces_base, progress=progress)
        temporary = writer.temporary
        if replaces_base:
            lock.follow(temporary)
            pending.keep_previous(temporary + ".old")
        writer.publish()
    except BaseException as error:
        if temporary is not None and not os.path.exists(temporary):  # it has its name, but that may not last
            with contextlib.suppress(StorageError):
                pending.take_back()
        else:
            pending.forget_previous()
        writer.abandon()
        if isinstance(error, OSError):
            raise storage_error(error, path) from error
        raise
    return pending


def _new_delta(files: TableFiles, number: int) -> str:
    """The path of the delta of version ``number``, which must be free; its folder is there."""
    path = files.delta(number)
    files.make_folder()
    if os.path.lexists(path):
        raise DamagedFileError("this version was written already", file=path, remedy="Open the table again.")
    return path


def _finish(
    writer: SegmentWriter,
    snapshot: Snapshot,
    commit: Commit,
    number: int,
    *,
    replaces_base: bool,
    progress: Progress | None,
) -> None:
    """Write the catalog of a commit's segment.

    A base has the catalog entries of the empty one that it replaces, too.
    """
    inserted = writer.rows if commit.inserted is None else commit.inserted
    # the time is taken here: nobody could see the rows before they had come
    version = Version(number, commit_time(snapshot), inserted, len(commit.deleted), commit.message)
    versions = [*snapshot.versions, version] if replaces_base else [version]
    writer.finish(
        versions,
        tombstones=commit.deleted,
        sources=_all_sources(snapshot, commit) if replaces_base else commit.sources,
        tags=snapshot.tags if replaces_base else None,
        history=_history(snapshot, commit, number, versions[0].number),
        progress=progress,
    )


def _history(snapshot: Snapshot, commit: Commit, number: int, first: int) -> SchemaHistory:
    """How the columns change in a segment with the versions from ``first`` to ``number``, the commit's."""
    before = snapshot.history(first) if first < number else NO_HISTORY
    if commit.schema is None:
        return before
    count = len(snapshot.migrations)
    schemas = before.schemas or ((first, snapshot.schema),) if first < number else ()
    return SchemaHistory(
        (*schemas, (number, commit.schema)) if schemas else (),
        (*before.migrations, Migration(count + 1, number, commit.change)),
        max(snapshot.next_column, *(column_id + 1 for column_id in commit.schema.ids)),
    )


def _all_sources(snapshot: Snapshot, commit: Commit) -> bytes | None:
    """The sources of a base that takes the place of an empty one: what is known, and those of the commit."""
    if commit.sources is None and snapshot.segments[0].catalog.sources is None:
        return None
    sources = known_sources(snapshot.segments)
    return pack_sources(sources | (unpack_sources(commit.sources) if commit.sources else {}))
