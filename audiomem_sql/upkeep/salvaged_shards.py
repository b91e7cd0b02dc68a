"""Reading a sharded table of which shards, or the manifest, cannot be read: what the others hold.

A shard is read at the commit that the manifest names, or at the last one before it that is there. Where the
manifest cannot be read, all files that are called like shards are read as they are, and nothing is known of
where their rows belong.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import AudioMemError, DamagedFileError, QueryError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.shards import (
    BoundColumn,
    Manifest,
    Pin,
    ShardedFiles,
    ShardedSnapshot,
    ShardedVersion,
    ShardEntry,
    ShardFile,
    ShardZones,
    is_shard_name,
    read_manifest,
    spread,
)
from audiomem_sql.storage.segment import Version
from audiomem_sql.upkeep.salvage import load_salvaged
from audiomem_sql.versions import Snapshot, TableFiles
from audiomem_sql.warn_once import warn_once


class SalvagedShards(ShardedSnapshot):
    """The shards that can be read. No condition leaves one out: rows may be anywhere."""

    def chosen(self, filters: Sequence[BoundColumn]) -> list[int]:
        """The numbers of all shards that can be read."""
        return [number for number in range(len(self.shard_files)) if number not in self.left_out]

    def narrowed(self, filters: Sequence[BoundColumn]) -> ShardedSnapshot:
        """All of them."""
        return self

    def _with_rowid(self, rowid: int) -> Iterator[Snapshot]:
        return iter(self.shards)

    def shards_of(self, rowids: I64Array) -> I64Array:
        """Nothing is written to them."""
        return np.full(len(rowids), -1, np.int64)

    def own_rowids_by_key(self, place: int, collation: str, keys: Sequence[object]) -> Sequence[int]:
        """The rowids that are in logs only."""
        return [rowid for shard in self.shards for rowid in shard.own_rowids()]

    def at(self, version: int, schema: Schema | None = None) -> Snapshot:
        """The newest version; QueryError for any other."""
        if version != self.version:
            raise QueryError(
                "of a sharded table that is opened for salvage only the newest version can be read",
                file=self.path,
                remedy="Leave the version out, or salvage the files of its shards one by one.",
            )
        return self


@dataclass(slots=True)
class _Saved:
    """What could be read of a shard, and what is to be said of it."""

    snapshot: Snapshot | None
    told: str | None


class _SavedShard(ShardFile):
    """A shard of which what can be read was read."""

    def __init__(self, files: TableFiles, number: int, entry: ShardEntry, saved: Snapshot | None) -> None:
        super().__init__(files, number, entry, (), BlockCache(0))
        if saved is not None:
            self.adopt(saved)
        self._saved = saved

    def at(self, pin: Pin, schema: Schema) -> Snapshot:
        """What was read."""
        if self._saved is None:
            raise self.missing()
        self._saved.mark_damage(self.on_damage)
        return self._saved


def load_salvaged_shards(files: ShardedFiles, cache: BlockCache) -> Snapshot:
    """The newest snapshot, or all that can be read of it.

    A DamageWarning says what is missing. DamagedFileError if there is nothing.
    """
    told: list[str] = []
    try:
        manifest: Manifest | None = read_manifest(files.base)[0]
    except AudioMemError as error:
        told.append(f"the manifest: {error.what}, so the newest commits of each shard are shown")
        manifest, refused = None, error.with_traceback(None)
    if manifest is None:
        names = _named_like_shards(files.address)
        saved = {name: _saved(TableFiles(os.path.join(files.address, name)), cache) for name in names}
        readable = [each.snapshot for each in saved.values() if each.snapshot is not None]
        if not readable:
            raise refused
        manifest = _manifest_of(saved, readable)
    else:
        saved = {}
        for entry, pin in zip(manifest.shards, manifest.pins_at(manifest.newest), strict=True):
            shard = TableFiles(os.path.join(files.address, entry.file))
            saved[entry.file] = _fitting(_saved(shard, cache), entry, pin, manifest.schema)
    shards, left_out = [], set()
    for number, entry in enumerate(manifest.shards):
        each = saved[entry.file]
        if each.snapshot is None:
            left_out.add(number)
        if each.told is not None:
            told.append(f"shard {number} ({entry.file}) {each.told}")
        shards.append(
            _SavedShard(TableFiles(os.path.join(files.address, entry.file)), number, entry, each.snapshot)
        )
    if len(left_out) == len(shards):
        raise DamagedFileError(
            f"no shard can be read: {'; '.join(told)}", file=files.address, remedy="Restore the folder."
        )
    if told:
        warn_once(
            ("salvage", files.base, *told),
            f"{files.address}: {'; '.join(told)}. "
            "Restore the files from a copy, or write what is left to a new table.",
        )
    snapshot = SalvagedShards(files.base, manifest, shards, None)
    snapshot.left_out = frozenset(left_out)
    return snapshot


def _named_like_shards(folder: str) -> list[str]:
    try:
        return sorted(filter(is_shard_name, os.listdir(folder)))
    except OSError:
        return []


def _saved(files: TableFiles, cache: BlockCache) -> _Saved:
    """What can be read of the file of a shard; a warning of its own says what is missing in it."""
    if not os.path.lexists(files.base) and not files.deltas():
        return _Saved(None, "is missing")
    try:
        return _Saved(load_salvaged(files, cache), None)
    except AudioMemError as error:
        return _Saved(None, f"cannot be read: {error.what}")


def _fitting(saved: _Saved, entry: ShardEntry, pin: Pin, schema: Schema) -> _Saved:
    """A shard as the manifest names it, or as far as it comes to that."""
    snapshot = saved.snapshot
    if snapshot is None:
        return saved
    if snapshot.segments[0].catalog.table_id != entry.table_id:
        snapshot.close()
        return _Saved(None, "is left out: another table is in its place")
    kept = {version.number: version.time for version in snapshot.versions}
    told = None
    try:
        if kept.get(pin.version) == pin.time:
            snapshot = snapshot.at(pin.version)
        else:
            before = [number for number in kept if number < pin.version]
            if snapshot.newest > pin.version and before:
                snapshot = snapshot.at(max(before))
            told = f"is shown at its version {snapshot.version}: version {pin.version} is not there"
    except QueryError:
        told = f"is shown at its newest version, {snapshot.version}"
    if not snapshot.schema.is_same(schema):
        return _Saved(None, "is left out: it has other columns")
    return _Saved(snapshot, told)


def _manifest_of(saved: dict[str, _Saved], readable: Sequence[Snapshot]) -> Manifest:
    """A manifest of the files that there are, whose first one says what the columns are."""
    first = readable[0]
    for each in saved.values():
        if each.snapshot is not None and not each.snapshot.schema.is_same(first.schema):
            each.snapshot, each.told = None, "is left out: it has other columns"
    entries, rows = [], 0
    for name, each in saved.items():
        table_id = bytes(16) if each.snapshot is None else each.snapshot.segments[0].catalog.table_id
        entries.append(ShardEntry(name, table_id, Pin(1, 0)))
        rows += 0 if each.snapshot is None else each.snapshot.rows
    return Manifest(
        table_id=bytes(16),
        schema=first.schema,
        options=first.segments[-1].catalog.options,
        key=(),
        tables=((1, spread(len(entries))),),
        shards=tuple(entries),
        versions=(ShardedVersion(Version(1, first.newest_time, rows, 0)),),
        zones=ShardZones({}),
        high_rowid=max(each.high_rowid for each in readable),
        rows=rows,
    )
