"""Segments of a table in a store that take the place of others and of records: fold, merge, vacuum, copy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np

from audiomem_sql.machine.limits import limits_of
from audiomem_sql.machine.progress import Progress
from audiomem_sql.storage.log import LogRecord
from audiomem_sql.storage.segment import FIRST_SEAL, NewFile, ReadableSegment, SegmentWriter, TableOptions
from audiomem_sql.upkeep.new_segment import NewSegment, logged_segment, staged_log, stored_columns
from audiomem_sql.upkeep.until_version import history_until, shown_until, sources_until
from audiomem_sql.versions import (
    Snapshot,
    StoredSnapshot,
    Tombstones,
    VersionedBatch,
    kept_rows,
    known_sources,
    merged_rows,
)
from audiomem_sql.writing.placement import Place


@dataclass(frozen=True, slots=True)
class Joined:
    """What one segment takes the place of: ids of objects and of commits. writer: has laid it out."""

    writer: SegmentWriter
    names: tuple[str, ...]
    commits: tuple[bytes, ...]
    oldest: int = 0


def runs_of_records(snapshot: StoredSnapshot) -> list[list[LogRecord]]:
    """The records of the manifest, those together whose versions follow each other."""
    return runs_of(snapshot.records)


def runs_of(records: Sequence[LogRecord]) -> list[list[LogRecord]]:
    """Records, those together whose versions follow each other."""
    runs: list[list[LogRecord]] = []
    for record in records:
        if runs and runs[-1][-1].version + 1 == record.version:
            runs[-1].append(record)
        else:
            runs.append([record])
    return runs


def folded_records(
    snapshot: StoredSnapshot, options: TableOptions, records: Sequence[LogRecord], target: str
) -> Joined:
    """One segment of records whose versions follow each other."""
    place = _place(options, target)
    segment = replace(logged_segment(place, snapshot, records), tags={}, numbered=True)
    return Joined(segment.finished(options), (), _commits(snapshot, records))


def merged_segments(snapshot: StoredSnapshot, options: TableOptions, first: int, target: str) -> Joined:
    """One segment of those from number ``first`` on, and of all records behind the others."""
    kept = snapshot.segments[:first]
    last_kept = kept[-1].catalog.last_version if kept else 0
    records = [record for record in snapshot.records if record.version > last_kept]
    with ExitStack() as stack:
        parts = _parts(snapshot, options, snapshot.segments[first:], records, target, stack)
        start = parts[0].catalog.first_version
        steps = [step for part in parts for step in part.catalog.history.migrations]
        history = snapshot.history(start, steps)
        stored = stored_columns(snapshot, history)
        tombstones = Tombstones.of(parts)
        rowids, places = np.unique(tombstones.rowids, return_index=True)
        segment = NewSegment(
            _place(options, target),
            snapshot,
            versions=[version for version in snapshot.versions if version.number >= start],
            rows=merged_rows([part.with_schema(stored) for part in parts]),
            tombstones=Tombstones(rowids, tombstones.versions[places]) if kept else None,
            sources=known_sources(parts),
            tags={},
            schema=stored,
            history=history,
            numbered=True,
        )
        names = [entry.name for entry in snapshot.manifest.segments[first:]]
        return Joined(segment.finished(options), tuple(names), _commits(snapshot, records))


def whole_table(
    snapshot: StoredSnapshot,
    options: TableOptions,
    oldest: int,
    target: str,
    *,
    level: int | None = None,
    numbered: bool = True,
    ended: bool = False,
    after: int = 0,
    progress: Progress | None = None,
) -> Joined:
    """One segment of all versions from ``oldest`` to that of ``snapshot``.

    level: of zstd; None for that of a vacuum. numbered: for a manifest; False for a file by itself, which has
    what only old versions are read from, too. ended, after: which rows, see ``kept_rows``.
    """
    last = snapshot.version
    stronger = replace(options.write_options(), level=level or limits_of(options.profile).vacuum_level)
    records = [record for record in snapshot.records if record.version <= last]
    there = snapshot.segments if numbered else snapshot.segments_since(oldest)
    segments = [each for each in there if each.catalog.first_version <= last]
    history = snapshot.history(oldest)
    if last < snapshot.newest:
        schemas = tuple((start, schema) for start, schema in history.schemas if start <= last)
        steps = tuple(step for step in history.migrations if step.version <= last)
        history = replace(history, schemas=schemas if len(schemas) > 1 else (), migrations=steps)
    with ExitStack() as stack:
        parts = _parts(snapshot, options, segments, records, target, stack)
        stored = stored_columns(snapshot, history)
        segment = NewSegment(
            replace(_place(options, target), write=stronger),
            snapshot,
            versions=[version for version in snapshot.versions if oldest <= version.number <= last],
            rows=_kept(
                [part.with_schema(stored) for part in parts],
                oldest,
                last,
                progress,
                ended=ended,
                after=after,
            ),
            sources=sources_until(parts, (), last),
            tags={} if numbered else {n: v for n, v in snapshot.tags.items() if oldest <= v <= last},
            schema=stored,
            history=history,
            numbered=numbered,
        )
        stack.enter_context(snapshot.segments[0].read_once())
        names = tuple(entry.name for entry in snapshot.manifest.segments)
        first = snapshot.versions[0].number
        return Joined(
            segment.finished(options), names, _commits(snapshot, records), oldest if oldest > first else 0
        )


def whole_file(
    snapshot: Snapshot, options: TableOptions, target: str, table: bytes, progress: Progress | None = None
) -> SegmentWriter:
    """One segment of all versions up to that of ``snapshot``, for the manifest of ``table``."""
    oldest, last = snapshot.versions[0].number, snapshot.version
    there = snapshot.segments_since(oldest)
    segments = [each for each in there if each.catalog.first_version <= last]
    records = (
        list(snapshot.records)
        if isinstance(snapshot, StoredSnapshot)
        else [record for record in snapshot.logged if record.version <= last]
    )
    records = [record for record in records if record.version <= last]
    with ExitStack() as stack:
        runs = runs_of(records)
        newest = snapshot if last == snapshot.newest else snapshot.at(snapshot.newest)
        staged = [stack.enter_context(staged_log(newest, options, run, target)) for run in runs]
        parts = sorted([*segments, *staged], key=lambda part: part.catalog.first_version)
        history = history_until(snapshot)
        stored = stored_columns(snapshot, history)
        segment = NewSegment(
            _place(options, target),
            snapshot,
            versions=[version for version in snapshot.versions if version.number <= last],
            rows=_kept([part.with_schema(stored) for part in parts], oldest, last, progress),
            sources=sources_until(parts, (), last),
            tags={},
            schema=stored,
            history=history,
            numbered=True,
            table=table,
        )
        return segment.finished(options)


def _kept(
    segments: Sequence[ReadableSegment],
    oldest: int,
    last: int,
    progress: Progress | None,
    *,
    ended: bool = False,
    after: int = 0,
) -> Iterator[VersionedBatch]:
    """The rows that one of the versions from ``oldest`` to ``last`` shows. Others: see ``kept_rows``."""
    done, total = 0, sum(segment.rows for segment in segments)
    for batch in merged_rows(segments):
        done += len(batch.batch)
        until = shown_until(batch, last)
        kept = None if until is None else kept_rows(until, oldest, ended=ended, after=after)
        if kept is not None:
            yield kept
        if progress is not None:
            progress(done, total)


def _parts(
    snapshot: StoredSnapshot,
    options: TableOptions,
    segments: Sequence[ReadableSegment],
    records: Sequence[LogRecord],
    target: str,
    stack: ExitStack,
) -> list[ReadableSegment]:
    """Segments, and records as segments in temporary files, in the order of their versions."""
    wanted = {record.version for record in records}
    runs = [[each for each in run if each.version in wanted] for run in runs_of_records(snapshot)]
    staged = [stack.enter_context(staged_log(snapshot, options, run, target)) for run in runs if run]
    return sorted([*segments, *staged], key=lambda part: part.catalog.first_version)


def _commits(snapshot: StoredSnapshot, records: Sequence[LogRecord]) -> tuple[bytes, ...]:
    versions = {record.version for record in records}
    return tuple(entry.commit for entry in snapshot.manifest.inline if entry.version in versions)


def _place(options: TableOptions, target: str) -> Place:
    return Place(target, NewFile(target), FIRST_SEAL, options.write_options(), replaces=False)
