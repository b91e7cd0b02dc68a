"""Who writes to a sharded table: one at a time, all shards in one commit.

A commit is made durable in each shard that it changes; then the manifest that names these commits takes the
place of the one before, and that is the commit of the table. Whoever dies before leaves commits that no
manifest names: they are not shown, and the next commit in such a shard undoes them first.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from audiomem_sql.arrays import distinct
from audiomem_sql.bytes.file_state import FileState
from audiomem_sql.columns.batch import batch_of
from audiomem_sql.errors import AudioMemError, StorageError
from audiomem_sql.machine.progress import Progress
from audiomem_sql.shards import Manifest, Pin, ShardedSnapshot, read_manifest, remember, write_manifest
from audiomem_sql.storage.log import LogRecord
from audiomem_sql.storage.segment import TableOptions, Version
from audiomem_sql.table.commit_upkeep import CommitUpkeep
from audiomem_sql.table.open_table import OpenTable
from audiomem_sql.table.session import Session
from audiomem_sql.table.shard_codecs import codecs_for
from audiomem_sql.table.shard_writer import ShardChange, ShardWriter, check_key, split_rows, write_encoded
from audiomem_sql.versions import unpack_sources
from audiomem_sql.writing import log_limits
from audiomem_sql.writing.commit import Commit, EncodedRows, PreparedCommit, commit_time
from audiomem_sql.writing.commit_limits import check_history
from audiomem_sql.writing.group_commit import Append

if TYPE_CHECKING:
    from audiomem_sql.indexes.vectors import VectorCodec
    from audiomem_sql.table.encoded_part import EncodedPart


@dataclass(slots=True)
class ShardedCommit:
    """A commit that is in the shards of ``writers`` and in the manifest. before: the manifest without it."""

    version: int
    session: ShardedSession
    before: Manifest
    writers: Mapping[int, ShardWriter]

    def accept(self) -> None:
        """The commit stands."""
        with contextlib.ExitStack() as stack:  # each, also where another one fails
            for number, writer in self.writers.items():
                stack.callback(self.session.adopt, number, writer)
                stack.callback(writer.accept)

    def take_back(self) -> None:
        """Undo the commit: the manifest before it is the newest again.

        Where that is not sure to last, the parts stay: a manifest that names them may come back.
        """
        try:
            self.session.replace_manifest(self.before)
        except BaseException:
            self.accept()
            raise
        for writer in self.writers.values():
            writer.take_back()


class _NoUpkeep(CommitUpkeep):
    """Shards have upkeep of their own."""

    def after_commit(self) -> None:
        """Nothing."""

    def merge_small(self, *, at_the_end: bool = False) -> None:
        """Nothing."""


class ShardedSession(Session):
    """The writing side of an open sharded table."""

    def __init__(self, opened: OpenTable, busy_timeout: float) -> None:
        super().__init__(opened, busy_timeout)
        self.upkeep = _NoUpkeep(self)
        self._writers: dict[int, ShardWriter] = {}

    @property
    def snapshot(self) -> ShardedSnapshot:
        """The newest version that was loaded."""
        snapshot = self.opened.snapshot
        assert isinstance(snapshot, ShardedSnapshot)
        return snapshot

    def check_no_shard(self) -> None:
        """It is the table of the shards."""

    def _lock_files(self, timeout: float, *, damaged: bool = False) -> None:
        """Take the writer's lock, and load the newest version."""
        opened, files = self.opened, self.opened.files
        files.check_writable()
        self.lock.acquire(timeout, timeout and self.busy_timeout)
        files.check_one_name()
        known = self.snapshot
        with self._refreshing:
            opened.refresh()
        if self.snapshot.newest < known.newest - 1:  # one may have been taken back
            opened.snapshot = known
            raise StorageError(
                f"the manifest was replaced by an older state, while the table was open with version "
                f"{known.newest}",
                file=files.base,
                remedy="Close the table, and open it again if that is the state to go on with.",
            )
        files.sweep()
        files.settle()

    # -- commits ---------------------------------------------------------------------------------------------

    def upgrade(self) -> None:
        """Shards see to it."""

    def empty_log(self) -> bool:
        """Shards have logs of their own: nothing."""
        return False

    def append_to_log(self, record: LogRecord) -> PreparedCommit:
        """Write a commit, durably. It is not in the snapshot yet."""
        snapshot = self.snapshot
        check_history(snapshot, record.message, tags=record.tags)
        changes: dict[int, ShardChange] = {}
        inserted = sorted(record.inserted)
        if inserted:
            batch = batch_of(inserted, snapshot.schema)
            split_rows([batch], [snapshot.placement.of_rows(batch.rowids, batch.arrays)], changes)
        self._split_deleted(record.deleted, changes)
        version = Version(record.version, record.time, len(inserted), len(record.deleted), record.message)
        sources = {} if record.sources is None else unpack_sources(record.sources)
        return self._commit(version, changes, self.opened.options, record.tags, sources, None)

    def write_segment(
        self, content: Commit, options: TableOptions | None = None, progress: Progress | None = None
    ) -> PreparedCommit:
        """Write a commit of many rows, durably. It is not in the snapshot yet."""
        return self.write_parts(content, (), options, progress)

    def write_parts(
        self,
        content: Commit,
        parts: Sequence[EncodedPart],
        options: TableOptions | None = None,
        progress: Progress | None = None,
    ) -> PreparedCommit:
        """:meth:`write_segment` with more rows, which are encoded and have their rowids."""
        snapshot = self.snapshot
        check_history(snapshot, content.message, change=content.change)
        changes: dict[int, ShardChange] = {}
        for part in parts:
            encoded = changes.setdefault(part.shard, ShardChange()).encoded
            encoded.append(EncodedRows(part.segment, part.first_rowid, further=bool(encoded)))
        batches = list(content.batches)
        count = sum(map(len, batches)) + sum(part.rows for part in parts)
        shards = [snapshot.placement.of_rows(batch.rowids, batch.arrays) for batch in batches]
        split_rows(batches, shards, changes)
        codecs: Mapping[int, VectorCodec] = {}
        if batches:
            codecs = codecs_for(batches, snapshot.schema, self.opened.options.vector_codes)
        if codecs and parts:
            from audiomem_sql.upkeep.new_segment import codecs_of

            codecs = codecs_of(snapshot, snapshot.schema)  # as the parts
        for change in changes.values():
            change.codecs = codecs or None
        self._split_deleted(content.deleted.tolist(), changes)
        if content.schema is not None:
            check_key(snapshot, content.schema)
            for each in range(len(snapshot.shard_files)):
                changes[each] = ShardChange(schema=content.schema, change=content.change)
        number, time = snapshot.newest + 1, commit_time(snapshot)
        version = Version(number, time, count, len(content.deleted), content.message)
        sources = {} if content.sources is None else unpack_sources(content.sources)
        options = options or self.opened.options
        return self._commit(version, changes, options, {}, sources, progress, parts=parts)

    def commit_parts(self, content: Commit, parts: Sequence[EncodedPart]) -> int:
        """:meth:`write_parts`, for good; the new version."""
        commit = self.write_parts(content, parts)
        commit.accept()
        self._committed = True
        return commit.version

    def _split_deleted(self, rowids: Sequence[int], changes: dict[int, ShardChange]) -> None:
        deleted = np.array(sorted(rowids), np.int64)
        if not len(deleted):
            return
        numbers = self.snapshot.shards_of(deleted)
        for number in distinct(numbers[numbers >= 0]).tolist():
            changes.setdefault(number, ShardChange()).deleted = deleted[numbers == number]

    def _commit(
        self,
        version: Version,
        changes: Mapping[int, ShardChange],
        options: TableOptions,
        tags: Mapping[str, int],
        sources: Mapping[str, bytes],
        progress: Progress | None,
        table: Sequence[int] | None = None,
        parts: Sequence[EncodedPart] = (),
    ) -> ShardedCommit:
        """Write the changes to their shards, then the manifest.

        table: of buckets, if rows are moved. parts: what is encoded in the changes.
        """
        snapshot = self.snapshot
        newest = snapshot.at(snapshot.newest)
        assert isinstance(newest, ShardedSnapshot)
        before, pins = snapshot.manifest, dict[int, Pin]()
        begun: dict[int, ShardWriter] = {}
        zones, high = before.zones, before.high_rowid
        for part in parts:
            zones = zones.joined(part.shard, part.zones)
            high = max(high, part.high_rowid)
        try:
            for number in sorted(changes):
                newest.shard(number)  # what is wrong with it is told before anything is written
                writer = begun[number] = self.writer(number)
                writer.begin(newest.pins[number], options)
            if parts:
                pins.update(write_encoded(begun, dict(sorted(changes.items())), options.profile))
            for number, change in sorted(changes.items()):
                if not parts:
                    pins[number] = begun[number].write(change, progress)
                for batch in change.batches:
                    zones = zones.grown(number, before.schema, batch.arrays)
                    high = max(high, int(batch.rowids[-1]))
            manifest = before.after(version, pins, zones=zones, high_rowid=high, tags=tags, sources=sources)
            altered = {change.change: change.schema for change in changes.values() if change.schema}
            for text, schema in altered.items():  # of all shards it is one
                manifest = manifest.altered(schema, text)
            manifest = manifest.with_options(options.to_catalog())
            self.replace_manifest(manifest if table is None else manifest.moved(table))
        except BaseException:
            stands = self._stands(version.number)  # the folder's fsync may have failed behind the rename
            for writer in begun.values():
                if stands:
                    writer.accept()
                else:
                    writer.take_back()
            raise
        return ShardedCommit(version.number, self, before, begun)

    def move(self, message: str, changes: Mapping[int, ShardChange], table: Sequence[int]) -> None:
        """Move rows between shards, which are those of ``table`` by their buckets from then on."""
        snapshot = self.snapshot
        check_history(snapshot, message)
        version = Version(snapshot.newest + 1, commit_time(snapshot), 0, 0, message)
        self._commit(version, changes, self.opened.options, {}, {}, None, table).accept()
        self._committed = True

    def _stands(self, version: int) -> bool:
        """Whether the manifest in place has ``version``; also if that cannot be told."""
        try:
            return read_manifest(self.opened.files.base)[0].newest >= version
        except AudioMemError:
            return True

    def replace_manifest(self, manifest: Manifest) -> None:
        """Put ``manifest`` in the place of the one that is there, durably."""
        self.lock.check_in_place()
        base = self.opened.files.base
        self.put_in_place(write_manifest(base, manifest), base)
        remember(base, FileState.of(base), manifest)

    def writer(self, number: int) -> ShardWriter:
        """The one of shard ``number``."""
        writer = self._writers.get(number)
        if writer is None:
            file = self.snapshot.shard_files[number]
            writer = self._writers[number] = ShardWriter(file, self.busy_timeout)
        return writer

    def next_column(self) -> int:
        """The id for a new column: above those of commits in shards that were never acknowledged, too."""
        used = [self.snapshot.next_column]
        for number in range(len(self.snapshot.shard_files)):
            self.snapshot.shard(number)  # what is wrong with it is told
            writer = self.writer(number)
            writer.session.refresh()
            used.append(writer.snapshot.next_column)
        return max(used)

    def adopt(self, number: int, writer: ShardWriter) -> None:
        """Show what was written to a shard, without opening it again."""
        self.snapshot.shard_files[number].adopt(writer.snapshot)

    def show_anew(self) -> None:
        """Show the files of shards that took the place of others which say the same."""
        snapshot = self.snapshot
        self.opened.snapshot = ShardedSnapshot(
            snapshot.path, snapshot.manifest, snapshot.shard_files, snapshot.state, place=snapshot.place
        )

    @property
    def logged_bytes(self) -> int:
        """The largest commit that goes to the logs of shards."""
        return log_limits.logged_part_bytes()

    def append_alone(self, append: Append) -> int | None:
        """Make a commit of few rows; its version, or None if it is too large for a log after all."""
        with self.writing():
            record = append.record(self.opened.path, self.snapshot, self.logged_bytes)
            if record is None:
                return append.outcome()
            self.append_to_log(record).accept()
            self._committed = True
            return record.version

    # -- the end ---------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close all files; the logs of shards that were written to are folded."""
        try:
            for writer in self._writers.values():
                writer.close()
            self._writers.clear()
        finally:
            super().close()
