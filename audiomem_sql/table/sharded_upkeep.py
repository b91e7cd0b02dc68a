"""Upkeep of a sharded table: that of its shards, one after the other; and what is refused on one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from audiomem_sql.audio import Picture
from audiomem_sql.errors import InFile
from audiomem_sql.machine.progress import Progress
from audiomem_sql.machine.urls import is_url
from audiomem_sql.migrations.changes import SchemaChange
from audiomem_sql.protection.levels import level_named
from audiomem_sql.shards import ShardedSnapshot, not_on_shards, read_manifest
from audiomem_sql.table.schema_changes import SchemaChanges
from audiomem_sql.table.session import Session
from audiomem_sql.table.shard_writer import ShardWriter
from audiomem_sql.table.sharded_session import ShardedSession
from audiomem_sql.table.transactions import Transactions
from audiomem_sql.table.upkeep import Upkeep
from audiomem_sql.upkeep.compaction import Retention, vacuum
from audiomem_sql.upkeep.repair import Repair
from audiomem_sql.writing.commit import now

if TYPE_CHECKING:
    from audiomem_sql.upkeep.stream import Stream

_COPY_ROWS = "Write its rows to a new table: audiomem_sql.write_flac(audiomem_sql.dataset(path), …)."


class ShardedUpkeep(Upkeep):
    """The upkeep of the shards."""

    def __init__(self, session: ShardedSession) -> None:
        super().__init__(session)
        self._sharded = session

    def _each(self) -> Iterator[ShardWriter]:
        """The writers of the shards, each ready to write, one after the other.

        A shard that cannot be read is told before the first one is changed.
        """
        session = self._sharded
        self._check_all()
        for number, pin in enumerate(session.snapshot.pins):
            writer = session.writer(number)
            writer.begin(pin, self._opened.options)
            try:
                yield writer
            finally:
                writer.accept()
                session.adopt(number, writer)

    def _check_all(self) -> None:
        for shard in self._sharded.snapshot.shards:
            assert shard.version

    def checkpoint(self, timeout: float | None = None) -> bool:
        """Turn the logs into deltas; False if there was nothing in any."""
        with self._session.writing(timeout):
            done = [writer.session.checkpoint() for writer in self._each()]
            return any(done)

    def merge(self) -> None:
        """Make one delta of all deltas and the log of each shard."""
        with self._session.writing():
            for writer in self._each():
                writer.session.checkpoint()

    def vacuum(
        self,
        retain: Retention,
        level: int | None,
        protection: str | None,
        layout: str | None,
        progress: Progress | None,
    ) -> int:
        """Make each shard one file; the oldest version that is kept."""
        session, options = self._sharded, self._opened.options
        with InFile(self._opened.path):
            if layout is not None:
                options = options.changed({"layout": layout})
            if protection is not None:
                options = replace(options, protection=level_named(protection).name)
        with session.writing():
            snapshot = session.snapshot
            oldest = retain.oldest(snapshot, now())
            self._check_all()
            manifest = snapshot.manifest.without(oldest).with_options(options.to_catalog())
            session.replace_manifest(manifest)
            for number, writer in enumerate(self._each()):
                shard = writer.session
                shard.empty_log()
                kept = manifest.shards[number].oldest.version
                vacuum(
                    shard.opened.files,
                    shard.lock,
                    writer.snapshot,
                    options,
                    kept,
                    level=level,
                    progress=progress,
                )
                shard.opened.reload()
            self._opened.options = options
            return oldest

    def repair(self, progress: Progress | None) -> list[Repair]:
        """Make every damaged file of the shards what it was; what was done, a file each."""
        repairs: list[Repair] = []
        session = self._sharded
        with session.writing(damaged=True):
            if read_manifest(session.opened.files.base)[1] is not None:
                session.replace_manifest(session.snapshot.manifest)
            for number in range(len(session.snapshot.pins)):
                repairs += Upkeep(session.writer(number).session).repair(progress)
        return repairs

    def transcode(self, changes: Mapping[str, object], progress: Progress | None) -> None:
        """Not done."""
        raise not_on_shards("is not transcoded", self._opened.path, _COPY_ROWS)

    def backup(
        self, path: str | os.PathLike[str], version: int | str | None, progress: Progress | None
    ) -> int:
        """Copy the newest version between a folder and a store; its number."""
        from audiomem_sql.table.sharded_copies import copy_to_folder, copy_to_store

        opened, snapshot = self._opened, self._sharded.snapshot
        if version is not None and opened.at(version).version != snapshot.newest:
            raise not_on_shards("is copied as it is now", opened.path, f"Leave the version out. {_COPY_ROWS}")
        newest = snapshot.at(snapshot.newest)
        assert isinstance(newest, ShardedSnapshot)
        if is_url(path):
            copy_to_store(newest, os.fspath(path), opened.options, progress)
        elif opened.files.is_remote:
            copy_to_folder(newest, path, opened.options, progress)
        else:
            raise not_on_shards(
                "is not copied to one file", opened.path, f"Copy its folder while nobody writes. {_COPY_ROWS}"
            )
        return newest.version

    def stream(
        self,
        where: str | os.PathLike[str],
        version: int | str | None,
        seconds: float | None,
        progress: Progress | None,
    ) -> Stream:
        """Not done."""
        raise not_on_shards("is not streamed", self._opened.path, _COPY_ROWS)

    def set_cover(self, cover: Picture | None) -> None:
        """Not done."""
        raise not_on_shards("has no cover", self._opened.path, "Give one to each of its files.")


class ShardedSchemaChanges(SchemaChanges):
    """No changes of columns."""

    def alter(self, change: SchemaChange | str, message: str | None) -> int:
        """Not done."""
        raise not_on_shards("keeps its columns", self._opened.path, _COPY_ROWS)

    def reembed(
        self,
        model: str | None,
        model_backend: str | None,
        progress: Progress | None,
        passages: str | None = None,
    ) -> int:
        """Not done."""
        raise not_on_shards("keeps its vectors", self._opened.path, _COPY_ROWS)


def upkeep_of(session: Session) -> Upkeep:
    """The upkeep of a session's table."""
    return ShardedUpkeep(session) if isinstance(session, ShardedSession) else Upkeep(session)


def schema_changes_of(session: Session, transactions: Transactions) -> SchemaChanges:
    """The changes of the columns of a session's table."""
    sharded = isinstance(session, ShardedSession)
    return (ShardedSchemaChanges if sharded else SchemaChanges)(session, transactions)
