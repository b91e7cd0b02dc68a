"""Upkeep of a table in a store: records become segments, small segments one, and all of them one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from audiomem_sql.errors import BusyError
from audiomem_sql.machine.progress import Progress
from audiomem_sql.storage.segment import TableOptions
from audiomem_sql.table.commit_upkeep import Committing, CommitUpkeep
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
    from audiomem_sql.remote.commits import Committer, NewSegment
    from audiomem_sql.remote.commits.changes import Change

#: The records of a manifest become a segment when they have so many bytes together, or are so many.
FOLD_BYTES = 48 << 10
FOLD_RECORDS = 200


class StoredCommitting(Committing, Protocol):
    """What upkeep needs of a session."""

    @property
    def table(self) -> StoredTable:
        """The objects of the table."""

    @property
    def committer(self) -> Committer:
        """What replaces the manifest."""

    @property
    def snapshot(self) -> StoredSnapshot:
        """The newest snapshot."""

    def make(self, change: Change) -> int:
        """Make a change durable."""


class _Ended(NamedTuple):
    """A segment with the rows that no version from ``until`` on shows, which is of that time."""

    segment: NewSegment
    until: int
    time: int


class StoredUpkeep(CommitUpkeep):
    """What is due after the commits of ``session``. The turn must be this thread's for every call."""

    def __init__(self, session: StoredCommitting) -> None:
        super().__init__(session)
        self._stored = session

    def after_commit(self) -> None:
        """Fold records, and merge small segments, if it is time for that."""
        if self._skipped:
            self._skipped -= 1
            return
        manifest = self._stored.snapshot.manifest
        is_long = manifest.inline_bytes > FOLD_BYTES or len(manifest.inline) > FOLD_RECORDS
        if not is_long and len(manifest.segments) <= SMALL_DELTAS:
            return
        self._stored.transaction = None
        self.try_again_later(self.attempt(empty_log=is_long))

    def fold_records(self) -> bool:
        """Make a segment of each run of records; False if there are none."""
        session = self._stored
        runs = runs_of_records(session.snapshot)
        for run in runs:
            with SegmentFiles() as files:
                snapshot = session.snapshot
                self._replace(files, folded_records(snapshot, session.opened.options, run, files.target))
        return bool(runs)

    def merge_small(self, *, at_the_end: bool = False) -> None:
        """Merge the newest segments if they are small and many."""
        snapshot = self._stored.snapshot
        small = small_deltas(snapshot)
        if small:
            self.merge_from(len(snapshot.segments) - len(small))

    def merge_from(self, first: int) -> None:
        """Make one segment of those from number ``first`` on, and of the records behind the others."""
        session = self._stored
        snapshot = session.snapshot
        if len(snapshot.segments) - first + len(snapshot.records) < 2:
            return
        with SegmentFiles() as files:
            self._replace(files, merged_segments(snapshot, session.opened.options, first, files.target))

    def rewrite(
        self,
        options: TableOptions,
        oldest: int,
        level: int | None,
        progress: Progress | None,
        *,
        near: int = 0,
    ) -> None:
        """Make one segment of all, and remove what no reader within the retention can need.

        near: rows that no version from this on shows become a segment of their own.
        """
        from audiomem_sql.remote.commits import collect

        session = self._stored
        with SegmentFiles() as files:
            snapshot = session.snapshot
            ended = self._ended(files, snapshot, options, oldest, level, near)
            joined = whole_table(
                snapshot,
                options,
                oldest,
                files.target,
                level=level,
                after=near if ended is not None else 0,
                progress=progress,
            )
            self._replace(files, joined, ended)
        collect(session.committer)
        session.table.went_on()
        session.opened.reload()

    def _ended(
        self,
        files: SegmentFiles,
        snapshot: StoredSnapshot,
        options: TableOptions,
        oldest: int,
        level: int | None,
        near: int,
    ) -> _Ended | None:
        """The rows of segments and records that no version from ``near`` on shows; None if there are none."""
        known = [entry.last_version for entry in snapshot.manifest.history]
        if near <= max([oldest, *known]):
            return None
        before = snapshot.at(near)
        assert isinstance(before, StoredSnapshot)
        writer = whole_table(before, options, oldest, files.target, level=level, ended=True).writer
        if not writer.rows:
            return None
        time = next(each.time for each in snapshot.versions if each.number == near)
        return _Ended(files.made(writer), near, time)

    def _replace(self, files: SegmentFiles, joined: Joined, ended: _Ended | None = None) -> None:
        """Put one segment in the place of others. BusyError if another program did that first.

        ended: what gets a segment beside it.
        """
        from audiomem_sql.remote.commits import Divide, Fold

        session = self._stored
        made = files.made(joined.writer)
        what = (session.committer.new_id(), joined.names, joined.commits, made, joined.oldest)
        fold = Fold(*what)
        if ended is not None:
            fold = Divide(*what, ended=ended.segment, until=ended.until, time=ended.time)
        try:
            session.make(fold)
        except BusyError:
            session.opened.reload()
            raise
        session.opened.reload()
