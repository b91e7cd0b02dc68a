"""A snapshot: the segments of one version, each with the rows that later segments deleted from it.

Immutable: a reader that holds one sees the same rows for as long as it likes, whatever is committed
meanwhile.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.batch import Batch, Row, batch_of
from audiomem_sql.columns.layouts import row_translation
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.stored_values import stored_rows
from audiomem_sql.errors import AudioMemError, QueryError
from audiomem_sql.indexes.keys.index import FEW_ROWS, KeyIndex, indexed_rowids
from audiomem_sql.machine.memory import check_room
from audiomem_sql.storage.log import LogContent
from audiomem_sql.storage.segment import (
    NO_HISTORY,
    Migration,
    ReadableSegment,
    SchemaHistory,
    TableFile,
    Version,
)
from audiomem_sql.versions.change import Change
from audiomem_sql.versions.logged import known_versions, logged_commits, replay
from audiomem_sql.versions.segment_view import SegmentView

#: Snapshots of other versions that a snapshot remembers.
_OTHERS_KEPT = 8


class Snapshot:
    """The rows of one version.

    segments: in the order of their versions. log: holds the commits after them.
    version: the version to see, by default the newest. schema: the columns to see, by default those of that
    version. table_file: the base; None where its segments were found in another way. found_log: the log that
    is there, also if all that it holds is in the segments.
    """

    def __init__(
        self,
        segments: Sequence[ReadableSegment],
        log: LogContent | None = None,
        version: int | None = None,
        schema: Schema | None = None,
        *,
        table_file: TableFile | None = None,
        found_log: LogContent | None = None,
    ) -> None:
        self.segments = tuple(segments)
        self.log = log
        self.table_file = table_file
        self.found_log = log if found_log is None else found_log
        self.logged = logged_commits(self.segments, log)
        self.newest = self.logged[-1].version if self.logged else self.segments[-1].catalog.last_version
        self.version = self.newest if version is None else version
        self.schema: Schema = self.schema_at(self.version) if schema is None else schema
        self.own_rows, self._gone = replay(self.logged, self.version)
        newest = self.segments[-1].catalog.schemas[-1][1]
        if self.own_rows and not self.schema.is_same(newest):
            translate = row_translation(newest, self.schema)
            self.own_rows = {rowid: translate(row) for rowid, row in self.own_rows.items()}
        self.views = self._views()
        self.rows = sum(view.live_rows for view in self.views) + len(self.own_rows)

    def after(self, log: LogContent) -> Snapshot:
        """Add the one commit that ``log`` has more to this newest snapshot, without replaying the others."""
        record = log.records[log.count - 1]
        newer = Snapshot.__new__(Snapshot)
        newer.segments, newer.log, newer.schema = self.segments, log, self.schema
        newer.table_file, newer.found_log = self.table_file, log
        newer.logged = [*self.logged, record]
        newer.newest = newer.version = record.version
        newer.own_rows = dict(self.own_rows)
        gone = {rowid for rowid in record.deleted if newer.own_rows.pop(rowid, None) is None}
        newer.own_rows.update(record.inserted)
        newer._gone = self._gone | gone if gone else self._gone
        newer.views = newer._views() if gone else self.views
        newer.history_bytes = self.history_bytes
        if record.message or record.tags:
            newer.history_bytes += sum(len(text.encode()) for text in (record.message or "", *record.tags))
        newer.newest_time = max(record.time, self.newest_time + 1)
        newer.high_rowid = max([self.high_rowid, *(rowid for rowid, _ in record.inserted)])
        newer.rows = sum(view.live_rows for view in newer.views) + len(newer.own_rows)
        return newer

    def with_log(self, log: LogContent, table_file: TableFile) -> Snapshot:
        """The same rows once there is a log, which has no commits behind them, and the file says so."""
        other = copy.copy(self)
        other.log = other.found_log = log
        other.table_file = table_file
        other.__dict__.pop("files", None)
        other.__dict__.pop("_others", None)
        return other

    def at(self, version: int, schema: Schema | None = None) -> Snapshot:
        """The same files as they were at ``version``; QueryError if that version is not kept.

        schema: columns to see it with, instead of those that it had: then one that was added later has its
        DEFAULT.
        """
        if version == self.version and (schema is None or schema is self.schema):
            return self
        key = (version, 0 if schema is None else id(schema))  # alive as long as the snapshot that has it
        other = self._others.get(key)
        if other is None:
            self.check_kept(version)
            while len(self._others) >= _OTHERS_KEPT:
                self._others.pop(next(iter(self._others)), None)
            other = self._others[key] = self._other(version, schema)
        return other

    def _other(self, version: int, schema: Schema | None) -> Snapshot:
        """The same files at another version."""
        return type(self)(
            self.segments,
            self.log,
            version,
            schema,
            table_file=self.table_file,
            found_log=self.found_log,
        )

    @cached_property
    def _others(self) -> dict[tuple[int, int], Snapshot]:
        """Other versions that were asked for: a join asks for the same one again and again."""
        return {}

    def schema_at(self, version: int) -> Schema:
        """The columns that the table had at ``version``."""
        earlier = [segment for segment in self.segments if segment.catalog.first_version <= version]
        return (earlier or self.segments[:1])[-1].catalog.schema_at(version)

    @cached_property
    def schemas(self) -> tuple[tuple[int, Schema], ...]:
        """(first version with it, schema), for every change of the columns that is kept, oldest first.

        Of schemas that are the same, the newest says what its columns were made of.
        """
        changes: list[tuple[int, Schema]] = []
        for segment in self.segments:
            for first, schema in segment.catalog.schemas:
                if changes and schema.is_same(changes[-1][1]):
                    first, _ = changes.pop()
                changes.append((first, schema))
        return tuple(changes)

    @cached_property
    def migrations(self) -> tuple[Migration, ...]:
        """Every change of the columns that the table went through, oldest first."""
        return tuple(step for segment in self.segments for step in segment.catalog.history.migrations)

    @cached_property
    def next_column(self) -> int:
        """The id for a new column: above every one that was used."""
        used = [column_id + 1 for _, schema in self.schemas for column_id in schema.ids]
        return max(used + [segment.catalog.history.next_column for segment in self.segments])

    def history(self, first: int, migrations: Sequence[Migration] | None = None) -> SchemaHistory:
        """What a segment says that holds all versions from ``first`` on.

        migrations: those that it records, by default all.
        """
        begun_schemas = [number for number, (start, _) in enumerate(self.schemas) if start <= first] or [0]
        schemas = [(max(start, first), schema) for start, schema in self.schemas[begun_schemas[-1] :]]
        recorded = tuple(self.migrations if migrations is None else migrations)
        if len(schemas) < 2 and not recorded:
            return NO_HISTORY
        return SchemaHistory(tuple(schemas) if len(schemas) > 1 else (), recorded, self.next_column)

    def check_kept(self, version: int) -> None:
        """QueryError unless ``version`` is one of those that are kept."""
        if not self.versions[0].number <= version <= self.newest:
            raise self.not_kept(f"version {version} is not kept")

    @property
    def path(self) -> str:
        """What messages call the table: its base file."""
        return self.segments[0].path

    def not_kept(self, reason: str) -> QueryError:
        """The error for ``reason``, with the versions and tags that are kept."""
        tags = ", ".join(f"{name} ({number})" for name, number in sorted(self.tags.items())) or "none"
        return QueryError(
            reason,
            file=self.path,
            remedy=f"Versions {self.versions[0].number} to {self.newest} are kept; tags: {tags}.",
        )

    @property
    def gaps(self) -> tuple[range, ...]:
        """Versions that no file holds: none, but see :mod:`audiomem_sql.upkeep.salvage`."""
        return ()

    @cached_property
    def files(self) -> tuple[object, ...]:
        """The identities of the segments and of the log."""
        log = None if self.log is None else self.log.identity
        return (*((segment.identity, segment.catalog.segment_id) for segment in self.segments), log)

    @property
    def has_leftover_log(self) -> bool:
        """Whether there is a log whose commits are all in the segments: a crash came before its removal.

        One that continues the segments and has no commit yet is none: the next commit goes there.
        """
        if self.found_log is None:
            return False
        return self.log is None or (not self.logged and not self.log.chained)

    @property
    def needs_upgrade(self) -> bool:
        """Whether the table is in format version 1, which is not written any more."""
        file = self.table_file
        return file is not None and (
            file.format_version == 1 or any(s.file.header.format_version == 1 for s in self.segments)
        )

    @cached_property
    def tags(self) -> dict[str, int]:
        """Names of versions."""
        numbers: dict[str, int] = {}
        for segment in self.segments:
            numbers |= segment.catalog.tags
        for record in self.logged:
            numbers |= record.tags
        return {name: number for name, number in numbers.items() if number}

    def _views(self) -> tuple[SegmentView, ...]:
        views: list[SegmentView] = []
        later = np.array(sorted(self._gone), np.int64)
        for segment in reversed(self.segments):
            if segment.catalog.first_version > self.version:
                continue
            views.append(SegmentView(segment.with_schema(self.schema), self._hidden_rows(segment, later)))
            rowids, versions = segment.tombstones()
            if len(rowids):
                later = np.union1d(later, rowids[versions <= self.version])
        return tuple(reversed(views))

    def _hidden_rows(self, segment: ReadableSegment, later: I64Array) -> I64Array:
        """The rows of ``segment`` that this version does not show, int64 (n,), ascending."""
        hidden = segment.find_many(later)
        catalog = segment.catalog
        if catalog.created is None:
            if catalog.last_version <= self.version:
                return hidden
            check_room(8 * segment.rows, segment.path)
            return np.arange(segment.rows)
        if catalog.ended is not None or catalog.last_version > self.version:
            outside = (segment.created() > self.version) | (segment.ended() <= self.version)
            hidden = np.union1d(hidden, np.flatnonzero(outside))
        return hidden

    @cached_property
    def versions(self) -> list[Version]:
        """Every commit that is kept, oldest first, with times that rise.

        Files of earlier releases may have times that fall, as the clock did. Such a commit counts as made one
        microsecond after the one before it.
        """
        rising: list[Version] = []
        for version in self._known_versions():
            if rising and version.time <= rising[-1].time:
                version = replace(version, time=rising[-1].time + 1)
            rising.append(version)
        return rising

    def _known_versions(self) -> list[Version]:
        """Every commit of the files, in the order of their numbers."""
        return known_versions(self.segments, self.logged)

    @cached_property
    def newest_time(self) -> int:
        """The time of the newest commit, in µs since 1970."""
        return self.versions[-1].time

    @cached_property
    def history_bytes(self) -> int:
        """Bytes of the messages and tags of all versions, and of the changes of columns."""
        messages = sum(len(version.message.encode()) for version in self.versions if version.message)
        texts = [*self.tags, *(step.text for step in self.migrations)]
        return messages + sum(len(text.encode()) for text in texts)

    @property
    def kept(self) -> int:
        """How many versions are kept."""
        return self.newest - self.segments[0].catalog.first_version + 1

    @cached_property
    def pending(self) -> Batch | None:
        """The rows that are in the log only."""
        return batch_of(sorted(self.own_rows.items()), self.schema) if self.own_rows else None

    @cached_property
    def ordered(self) -> bool:
        """Whether going through the segments in order, then the log, goes through the rowids in order."""
        ranges = [(s.catalog.low_rowid, s.catalog.high_rowid) for s in self.segments if s.rows]
        if self.own_rows:
            ranges.append((min(self.own_rows), max(self.own_rows)))
        return all(left[1] < right[0] for left, right in pairwise(ranges))

    @cached_property
    def high_rowid(self) -> int:
        """The greatest rowid that was ever given out in these files; 0 when there was none above."""
        stored = [segment.catalog.high_rowid for segment in self.segments if segment.rows]
        stored += [segment.catalog.given_rowid for segment in self.segments]
        logged = [rowid for record in self.logged for rowid, _ in record.inserted]
        return max(stored + logged, default=0)

    def contains(self, rowid: int) -> bool:
        """Whether a row has ``rowid``."""
        return rowid in self.own_rows or self.find(rowid) is not None

    def find(self, rowid: int) -> tuple[SegmentView, int] | None:
        """The segment and row of ``rowid``, or None; rows that are in the log only are not looked at."""
        for view in reversed(self.views):
            row = view.find(rowid)
            if row >= 0:
                return view, row
        return None

    def stored_row(self, rowid: int) -> Row | None:
        """The row ``rowid`` as stored values, or None."""
        logged = self.own_rows.get(rowid)
        position = None if logged is not None else self.find(rowid)
        if position is None:
            return logged
        view, row = position
        columns = [view.segment.slice(number, row, row + 1) for number in range(len(self.schema))]
        return next(stored_rows(pa.Table.from_arrays(columns, list(self.schema.names)), self.schema))

    def own_row(self, rowid: int) -> Row | None:
        """A row that is in the log only, or None."""
        return self.own_rows.get(rowid)

    @property
    def has_own_rows(self) -> bool:
        """Whether there may be rows that are in the log only."""
        return bool(self.own_rows)

    def own_rowids(self) -> Sequence[int]:
        """The rowids that are in the log only."""
        return list(self.own_rows)

    def own_rowids_by_key(self, place: int, collation: str, keys: Sequence[Any]) -> Sequence[int]:
        """Of these, at least those whose column ``place`` has one of ``keys``, see Bound.lookup."""
        if len(self.own_rows) <= FEW_ROWS:
            return self.own_rowids()
        assert self.pending is not None
        return indexed_rowids(self.pending, self.schema, self._indexes, place, collation, keys)

    @cached_property
    def _indexes(self) -> dict[tuple[int, str], KeyIndex]:
        return {}

    def close(self) -> None:
        """Close the files. Scans that are still running fail."""
        for segment in self.segments:
            segment.close()

    def mark_damage(self, on_damage: str) -> None:
        """Tell the segments what a read does about damage: ``fail``, ``skip`` or ``null``."""
        for segment in self.segments:
            segment.skip_damage = on_damage != "fail"
            segment.null_damage = on_damage == "null"

    def readable(self) -> Snapshot:
        """What of it can be opened: all."""
        return self

    def segments_since(self, version: int) -> Sequence[ReadableSegment]:
        """All segments, but for those whose rows ended before ``version``, as far as that is known."""
        return self.segments

    def tried_old(self) -> Sequence[ReadableSegment | AudioMemError]:
        """The segments that only older versions are read from, or why one cannot be opened."""
        return ()

    def own_changes(self, first: int, last: int, *, values: bool) -> list[Change] | None:
        """What ``versions.changes`` gives, where the files do not have the numbers of the versions."""
        return None

    def column_bytes(self, column: int) -> int:
        """Bytes of ``column`` before compression, from the catalogs alone."""
        directories = (segment.with_schema(self.schema).directory(column) for segment in self.segments)
        return sum(directory.raw_bytes for directory in directories if directory is not None)
