"""Who writes to a sharded table in a store: every commit is one replacement of the one manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from audiomem_sql.arrays import I64Array, distinct
from audiomem_sql.columns.batch import batch_of
from audiomem_sql.errors import BusyError
from audiomem_sql.machine.progress import Progress
from audiomem_sql.remote.commits import Commit as StoredChange
from audiomem_sql.remote.commits import Footprint, NewSegment, Reserve
from audiomem_sql.shards import StoredShardedSnapshot
from audiomem_sql.storage.log import LogRecord
from audiomem_sql.storage.segment import TableOptions
from audiomem_sql.table.open_table import OpenTable
from audiomem_sql.table.shard_codecs import codecs_for
from audiomem_sql.table.shard_writer import ShardChange, check_key
from audiomem_sql.table.split_commit import SplitCommit, shifted
from audiomem_sql.table.stored_session import StoredSession
from audiomem_sql.table.stored_sharded_upkeep import StoredShardsUpkeep
from audiomem_sql.versions import StoredSnapshot, unpack_sources
from audiomem_sql.writing.appending import as_batches, check_rows, number_rows
from audiomem_sql.writing.commit import Commit, StoredCommit, now
from audiomem_sql.writing.commit_limits import check_history
from audiomem_sql.writing.group_commit import Append
from audiomem_sql.writing.stored_commit import SegmentFiles, commit_file, footprint_of
from audiomem_sql.writing.stored_rows import StoredRows

if TYPE_CHECKING:
    from audiomem_sql.remote.commits.changes import Change

#: Bytes of a commit that is tried as records of the manifest.
_RECORD_BYTES = 48 << 10
_NO_ROWS: I64Array = np.empty(0, np.int64)


class StoredShardedSession(StoredSession):
    """The writing side of an open sharded table in a store, shared by its threads."""

    def __init__(self, opened: OpenTable, busy_timeout: float) -> None:
        super().__init__(opened, busy_timeout)
        self.upkeep: StoredShardsUpkeep = StoredShardsUpkeep(self)  # type: ignore[assignment]

    @property
    def snapshot(self) -> StoredShardedSnapshot:  # type: ignore[override]
        """The newest snapshot."""
        snapshot = self.opened.snapshot
        assert isinstance(snapshot, StoredShardedSnapshot)
        return snapshot

    def check_no_shard(self) -> None:
        """It is the table of the shards."""

    # -- commits; the turn must be this thread's -------------------------------------------------------------

    def append_to_log(self, record: LogRecord) -> StoredCommit:
        """Write the open transaction durably. BusyError if another commit does not go with it."""
        snapshot, transaction = self.snapshot, self.transaction
        assert transaction is not None
        check_history(snapshot, record.message)
        rowids, high, keys = transaction.written()
        inserted = sorted(record.inserted)
        batches = [batch_of(inserted, snapshot.schema)] if inserted else []
        deleted = np.array(sorted(record.deleted), np.int64)
        content = Commit(batches, len(inserted), deleted, record.message, record.sources)
        with SegmentFiles() as files:
            change = self._split(files, content, footprint_of(rowids, keys), high, small=True)
            version = self.make(change)
        return StoredCommit(version, self._take_back)

    def write_segment(
        self, content: Commit, options: TableOptions | None = None, progress: Progress | None = None
    ) -> StoredCommit:
        """Write a commit as a segment of each shard that it changes, durably."""
        transaction = self.transaction
        content = replace(content, batches=list(content.batches))
        high = max((int(batch.rowids[-1]) for batch in content.batches), default=0)
        footprint = footprint_of(None, None)
        if transaction is not None and transaction.changed:
            rowids, high, keys = transaction.written()
            footprint = footprint_of(rowids, keys)
        check_history(self.snapshot, content.message, change=content.change)
        if content.schema is not None:
            check_key(self.snapshot, content.schema)
            footprint = Footprint(schema=True)
        with SegmentFiles() as files:
            change = self._split(files, content, footprint, high, options=options, progress=progress)
            version = self.make(change)
        return StoredCommit(version, self._take_back)

    def change_of(
        self, append: Append, files: SegmentFiles, progress: Progress | None = None
    ) -> Change | None:
        """The commit of an append on the newest state; None if there is nothing to commit."""
        snapshot = self.snapshot
        append.check_schema(snapshot)
        check_history(snapshot, append.message)
        record = append.record(self.opened.path, snapshot, _RECORD_BYTES)
        if record is None and not append.too_large:
            return None
        append.too_large = False
        small = record is not None
        if record is None:
            deleted = append.deleted(snapshot)
            rowids, table = number_rows(append.table, snapshot)
            check_rows(rowids, table, snapshot, self.opened.path, deleted)
            batches = list(as_batches(rowids, table))
        else:
            deleted = np.array(sorted(record.deleted), np.int64)
            rowids, table = number_rows(append.table, snapshot)
            batches = [batch_of(sorted(record.inserted), snapshot.schema)] if len(rowids) else []
        rows = StoredRows(snapshot, append.table, table, rowids, deleted)
        count = rows.count_of_new
        if not small and count:
            shift = self._reserved(count) - int(rowids[0])
            batches, count = [shifted(batch, shift, snapshot.schema) for batch in batches], 0
        return self._split(
            files,
            Commit(batches, None, deleted, append.message, append.sources),
            footprint_of(rows.written, rows.keys()),
            rows.high_rowid,
            new_rows=count,
            small=small,
            progress=progress,
        )

    def _reserved(self, count: int) -> int:
        """The first of ``count`` rowids that nobody else gets: so a large commit is encoded once."""
        commit = self.committer.new_id()
        self.make(Reserve(commit, count))
        head = self.table.newest().manifest
        for done in head.recent:
            if done.commit == commit:
                return done.first_rowid
        raise BusyError("many other commits came first", file=self.opened.path, remedy="Try again.")

    def _split(
        self,
        files: SegmentFiles,
        content: Commit,
        footprint: Footprint,
        high_rowid: int,
        *,
        new_rows: int = 0,
        small: bool = False,
        options: TableOptions | None = None,
        progress: Progress | None = None,
    ) -> SplitCommit:
        snapshot, chosen = self.snapshot, options or self.opened.options
        head, known = snapshot.head, snapshot.manifest.options
        batches, codecs = list(content.batches), content.codecs
        if batches and not small and codecs is None:
            codecs = codecs_for(batches, snapshot.schema, chosen.vector_codes) or None

        def segment_of(number: int, change: ShardChange) -> NewSegment:
            shard = snapshot.shard(number)
            assert isinstance(shard, StoredSnapshot)
            return files.made(commit_file(shard, chosen, change.content(), files.target, progress))

        return SplitCommit(
            StoredChange.on(
                head,
                self.committer.new_id(),
                max(now(), head.time + 1),
                new_rows=new_rows,
                footprint=footprint,
                high_rowid=max(high_rowid, 0),
            ),
            snapshot.schema,
            batches,
            self._by_shard(content.deleted),
            snapshot.manifest.shard_of_bucket,
            segment_of,
            small,
            (head.seq, head.next_rowid),
            content.message,
            {} if content.sources is None else unpack_sources(content.sources),
            {name: value for name, value in chosen.to_catalog().items() if known.get(name) != value},
            codecs,
            altered=None if content.schema is None else (content.schema, content.change),
        )

    def move(self, message: str, changes: Mapping[int, ShardChange], table: Sequence[int]) -> None:
        """Move rows between shards, which are those of ``table`` by their buckets from then on."""
        check_history(self.snapshot, message)
        batches = [batch for change in changes.values() for batch in change.batches]
        deleted = [change.deleted for change in changes.values()]
        codecs = next((change.codecs for change in changes.values() if change.codecs), None)
        with SegmentFiles() as files:
            content = Commit(batches, None, np.concatenate([_NO_ROWS, *deleted]), message, codecs=codecs)
            small = sum(batch.nbytes for batch in batches) <= _RECORD_BYTES and codecs is None
            change = self._split(files, content, Footprint(), 0, small=small)
            change.moved = tuple(table)
            self.make(change)
        self._committed = True

    def _by_shard(self, deleted: I64Array) -> Mapping[int, I64Array]:
        """Rowids by the shard that has them; those of no row are left out."""
        if not len(deleted):
            return {}
        numbers = self.snapshot.shards_of(deleted)
        return {number: deleted[numbers == number] for number in distinct(numbers[numbers >= 0]).tolist()}

    # -- upkeep ----------------------------------------------------------------------------------------------

    def checkpoint(self) -> bool:
        """Make segments of the records in the manifest; many small segments of a shard are merged."""
        done = self.empty_log()
        self.upkeep.merge_small(len(self.snapshot.head.shards))
        return done
