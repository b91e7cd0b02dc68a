"""A copy of a table at one version, as one sealed file, while others go on writing.

Nothing is locked: what is copied is a snapshot, whose files are open and whose log was read. The pages of its
segments are copied as they were written, and the commits of its log become one more segment. Where that does
not do – an older version is wanted, or the table is in more than one file, or in format version 1 – all rows
that the version and those before it had are written as one segment.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from audiomem_sql.columns.layouts import union
from audiomem_sql.errors import DamagedFileError, StorageError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.durable import link_durably
from audiomem_sql.machine.progress import Progress
from audiomem_sql.storage.log import commits_behind, read_log
from audiomem_sql.storage.segment import (
    Comments,
    Folded,
    Link,
    ReadableSegment,
    Seal,
    TableOptions,
    copied_file,
    open_table_file,
    repaired_comments,
)
from audiomem_sql.upkeep.new_segment import (
    NewSegment,
    logged_segment,
    staged_log,
)
from audiomem_sql.upkeep.until_version import history_until, shown_until, sources_until
from audiomem_sql.versions import (
    Snapshot,
    StoredSnapshot,
    TableFiles,
    VersionedBatch,
    merged_rows,
)
from audiomem_sql.writing.placement import Place, place_for

_ATTEMPTS = 3
_INTERVAL = 0.02


def write_backup(
    files: TableFiles,
    snapshot: Snapshot,
    path: str | os.PathLike[str],
    options: TableOptions,
    progress: Progress | None = None,
) -> None:
    """Write what ``snapshot`` shows, with all versions before it, to a new file at ``path``, durably.

    options: those that the table has at that version. progress: called with work done and work in all.
    StorageError if there is something at ``path``, or beside it what would be taken for its log or deltas;
    DamagedFileError for what cannot be copied whole. After an error there is nothing at ``path``.
    """
    target = free_file(path)
    if isinstance(snapshot, StoredSnapshot):
        _of_manifest(snapshot, target, options, progress)
        return
    check_whole(files, snapshot)
    if files.is_remote:
        _of_store(files, snapshot, target, options, progress)
        return
    if snapshot.version == snapshot.newest and _is_one_file(snapshot):
        if snapshot.logged:
            _with_log(snapshot, target, options)
        else:
            _copied(snapshot, target, progress)
    else:
        _as_one_segment(snapshot, target, options, progress)


def write_one_segment(
    files: TableFiles,
    snapshot: Snapshot,
    path: str | os.PathLike[str],
    options: TableOptions,
    progress: Progress | None = None,
) -> None:
    """The same as one segment, whatever the table is made of, with ``options``. The table is local."""
    target = free_file(path)
    check_whole(files, snapshot)
    _as_one_segment(snapshot, target, options, progress)


def free_file(path: str | os.PathLike[str]) -> str:
    """The absolute path of a file that can be made."""
    target = TableFiles.at(path)
    for taken_path in (os.fspath(path), target.base):
        if os.path.lexists(taken_path):
            raise StorageError("the file exists already", file=taken_path, remedy="Choose another name.")
    for leftover in (target.log, target.folder):
        if os.path.lexists(leftover):
            raise StorageError(
                f"would be taken for a part of {target.base}",
                file=leftover,
                remedy="Move it away, or choose another name.",
            )
    return target.base


def check_whole(files: TableFiles, snapshot: Snapshot) -> None:
    """DamagedFileError if the snapshot is what damage left of a table."""
    file, log = snapshot.table_file, snapshot.log
    if file is not None and file.mixed:
        raise DamagedFileError(
            f"two states are mixed in the file: {file.mixed}",
            file=file.path,
            remedy="Run audiomem repair or salvage before you copy it.",
        )
    for _ in range(_ATTEMPTS):
        if log is None or not log.torn or not commits_behind(files.log, log):
            return
        # A record that was being written when the log was read looks torn, too, until it is read again.
        time.sleep(_INTERVAL)
        newer = read_log(files.log, snapshot.segments[0].catalog.table_id)
        if newer is None or newer.session != log.session or newer.end != log.end:
            return
    assert log is not None
    raise DamagedFileError(
        f"version {log.version + 1} is damaged, and whole commits stand behind it",
        file=files.log,
        place=f"byte {log.end}",
        remedy=f"Restore the log from a copy, or back up version {log.version}.",
    )


def _is_one_file(snapshot: Snapshot) -> bool:
    """Whether all segments are in one file of the newest format."""
    file = snapshot.table_file
    return file is not None and len(file.segments) == len(snapshot.segments) and not snapshot.needs_upgrade


# -- of a store ----------------------------------------------------------------------------------------------


def _of_store(
    files: TableFiles, snapshot: Snapshot, target: str, options: TableOptions, progress: Progress | None
) -> None:
    """Copy an object: as it is, or an older version of what was copied."""
    from audiomem_sql.upkeep.download import downloaded
    from audiomem_sql.upkeep.heal import whole_copy

    places = getattr(files, "places", ())
    temporary = whole_copy(places, snapshot, target) if places else downloaded(snapshot, target, progress)
    try:
        file = snapshot.table_file
        _check_copy(temporary, temporary if file is None else file.path)
        if snapshot.version == snapshot.newest:
            link_durably(temporary, target)
            return
        files = TableFiles.at(temporary)
        copy = files.load(BlockCache(0))
        try:
            write_backup(files, copy.at(snapshot.version), target, options)
        finally:
            copy.close()
        os.unlink(temporary)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _of_manifest(
    snapshot: StoredSnapshot, target: str, options: TableOptions, progress: Progress | None
) -> None:
    """Write a file of its own with all versions up to that of ``snapshot``."""
    from audiomem_sql.upkeep.stored_segments import whole_table

    oldest = snapshot.versions[0].number
    level = options.compression_level
    writer = whole_table(
        snapshot, options, oldest, target, level=level, numbered=False, progress=progress
    ).writer
    try:
        writer.publish(replace=False)
    except BaseException:
        writer.abandon()
        raise


# -- page by page --------------------------------------------------------------------------------------------


def _copied(snapshot: Snapshot, target: str, progress: Progress | None) -> None:
    """Copy the pages of a table without commits in a log."""
    file = snapshot.table_file
    assert file is not None
    comments = Comments(*repaired_comments(file.path, file.newest.catalog.comments))
    temporary = copied_file(file, target, file.path, comments, head=file.head, progress=progress)
    try:
        _check_copy(temporary, file.path)
        _check_in_place(file.path)
        link_durably(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _with_log(snapshot: Snapshot, target: str, options: TableOptions) -> None:
    """Copy the pages of the segments, and add one with the commits of the log."""
    file, log = snapshot.table_file, snapshot.log
    assert file is not None
    assert log is not None
    folded = None if log.folded is None else Folded(*log.folded)
    place = place_for(file, snapshot.segments, options.write_options(), folded, target)
    writer = logged_segment(place, snapshot, snapshot.logged).finished(options)
    try:
        _check_copy(writer.temporary, file.path)
        _check_in_place(file.path)
        writer.publish(replace=False)
    except BaseException:
        writer.abandon()
        raise


def _check_copy(temporary: str, source: str) -> None:
    """DamagedFileError if a page of the copy is damaged; without protection that is as it was copied."""
    copy = open_table_file(temporary, BlockCache(0))
    try:
        for segment in copy.segments:
            for damage in segment.file.damage():
                raise DamagedFileError(
                    "is damaged, and so would its copy be",
                    file=source,
                    place=f"page {segment.file.first + damage.page}",
                    remedy="Restore it, or save what can be read with `audiomem salvage`.",
                )
    finally:
        copy.close()


def _check_in_place(source: str) -> None:
    """StorageError unless the table is there: its copy gets mode, owner and tags from its name."""
    if not os.path.lexists(source):
        raise StorageError(
            "the file was moved or deleted while it was copied",
            file=source,
            remedy="Copy it from where it is now.",
        )


# -- as one segment ------------------------------------------------------------------------------------------


def _as_one_segment(
    snapshot: Snapshot, target: str, options: TableOptions, progress: Progress | None
) -> None:
    """Write all rows that ``snapshot`` and the versions before it show."""
    last = snapshot.version
    segments = [segment for segment in snapshot.segments if segment.catalog.first_version <= last]
    commits = [record for record in snapshot.logged if record.version <= last]
    history = history_until(snapshot)
    schema = union(snapshot.schema, (earlier for _, earlier in history.schemas))
    total = sum(segment.rows for segment in segments) + sum(len(record.inserted) for record in commits)
    with contextlib.ExitStack() as stack:
        sources = list(segments)
        if commits:
            newest = Snapshot(
                snapshot.segments, snapshot.log, table_file=snapshot.table_file, found_log=snapshot.found_log
            )
            sources.append(stack.enter_context(staged_log(newest, options, commits, target)))
        stack.enter_context(snapshot.segments[0].read_once())
        segment = NewSegment(
            _place(snapshot, segments, options, target),
            Snapshot(segments, table_file=snapshot.table_file),
            versions=[version for version in snapshot.versions if version.number <= last],
            rows=_rows([source.with_schema(schema) for source in sources], last, total, progress),
            sources=sources_until(segments, commits, last),
            tags={name: number for name, number in snapshot.tags.items() if number <= last},
            schema=schema,
            history=history,
        )
        writer = segment.finished(options)
        try:
            _check_in_place(snapshot.segments[0].path)
            writer.publish(replace=False)
        except BaseException:
            writer.abandon()
            raise


def _place(
    snapshot: Snapshot, segments: Sequence[ReadableSegment], options: TableOptions, target: str
) -> Place:
    """Where the segment goes. It continues the last one whose commits are in it."""
    assert snapshot.table_file is not None
    place = place_for(snapshot.table_file, (), options.write_options(), target=target)
    last = segments[-1]
    seal = last.catalog.seal
    generation = 0 if seal is None else seal.generation
    before = Link(last.catalog.segment_id, last.digest, generation)
    return replace(place, seal=Seal(generation + 1, before, folded=None if seal is None else seal.folded))


def _rows(
    segments: Sequence[ReadableSegment], last: int, total: int, progress: Progress | None
) -> Iterator[VersionedBatch]:
    """The rows that were made up to version ``last``; those that ended later have not."""
    done = 0
    for rows in merged_rows(segments):
        done += len(rows.batch)
        if progress is not None:
            progress(done, total)
        shown = shown_until(rows, last)
        if shown is not None:
            yield shown
