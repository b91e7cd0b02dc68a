"""A version of a sharded table in a store: its rows are given to shards when the manifest numbers them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.batch import Batch
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.stored_values import integer_array
from audiomem_sql.errors import BusyError, LimitError
from audiomem_sql.indexes.vectors import VectorCodec
from audiomem_sql.remote.commits import Commit, Footprint, Manifest, NewSegment, SplitChange
from audiomem_sql.remote.commits.manifest import INLINE_BYTES
from audiomem_sql.shards import Pin, content_of, with_content
from audiomem_sql.storage.segment import Version
from audiomem_sql.table.shard_writer import ShardChange, split_rows
from audiomem_sql.writing.transaction import MAX_ROWID

#: Makes the segment of what changes in a shard, given its number.
SegmentOf = Callable[[int, ShardChange], NewSegment]


@dataclass
class _Split:
    """What a commit changes in each shard, and that as records; None if they are too large."""

    changes: dict[int, ShardChange]
    records: dict[int, bytes] | None


@dataclass
class SplitCommit(SplitChange):
    """A new version.

    whole: what it is to the table. batches: rows in ascending order of rowids; those of which the manifest
    numbers ``whole.new_rows`` get other rowids that follow each other. deleted: rowids by shard. small:
    whether the commit may stand in the manifest. buckets: the shard of each, as its writer saw it; moved: as
    it is from then on, if rows are moved. options: those that change. altered: the columns from then on, and
    how they changed, of a version without rows.
    """

    whole: Commit
    schema: Schema
    batches: Sequence[Batch]
    deleted: Mapping[int, I64Array]
    buckets: tuple[int, ...]
    segment_of: SegmentOf
    small: bool
    #: The number of the manifest that its writer saw, and the rowid that it gave next.
    seen: tuple[int, int] = (0, 1)
    message: str | None = None
    sources: Mapping[str, bytes] = field(default_factory=dict)
    options: Mapping[str, object] = field(default_factory=dict)
    codecs: Mapping[int, VectorCodec] | None = None
    moved: Sequence[int] | None = None
    altered: tuple[Schema, str] | None = None
    _split: tuple[int, _Split] | None = None

    @property
    def commit(self) -> bytes:  # type: ignore[override]
        """The id of it, and of all its parts."""
        return self.whole.commit

    @property
    def new_rows(self) -> int:  # type: ignore[override]
        """How many rows the manifest numbers."""
        return self.whole.new_rows

    @property
    def footprint(self) -> Footprint:
        """What it wrote."""
        return self.whole.footprint

    def check(self, head: Manifest) -> None:
        """BusyError if another commit came first that wrote the same, or rows were moved to other shards."""
        self.whole.check(head)
        self._check_rowids(head)
        if content_of(head).shard_of_bucket != self.buckets:
            raise _moved()
        if self.moved is not None and head.version != self.whole.base:
            raise _moved()
        if self.altered is not None and any(shard.inline for shard in head.shards):
            raise BusyError(
                "another commit came first, and the two do not go together: rows with the columns of before",
                remedy="Read the newest version, and make the change again.",
            )

    def _check_rowids(self, head: Manifest) -> None:
        """BusyError if a rowid that its writer chose was reserved for a row of somebody else."""
        seq, next_rowid = self.seen
        if self.whole.high_rowid < next_rowid or head.next_rowid == next_rowid:
            return
        newer = [done for done in head.recent if done.seq > seq]
        rowids = self.whole.footprint.rowids
        known = bool(head.recent) and head.recent[0].seq <= seq + 1
        if not known or any(done.numbered(rowids, self.whole.high_rowid) for done in newer):
            raise BusyError(
                "another commit came first, and the two do not go together: a rowid of it was given to a row "
                "of the other",
                remedy="Read the newest version, and make the change again.",
            )

    def numbering(self, head: Manifest) -> Hashable:
        """The rowid of the first row that the manifest numbers."""
        return self._first(head)

    def _first(self, head: Manifest) -> int:
        return head.next_rowid if self.new_rows else 0

    def parts(self, head: Manifest) -> Mapping[int, Commit]:
        """A commit of each shard that changes."""
        split = self._split_at(head)
        records = split.records
        if records is not None and head.inline_bytes + sum(map(len, records.values())) > INLINE_BYTES:
            records = None
        time = self._time(head)
        return {
            number: Commit(
                self.commit,
                0,
                time,
                record=None if records is None else records[number],
                encoded=partial(self.segment_of, number, change),
            )
            for number, change in split.changes.items()
        }

    def joined(self, head: Manifest, shards: Sequence[Manifest]) -> Manifest:
        """``head`` with one version more."""
        manifest = content_of(head)
        changes = self._split_at(head).changes
        zones, inserted = manifest.zones, 0
        for number, change in sorted(changes.items()):
            for batch in change.batches:
                zones = zones.grown(number, self.schema, batch.arrays)
                inserted += len(batch)
        removed = sum(map(len, self.deleted.values()))
        version = Version(head.version + 1, self._time(head), inserted, removed, self.message)
        if self.moved is not None:
            version = replace(version, inserted=0, deleted=0)
        pins = {number: Pin(shards[number].version, shards[number].time) for number in changes}
        newer = manifest.after(version, pins, zones=zones, high_rowid=0, tags={}, sources=self.sources)
        if self.altered is not None:
            newer = newer.altered(*self.altered)
        newer = newer.with_options({**manifest.options, **self.options})
        if self.moved is not None:
            newer = newer.moved(self.moved)
        if self.altered is not None:
            head = replace(head, schema=head.schema + 1)
        next_rowid = max(head.next_rowid, self.whole.high_rowid + 1) + self.new_rows
        if next_rowid > MAX_ROWID:
            raise LimitError("no rowid is left for a new row")
        head = replace(head, version=version.number, time=version.time, next_rowid=next_rowid)
        return with_content(head, newer, shards)

    def _time(self, head: Manifest) -> int:
        return max(self.whole.time, head.time + 1)

    def _split_at(self, head: Manifest) -> _Split:
        """The rows given to shards, with the rowids that they get on top of ``head``."""
        first = self._first(head)
        if self._split is None or self._split[0] != first:
            batches = self.batches
            if self.new_rows and batches:
                shift = first - int(batches[0].rowids[0])
                batches = [shifted(batch, shift, self.schema) for batch in batches]
            self._split = first, self._split_of(head, batches)
        return self._split[1]

    def _split_of(self, head: Manifest, batches: Sequence[Batch]) -> _Split:
        if self.altered is not None:
            schema, said = self.altered
            every = {number: ShardChange(schema=schema, change=said) for number in range(len(head.shards))}
            return _Split(every, None)
        changes: dict[int, ShardChange] = {}
        placement = content_of(head).placement_at(head.version, self.schema)
        if self.moved is not None:
            placement = replace(placement, shard_of_bucket=tuple(self.moved))
        shards = [placement.of_rows(batch.rowids, batch.arrays) for batch in batches]
        split_rows(batches, shards, changes)
        for change in changes.values():
            change.codecs = self.codecs
        for number, rowids in self.deleted.items():
            changes.setdefault(number, ShardChange()).deleted = rowids
        records = None
        if self.small:
            records = {number: change.packed(self.schema) for number, change in changes.items()}
            if sum(map(len, records.values())) > INLINE_BYTES:
                records = None
        return _Split(changes, records)


def shifted(batch: Batch, shift: int, schema: Schema) -> Batch:
    """The rows with other rowids, which an INTEGER PRIMARY KEY has for its value."""
    if not shift:
        return batch
    rowids = batch.rowids + np.int64(shift)
    arrays = list(batch.arrays)
    if schema.rowid_column is not None:
        arrays[schema.rowid_column] = integer_array(rowids)
    return Batch(rowids, tuple(arrays))


def _moved() -> BusyError:
    return BusyError(
        "another commit came first, and the two do not go together: rows move between shards",
        remedy="Read the newest version, and make the change again.",
    )
