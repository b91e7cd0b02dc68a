"""A snapshot of a table in a store: the segments and records of one manifest.

A record may be older than a segment, because whoever wrote the segment did not know of it. So what a record
deleted concerns the segments before it only, and what a segment deleted also the records before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from audiomem_sql.arrays import I64Array, distinct
from audiomem_sql.columns.batch import Row
from audiomem_sql.columns.layouts import row_translation
from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import AudioMemError, DamagedFileError
from audiomem_sql.storage.log import LogRecord
from audiomem_sql.storage.segment import ReadableSegment, Version
from audiomem_sql.versions.segment_view import SegmentView
from audiomem_sql.versions.snapshot import Snapshot
from audiomem_sql.versions.stored_history import StoredHistory

if TYPE_CHECKING:
    from audiomem_sql.remote.commits import Manifest


class StoredSnapshot(Snapshot):
    """The rows of one version of ``manifest``.

    segments: those that it names, in the order of their versions. records: the commits that stand in it.
    history: what versions before its own are read from, beside them.
    """

    def __init__(
        self,
        segments: Sequence[ReadableSegment],
        records: Sequence[LogRecord],
        manifest: Manifest,
        version: int | None = None,
        schema: Schema | None = None,
        history: StoredHistory | None = None,
    ) -> None:
        self.old = history
        self.segments = tuple(segments)
        self.log = self.found_log = None
        self.table_file = None
        self.manifest = manifest
        self.records = tuple(records)
        self.logged = with_deletions(self.records, self.segments)
        self.newest = manifest.version
        self.version = self.newest if version is None else version
        self.schema: Schema = self.schema_at(self.version) if schema is None else schema
        self.own_rows, self._gone_at = self._replayed()
        self._gone = {rowid for _, gone in self._gone_at for rowid in gone}
        self.views = self._views()
        self.rows = sum(view.live_rows for view in self.views) + len(self.own_rows)

    def _replayed(self) -> tuple[dict[int, Row], list[tuple[int, list[int]]]]:
        """The rows of the records, and for each record, by version, what it deleted from the segments."""
        rows: dict[int, Row] = {}
        gone: list[tuple[int, list[int]]] = []
        for record in self.logged:
            if record.version > self.version:
                break
            gone.append((record.version, [each for each in record.deleted if rows.pop(each, None) is None]))
            rows.update(record.inserted)
        newest_start, newest = self.segments[-1].catalog.schemas[-1]
        changed = bool(self.segments[-1].catalog.history.migrations)
        if self.records and changed and self.records[0].version < newest_start:
            raise DamagedFileError(
                "a record is older than a change of the columns", file=self.segments[-1].path
            )
        if rows and not self.schema.is_same(newest):
            translate = row_translation(newest, self.schema)
            rows = {rowid: translate(row) for rowid, row in rows.items()}
        return rows, gone

    def _other(self, version: int, schema: Schema | None) -> Snapshot:
        return StoredSnapshot(self.segments, self.records, self.manifest, version, schema, self.old)

    def _views(self) -> tuple[SegmentView, ...]:
        views: list[SegmentView] = []
        later: I64Array = np.empty(0, np.int64)
        records = list(self._gone_at)
        for segment in reversed(self.segments):
            while records and records[-1][0] > segment.catalog.last_version:
                later = np.union1d(later, np.array(records.pop()[1], np.int64))
            if segment.catalog.first_version > self.version:
                continue
            views.append(SegmentView(segment.with_schema(self.schema), self._hidden_rows(segment, later)))
            taken = self._taken(segment)
            if len(taken):
                later = np.union1d(later, taken)
        for segment in () if self.old is None else reversed(self.old.shown_at(self.version)):
            hidden = self._hidden_rows(segment, np.empty(0, np.int64))
            views.append(SegmentView(segment.with_schema(self.schema), hidden))
        return tuple(reversed(views))

    def _taken(self, segment: ReadableSegment) -> I64Array:
        """The rows, int64 (n,), that are none of older segments since this one came."""
        rowids, versions = segment.tombstones()
        return rowids[versions <= self.version]

    def _known_versions(self) -> list[Version]:
        """Those of segments and records, by number; what ``logged`` has for segments is none."""
        stored = [version for segment in self.segments for version in segment.catalog.versions]
        recorded = [
            Version(record.version, record.time, len(record.inserted), len(record.deleted), record.message)
            for record in self.records
        ]
        return sorted([*stored, *recorded], key=lambda version: version.number)

    @property
    def path(self) -> str:
        """What messages call the table: its URL, as nobody knows the names of its segments."""
        return self.segments[0].path.rpartition(".d/seg/")[0] or self.segments[0].path

    @cached_property
    def files(self) -> tuple[object, ...]:
        """What names the state."""
        return self.manifest.table, self.manifest.seq

    @cached_property
    def tags(self) -> dict[str, int]:
        """Names of versions, which the manifest has."""
        return dict(self.manifest.tags)

    @cached_property
    def high_rowid(self) -> int:
        """The greatest rowid that was ever given out."""
        return max(super().high_rowid, self.manifest.next_rowid - 1)

    @cached_property
    def ordered(self) -> bool:
        """Whether going through the segments in order, then the log, goes through the rowids in order."""
        if self.old is not None and any(each.last_version > self.version for each in self.old.entries):
            return False
        return super().ordered

    def segments_since(self, version: int) -> Sequence[ReadableSegment]:
        """All segments, but for those whose rows ended before ``version``."""
        return self.segments if self.old is None else (*self.old.ended_from(version), *self.segments)

    def tried_old(self) -> Sequence[ReadableSegment | AudioMemError]:
        """The segments that only older versions are read from, or why one cannot be opened."""
        return () if self.old is None else self.old.tried()

    def mark_damage(self, on_damage: str) -> None:
        """Tell the segments what a read does about damage: ``fail``, ``skip`` or ``null``."""
        super().mark_damage(on_damage)
        if self.old is not None:
            self.old.mark_damage(on_damage)

    def close(self) -> None:
        """Close the files. Scans that are still running fail."""
        super().close()
        if self.old is not None:
            self.old.close()

    @property
    def kept(self) -> int:
        """How many versions are kept."""
        return self.newest - max(self.manifest.oldest, 1) + 1


def with_deletions(records: Sequence[LogRecord], segments: Sequence[ReadableSegment]) -> list[LogRecord]:
    """The records, and between them what segments deleted of their rows: commits that delete only."""
    if not records:
        return []
    first = records[0].version
    events = list(records)
    made = {rowid for record in records for rowid, _ in record.inserted}
    rowids_made = np.array(sorted(made), np.int64)
    for segment in segments:
        if segment.catalog.last_version < first or not made:
            continue
        rowids, versions = segment.tombstones()
        hit = np.isin(rowids, rowids_made)
        for version in distinct(versions[hit]).tolist():
            events.append(LogRecord(version, 0, (), rowids[hit & (versions == version)].tolist()))
    return sorted(events, key=lambda record: record.version)
