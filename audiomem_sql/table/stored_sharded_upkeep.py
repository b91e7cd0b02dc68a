"""Upkeep of a sharded table in a store: that of its shards, each as that of a table in a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from audiomem_sql.errors import BusyError
from audiomem_sql.machine.progress import Progress
from audiomem_sql.remote.commits import Fold, Manifest, SplitFold, collect
from audiomem_sql.shards import StoredShardedSnapshot, content_of, with_content
from audiomem_sql.storage.segment import TableOptions
from audiomem_sql.table.commit_upkeep import Committing, CommitUpkeep
from audiomem_sql.table.stored_upkeep import FOLD_BYTES, FOLD_RECORDS
from audiomem_sql.upkeep.compaction import SMALL_DELTAS, small_deltas
from audiomem_sql.upkeep.stored_segments import (
    Joined,
    folded_records,
    merged_segments,
    runs_of_records,
    whole_table,
)
from audiomem_sql.versions import StoredSnapshot, StoredTable
from audiomem_sql.writing.stored_commit import SegmentFiles

if TYPE_CHECKING:
    from audiomem_sql.remote.commits import Committer
    from audiomem_sql.remote.commits.changes import Change


#: Segments of a table that has many shards, before those of a shard are merged, and at least in a shard.
_MOST_SEGMENTS = 4096
_LEAST = 4
#: Shards that are merged by one commit: the next ones go on.
_MERGED_AT_ONCE = 16


class StoredShardsCommitting(Committing, Protocol):
    """What upkeep needs of a session."""

    @property
    def table(self) -> StoredTable:
        """The objects of the table."""

    @property
    def committer(self) -> Committer:
        """What replaces the manifest."""

    @property
    def snapshot(self) -> StoredShardedSnapshot:
        """The newest snapshot."""

    def make(self, change: Change) -> int:
        """Make a change durable."""


class Trim(SplitFold):
    """The oldest version that is kept is a later one from now on, and the options are others."""

    def __init__(self, commit: bytes, oldest: int, options: Mapping[str, object]) -> None:
        super().__init__(commit, {})
        self.oldest = oldest
        self.options = options

    def check(self, head: Manifest) -> None:
        """BusyError if a tag names a version that it leaves out."""
        if early := sorted(name for name, version in head.tags.items() if version < self.oldest):
            raise BusyError(f"versions that it removes have a tag now: {early[0]}", remedy="Begin it again.")

    def joined(self, head: Manifest, shards: Sequence[Manifest]) -> Manifest:
        """``head`` without the versions before."""
        manifest = content_of(head)
        if manifest.versions[0].version.number < self.oldest:
            manifest = manifest.without(self.oldest)
            head = replace(head, oldest=self.oldest)
        return with_content(head, manifest.with_options({**manifest.options, **self.options}), shards)


class StoredShardsUpkeep(CommitUpkeep):
    """What is due after the commits of ``session``. The turn must be this thread's for every call."""

    def __init__(self, session: StoredShardsCommitting) -> None:
        super().__init__(session)
        self._stored = session

    def after_commit(self) -> None:
        """Fold records, and merge small segments, if it is time for that."""
        if self._skipped:
            self._skipped -= 1
            return
        is_long, many = self._is_long(), any(len(s.segments) > self._most for s in self._shards)
        if is_long or many:
            self._stored.transaction = None
            self.try_again_later(self.attempt(empty_log=is_long))

    @property
    def _shards(self) -> Sequence[Manifest]:
        return self._stored.snapshot.head.shards

    @property
    def _most(self) -> int:
        """Segments of a shard, of which small ones are merged when there are more: 4 to 32 by the shards."""
        return max(_LEAST, min(SMALL_DELTAS, _MOST_SEGMENTS // len(self._shards)))

    def _is_long(self) -> bool:
        return (
            sum(shard.inline_bytes for shard in self._shards) > FOLD_BYTES
            or sum(len(shard.inline) for shard in self._shards) > FOLD_RECORDS
        )

    def _shard(self, number: int) -> StoredSnapshot:
        shard = self._stored.snapshot.shard(number)
        assert isinstance(shard, StoredSnapshot)
        return shard

    def fold_records(self) -> bool:
        """Make a segment of each run of records of each shard; False if there are none."""
        done = False
        while numbers := [number for number, shard in enumerate(self._shards) if shard.inline]:
            with SegmentFiles() as files:
                options = self._stored.opened.options
                self._stored.snapshot.open(numbers)
                folded = {}
                for number in numbers:
                    shard = self._shard(number)
                    folded[number] = folded_records(shard, options, runs_of_records(shard)[0], files.target)
                self._replace(files, folded)
            done = True
        return done

    def merge_small(self, at_once: int = _MERGED_AT_ONCE, *, at_the_end: bool = False) -> None:
        """Merge the newest segments of up to ``at_once`` shards that have many small ones."""
        due = [number for number, state in enumerate(self._shards) if len(state.segments) > self._most]
        for number in due:
            shard = self._shard(number)
            if small := small_deltas(shard, least=self._most):
                self._merge(number, shard, len(shard.segments) - len(small))
                at_once -= 1
            if not at_once:
                return

    def merge_from(self, first: int) -> None:
        """Make one segment of those of each shard from number ``first`` on, and of the records behind."""
        for number, state in enumerate(self._shards):
            if len(state.segments) - first + len(state.inline) >= 2:
                self._merge(number, self._shard(number), first)

    def _merge(self, number: int, shard: StoredSnapshot, first: int) -> None:
        with SegmentFiles() as files:
            options = self._stored.opened.options
            self._replace(files, {number: merged_segments(shard, options, first, files.target)})

    def rewrite(
        self, options: TableOptions, oldest: int, level: int | None, progress: Progress | None
    ) -> None:
        """Make one segment of each shard, and remove what no reader within the retention can need."""
        session = self._stored
        for shard in session.snapshot.shards:  # what cannot be read is told before anything is changed
            assert shard.version
        session.make(Trim(session.committer.new_id(), oldest, options.to_catalog()))
        session.opened.reload()
        for number in range(len(self._shards)):
            kept = session.snapshot.manifest.shards[number].oldest.version
            with SegmentFiles() as files:
                joined = whole_table(
                    self._shard(number), options, kept, files.target, level=level, progress=progress
                )
                self._replace(files, {number: joined})
        collect(session.committer)
        session.table.went_on()
        session.opened.reload()

    def _replace(self, files: SegmentFiles, joined: Mapping[int, Joined]) -> None:
        """Put segments in the place of others. BusyError if another program did that first."""
        session, commit = self._stored, self._stored.committer.new_id()
        folds = {
            number: Fold(commit, each.names, each.commits, files.made(each.writer), each.oldest)
            for number, each in joined.items()
        }
        try:
            session.make(SplitFold(commit, folds))
        except BusyError:
            session.opened.reload()
            raise
        session.opened.reload()
