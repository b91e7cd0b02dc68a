"""Upkeep of an open table: its files are written anew, and versions that are kept stay as they are."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from audiomem_sql import upkeep
from audiomem_sql.audio import Picture
from audiomem_sql.errors import InFile, OptionError, StorageError, UnsupportedError
from audiomem_sql.machine.progress import Progress
from audiomem_sql.machine.urls import is_url
from audiomem_sql.observe import hooks
from audiomem_sql.protection.levels import level_named
from audiomem_sql.storage.segment import TableOptions
from audiomem_sql.table.open_table import OpenTable
from audiomem_sql.table.session import Session
from audiomem_sql.table.sharded_creation import check_one_file

if TYPE_CHECKING:
    from audiomem_sql.upkeep import Repair
    from audiomem_sql.upkeep.stream import Stream

#: Options that can be changed by writing a table anew.
TRANSCODED = (
    "profile",
    "modulation",
    "band_plan",
    "robustness",
    "protection",
    "compression_level",
    "deltas",
    "layout",
)


def _path(upkeep: Upkeep, *given: object, **named: object) -> str:
    return upkeep._opened.path


def _has_history(opened: OpenTable) -> bool:
    """Whether its rows can be in segments that only old versions are read from."""
    if not opened.files.is_remote:
        return False
    from audiomem_sql.versions import StoredSnapshot

    return isinstance(opened.snapshot, StoredSnapshot)


class Upkeep:
    """The upkeep of a session's table.

    The arguments of the methods are those of :class:`~audiomem_sql.table.table.Table`.

    Readers go on with the files that they have open.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._opened = session.opened

    @hooks.staged("checkpoint", _path, logging.INFO)
    def checkpoint(self, timeout: float | None = None) -> bool:
        """Turn the log into a delta; False if there was nothing in it."""
        with self._session.writing(timeout):
            return self._session.checkpoint()

    @hooks.staged("merge", _path, logging.INFO)
    def merge(self) -> None:
        """Make one delta of all deltas and the log."""
        with self._session.writing():
            self._session.merge()

    @hooks.staged("vacuum", _path, logging.INFO)
    def vacuum(
        self,
        retain: upkeep.Retention,
        level: int | None,
        protection: str | None,
        layout: str | None,
        progress: Progress | None,
    ) -> int:
        """Make one file of base, deltas and log, compressed harder; the oldest version that is kept."""
        options = self._opened.options
        with InFile(self._opened.path):
            if retain.near is not None and not _has_history(self._opened):
                raise UnsupportedError(
                    "only a table in a store that is not sharded keeps old versions apart from the newest",
                    remedy="Leave history out, or copy old versions with audiomem backup.",
                )
            if layout is not None:
                options = options.changed({"layout": layout})
            if protection is not None:
                options = replace(options, protection=level_named(protection).name)
        return self._rewrite(options, retain, level, progress)

    def transcode(self, changes: Mapping[str, object], progress: Progress | None) -> None:
        """Make one file with other options."""
        for name in changes:
            if name not in TRANSCODED:
                raise OptionError(
                    f"{name} is not how a table sounds", remedy=f"Options are: {', '.join(TRANSCODED)}."
                )
        options = self._opened.options.changed(changes, os.path.dirname(self._opened.path) or ".")
        self._rewrite(options, upkeep.Retention(), options.compression_level, progress, heard=False)

    def backup(
        self,
        path: str | os.PathLike[str],
        version: int | str | None,
        progress: Progress | None,
        *,
        writable: bool = False,
    ) -> int:
        """Copy a version to a new file, without keeping anybody from writing; its number."""
        from audiomem_sql.upkeep.backup import check_whole, write_backup

        copied = self._whole(version)
        if is_url(path):
            from audiomem_sql.table.stored_creation import copy_to_store

            check_whole(copied.files, copied.snapshot)
            copy_to_store(copied.snapshot, os.fspath(path), copied.options, progress)
            return copied.snapshot.version
        check_one_file(path)
        write_backup(copied.files, copied.snapshot, path, copied.options, progress)
        return copied.snapshot.version

    def stream(
        self,
        where: str | os.PathLike[str],
        version: int | str | None,
        seconds: float | None,
        progress: Progress | None,
    ) -> Stream:
        """Write a version as a stream to a folder or a store, without keeping anybody from writing."""
        from audiomem_sql.upkeep.stream import SECONDS, write_stream

        copied = self._whole(version)
        return write_stream(
            copied.files,
            copied.snapshot,
            where,
            copied.options,
            copied.name,
            seconds=SECONDS if seconds is None else seconds,
            progress=progress,
        )

    def _whole(self, version: int | str | None) -> OpenTable:
        """The table at a version, to be copied. StorageError where only a part of it is read."""
        opened = self._opened
        if opened.salvage:
            raise StorageError(
                "a table that is opened for salvage has no whole version to copy",
                file=opened.path,
                remedy="Write what is left to a new table with `audiomem salvage`.",
            )
        self._session.refresh()
        if opened.arrived is not None:
            raise StorageError(
                "only a part of the table has arrived, which is no version to copy",
                file=opened.path,
                remedy="Wait until all of it is there.",
            )
        return opened.pinned(version)

    def _rewrite(
        self,
        options: TableOptions,
        retain: upkeep.Retention,
        level: int | None,
        progress: Progress | None,
        *,
        heard: bool = True,
    ) -> int:
        with self._session.writing():
            return self._session.rewrite(options, retain, level, progress, heard=heard)

    @hooks.staged("repair", _path, logging.INFO)
    def repair(self, progress: Progress | None) -> list[Repair]:
        """Make every damaged file what it was, byte for byte; what was done, a file each."""
        if self._opened.files.is_remote:
            return self._repair_objects(progress)
        repairs: list[Repair] = []
        base = self._opened.files.base
        with self._session.writing(damaged=True), upkeep.table_files(self._opened.snapshot) as files:
            for file in files:
                temporary, repair = upkeep.repaired(file, file.path, base, progress)
                repairs.append(repair)
                if repair.changed:
                    self._session.put_in_place(temporary, file.path)
                else:
                    with contextlib.suppress(OSError):  # what stays is removed by the next writer's sweep
                        os.unlink(temporary)
            repairs.extend(filter(None, [upkeep.repair_head(self._opened.files)]))
        return repairs

    def _repair_objects(self, progress: Progress | None) -> list[Repair]:
        """The same of a table in a store. Nobody is kept from writing: segments never change otherwise."""
        from audiomem_sql.upkeep.repair_stored import repair_stored

        self._session.check_no_transaction()
        files = self._opened.files
        if files.places:
            raise UnsupportedError(
                "was opened with replicas, which make each other whole",
                file=self._opened.path,
                remedy="Call heal(), or open it without replicas.",
            )
        try:
            return repair_stored(files.address, progress)
        finally:
            if not self._opened.fixed:
                files.forget()
                self._opened.reload()

    def set_cover(self, cover: Picture | None) -> None:
        """Make ``cover`` the front cover of the table's file, or take the cover away."""
        from audiomem_sql.sound.cover import covered

        self._session.check_files("given a cover")
        base = self._opened.files.base
        with self._session.writing():
            self._session.put_in_place(covered(base, cover), base)
