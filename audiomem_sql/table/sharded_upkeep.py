"""Upkeep of a sharded table: that of its shards, one after the other; and what is refused on one."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from audiomem_sql import upkeep
from audiomem_sql.audio import Picture
from audiomem_sql.errors import (
    AudioMemError,
    DamagedFileError,
    SchemaError,
    StorageError,
    UnsupportedError,
)
from audiomem_sql.machine.progress import Progress
from audiomem_sql.machine.urls import is_url
from audiomem_sql.observe import hooks
from audiomem_sql.shards import ShardedFiles, ShardedSnapshot, not_on_shards, read_manifest
from audiomem_sql.storage.segment import TableOptions
from audiomem_sql.table.session import Session
from audiomem_sql.table.shard_writer import ShardWriter
from audiomem_sql.table.sharded_session import ShardedSession
from audiomem_sql.table.upkeep import Upkeep
from audiomem_sql.writing.commit import now

if TYPE_CHECKING:
    from audiomem_sql.upkeep import Retention
    from audiomem_sql.upkeep.stream import Stream


def is_one_file(path: str | os.PathLike[str]) -> bool:
    """Whether a copy at ``path`` is to be one file: it is called ``.flac``."""
    return os.fsdecode(path).lower().endswith(".flac")


class ShardedUpkeep(Upkeep):
    """The upkeep of the shards."""

    def __init__(self, session: ShardedSession) -> None:
        super().__init__(session)
        self._sharded = session

    def _each(self) -> Iterator[ShardWriter]:
        """The writers of the shards, each ready to write, one after the other.

        A shard that cannot be read is told before the first one is changed. Behind the last one the table
        shows the shards as they are then.
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
        session.show_anew()

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

    def _rewrite(
        self,
        options: TableOptions,
        retain: Retention,
        level: int | None,
        progress: Progress | None,
        *,
        heard: bool = True,
    ) -> int:
        """Make each shard one file. Where that ends early, the manifest has the options for the others."""
        session = self._sharded
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
                upkeep.vacuum(
                    shard.opened.files,
                    shard.lock,
                    writer.snapshot,
                    options,
                    kept,
                    level=level,
                    heard=heard,
                    progress=progress,
                )
                shard.opened.reload()
            self._opened.options = options
            return oldest

    @hooks.staged("repair", lambda self, *given, **named: self._opened.path, logging.INFO)
    def repair(self, progress: Progress | None) -> list[upkeep.Repair]:
        """Make every damaged file of the shards what it was; what was done, a file each.

        A shard that cannot be repaired keeps nobody from repairing the others; then an error tells of it.
        """
        repairs: list[upkeep.Repair] = []
        session = self._sharded
        beyond: dict[int, AudioMemError] = {}
        with session.writing(damaged=True):
            base, snapshot = session.opened.files.base, session.snapshot
            if read_manifest(base)[1] is not None:
                session.replace_manifest(snapshot.manifest)
                repairs.append(upkeep.Repair(base, 0, 0, changed=True))
            for number, pin in enumerate(snapshot.pins):
                try:
                    snapshot.shard_files[number].at(pin, snapshot.schema)
                    writer = session.writer(number)
                    repairs += Upkeep(writer.session).repair(progress)
                    session.adopt(number, writer)
                except (DamagedFileError, SchemaError, StorageError, UnsupportedError) as error:
                    beyond[number] = error
            session.show_anew()
        if beyond:
            from audiomem_sql.upkeep.sharded_faults import beyond_repair

            raise beyond_repair(session.snapshot, beyond)
        return repairs

    def backup(
        self,
        path: str | os.PathLike[str],
        version: int | str | None,
        progress: Progress | None,
        *,
        writable: bool = False,
    ) -> int:
        """Copy a version to a folder or a store, or alone to one file, called ``.flac``; its number."""
        from audiomem_sql.table.one_file_copy import copy_to_file
        from audiomem_sql.table.sharded_copies import check_called_shards, copy_to_folder, copy_to_store

        self._session.refresh()
        opened = self._opened.pinned(version)
        copied, options = opened.snapshot, opened.options
        assert isinstance(copied, ShardedSnapshot)
        if is_url(path) and writable:
            from audiomem_sql.table.stored_sharded_creation import import_shards

            check_called_shards(os.fspath(path))
            import_shards(copied.as_newest(), os.fspath(path), options, progress)
        elif is_url(path):
            copy_to_store(copied.as_newest(), os.fspath(path), options, progress)
        elif is_one_file(path):
            copy_to_file(copied, path, options, progress)
        else:
            copy_to_folder(copied.as_newest(), path, options, progress)
        return copied.version

    def stream(
        self,
        where: str | os.PathLike[str],
        version: int | str | None,
        seconds: float | None,
        progress: Progress | None,
    ) -> Stream:
        """Write a version, copied to one file for this, as a stream to a folder or a store."""
        from audiomem_sql.table.one_file_copy import streamed

        return streamed(self._whole(version), where, seconds, progress)

    def set_cover(self, cover: Picture | None) -> None:
        """Not done."""
        raise not_on_shards("has no cover", self._opened.path, "Give one to each of its files.")


class StoredShardedUpkeep(ShardedUpkeep):
    """The upkeep of the shards of a table that is written to in a store: that of its one manifest."""

    def __init__(self, session: Session) -> None:
        Upkeep.__init__(self, session)

    checkpoint = Upkeep.checkpoint
    merge = Upkeep.merge
    repair = Upkeep.repair
    _rewrite = Upkeep._rewrite

    def set_cover(self, cover: Picture | None) -> None:
        """Not done."""
        raise not_on_shards("has no cover", self._opened.path, "Copy it to a folder with audiomem backup.")


def is_stored_and_sharded(session: Session) -> bool:
    """Whether the table is a sharded one that is written to in a store."""
    files = session.opened.files
    return isinstance(files, ShardedFiles) and files.stored is not None


def upkeep_of(session: Session) -> Upkeep:
    """The upkeep of a session's table."""
    if isinstance(session, ShardedSession):
        return ShardedUpkeep(session)
    return StoredShardedUpkeep(session) if is_stored_and_sharded(session) else Upkeep(session)
