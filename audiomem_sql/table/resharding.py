"""Moves rows between the shards of a table until these are as they are wanted (``bucket_plans.py``).

The manifest has a target: the shard that each bucket is to be in. A step is a commit that moves the rows of
some buckets from one shard to another, and says so in the table of buckets: readers see the version before,
or the one after it. Others write between two steps. What is left after a kill is what the two tables differ
in.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from audiomem_sql.columns.batch import Batch
from audiomem_sql.columns.selection import taken
from audiomem_sql.errors import BusyError, InFile, UnsupportedError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.durable import fsync_folder, storage_error
from audiomem_sql.machine.progress import Progress
from audiomem_sql.scan import in_rowid_order, scan
from audiomem_sql.shards import (
    BUCKETS,
    Manifest,
    Pin,
    ShardedFiles,
    ShardedSnapshot,
    ShardEntry,
    shard_name,
)
from audiomem_sql.table.bucket_plans import Wish
from audiomem_sql.table.creation import create_file
from audiomem_sql.table.open_table import OpenTable
from audiomem_sql.table.sessions import session_of
from audiomem_sql.table.shard_writer import ShardChange
from audiomem_sql.table.sharded_session import ShardedSession
from audiomem_sql.upkeep.new_segment import codecs_of
from audiomem_sql.versions import Snapshot, TableFiles

#: Rows that one step moves, unless a single bucket has more.
MOST_ROWS = 100_000
BUSY_TIMEOUT = 60.0


@runtime_checkable
class Moving(Protocol):
    """A session that moves rows between shards."""

    opened: OpenTable

    @property
    def snapshot(self) -> ShardedSnapshot:
        """The newest snapshot."""

    def writing(self) -> AbstractContextManager[None]:
        """Be the writer for the body."""

    def move(self, message: str, changes: Mapping[int, ShardChange], table: Sequence[int]) -> None:
        """Move rows between shards, which are those of ``table`` by their buckets from then on."""


@dataclass(frozen=True, slots=True)
class Resharding:
    """What is to be done: how many shards there are to be, how many of these are new, and what is moved.

    rows: about how many are moved.
    """

    shards: int
    new: int
    buckets: int
    rows: int

    def __str__(self) -> str:
        return (
            f"{self.buckets:,} of {BUCKETS:,} buckets ({100 * self.buckets / BUCKETS:.1f} %), about "
            f"{self.rows:,} rows, to have {self.shards:,} shards, {self.new:,} of them new"
        )


def planned(
    path: str | os.PathLike[str],
    to: int | None = None,
    *,
    weights: Sequence[float] | None = None,
    split: int | None = None,
) -> Resharding:
    """What :func:`reshard` would do; nothing is changed. Errors as of that."""
    opened = _opened(path)
    try:
        with InFile(path):
            return _plan(_sharded(opened), Wish.of(to, weights, split))
    finally:
        opened.close()


def reshard(
    path: str | os.PathLike[str],
    to: int | None = None,
    *,
    weights: Sequence[float] | None = None,
    split: int | None = None,
    progress: Progress | None = None,
    most_rows: int = MOST_ROWS,
) -> Resharding:
    """Have other shards in the table in the folder ``path``; what was done.

    to: so many of as many buckets each. weights: as many as these, with buckets in proportion. split: half of
    the buckets of the shard with this number go to a new one. Without any, what was begun goes on.

    A reshard that was killed goes on when it is asked for again, and what is asked for may be another one.
    With fewer shards than before the last ones become empty, and their files stay for old versions. progress:
    called with buckets moved and buckets in all. UnsupportedError for a table in one file, OptionError for
    what cannot be, BusyError while others keep writing.
    """
    with InFile(path):
        wish = Wish.of(to, weights, split)
    opened = _opened(path)
    session = session_of(opened, BUSY_TIMEOUT)
    assert isinstance(session, Moving)
    try:
        with session.writing(), InFile(path):
            plan = _plan(session.snapshot, wish)
            _prepare(session, wish)
        left = plan.buckets
        while left:
            left = _patient_step(session, most_rows)
            if progress is not None:
                progress(plan.buckets - left, plan.buckets)
        return plan
    finally:
        session.close()


def _opened(path: str | os.PathLike[str]) -> OpenTable:
    opened = OpenTable(path)
    if not isinstance(opened.files, ShardedFiles):
        opened.close()
        raise UnsupportedError(
            "the table is one file, and has no shards",
            file=path,
            remedy="Write its rows to a new table: "
            "audiomem_sql.write_flac(audiomem_sql.dataset(path), new, shards=16).",
        )
    return opened


def _sharded(opened: OpenTable) -> ShardedSnapshot:
    snapshot = opened.snapshot
    assert isinstance(snapshot, ShardedSnapshot)
    return snapshot


def _plan(snapshot: ShardedSnapshot, wish: Wish) -> Resharding:
    manifest = snapshot.manifest
    now, target = manifest.shard_of_bucket, wish.target(manifest)
    moved = [shard for shard, to in zip(now, target, strict=True) if shard != to]
    rows = 0.0
    for shard in set(moved):
        rows += snapshot.shard(shard).rows * moved.count(shard) / now.count(shard)
    shards = _count(wish, target)
    return Resharding(shards, max(0, shards - len(manifest.shards)), len(moved), round(rows))


def _count(wish: Wish, target: Sequence[int]) -> int:
    """How many shards there are to be."""
    return 1 + max(target) if wish.to is None else wish.to


def _target(manifest: Manifest, wish: Wish) -> Sequence[int] | None:
    """The shard that each bucket is to be in; None if all are there."""
    target = wish.target(manifest)
    return None if target == manifest.shard_of_bucket else target


def _prepare(session: Moving, wish: Wish) -> None:
    """Make the new shards, and put the target into the manifest."""
    if not isinstance(session, ShardedSession):
        from audiomem_sql.table.stored_resharding import aim
        from audiomem_sql.table.stored_sharded_session import StoredShardedSession

        assert isinstance(session, StoredShardedSession)
        count = _count(wish, wish.target(session.snapshot.manifest))
        aim(session, count, lambda manifest: _target(manifest, wish))
        return
    manifest = session.snapshot.manifest
    target = wish.target(manifest)
    folder = session.opened.files.address
    more: list[ShardEntry] = []
    for number in range(len(manifest.shards), _count(wish, target)):
        more.append(_new_shard(folder, shard_name(number), manifest))
    if more:
        try:
            fsync_folder(folder)
        except OSError as error:
            raise storage_error(error, folder) from error
    manifest = manifest.with_shards(more)
    session.replace_manifest(manifest.with_target(None if target == manifest.shard_of_bucket else target))


def _new_shard(folder: str, name: str, manifest: Manifest) -> ShardEntry:
    """An empty shard. A file of that name, which no manifest names, is of a reshard that was killed."""
    path = os.path.join(folder, name)
    if os.path.lexists(path):
        os.unlink(path)
    options = {name: value for name, value in manifest.options.items() if name != "model_digest"}
    create_file(path, manifest.schema, options)
    snapshot = TableFiles(path).load(BlockCache(0))
    try:
        table_id = snapshot.segments[0].catalog.table_id
        return ShardEntry(name, table_id, Pin(snapshot.newest, snapshot.newest_time))
    finally:
        snapshot.close()


def _patient_step(session: Moving, most_rows: int) -> int:
    """:func:`_step`, again where another commit came first, which no lock keeps away in a store."""
    deadline = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            with session.writing():
                return _step(session, most_rows)
        except BusyError:
            if time.monotonic() > deadline:
                raise


def _done(session: Moving) -> None:
    """Say that all rows are where they are to be."""
    session.opened.reload()
    if isinstance(session, ShardedSession):
        session.replace_manifest(session.snapshot.manifest.with_target(None))
        return
    from audiomem_sql.table.stored_resharding import aim
    from audiomem_sql.table.stored_sharded_session import StoredShardedSession

    assert isinstance(session, StoredShardedSession)
    aim(session, 0, lambda manifest: None)


def _step(session: Moving, most_rows: int) -> int:
    """Move the rows of some buckets from one shard to another; how many buckets are left."""
    snapshot = session.snapshot
    manifest = snapshot.manifest
    now, target = manifest.shard_of_bucket, manifest.target or manifest.shard_of_bucket
    different = [bucket for bucket in range(BUCKETS) if now[bucket] != target[bucket]]
    if different:
        source, to = now[different[0]], target[different[0]]
        buckets = [each for each in different if (now[each], target[each]) == (source, to)]
        buckets = _few(snapshot, source, buckets, most_rows)
        table = list(now)
        for bucket in buckets:
            table[bucket] = to
        changes = _changes(snapshot, source, to, buckets)
        session.move(f"reshard: {len(buckets)} buckets of shard {source} to shard {to}", changes, table)
    left = len(different) - (len(buckets) if different else 0)
    if not left:
        _done(session)
    return left


def _few(snapshot: ShardedSnapshot, source: int, buckets: list[int], most_rows: int) -> list[int]:
    """The first of ``buckets`` that have ``most_rows`` rows at most, and at least one."""
    counts = np.zeros(BUCKETS, np.int64)
    for batch in scan(snapshot.shard(source), range(len(snapshot.schema))):
        counts += np.bincount(snapshot.placement.buckets(batch.rowids, batch.arrays), minlength=BUCKETS)
    sums = np.cumsum(counts[buckets])
    return buckets[: max(1, int((sums <= most_rows).sum()))]


def _changes(
    snapshot: ShardedSnapshot, source: int, to: int, buckets: Sequence[int]
) -> dict[int, ShardChange]:
    """What moves the rows of ``buckets``."""
    shard: Snapshot = snapshot.shard(source)
    rows = scan(shard, range(len(snapshot.schema)))
    moved: list[Batch] = []
    for batch in rows if shard.ordered else in_rowid_order(rows):
        chosen = np.flatnonzero(np.isin(snapshot.placement.buckets(batch.rowids, batch.arrays), buckets))
        if len(chosen):
            arrays = tuple(taken(array, chosen) for array in batch.arrays)
            moved.append(Batch(batch.rowids[chosen], arrays))
    if not moved:
        return {}
    deleted = np.concatenate([batch.rowids for batch in moved])
    codecs = codecs_of(shard, snapshot.schema)  # vectors stay as they are, bit by bit
    return {source: ShardChange(deleted=deleted), to: ShardChange(moved, codecs=codecs or None)}
