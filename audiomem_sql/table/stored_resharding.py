"""Another number of shards of a table in a store: what the manifest is told before rows move, and after."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from audiomem_sql.errors import BusyError
from audiomem_sql.remote.commits import Commit, Manifest, SplitChange
from audiomem_sql.shards import Manifest as Content
from audiomem_sql.shards import Pin, ShardEntry, content_of, shard_name, with_content
from audiomem_sql.table.stored_sharded_creation import EmptyShards
from audiomem_sql.table.stored_sharded_session import StoredShardedSession
from audiomem_sql.writing.commit import now

#: Given where the rows are, the shard that each bucket is to be in; None if nothing is to be moved.
Target = Callable[[Content], Sequence[int] | None]


class Aim(SplitChange):
    """Shards that are new, and the shard that each bucket is to be in. The rows stay where they are."""

    def __init__(self, commit: bytes, shards: int, empty: EmptyShards, target: Target) -> None:
        self.commit = commit
        self._before = shards
        self._empty = empty
        self._target = target

    footprint = None

    def check(self, head: Manifest) -> None:
        """BusyError if somebody else made shards."""
        if len(head.shards) != self._before:
            raise BusyError("another reshard came first", remedy="Begin it again.")

    def new_shard(self, number: int) -> Manifest:
        """One without versions."""
        return Manifest(self._empty.ids[number - self._before])

    def parts(self, head: Manifest) -> Mapping[int, Commit]:
        """The first commit of each new shard."""
        return {
            self._before + number: Commit(
                self.commit,
                0,
                self._empty.time,
                encoded=lambda number=number: self._empty.segment(number),  # type: ignore[misc]
            )
            for number in range(len(self._empty.ids))
        }

    def joined(self, head: Manifest, shards: Sequence[Manifest]) -> Manifest:
        """``head`` with the shards, and the target."""
        before = content_of(head)
        manifest = before.with_shards(
            [
                ShardEntry(shard_name(number), shards[number].table, Pin(1, shards[number].time))
                for number in range(self._before, len(shards))
            ]
        )
        return with_content(head, manifest.with_target(self._target(before)), shards)


def aim(session: StoredShardedSession, shards: int, target: Target) -> None:
    """See to it that there are ``shards``, and put the target into the manifest."""
    snapshot = session.snapshot
    ids = [os.urandom(16) for _ in range(len(snapshot.shard_files), shards)]
    with EmptyShards(snapshot.schema, session.opened.options, ids, now()) as empty:
        session.make(Aim(session.committer.new_id(), len(snapshot.shard_files), empty, target))
    session.opened.reload()
