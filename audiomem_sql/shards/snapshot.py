"""One version of a sharded table, with the face of a snapshot: its segments are those of all shards.

Nothing of a shard is opened before it is needed: what finds rows by the key of the table opens one, and
conditions leave out those whose zone maps have no such rows.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

import numpy as np

from audiomem_sql.arrays import I64Array, distinct
from audiomem_sql.bytes.file_state import FileState
from audiomem_sql.columns.batch import Batch, Row, batch_of
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.stored_values import int64_view
from audiomem_sql.errors import AudioMemError
from audiomem_sql.machine.thread_pool import ThreadPool
from audiomem_sql.shards.buckets import BoundColumn, Placement
from audiomem_sql.shards.changes import changes_of
from audiomem_sql.shards.manifest import Manifest
from audiomem_sql.shards.shard_file import ShardFile
from audiomem_sql.shards.version_bytes import Pin
from audiomem_sql.shards.zones import ShardZones
from audiomem_sql.storage.segment import ROWID, Migration, ReadableSegment, Version
from audiomem_sql.versions import Change, SegmentView, Snapshot, in_order

#: Snapshots of other versions that a snapshot remembers.
_OTHERS_KEPT = 8
#: Shards in a store that are opened at the same time.
_OPENED_AT_ONCE = 16


class SomeShards:
    """The rows of some shards alone, by their numbers; see scan.Readable.

    whole: of what they are a part, if less of it may be asked for.
    """

    def __init__(
        self, schema: Schema, shards: Mapping[int, Snapshot], whole: ShardedSnapshot | None = None
    ) -> None:
        self.schema = schema
        self._numbers = shards
        self._shards = tuple(shards.values())
        self._whole = whole

    def narrowed(self, filters: Sequence[BoundColumn]) -> SomeShards:
        """What has all rows of these shards for which all ``filters`` are true."""
        if self._whole is None:
            return self
        numbers = [number for number in self._whole.chosen(filters) if number in self._numbers]
        if len(numbers) == len(self._numbers):
            return self
        return SomeShards(self.schema, {number: self._numbers[number] for number in numbers}, self._whole)

    @cached_property
    def views(self) -> tuple[SegmentView, ...]:
        """The segments, each with its deleted rows."""
        return tuple(view for shard in self._shards for view in shard.views)

    @cached_property
    def own_rows(self) -> dict[int, Row]:
        """The rows outside the segments."""
        return {rowid: row for shard in self._shards for rowid, row in shard.own_rows.items()}

    @cached_property
    def pending(self) -> Batch | None:
        """The rows outside the segments, by rowid."""
        if len(self._shards) == 1:
            return self._shards[0].pending
        return batch_of(sorted(self.own_rows.items()), self.schema) if self.own_rows else None

    @property
    def ordered(self) -> bool:
        """Whether segments, then pending rows, are in rowid order."""
        return not self._shards or (len(self._shards) == 1 and self._shards[0].ordered)


class ShardedSnapshot(Snapshot):
    """The rows of one version of the table that ``manifest`` describes.

    files: one a shard, which snapshots of other versions share. state: of the manifest's file. version: the
    one to see, by default the newest. schema: the columns to see, by default those of that version. place:
    what reads the manifest again, by default path. left_out: the numbers of shards that are not shown.
    """

    def __init__(
        self,
        path: str,
        manifest: Manifest,
        files: Sequence[ShardFile],
        state: FileState | None,
        version: int | None = None,
        schema: Schema | None = None,
        *,
        place: str | None = None,
    ) -> None:
        self._path = path
        self.place = place or path
        self.manifest = manifest
        self.shard_files = tuple(files)
        self.state = state
        self.log = self.found_log = None
        self.table_file = None
        self.logged = []
        self.newest = manifest.newest
        self.version = self.newest if version is None else version
        self.schema = manifest.layout_at(self.version).schema if schema is None else schema
        self.pins: tuple[Pin, ...] = manifest.pins_at(self.version)
        self.rows = manifest.rows_at(self.version)
        self.placement: Placement = manifest.placement_at(self.version, self.schema)
        self.zones: ShardZones = manifest.zones_of(self.schema)
        self._opened: dict[int, Snapshot] = {}
        self.left_out: frozenset[int] = frozenset()

    @property
    def path(self) -> str:
        """What messages call the table: its folder."""
        return self._path

    # -- shards ----------------------------------------------------------------------------------------------

    def shard(self, number: int) -> Snapshot:
        """The rows of one shard: always the same segments and log, also when these are merged meanwhile."""
        shard = self._opened.get(number)
        if shard is None:
            file = self.shard_files[number]
            shard = self._opened.setdefault(number, file.at(self.pins[number], self.schema))
        return shard

    @property
    def shards(self) -> Iterator[Snapshot]:
        """The rows of each shard."""
        numbers = [number for number in range(len(self.shard_files)) if number not in self.left_out]
        self.open(numbers)
        return (self.shard(number) for number in numbers)

    def tried(self) -> list[Snapshot | AudioMemError]:
        """The rows of each shard, or why there are none."""
        with suppress(AudioMemError):
            self.open(range(len(self.shard_files)))
        return [self._tried(number) for number in range(len(self.shard_files))]

    def _tried(self, number: int) -> Snapshot | AudioMemError:
        try:
            return self.shard(number)
        except AudioMemError as error:
            return error

    def readable(self) -> Snapshot:
        """Itself without the shards that cannot be opened; the error of the first one if none can."""
        tried = self.tried()
        faults = [number for number, shard in enumerate(tried) if isinstance(shard, AudioMemError)]
        if len(faults) == len(tried):
            self.shard(0)
        if not faults:
            return self
        other = copy.copy(self)
        other.left_out = frozenset(faults)
        other.__dict__.pop("_all", None)
        return other

    def open(self, numbers: Sequence[int]) -> None:
        """Open the shards with these numbers that are far away, at the same time: each takes round trips."""
        closed = [number for number in numbers if number not in self._opened]
        if len(closed) > 1 and self.shard_files[closed[0]].files.is_remote:
            with ThreadPool(min(len(closed), _OPENED_AT_ONCE)) as threads:
                list(threads.map(self.shard, closed))

    def chosen(self, filters: Sequence[BoundColumn]) -> list[int]:
        """The numbers of the shards that may have rows for which all ``filters`` are true."""
        keep = self.zones.may_pass(filters, len(self.shard_files))
        placed = self.placement.of_filters(filters)
        keep[list(self.left_out)] = False
        return [number for number in np.flatnonzero(keep).tolist() if placed is None or number in placed]

    def narrowed(self, filters: Sequence[BoundColumn]) -> SomeShards | ShardedSnapshot:
        """What has all rows for which all ``filters`` are true, of as few shards as can be told."""
        numbers = self.chosen(filters)
        if len(numbers) == len(self.shard_files) - len(self.left_out):
            return self
        return self.some(numbers)

    def some(self, numbers: Sequence[int]) -> SomeShards:
        """The rows of the shards with these numbers."""
        self.open(numbers)
        return SomeShards(self.schema, {number: self.shard(number) for number in numbers}, self)

    def _with_rowid(self, rowid: int) -> Iterator[Snapshot]:
        """The shards that may have a row with ``rowid``, those that are open already first."""
        if self.placement.columns:
            return (self.shard(number) for number in self._open_first())
        return iter([self.shard(self.placement.of_rowid(rowid))])

    def _open_first(self) -> list[int]:
        """The numbers of all shards: whoever asks for a row has mostly read it before."""
        opened = list(self._opened)
        return opened + [number for number in range(len(self.shard_files)) if number not in opened]

    def holding(self, rowids: I64Array) -> Iterator[Snapshot]:
        """Shards that have all rows with ``rowids`` that are there, those that are open first."""
        if self.placement.columns:
            numbers, opened = self._open_first(), len(self._opened)
        else:
            numbers = distinct(self.placement.of_rows(rowids, ())).tolist()
            opened = 0
        numbers = [number for number in numbers if number not in self.left_out]
        for place, number in enumerate(numbers):
            if place == opened:
                self.open(numbers[opened:])
            yield self.shard(number)

    def shards_of(self, rowids: I64Array) -> I64Array:
        """The number of the shard that has each of ``rowids``, int64 (n,), ascending; -1 for none."""
        if not self.placement.columns:
            return self.placement.of_rows(rowids, ())
        numbers = np.full(len(rowids), -1, np.int64)
        for number in self._open_first():
            if (numbers >= 0).all():
                break
            shard = self.shard(number)
            known = [np.fromiter(shard.own_rows, np.int64, len(shard.own_rows))]
            for view in shard.views:
                rows = np.setdiff1d(view.segment.find_many(rowids), view.deleted)
                if len(rows):
                    known.append(int64_view(view.segment.take(ROWID, rows)))
            numbers[np.isin(rowids, np.concatenate(known))] = number
        return numbers

    # -- the face of a snapshot: rows ------------------------------------------------------------------------

    @property
    def segments(self) -> tuple[ReadableSegment, ...]:  # type: ignore[override]
        """The segments of all shards."""
        return tuple(segment for shard in self.shards for segment in shard.segments)

    @cached_property
    def _all(self) -> SomeShards:
        return SomeShards(self.schema, dict(enumerate(self.shards)))

    @property
    def views(self) -> tuple[SegmentView, ...]:  # type: ignore[override]
        """The segments of all shards, each with its deleted rows."""
        return self._all.views

    @property
    def own_rows(self) -> dict[int, Row]:  # type: ignore[override]
        """The rows that are in the logs of shards only."""
        return self._all.own_rows

    @property
    def has_own_rows(self) -> bool:
        """It is not known before shards are opened."""
        return True

    @property
    def pending(self) -> Batch | None:
        """The rows that are in the logs of shards only."""
        return self._all.pending

    @property
    def ordered(self) -> bool:
        """Whether segments, then logs, are in rowid order."""
        return len(self.shard_files) == 1 and self._all.ordered

    def contains(self, rowid: int) -> bool:
        """Whether a row has ``rowid``."""
        return any(shard.contains(rowid) for shard in self._with_rowid(rowid))

    def find(self, rowid: int) -> tuple[SegmentView, int] | None:
        """The segment and row of ``rowid``, or None; rows that are in a log only are not looked at."""
        found = (shard.find(rowid) for shard in self._with_rowid(rowid))
        return next((place for place in found if place is not None), None)

    def stored_row(self, rowid: int) -> Row | None:
        """The row ``rowid`` as stored values, or None."""
        rows = (shard.stored_row(rowid) for shard in self._with_rowid(rowid))
        return next((row for row in rows if row is not None), None)

    def own_row(self, rowid: int) -> Row | None:
        """A row that is in a log only, or None."""
        rows = (shard.own_row(rowid) for shard in self._with_rowid(rowid))
        return next((row for row in rows if row is not None), None)

    def own_rowids_by_key(self, place: int, collation: str, keys: Sequence[Any]) -> Sequence[int]:
        """Of the rowids in logs, at least those whose column ``place`` has one of ``keys``."""
        placed = self.placement.of_own_key(place, collation, keys)
        numbers = range(len(self.shard_files)) if placed is None else sorted(placed)
        return [
            rowid
            for number in numbers
            for rowid in self.shard(number).own_rowids_by_key(place, collation, keys)
        ]

    def close(self) -> None:
        """Close the files. Scans that are still running fail."""
        for file in self.shard_files:
            file.close()

    def mark_damage(self, on_damage: str) -> None:
        """Tell the shards what a read does about damage."""
        for file in self.shard_files:
            file.on_damage = on_damage

    # -- the face of a snapshot: versions --------------------------------------------------------------------

    def at(self, version: int, schema: Schema | None = None) -> Snapshot:
        """The same files as they were at ``version``; QueryError if that version is not kept.

        schema: columns to see it with, instead of those that it had.
        """
        if version == self.version and (schema is None or schema is self.schema):
            return self
        key = (version, 0 if schema is None else id(schema))  # alive as long as the snapshot that has it
        other = self._others.get(key)
        if other is None:
            self.check_kept(version)
            while len(self._others) >= _OTHERS_KEPT:
                self._others.pop(next(iter(self._others)), None)
            other = self._others[key] = self._of_version(version, schema)
        return other

    def _of_version(self, version: int, schema: Schema | None) -> ShardedSnapshot:
        return ShardedSnapshot(
            self.path, self.manifest, self.shard_files, self.state, version, schema, place=self.place
        )

    def as_newest(self) -> ShardedSnapshot:
        """The same version of a manifest that ends with it."""
        if self.version == self.newest:
            return self
        manifest = self.manifest.until(self.version)
        files = self.shard_files[: len(manifest.shards)]
        return ShardedSnapshot(self.path, manifest, files, self.state, place=self.place)

    def schema_at(self, version: int) -> Schema:
        """The columns that the table had at ``version``."""
        return self.manifest.layout_at(version).schema

    @property
    def schemas(self) -> tuple[tuple[int, Schema], ...]:
        """(first version with it, schema), for every change of the columns that is kept, oldest first."""
        return self.manifest.schemas

    @property
    def migrations(self) -> tuple[Migration, ...]:
        """Every change of the columns that the table went through, oldest first."""
        return self.manifest.migrations

    @property
    def next_column(self) -> int:
        """The id for a new column: above every one that a version had."""
        return max(self.manifest.next_column, *(column + 1 for column in self.manifest.schema.ids))

    @property
    def files(self) -> tuple[object, ...]:
        """The state of the manifest."""
        return (self.state,)

    @property
    def tags(self) -> dict[str, int]:
        """Names of versions."""
        return {name: number for name, number in self.manifest.tags.items() if number}

    @cached_property
    def versions(self) -> list[Version]:
        """Every commit that is kept, oldest first."""
        return [each.version for each in self.manifest.versions]

    @property
    def newest_time(self) -> int:
        """The time of the newest commit, in µs since 1970."""
        return self.manifest.versions[-1].version.time

    @property
    def kept(self) -> int:
        """How many versions are kept."""
        return len(self.manifest.versions)

    @property
    def high_rowid(self) -> int:
        """The greatest rowid that was ever given out."""
        return self.manifest.high_rowid

    @property
    def file_size(self) -> int:
        """Bytes of the manifest."""
        return 0 if self.state is None else self.state.size

    def own_changes(self, first: int, last: int, *, values: bool) -> list[Change] | None:
        """What the versions ``first`` to ``last`` changed, see ``versions.changes``."""
        return list(in_order(*changes_of(self.manifest, self.shard_files, first, last, values)))
