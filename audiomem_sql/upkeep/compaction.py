"""Fewer, larger files: checkpoint, merge and vacuum.

A checkpoint makes a delta of the log, a merge one delta of small ones, a vacuum one base of everything. No
version that is kept reads differently afterwards.

Each writes a new segment beside, fsyncs it, renames it into place, and only then removes what it replaces. A
crash in between leaves both, and loading takes the newer. The writer's lock must be held; readers go on with
the files that they have open.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.batch import Row, batch_of
from audiomem_sql.columns.layouts import union
from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import OptionError
from audiomem_sql.indexes.vectors import VectorCodec
from audiomem_sql.machine.durable import fsync_folder
from audiomem_sql.machine.limits import limits_of
from audiomem_sql.machine.malloc import trim
from audiomem_sql.machine.progress import Progress
from audiomem_sql.machine.writer_lock import WriterLock
from audiomem_sql.sound.band_health import MEASURED_PAGES, unhealthy
from audiomem_sql.storage.log import LogRecord
from audiomem_sql.storage.segment import (
    NEVER,
    NO_HISTORY,
    ReadableSegment,
    SchemaHistory,
    SegmentWriter,
    TableOptions,
    Version,
    WriteOptions,
)
from audiomem_sql.versions import (
    Snapshot,
    TableFiles,
    Tombstones,
    VersionedBatch,
    kept_rows,
    known_sources,
    logged_sources,
    merged_rows,
    pack_sources,
)

#: Deltas smaller than this are merged when there are so many of them.
SMALL_DELTA_BYTES = 8 << 20
SMALL_DELTAS = 8
_ROWS_AT_ONCE = 1 << 14
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@dataclass(frozen=True, slots=True)
class Retention:
    """Which versions a vacuum keeps: the newest ``count``, and those younger than ``seconds``.

    All are kept if both are None. Tagged versions are kept in any case, with all after the oldest of them.
    """

    count: int | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, text: str) -> Retention:
        """``all``, a number of versions, or an age such as ``30d`` (s, m, h, d, w)."""
        if text == "all":
            return cls()
        if text.isdecimal():
            return cls(count=int(text))
        if text[:-1].isdecimal() and text[-1:] in _UNITS:
            return cls(seconds=int(text[:-1]) * _UNITS[text[-1]])
        raise OptionError(
            f"{text!r} says nothing about versions", remedy="Write all, a number, or an age such as 30d."
        )

    def oldest(self, snapshot: Snapshot, now: int) -> int:
        """The oldest version to keep; ``now`` in µs since 1970."""
        versions = snapshot.versions
        if self.count is None and self.seconds is None:
            return versions[0].number
        if (self.count is not None and self.count < 1) or (self.seconds is not None and self.seconds < 0):
            raise OptionError(
                "a vacuum keeps at least the newest version", remedy="Pass a count of 1 or more."
            )
        kept = [snapshot.newest, *snapshot.tags.values()]
        if self.count is not None:
            kept.append(versions[max(0, len(versions) - self.count)].number)
        if self.seconds is not None:
            young = [version.number for version in versions if version.time >= now - self.seconds * 1e6]
            kept.append(
                young[0] - 1 if young else snapshot.newest
            )  # the newest when the period began is part of it
        return max(versions[0].number, min(kept))


def checkpoint(files: TableFiles, lock: WriterLock, snapshot: Snapshot, options: TableOptions) -> bool:
    """Turn the log into a delta, or into the base of a table without rows.

    False if there was nothing in it.
    """
    commits = snapshot.logged
    if commits:
        base, *deltas = snapshot.segments
        first_rows = not base.rows and not deltas
        segment = _Segment(
            files.base if first_rows else files.delta(snapshot.newest),
            snapshot,
            versions=snapshot.versions if first_rows else snapshot.versions[-len(commits) :],
            sources=known_sources(snapshot.segments, commits) if first_rows else logged_sources(commits),
            tags=snapshot.tags
            if first_rows
            else {k: v for record in commits for k, v in record.tags.items()},
        )
        if not first_rows:
            files.make_folder()
        segment.write(
            options,
            options.write_options(unhealthy(snapshot)),
            _logged_rows(commits, snapshot.schema),
            _logged_tombstones(commits),
            versioned=len(commits) > 1,
            history=snapshot.history(snapshot.segments[0].catalog.first_version)
            if first_rows
            else NO_HISTORY,
            lock=lock,
        )
    if snapshot.log is not None:
        files.remove_log()
    return bool(commits)


def small_deltas(snapshot: Snapshot, unreadable: Set[str] = frozenset()) -> list[ReadableSegment]:
    """Consecutive small deltas to be merged next, oldest first; none until there are enough of them.

    Of all places the one with the fewest bytes: one merge is short, however many deltas killed writers left.
    unreadable: paths of deltas that are left alone.
    """
    sizes: list[tuple[ReadableSegment, int]] = []
    best: list[tuple[ReadableSegment, int]] = []
    for segment in reversed(snapshot.segments[1:]):
        size = os.path.getsize(segment.path)
        if size > SMALL_DELTA_BYTES:
            break
        if segment.path in unreadable:
            sizes = []
            continue
        sizes.append((segment, size))
        window = sizes[-SMALL_DELTAS:]
        if len(window) == SMALL_DELTAS and (not best or _total(window) < _total(best)):
            best = window
    return [segment for segment, _ in reversed(best)]


def _total(window: Sequence[tuple[ReadableSegment, int]]) -> int:
    return sum(size for _, size in window)


def merge(
    files: TableFiles, snapshot: Snapshot, options: TableOptions, deltas: Sequence[ReadableSegment]
) -> None:
    """Make one delta of consecutive ``deltas``."""
    path = deltas[-1].path
    segment = _Segment(
        path,
        snapshot,
        versions=[version for delta in deltas for version in delta.catalog.versions],
        sources=known_sources(deltas),
        tags={name: number for delta in deltas for name, number in delta.catalog.tags.items()},
    )
    tombstones = Tombstones.of(deltas)
    rowids, first = np.unique(tombstones.rowids, return_index=True)
    # Of each rowid the first deletion may be of a row in a file before; the others are of rows in these
    # files.
    outside = Tombstones(rowids, tombstones.versions[first])
    history = snapshot.history(
        deltas[0].catalog.first_version,
        [step for delta in deltas for step in delta.catalog.history.migrations],
    )
    stored = _stored(snapshot, history)
    rows = merged_rows([delta.with_schema(stored) for delta in deltas])
    write = options.write_options(unhealthy(snapshot))
    segment.write(options, write, rows, outside, versioned=True, schema=stored, history=history)
    _remove([delta.path for delta in deltas[:-1]])


def vacuum(
    files: TableFiles,
    lock: WriterLock,
    snapshot: Snapshot,
    options: TableOptions,
    oldest: int,
    *,
    level: int | None = None,
    heard: bool = True,
    progress: Progress | None = None,
) -> None:
    """Make one base of all segments, with every version from ``oldest`` on. The log must be empty.

    level: of zstd; None for that of the profile. heard: bands in which little is heard are not used again.
    progress: called with rows done and rows in all.
    """
    versions = [version for version in snapshot.versions if version.number >= oldest]
    write = options.write_options(unhealthy(snapshot, MEASURED_PAGES) if heard else frozenset())
    segment = _Segment(
        files.base, snapshot, versions=versions, sources=known_sources(snapshot.segments), tags=snapshot.tags
    )
    total = sum(segment.rows for segment in snapshot.segments)
    history = snapshot.history(oldest)
    stored = _stored(snapshot, history)
    segments = [segment.with_schema(stored) for segment in snapshot.segments]

    def rows() -> Iterator[VersionedBatch]:
        done = 0
        for batch in merged_rows(segments):
            done += len(batch.batch)
            kept = kept_rows(batch, oldest)
            if kept is not None:
                yield kept
            if progress is not None:
                progress(done, total)

    stronger = replace(write, level=level or limits_of(options.profile).vacuum_level)
    with snapshot.segments[0].read_once():
        segment.write(
            options,
            stronger,
            rows(),
            None,
            versioned=len(versions) > 1,
            schema=stored,
            history=history,
            lock=lock,
        )
    _remove([delta.path for delta in snapshot.segments[1:]])
    with contextlib.suppress(OSError):
        os.rmdir(files.folder)


@dataclass(frozen=True, slots=True)
class _Segment:
    """A segment about to be written at ``path``, in place of what is there."""

    path: str
    snapshot: Snapshot
    versions: Sequence[Version]
    sources: dict[str, bytes]
    tags: dict[str, int]

    def write(
        self,
        options: TableOptions,
        write: WriteOptions,
        rows: Iterable[VersionedBatch],
        tombstones: Tombstones | None,
        *,
        versioned: bool,
        schema: Schema | None = None,
        history: SchemaHistory = NO_HISTORY,
        lock: WriterLock | None = None,
    ) -> None:
        """Write the rows, and give the file its name.

        schema: that of ``rows``, by default the newest. lock: follows the file if it becomes the base.
        """
        if limits_of(options.profile).sparing:
            for segment in self.snapshot.segments:
                segment.forget()
            trim()
        table_id = self.snapshot.segments[0].catalog.table_id
        schema = schema or self.snapshot.schema
        codecs = _codecs(self.snapshot, schema)
        writer = SegmentWriter(
            self.path,
            schema,
            write,
            table_id=table_id,
            codecs=codecs,
            table_options=options.to_catalog(),
            like=self.snapshot.segments[0].path,
        )
        try:
            for part in rows:
                if versioned:
                    writer.add(part.batch.rowids, part.batch.arrays, part.created, part.ended)
                else:
                    writer.add(part.batch.rowids, part.batch.arrays)
            filled = tombstones is not None and len(tombstones.rowids) > 0
            empty = np.empty(0, np.int64)
            writer.finish(
                self.versions,
                tombstones=tombstones.rowids if tombstones is not None and filled else None,
                tombstone_versions=(tombstones.versions if tombstones is not None and filled else empty)
                if versioned
                else None,
                sources=pack_sources(self.sources) if self.sources else None,
                tags=self.tags,
                history=history,
            )
            if lock is not None and self.path == self.snapshot.segments[0].path:
                lock.follow(writer.temporary)
            writer.publish(replace=True)
        except BaseException:
            writer.abandon()
            raise


def _codecs(snapshot: Snapshot, schema: Schema) -> dict[int, VectorCodec]:
    """How the largest segment stores each column of vectors.

    Vectors that are merged with the same codec stay as they are.
    """
    codecs: dict[int, VectorCodec] = {}
    largest = max(snapshot.segments, key=lambda segment: segment.rows)
    for column in schema.vectors.values():
        index = largest.with_schema(schema).vector_index(column)
        if index is not None and index.count:
            codecs[column] = index.codec
    return codecs


def _stored(snapshot: Snapshot, history: SchemaHistory) -> Schema:
    """The columns of a segment with all rows of ``history``."""
    return union(snapshot.schema, (schema for _, schema in history.schemas))


def _logged_tombstones(commits: Sequence[LogRecord]) -> Tombstones:
    """The rows of segments that the commits deleted."""
    versions: dict[int, int] = {}
    live: set[int] = set()
    for record in commits:
        for rowid in record.deleted:
            if rowid in live:
                live.discard(rowid)
            else:
                versions.setdefault(rowid, record.version)
        live.update(rowid for rowid, _ in record.inserted)
    rowids = np.array(sorted(versions), np.int64)
    return Tombstones(rowids, np.array([versions[rowid] for rowid in sorted(versions)], np.int64))


def _logged_rows(commits: Sequence[LogRecord], schema: Schema) -> Iterator[VersionedBatch]:
    """Every row that the commits made, ascending by rowid, then version."""
    rows: list[tuple[int, int, Row]] = []
    ended: list[int] = []
    live: dict[int, int] = {}
    for record in commits:
        for rowid in record.deleted:
            number = live.pop(rowid, None)
            if number is not None:
                ended[number] = record.version
        for rowid, row in record.inserted:
            live[rowid] = len(rows)
            rows.append((rowid, record.version, row))
            ended.append(NEVER)
    order = sorted(range(len(rows)), key=lambda number: rows[number][:2])
    for start in range(0, len(order), _ROWS_AT_ONCE):
        numbers = order[start : start + _ROWS_AT_ONCE]
        batch = batch_of([(rows[number][0], rows[number][2]) for number in numbers], schema)
        yield VersionedBatch(
            batch, _array(rows[number][1] for number in numbers), _array(ended[number] for number in numbers)
        )


def _array(numbers: Iterable[int]) -> I64Array:
    return np.fromiter(numbers, np.int64)


def _remove(paths: Sequence[str]) -> None:
    """Delete files that newer ones replace; those that stay by some mishap are passed over when loading."""
    for path in paths:
        with contextlib.suppress(OSError):
            os.unlink(path)
    if paths:
        with contextlib.suppress(OSError):
            fsync_folder(os.path.dirname(paths[0]))
