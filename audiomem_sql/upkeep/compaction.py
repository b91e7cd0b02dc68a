"""Fewer, larger segments: checkpoint, merge and vacuum.

A checkpoint folds the log into the file: its commits become a delta, a segment behind the others. A merge
makes one delta of small ones, a vacuum one segment of everything. No version that is kept reads differently
afterwards.

Each writes a new segment durably where nobody takes it for part of the table, then makes it part of it, and
only then removes what it replaces. A crash in between leaves the old state or the new one. The writer's lock
must be held; readers go on with the files that they have open.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np

from audiomem_sql.errors import DamagedFileError, OptionError
from audiomem_sql.machine.limits import limits_of
from audiomem_sql.machine.progress import Progress
from audiomem_sql.machine.writer_lock import WriterLock
from audiomem_sql.sound.band_health import MEASURED_PAGES, unhealthy
from audiomem_sql.storage.log import flush_unmarked
from audiomem_sql.storage.segment import (
    DELTAS,
    Folded,
    ReadableSegment,
    TableOptions,
    WriteOptions,
)
from audiomem_sql.upkeep.merge_plan import merged_from, weight_of
from audiomem_sql.upkeep.new_segment import (
    NewSegment,
    logged_segment,
    staged_log,
    stored_columns,
)
from audiomem_sql.versions import (
    Snapshot,
    TableFiles,
    Tombstones,
    VersionedBatch,
    kept_rows,
    known_sources,
    merged_rows,
    without_removed,
)
from audiomem_sql.writing.placement import Place, is_empty, place_beside, place_for

#: So many deltas of like size become one, see ``merge_plan``.
MERGED_AT_ONCE = 8
#: Bytes of what becomes one behind a commit; behind one that leaves more deltas than that; and at the end.
COMMIT_MERGE_BYTES = 1 << 20
MANY_DELTAS, MANY_MERGE_BYTES = 64, 32 << 20
LAST_MERGE_BYTES = 256 << 20
#: In a store, segments with less data than this are merged when there are so many of them.
SMALL_DELTA_BYTES = 1 << 20
SMALL_DELTAS = 32
#: A log of more bytes, and deltas of more bytes together, are written at a level that keeps up with commits,
#: unless the table has a level of its own. A vacuum compresses them as it does all.
HURRIED_BYTES, HURRIED_LEVEL = 1 << 20, 3
#: A table with less data than this is written as one segment whenever a log that is not large is folded.
SMALL_TABLE_BYTES = 256 << 10
#: About what rows of the log have more bytes than when they are compressed.
_COMPRESSED = 3
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@dataclass(frozen=True, slots=True)
class Retention:
    """Which versions a vacuum keeps: the newest ``count``, and those younger than ``seconds``.

    All are kept if both are None. Tagged versions are kept in any case, with all after the oldest of them.
    near: of a table in a store, the versions among these that are read from the segments of the newest one.
    Rows that none of them shows go into a segment that older versions alone are read from. By default all.
    """

    count: int | None = None
    seconds: float | None = None
    near: Retention | None = None

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

    @classmethod
    def of(cls, retain: Retention | str | None, history: str | None = None) -> Retention:
        """The same, also of no text, or of none yet. history: ``near``, as text."""
        kept = cls.parse(retain) if isinstance(retain, str) else retain or cls()
        return kept if history is None else replace(kept, near=cls.parse(history))

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
    """Fold the log into the file. False if there was nothing in it.

    Deltas that are small are merged with it when there are many, and so is all of a small table, unless
    they cannot be read: then they stay as they are, and the commits come behind them.
    """
    commits = snapshot.logged
    if commits:
        merged = _merged_with_log(snapshot, options)
        if not merged or not _is_merged_with_log(files, lock, snapshot, options, merged):
            _fold(files, lock, snapshot, options)
    if snapshot.found_log is not None:
        files.remove_log()
    return bool(commits)


def _is_merged_with_log(
    files: TableFiles,
    lock: WriterLock,
    snapshot: Snapshot,
    options: TableOptions,
    merged: Sequence[ReadableSegment],
) -> bool:
    """Make one segment of ``merged`` and the log; False, and nothing is done, if damage forbids it."""
    with staged_log(snapshot, options, snapshot.logged) as staged:
        try:
            _merge(files, lock, snapshot, options, [*merged, staged], folded=True)
        except DamagedFileError:
            if snapshot.needs_upgrade:
                raise
            return False
    return True


def small_deltas(
    snapshot: Snapshot, unreadable: Set[bytes] = frozenset(), least: int | None = None
) -> list[ReadableSegment]:
    """In a store, the newest segments that are small, oldest first.

    None until there are ``least`` of them to be merged, by default ``SMALL_DELTAS``. unreadable: ids of
    segments that are left alone.
    """
    deltas: list[ReadableSegment] = []
    for segment in reversed(_mergeable(snapshot, unreadable)):
        if segment.catalog.data_bytes > SMALL_DELTA_BYTES:
            break
        deltas.append(segment)
    return deltas[::-1] if len(deltas) >= (SMALL_DELTAS if least is None else least) else []


def like_deltas(
    snapshot: Snapshot, unreadable: Set[bytes] = frozenset(), most: int | None = None, *, logged: bool = False
) -> list[ReadableSegment]:
    """The newest deltas that are to become one now, oldest first; none if none are.

    unreadable: ids of segments that are left alone. most: bytes of what becomes one, by default what a
    commit may cost. logged: with the commits of the log, which come behind them.
    """
    deltas = _mergeable(snapshot, unreadable)
    weights = [weight_of(each.catalog.data_bytes, len(each.catalog.versions)) for each in deltas]
    if logged:
        weights.append(weight_of(_log_bytes(snapshot) // _COMPRESSED, len(snapshot.logged)))
    if most is None:
        most = COMMIT_MERGE_BYTES if len(weights) <= MANY_DELTAS else MANY_MERGE_BYTES
    first = merged_from(weights, MERGED_AT_ONCE, most)
    return [] if first is None or first >= len(deltas) else deltas[first:]


def _mergeable(snapshot: Snapshot, unreadable: Set[bytes] = frozenset()) -> list[ReadableSegment]:
    """The newest deltas that can become one, oldest first."""
    deltas: list[ReadableSegment] = []
    base = _in_base(snapshot)
    inside = len(base) == len(snapshot.segments)
    for segment in reversed(snapshot.segments[1:]):
        if not inside and segment in base:
            break
        if segment.catalog.segment_id in unreadable or not _has_model(segment, snapshot):
            break
        deltas.append(segment)
    return deltas[::-1]


def _log_bytes(snapshot: Snapshot) -> int:
    """The bytes of the commits in the log, as rows."""
    return 0 if snapshot.log is None else snapshot.log.end - snapshot.log.begin


def _merged_with_log(snapshot: Snapshot, options: TableOptions) -> list[ReadableSegment]:
    """The segments that the commits of the log are merged with: the last ones; none for no merge."""
    if options.deltas != DELTAS[0] and not snapshot.needs_upgrade:
        return list(snapshot.segments) if is_empty(snapshot) else like_deltas(snapshot, logged=True)
    if snapshot.needs_upgrade or len(snapshot.segments) != len(_in_base(snapshot)):
        return list(snapshot.segments)
    others = [n for n, segment in enumerate(snapshot.segments) if not _has_model(segment, snapshot)]
    same = list(snapshot.segments[others[-1] + 1 if others else 0 :])
    small = sum(segment.catalog.data_bytes for segment in snapshot.segments) <= SMALL_TABLE_BYTES
    if small and (is_empty(snapshot) or _log_bytes(snapshot) <= HURRIED_BYTES):
        return same
    deltas = like_deltas(snapshot, logged=True)
    return deltas if len(deltas) <= len(same) else []


def _has_model(segment: ReadableSegment, snapshot: Snapshot) -> bool:
    """Whether the vectors of ``segment`` are those of the newest model.

    A segment names one model: only a vacuum puts others in with it, and then old versions have their vectors,
    and no model for the words of a query.
    """
    own, newest = segment.catalog.options, snapshot.segments[-1].catalog.options
    if any(own.get(name) != newest.get(name) for name in ("model", "model_backend")):
        return False
    return own.get("model_digest", "") in ("", newest.get("model_digest"))  # empty without vectors


def _in_base(snapshot: Snapshot) -> Sequence[ReadableSegment]:
    """The segments in the table's one file; others are delta files."""
    return () if snapshot.table_file is None else snapshot.table_file.segments


