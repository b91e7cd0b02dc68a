"""A commit: rows and deletions become a segment, written beside, fsynced, and renamed into place.

The segment is a delta, unless the table had no rows so far: then it takes the base's place, so that one file remains.
Until :meth:`PendingCommit.accept` the commit can be taken back; the writer's lock must be held until then.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from audiomem_sql.batch import Batch
from audiomem_sql.catalog import Version
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.files import fsync_folder, storage_error
from audiomem_sql.log import LogContent, LogWriter
from audiomem_sql.segment_writer import SegmentWriter
from audiomem_sql.snapshot import Snapshot
from audiomem_sql.table_files import TableFiles
from audiomem_sql.table_options import TableOptions
from audiomem_sql.types import I64Array

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Commit:
    """What is committed: batches in ascending rowid order with an array for every column, and rowids deleted before.

    message: for the list of versions. sources: the packed list of ingested sources.
    """

    batches: Iterable[Batch]
    inserted: int
    deleted: I64Array = field(default_factory=lambda: np.empty(0, np.int64))
    message: str | None = None
    sources: bytes | None = None


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
    previous: str | None  # what stood at path before, under a temporary name
    lock: int | None  # held on the file that is at path now

    def accept(self) -> None:
        """The commit stands."""
        self._let_go(remove=True)

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
        finally:
            self._let_go(remove=False)

    def _let_go(self, *, remove: bool) -> None:
        if remove and self.previous is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.previous)
            self.previous = None
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None


def write_commit(
    files: TableFiles,
    snapshot: Snapshot,
    options: TableOptions,
    commit: Commit,
    progress: Progress | None = None,
) -> PendingCommit:
    """Write ``commit`` on top of ``snapshot``, durably. The writer's lock must be held.

    On any error the files are as they were.
    """
    number = snapshot.newest + 1
    version = Version(number, time.time_ns() // 1000, commit.inserted, len(commit.deleted), commit.message)
    replaces_base = len(snapshot.segments) == 1 and not snapshot.segments[0].rows
    if replaces_base:
        path, versions = files.base, [*snapshot.versions, version]
    else:
        path, versions = files.delta(number), [version]
        files.make_folder()
        if os.path.exists(path):
            raise DamagedFileError(
                "this version was written already", file=path, remedy="Open the table again."
            )
    catalog = snapshot.segments[0].catalog
    writer = SegmentWriter(path, snapshot.schema, options.write_options(), table_id=catalog.table_id)
    previous: str | None = None
    lock: int | None = None
    try:
        for batch in commit.batches:
            writer.add(batch.rowids, batch.arrays)
        writer.finish(
            versions,
            tombstones=commit.deleted,
            sources=commit.sources,
            options=options.to_catalog(),
            progress=progress,
        )
        if replaces_base:
            lock = files.lock_file(writer.temporary)
            previous = writer.temporary + ".old"
            os.link(path, previous)
        writer.publish()
    except BaseException as error:
        writer.abandon()
        if lock is not None:
            os.close(lock)
        if previous is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(previous)
        if isinstance(error, OSError):
            raise storage_error(error, path) from error
        raise
    return PendingCommit(number, path, previous, lock)
