"""A commit: rows and deletions become a segment behind those of the file, or the first one with rows.

It is written durably where nobody takes it for part of the table, then made part of it. Until
:meth:`PendingCommit.accept` the commit can be taken back; the writer's lock must be held until then.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.batch import Batch
from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import StorageError
from audiomem_sql.machine.durable import fsync_folder, storage_error
from audiomem_sql.machine.progress import Progress
from audiomem_sql.machine.writer_lock import WriterLock
from audiomem_sql.protection.levels import level_named
from audiomem_sql.sound.band_health import unhealthy
from audiomem_sql.storage import segment as storing
from audiomem_sql.storage.log import LogContent, LogRecord
from audiomem_sql.versions import (
    HeadRecord,
    Snapshot,
    TableFiles,
    decided_tokenizers,
    head_of,
    known_sources,
    pack_sources,
    unpack_sources,
)
from audiomem_sql.writing.commit_limits import check_history, check_ids
from audiomem_sql.writing.placement import Place, is_empty, place_beside, place_for

if TYPE_CHECKING:
    from audiomem_sql.indexes.vectors import VectorCodec
    from audiomem_sql.storage.segment import EncodedSegment, TableFile, TableOptions


@dataclass(frozen=True, slots=True)
class Commit:
    """What is committed: rows, and rowids that are deleted before.

    batches: in ascending rowid order, with an array for every column. inserted: how many rows; None when only
    the batches tell. message: for the list of versions. sources: the packed list of ingested sources. schema:
    the columns from this commit on, and of its rows; ``change`` says how they changed, and is empty if they
    are the same, and only say something else of what they were made of. codecs: what
    vectors are stored with, by the number of their column, in the place of codecs of their own. encoded: the
    rows, if they are a segment already; there are no batches then.
    """

    batches: Iterable[Batch]
    inserted: int | None
    deleted: I64Array = field(default_factory=lambda: np.empty(0, np.int64))
    message: str | None = None
    sources: bytes | None = None
    schema: Schema | None = None
    change: str = ""
    codecs: Mapping[int, VectorCodec] | None = None
    encoded: EncodedRows | None = None


@dataclass(frozen=True, slots=True)
class EncodedRows:
    """Rows that were encoded elsewhere.

    first_rowid: where their run of rowids begins; None for rowids that they brought. further: another
    segment of the same commit of several files was written before: it is appended, whatever the size.
    """

    segment: EncodedSegment
    first_rowid: int | None = None
    further: bool = False


class PreparedCommit(Protocol):
    """A commit that is durable, and can still be taken back."""

    @property
    def version(self) -> int:
        """The version that it makes."""

    def accept(self) -> None:
        """The commit stands."""

    def take_back(self) -> None:
        """Undo the commit."""


class LogAppender(Protocol):
    """What commits need of whoever writes the log."""

    def append_group(self, content: LogContent, commits: Sequence[LogRecord]) -> LogContent:
        """Add commits behind ``content``, durably, all or none; the content that the log has now."""

    def mark(self, content: LogContent) -> None:
        """Say that the commits up to ``content`` stand."""

    def cut(self, content: LogContent) -> None:
        """Take back everything behind ``content``, durably."""


@dataclass(slots=True)
class LoggedCommit:
    """A commit that is in the log."""

    version: int
    writer: LogAppender
    before: LogContent
    after: LogContent

    def accept(self) -> None:
        """The commit stands."""
        self.writer.mark(self.after)

    def take_back(self) -> None:
        """Undo the commit."""
        self.writer.cut(self.before)


@dataclass(slots=True)
class PendingCommit:
    """A commit that is on the disk as a part of the table's file.

    previous: what stood at path before, under a temporary name. appended: where it was appended to the file.
    beside: it is a file of its own, a delta of these; newest: what their head file said before, copies: how
    often.
    """

    version: int
    path: str
    previous: str | None = None
    appended: storing.AppendedPages | None = None
    beside: TableFiles | None = None
    newest: HeadRecord | None = None
    copies: int = 1

    def accept(self) -> None:
        """The commit stands."""
        self.forget_previous()
        if self.appended is not None:
            self.appended.close()

    def take_back(self) -> None:
        """Undo the commit: no trace of it remains."""
        if self.appended is not None:
            self.appended.take_back()
            return
        if self.beside is not None:
            assert self.newest is not None
            self.beside.write_head(self.newest, self.copies)
        try:
            if self.beside is not None:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self.path)
                fsync_folder(self.beside.folder)
                self.beside.remove_folder()
                return
            if self.previous is not None:
                os.replace(self.previous, self.path)
                self.previous = None
            fsync_folder(os.path.dirname(self.path))
        except OSError as error:
            raise storage_error(error, self.path) from error

    def fail(self, *, named: bool) -> None:
        """Undo what was done so far; named: the segment has its name, which may not last."""
        if not named:
            self.forget_previous()
            return
        with contextlib.suppress(StorageError):
            self.take_back()

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


@dataclass(slots=True)
class StoredCommit:
    """A commit that is in the manifest of a table in a store. undo: makes a commit that takes it back."""

    version: int
    undo: Callable[[int], object]

    def accept(self) -> None:
        """The commit stands, as it did since it was made."""

    def take_back(self) -> None:
        """Undo the commit by another one: others may have seen it."""
        self.undo(self.version)


#: A commit that is durable, and can still be taken back.


def now() -> int:
    """The time of a commit: microseconds since 1970, UTC."""
    return time.time_ns() // 1000


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
    check_history(snapshot, commit.message, change=commit.change)
    check_ids(commit.schema or snapshot.schema, files.base)
    file = snapshot.table_file
    assert file is not None
    number = snapshot.newest + 1
    is_first = is_empty(snapshot)
    beside = options.deltas != storing.DELTAS[0] and not is_first
    further = commit.encoded is not None and commit.encoded.further
    place = place_of(files, snapshot, file, options, beside=beside, append=further)
    writer = segment_writer(files, place, snapshot, options, commit)
    pending = PendingCommit(number, place.path, beside=files if beside else None)
    pending.newest = head_of(snapshot.segments[-1])
    pending.copies = level_named(options.protection).log_copies
    temporary: str | None = None
    try:
        give_rows(writer, snapshot, commit)
        _finish(writer, snapshot, commit, number, is_first=is_first, progress=progress)
        if isinstance(writer.placement, storing.AppendedPages):
            pending.appended = writer.placement
        elif place.replaces:
            temporary = writer.temporary
            lock.follow(temporary)
            file.check_unchanged()
            pending.keep_previous(temporary + ".old")
        if beside:
            files.prepare_delta(snapshot, pending.copies)
        writer.publish()
        if beside:
            assert writer.head is not None
            files.write_head(writer.head, pending.copies)
    except BaseException as error:
        pending.fail(named=beside or (temporary is not None and not os.path.exists(temporary)))
        writer.abandon()
        if isinstance(error, OSError):
            raise storage_error(error, place.path) from error
        raise
    return pending


def segment_writer(
    files: TableFiles, place: Place, snapshot: Snapshot, options: TableOptions, commit: Commit
) -> storing.SegmentWriter | storing.EncodedWriter:
    """What writes the segment of ``commit``."""
    if commit.encoded is not None:
        return storing.EncodedWriter(
            place.path,
            commit.encoded.segment,
            place.write,
            commit.encoded.first_rowid,
            like=files.base,
            seal=place.seal,
            placement=place.placement,
        )
    return storing.SegmentWriter(
        place.path,
        commit.schema or snapshot.schema,
        place.write,
        table_id=snapshot.segments[0].catalog.table_id,
        table_options=options.to_catalog(),
        like=files.base,
        codecs=commit.codecs,
        seal=place.seal,
        placement=place.placement,
    )


def give_rows(
    writer: storing.SegmentWriter | storing.EncodedWriter, snapshot: Snapshot, commit: Commit
) -> None:
    """Give the rows of ``commit`` to the segment; their words are made as in the segments that are there."""
    if isinstance(writer, storing.EncodedWriter):
        return
    writer.follow(decided_tokenizers(snapshot.segments, writer.schema))
    for batch in commit.batches:
        writer.add(batch.rowids, batch.arrays)


def place_of(
    files: TableFiles,
    snapshot: Snapshot,
    file: TableFile,
    options: TableOptions,
    *,
    beside: bool,
    append: bool = False,
) -> Place:
    """Where the segment of the next commit goes."""
    write = options.write_options(unhealthy(snapshot))
    if not beside:
        return place_for(file, () if is_empty(snapshot) else snapshot.segments, write, append=append)
    files.make_folder()
    newest = snapshot.segments[-1]
    path = files.delta(snapshot.newest + 1)
    return place_beside(file, path, newest, write, None, newest)


def _finish(
    writer: storing.SegmentWriter | storing.EncodedWriter,
    snapshot: Snapshot,
    commit: Commit,
    number: int,
    *,
    is_first: bool,
    progress: Progress | None,
) -> None:
    """Write the catalog of a commit's segment.

    The first one with rows has the catalog entries of the empty one that it replaces, too.
    """
    inserted = writer.rows if commit.inserted is None else commit.inserted
    # the time is taken here: nobody could see the rows before they had come
    version = storing.Version(number, commit_time(snapshot), inserted, len(commit.deleted), commit.message)
    versions = [*snapshot.versions, version] if is_first else [version]
    writer.finish(
        versions,
        tombstones=commit.deleted,
        sources=_all_sources(snapshot, commit) if is_first else commit.sources,
        tags=snapshot.tags if is_first else None,
        history=_history(snapshot, commit, number, versions[0].number),
        progress=progress,
    )


def _history(snapshot: Snapshot, commit: Commit, number: int, first: int) -> storing.SchemaHistory:
    """How the columns change in a segment with the versions from ``first`` to ``number``, the commit's."""
    before = snapshot.history(first) if first < number else storing.NO_HISTORY
    if commit.schema is None:
        return before
    if not commit.change:  # the columns are the same, and say something else of what they were made of
        return (
            replace(before, schemas=(*before.schemas[:-1], (before.schemas[-1][0], commit.schema)))
            if (before.schemas)
            else before
        )
    count = len(snapshot.migrations)
    schemas = before.schemas or ((first, snapshot.schema),) if first < number else ()
    return storing.SchemaHistory(
        (*schemas, (number, commit.schema)) if schemas else (),
        (*before.migrations, storing.Migration(count + 1, number, commit.change)),
        max(snapshot.next_column, *(column_id + 1 for column_id in commit.schema.ids)),
    )


def _all_sources(snapshot: Snapshot, commit: Commit) -> bytes | None:
    """The sources of a base that takes the place of an empty one: what is known, and those of the commit."""
    if commit.sources is None and snapshot.segments[0].catalog.sources is None:
        return None
    sources = known_sources(snapshot.segments)
    return pack_sources(sources | (unpack_sources(commit.sources) if commit.sources else {}))