def _is_hurried(options: TableOptions, size: int) -> bool:
    """Whether so many bytes are compressed less than others: a large part, at the level of the profile."""
    return size > HURRIED_BYTES and options.compression_level == limits_of(options.profile).level


def _fold(files: TableFiles, lock: WriterLock, snapshot: Snapshot, options: TableOptions) -> None:
    """Make a segment of the log's commits, behind those that are there."""
    hurried = _is_hurried(options, _log_bytes(snapshot))
    place = _place(files, snapshot, options, snapshot.segments, folded=True, hurried=hurried)
    logged_segment(place, snapshot, snapshot.logged).write(options, lock)


def merge(
    files: TableFiles,
    lock: WriterLock,
    snapshot: Snapshot,
    options: TableOptions,
    deltas: Sequence[ReadableSegment],
) -> None:
    """Make one delta of the last segments ``deltas``. The log must be empty."""
    _merge(files, lock, snapshot, options, deltas, folded=False)


def _merge(
    files: TableFiles,
    lock: WriterLock,
    snapshot: Snapshot,
    options: TableOptions,
    deltas: Sequence[ReadableSegment],
    *,
    folded: bool,
) -> None:
    """Make one segment of ``deltas``, which are the last ones, and the log if it is among them."""
    kept = [segment for segment in snapshot.segments if segment not in deltas]
    tombstones = Tombstones.of(deltas)
    rowids, first = np.unique(tombstones.rowids, return_index=True)
    # Of each rowid the first deletion may be of a row in a segment before; the others are of rows in these.
    outside = Tombstones(rowids, tombstones.versions[first])
    history = snapshot.history(
        deltas[0].catalog.first_version,
        [step for delta in deltas for step in delta.catalog.history.migrations],
    )
    stored = stored_columns(snapshot, history)
    hurried = _is_hurried(options, sum(delta.catalog.data_bytes for delta in deltas))
    place = _place(files, snapshot, options, kept, folded=folded, hurried=hurried)
    segment = NewSegment(
        place,
        snapshot,
        versions=[version for delta in deltas for version in delta.catalog.versions],
        rows=merged_rows([delta.with_schema(stored) for delta in deltas]),
        tombstones=outside if kept else None,
        sources=known_sources(deltas),
        tags={name: number for delta in deltas for name, number in delta.catalog.tags.items()},
        schema=stored,
        history=history,
    )
    segment.write(options, lock)
    files.remove_deltas([delta for delta in deltas if delta.path != place.path])
    if not kept:
        files.remove_folder()


