"""A sharded table that is written to in a store: one manifest, which has the segments of every shard.

The manifest is one of ``remote/commits``. Each shard has versions of its own there, which the versions of the
table name, as in a folder; so a shard is read as a table in a store is, and everything else as in a folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING

from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import DamagedFileError, StorageError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.urls import below
from audiomem_sql.shards.manifest import Manifest, ShardEntry
from audiomem_sql.shards.manifest_bytes import pack_content, unpack_content
from audiomem_sql.shards.shard_file import ShardFile
from audiomem_sql.shards.snapshot import ShardedSnapshot
from audiomem_sql.versions import Snapshot, StoredSnapshot, StoredTable, table_files

if TYPE_CHECKING:
    from audiomem_sql.remote.commits import Manifest as Head

#: What manifests of tables in stores say, by the bytes that say it, of those that were read or made last.
_KNOWN: dict[bytes, Manifest] = {}
_MOST_KNOWN = 8
_GUARD = Lock()


def content_of(head: Head) -> Manifest:
    """What the manifest of a table in a store says of its shards. DamagedFileError if that cannot be so."""
    if not head.shards:
        raise StorageError(
            "the table was not finished when it was created", remedy="Create it again at the same URL."
        )
    manifest = _KNOWN.get(head.content)
    if manifest is None:
        manifest = unpack_content(head.content)
        _remember(head.content, manifest)
    ids = [shard.table for shard in head.shards]
    pins = manifest.pins_at(manifest.newest)
    if (
        manifest.newest != head.version
        or [entry.table_id for entry in manifest.shards] != ids
        or [pin.version for pin in pins] != [shard.version for shard in head.shards]
    ):
        raise DamagedFileError("the manifest contradicts itself: its versions are not those of its shards")
    return replace(manifest, tags=dict(head.tags), high_rowid=head.next_rowid - 1)


def with_content(head: Head, manifest: Manifest, shards: Sequence[Head]) -> Head:
    """``head`` with other shards, and another word of them. Tags and the greatest rowid are the head's."""
    said = replace(manifest, tags={}, high_rowid=0)
    content = pack_content(said)
    _remember(content, said)
    return replace(head, content=content, shards=tuple(shards))


def _remember(content: bytes, manifest: Manifest) -> None:
    with _GUARD:
        while len(_KNOWN) >= _MOST_KNOWN:
            del _KNOWN[next(iter(_KNOWN))]
        _KNOWN[content] = manifest


class StoredShard(ShardFile):
    """A shard whose segments and records are in the manifest. known: the same shard, as it was before."""

    def __init__(
        self,
        table: StoredTable,
        state: Head,
        number: int,
        entry: ShardEntry,
        schemas: Sequence[Schema],
        cache: BlockCache,
        known: StoredShard | None = None,
    ) -> None:
        super().__init__(table_files(below(table.url, entry.file)), number, entry, schemas, cache)
        self.state = state
        self._table = table
        self._before = None if known is None else known.opened

    @property
    def opened(self) -> StoredSnapshot | None:
        """What was read of it last."""
        loaded = self._loaded
        return loaded if isinstance(loaded, StoredSnapshot) else self._before

    def missing(self) -> StorageError:
        """The error of a segment that the manifest names, and that is not there."""
        return StorageError(
            f"a segment of shard {self.number} is missing",
            file=self.files.base,
            remedy="Bring it back from an older version that the store keeps, or restore a backup.",
        )

    def _read(self, known: Snapshot | None) -> Snapshot:
        from audiomem_sql.remote import NoObjectError

        before = known if isinstance(known, StoredSnapshot) else self._before
        try:
            snapshot = self._table.snapshot_of(self.state, self._cache, before)
        except NoObjectError as error:
            names = {entry.name for entry in self.state.segments}
            if names <= self._table.reader.load().manifest.names:
                raise self.missing() from error
            raise StorageError(
                f"this version is no longer kept by shard {self.number}: the table was vacuumed",
                file=self.files.base,
                remedy="Refresh the table, or open it again.",
            ) from None
        self._before = None
        return snapshot


class StoredShardedSnapshot(ShardedSnapshot):
    """The rows of one version of the table that ``head``, the manifest in the store, describes."""

    def __init__(
        self,
        path: str,
        head: Head,
        manifest: Manifest,
        files: Sequence[ShardFile],
        version: int | None = None,
        schema: Schema | None = None,
        *,
        place: str | None = None,
    ) -> None:
        super().__init__(path, manifest, files, None, version, schema, place=place)
        self.head = head

    def _of_version(self, version: int, schema: Schema | None) -> ShardedSnapshot:
        return StoredShardedSnapshot(
            self.path, self.head, self.manifest, self.shard_files, version, schema, place=self.place
        )

    @property
    def files(self) -> tuple[object, ...]:
        """The state of the manifest."""
        return self.head.table, self.head.seq

    @property
    def file_size(self) -> int:
        """Bytes of the records in the manifest."""
        return self.head.inline_bytes


def snapshot_of(
    table: StoredTable, path: str, place: str, cache: BlockCache, known: Snapshot | None
) -> StoredShardedSnapshot:
    """The newest version of the table; ``known`` if it still is. Shards that are the same stay open."""
    head = table.newest().manifest
    before = known if isinstance(known, StoredShardedSnapshot) else None
    if known is not None and (before is None or before.head.table != head.table):
        raise DamagedFileError(
            "the manifest of another table took the place of this one's",
            remedy="Close the table, and open the one that you want.",
        )
    if before is not None and before.head.seq == head.seq:
        return before
    manifest = content_of(head)
    files: list[StoredShard] = []
    schemas = [schema for _, schema in manifest.schemas]
    for number, (entry, state) in enumerate(zip(manifest.shards, head.shards, strict=True)):
        same: StoredShard | None = None
        if before is not None and number < len(before.shard_files):
            file = before.shard_files[number]
            assert isinstance(file, StoredShard)
            same = file
        if same is None or same.state != state:
            same = StoredShard(table, state, number, entry, schemas, cache, same)
        files.append(same)
    return StoredShardedSnapshot(path, head, manifest, files, place=place)
