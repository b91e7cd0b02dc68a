"""A sharded table that is written to in a store, and that is in several stores, to read.

Each object is read from all places that have it whole. The manifest is that of the first place; another
place's is read where that fails, which is told, as it may be an older one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from audiomem_sql.bytes import ByteSource
from audiomem_sql.errors import AudioMemError, DamagedFileError, StorageError, UnsupportedError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.urls import below, shown
from audiomem_sql.shards.files import MANIFEST
from audiomem_sql.shards.remote_files import RemoteShardedFiles, is_copied_folder
from audiomem_sql.shards.stored_shards import StoredShardedSnapshot
from audiomem_sql.versions import (
    ReplicatedTableFiles,
    Snapshot,
    StoredTable,
    Tiers,
    check_same_history,
    stored_tables,
)


@dataclass(frozen=True, slots=True)
class ReplicatedShardedFiles(RemoteShardedFiles):
    """The objects below ``url``, and the same below ``replicas``. objects: opens one from all places."""

    replicas: tuple[str, ...] = ()
    objects: ReplicatedTableFiles = field(default_factory=lambda: ReplicatedTableFiles(""), compare=False)
    _tables: list[StoredTable] = field(default_factory=list, compare=False)

    @classmethod
    def of(cls, path: str, replicas: Sequence[str], tiers: Tiers | None) -> ReplicatedShardedFiles:
        """Those of the table at a URL, and at ``replicas``, none of which need be there."""
        objects = ReplicatedTableFiles.of(path.rstrip("/"), [each.rstrip("/") for each in replicas], tiers)
        base = shown(below(objects.url, MANIFEST))
        return cls(base, False, objects.url, tiers, replicas=objects.replicas, objects=objects)

    @property
    def places(self) -> tuple[str, ...]:
        """The URL of each copy, that of the table first."""
        return self.objects.places

    @property
    def left_out_places(self) -> Sequence[tuple[str, str]]:
        """Names of the places that are not read from, with the reason."""
        return self.objects.left_out

    def forget(self) -> None:
        """Open everything anew at the next load."""
        RemoteShardedFiles.forget(self)
        self.objects.left_out.clear()
        self._tables.clear()
        self._asked.stored = None

    def load(self, cache: BlockCache, known: Snapshot | None = None) -> Snapshot:
        """The snapshot that the manifest of the first place says, or that of another place."""
        if self._asked.anew:
            known, self._asked.anew = None, False
        if not self._tables:
            self._tables[:] = stored_tables(self.places, self._source)
        first, *others = self._tables
        try:
            first.newest()
        except (StorageError, DamagedFileError) as fault:
            return self._load_other(fault, others, cache, known)
        self._asked.stored = first
        self.objects.manifest_answered()
        return self._load_stored(first, cache, known)

    def _load_other(
        self, fault: AudioMemError, others: Sequence[StoredTable], cache: BlockCache, known: Snapshot | None
    ) -> Snapshot:
        """What another place has, or what is open and as new, with a warning; ``fault`` if none has it."""
        if is_copied_folder(below(self.url, MANIFEST)):
            raise UnsupportedError(
                "is a copy of a folder of shards, whose objects are called otherwise in each place",
                file=shown(self.url),
                remedy="Leave the replicas out.",
            ) from None
        for table in others:
            try:
                head = table.newest()
            except AudioMemError:
                continue
            if isinstance(known, StoredShardedSnapshot) and known.head.seq >= head.manifest.seq:
                check_same_history(head.manifest, known.head, shown(self.url))
                self.objects.manifest_failed(fault, f"version {known.version} goes on being shown")
                return known
            snapshot = self._load_stored(table, cache, known)
            self._asked.stored = self._tables[0]
            self.objects.manifest_failed(
                fault, f"version {snapshot.version} is shown as {shown(table.url)} has it"
            )
            return snapshot
        raise fault

    def changed(self, snapshot: Snapshot) -> bool:
        """Whether there is another state; no, with a warning, where the first place does not answer."""
        if self.objects.is_away(time.monotonic()):
            return False
        try:
            return RemoteShardedFiles.changed(self, snapshot)
        except (StorageError, DamagedFileError) as fault:
            self.objects.manifest_failed(fault, f"version {snapshot.version} goes on being shown")
            return False

    def _source(self, url: str) -> ByteSource:
        """An object from all places that have it, behind the tiers of the cache."""
        return self.objects.source_of(url)

    def check_writable(self) -> None:
        """UnsupportedError: it is only read."""
        self.objects.check_writable()