def _place(
    files: TableFiles,
    snapshot: Snapshot,
    options: TableOptions,
    kept: Sequence[ReadableSegment],
    *,
    folded: bool = False,
    write: WriteOptions | None = None,
    hurried: bool = False,
) -> Place:
    """Where a segment goes that comes behind ``kept``. folded: the log's commits are in it.

    hurried: somebody waits for it, and it is large.

    All of the log is durable then: what a crash leaves of it is what the segment says that it was.
    """
    log = snapshot.log
    write = options.write_options(unhealthy(snapshot)) if write is None else write
    if hurried:
        write = replace(write, level=min(write.level, HURRIED_LEVEL))
    what = None
    if folded and log is not None and log.folded is not None:
        flush_unmarked(files.log, log)
        what = Folded(*log.folded)
    assert snapshot.table_file is not None
    newest = snapshot.segments[-1]
    if options.deltas != DELTAS[0] and kept and not snapshot.needs_upgrade:
        path = files.delta(snapshot.newest)
        return place_beside(snapshot.table_file, path, kept[-1], write, what, newest)
    return place_for(snapshot.table_file, kept, write, what, newest=newest)


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
    stronger = replace(write, level=level or limits_of(options.profile).vacuum_level)
    total = sum(segment.rows for segment in snapshot.segments)
    history = snapshot.history(oldest)
    stored = stored_columns(snapshot, history)
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

    segment = NewSegment(
        _place(files, snapshot, options, (), write=stronger),
        snapshot,
        versions=versions,
        rows=rows(),
        sources=without_removed(known_sources(snapshot.segments), len(versions)),
        tags=snapshot.tags,
        schema=stored,
        history=history,
    )
    with snapshot.segments[0].read_once():
        segment.write(options, lock)
    files.remove_deltas(snapshot.segments)
    files.remove_folder()
