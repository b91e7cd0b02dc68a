"""The open files of a table, the snapshot that was loaded last, and the options to write with."""

from __future__ import annotations

import copy
import logging
import os
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.timestamps import parse, render
from audiomem_sql.errors import (
    DamagedFileError,
    InFile,
    OptionError,
    QueryError,
    UnsupportedError,
    did_you_mean,
)
from audiomem_sql.machine.block_cache import SHARED, BlockCache
from audiomem_sql.machine.file_names import stem
from audiomem_sql.machine.limits import LIMITS
from audiomem_sql.machine.malloc import spare, trim
from audiomem_sql.machine.urls import is_url, shown
from audiomem_sql.observe import hooks
from audiomem_sql.observe.figures import TableFigures
from audiomem_sql.shards import ShardedFiles, ShardedSnapshot, is_sharded, not_on_shards, sharded_files
from audiomem_sql.storage.segment import Segment, TableOptions
from audiomem_sql.table.source_list import source_entries
from audiomem_sql.upkeep.mixed_file import tell_mixed_file
from audiomem_sql.upkeep.torn_log import tell_torn_log
from audiomem_sql.versions import Snapshot, TableFiles, present_sources, table_files

if TYPE_CHECKING:
    from audiomem_sql.storage.segment import Arrived
    from audiomem_sql.versions import Tiers


class OpenTable:
    """The open files of a table: the state that those who read it and those who write to it share.

    snapshot: the one that was loaded last; whoever commits puts the new one here. options: those that the
    next file is written with. fixed: the table was opened at a version, which never changes. The arguments
    are those of :class:`~audiomem_sql.table.reader.TableReader`.
    """

    @hooks.staged("open", lambda _, path, **how: os.fsdecode(path), logging.DEBUG)
    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        version: int | str | None = None,
        as_of: str | datetime | None = None,
        cache: BlockCache | Tiers | None = SHARED,
        salvage: bool = False,
        on_damage: str = "fail",
        partial: bool = False,
        replicas: str | Sequence[str] | None = None,
        known: Snapshot | None = None,
    ) -> None:
        """known: a snapshot of the table; what is still the same is not opened again."""
        if on_damage not in ("fail", "skip", "null"):
            raise OptionError(f"on_damage is fail, skip or null, not {on_damage!r}")
        given = os.fsdecode(path)
        blocks, tiers = (cache, None) if isinstance(cache, BlockCache) else (SHARED, cache)
        if salvage and partial:
            raise OptionError("salvage and partial exclude each other", file=given)
        if replicas and partial:
            raise OptionError("replicas and partial exclude each other", file=given)
        self.files: TableFiles = _files_at(given, tiers, replicas, partial=partial)
        #: What opens the table again with the same caches.
        self.cache_option = cache
        #: Other places that have the same file.
        self.replicas: tuple[str, ...] = getattr(self.files, "replicas", ())
        #: As it was given, for messages: of a URL without what lets somebody in.
        self.path = self.files.base if self.files.is_remote else given
        if isinstance(self.files, ShardedFiles) and self.files.is_remote:
            self.path = shown(self.files.address)
        self.cache = blocks
        self.salvage = salvage
        self.partial = partial
        self.on_damage = on_damage
        self.fixed = version is not None or as_of is not None
        self.closed = False
        if salvage and self.files.is_remote and isinstance(self.files, ShardedFiles):
            raise UnsupportedError(
                "salvage looks for the files of a folder of shards, which a store does not show",
                file=self.path,
                remedy="Download all of them, and salvage that.",
            )
        self.snapshot: Snapshot = _salvaged(self.files, blocks) if salvage else self.files.load(blocks, known)
        try:
            self._mark_segments()
            self.options = self._read_options()
            if LIMITS[self.options.profile].sparing:
                spare()
            if not isinstance(self.snapshot, ShardedSnapshot):
                tell_torn_log(self.files, self.snapshot)
                tell_mixed_file(self.files, self.snapshot)
            if self.fixed:
                self.snapshot = self.at(version, as_of)
                self.options = self._read_options()
        except BaseException:
            self.snapshot.close()
            raise
        hooks.tables.add(self)

    def figures(self) -> TableFigures:
        """What is known of the table without reading its rows, for metrics."""
        from audiomem_sql.table.figures import figures_of

        return figures_of(self)

    @property
    def how(self) -> dict[str, Any]:
        """The arguments that it was opened with, but for place and version."""
        return {
            "cache": self.cache_option,
            "salvage": self.salvage,
            "on_damage": self.on_damage,
            "partial": self.partial,
            "replicas": self.replicas,
        }

    @property
    def name(self) -> str:
        """The name of the table: the file's, without folder and extension."""
        return stem(self.path)

    @property
    def schema(self) -> Schema:
        """The columns that users see."""
        return self.snapshot.schema.visible

    @property
    def sources(self) -> dict[str, bytes]:
        """The digest of every source that rows were ingested from, by name."""
        try:
            return present_sources(source_entries(self.snapshot))
        except DamagedFileError as error:
            error.at(file=self.files.log, place="sources")
            raise

    @property
    def arrived(self) -> Arrived | None:
        """What has arrived of a table that is opened in part; None if all of it has."""
        if isinstance(self.snapshot, ShardedSnapshot):
            return None
        parts = (segment.arrived for segment in self.snapshot.segments if isinstance(segment, Segment))
        return next((part for part in parts if part is not None), None)

    def __len__(self) -> int:
        return self.snapshot.rows

    def at(
        self,
        version: int | str | None = None,
        as_of: str | datetime | None = None,
        schema: Schema | None = None,
    ) -> Snapshot:
        """The snapshot of a version: by number, by tag, or the newest at a time.

        as_of: UTC unless it says otherwise. schema: the columns to see it with, by default those that it had.
        QueryError, with the versions and tags that are kept, for one that is not.
        """
        snapshot = self.snapshot
        if as_of is not None:
            with InFile(self.path):
                moment = parse(as_of)
            versions = snapshot.versions
            count = bisect_right(versions, moment, key=lambda version: version.time)
            if not count:
                first = render(versions[0].time)
                raise snapshot.not_kept(
                    f"the oldest version that is kept is of {first}, after {render(moment)}"
                )
            from audiomem_sql.upkeep.salvage import SalvagedSnapshot

            if isinstance(snapshot, SalvagedSnapshot):
                snapshot.check_moment(versions[count - 1].number, moment)
            return snapshot.at(versions[count - 1].number, schema)
        if isinstance(version, str) and not version.isdecimal():
            if version not in snapshot.tags:
                meant = did_you_mean(version, snapshot.tags).rstrip()
                raise snapshot.not_kept(f"there is no tag {version!r}{meant and f'. {meant}'}")
            return snapshot.at(snapshot.tags[version], schema)
        if version is not None and not isinstance(version, str) and not hasattr(version, "__index__"):
            raise QueryError(
                f"{version!r:.60} is no version", file=self.path, remedy="Pass a number or a tag."
            )
        return snapshot.at(snapshot.version if version is None else int(version), schema)

    def pinned(self, version: int | str | None = None, as_of: str | datetime | None = None) -> OpenTable:
        """The same open files at a version, or as they are now; later commits do not show.

        QueryError as :meth:`at`.
        """
        view = copy.copy(self)
        view.snapshot, view.fixed = self.at(version, as_of), True
        view.options = view._read_options()
        return view

    def refresh(self) -> bool:
        """Look for commits of others; True if there were any."""
        if self.fixed or self.salvage or not self.files.changed(self.snapshot):
            return False
        self.reload()
        self.options = self._read_options()
        return True

    def reload(self) -> None:
        """Load the newest snapshot. Files that are open and still the same stay open."""
        self.snapshot = self.files.load(self.cache, self.snapshot)
        self._mark_segments()
        if LIMITS[self.options.profile].sparing:
            trim()

    def close(self) -> None:
        """Close the files."""
        self.closed = True
        self.snapshot.close()

    def _mark_segments(self) -> None:
        """Tell the segments what a read does about damage."""
        self.snapshot.mark_damage(self.on_damage)

    def _read_options(self) -> TableOptions:
        """The options of the newest segment that has commits up to the snapshot's version."""
        snapshot = self.snapshot
        if isinstance(snapshot, ShardedSnapshot):
            with InFile(self.path):
                options = TableOptions.from_catalog(snapshot.manifest.layout_at(snapshot.version).options)
                return replace(options, parts=snapshot.manifest.filled)
        written = [s for s in snapshot.segments if s.catalog.first_version <= snapshot.version]
        try:
            return TableOptions.from_catalog((written or snapshot.segments)[-1].catalog.options)
        except DamagedFileError as error:
            error.at(file=self.path, place="catalog")
            raise


def _salvaged(files: TableFiles, blocks: BlockCache) -> Snapshot:
    """All that can be read of a table."""
    if isinstance(files, ShardedFiles):
        from audiomem_sql.upkeep.salvaged_shards import load_salvaged_shards

        return load_salvaged_shards(files, blocks)
    if files.is_remote:
        from audiomem_sql.upkeep.salvaged_stored import load_salvaged_stored
        from audiomem_sql.versions import RemoteTableFiles

        assert isinstance(files, RemoteTableFiles)
        return load_salvaged_stored(files, blocks)
    from audiomem_sql.upkeep.salvage import load_salvaged

    return load_salvaged(files, blocks)


def _files_at(
    path: str, tiers: Tiers | None, replicas: str | Sequence[str] | None, *, partial: bool
) -> TableFiles:
    """The files of the table that ``path`` leads to: a folder is that of a sharded one."""
    if (tiers and not is_url(path)) or not is_sharded(path):
        return table_files(path, tiers, replicas, partial=partial)
    if partial:
        raise not_on_shards("is not opened with partial", path, "Leave partial out.")
    return sharded_files(path, tiers, replicas)
