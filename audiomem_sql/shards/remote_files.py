"""A sharded table in a store or on a web server: the same files as objects below a URL. It is only read.

The manifest is read as one state of its object, and names commits of the shards: a shard that was replaced
since is shown at that commit, or is an error that says so. So nobody sees rows of two versions.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from audiomem_sql.bytes.file_state import FileState
from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import DamagedFileError, InFile, StorageError, UnsupportedError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.urls import below, shown
from audiomem_sql.shards.files import MANIFEST, ShardedFiles
from audiomem_sql.shards.manifest import Manifest, ShardEntry
from audiomem_sql.shards.manifest_bytes import MAX_RAW_BYTES, unpack_manifest
from audiomem_sql.shards.shard_file import ShardFile
from audiomem_sql.shards.snapshot import ShardedSnapshot
from audiomem_sql.versions import Snapshot, Tiers, table_files

#: How often a manifest is read that is replaced while it is read.
_ATTEMPTS = 5


def read_remote_manifest(url: str) -> tuple[Manifest, str | None, FileState]:
    """The manifest at ``url``, what is wrong with one of its copies, and the state of the object.

    Errors as of ``read_manifest``.
    """
    from audiomem_sql.remote import NoObjectError, RemoteFile
    from audiomem_sql.remote.faults import AnotherStateError

    for attempt in range(_ATTEMPTS):
        try:
            source = RemoteFile(url)
            if source.size > 2 * MAX_RAW_BYTES:
                raise DamagedFileError("is too large to be the manifest of a sharded table", file=source.name)
            state, data = FileState.of_source(source), source.read_at(0, source.size)
            break
        except AnotherStateError:
            if attempt == _ATTEMPTS - 1:
                raise
        except NoObjectError:
            raise NoObjectError(
                "there is no sharded table here: there is no manifest",
                file=shown(url),
                remedy="Check bucket and key. Tables of one file are not called .shards.",
            ) from None
    with InFile(shown(url)):
        return (*unpack_manifest(data), state)


class RemoteShard(ShardFile):
    """A shard that is an object below the URL of a table."""

    def __init__(
        self,
        folder: str,
        tiers: Tiers | None,
        number: int,
        entry: ShardEntry,
        schemas: Sequence[Schema],
        cache: BlockCache,
    ) -> None:
        super().__init__(table_files(below(folder, entry.file), tiers), number, entry, schemas, cache)
        self._folder = folder
        self._name = entry.file

    def _read(self, known: Snapshot | None) -> Snapshot:
        from audiomem_sql.remote import NoObjectError

        try:
            return self.files.load(self._cache, known)
        except NoObjectError:
            manifest = read_remote_manifest(below(self._folder, MANIFEST))[0]
            if any(entry.file == self._name for entry in manifest.shards):
                raise self.missing() from None
            raise StorageError(
                f"shard {self.number} was replaced: newer copies of the table came in the place of this one",
                file=self.files.base,
                remedy="Refresh the table, or open it again.",
            ) from None


@dataclass(slots=True)
class _Asked:
    """When the store was last asked for the manifest, by ``time.monotonic``."""

    at: float = 0.0


@dataclass(frozen=True, slots=True)
class RemoteShardedFiles(ShardedFiles):
    """The objects below ``url``. ``base`` is the URL of the manifest, without what lets somebody in."""

    url: str = ""
    #: Tiers of a cache in front of the shards; None for those of the environment. The manifest has none.
    tiers: Tiers | None = None
    _asked: _Asked = field(default_factory=_Asked, compare=False)

    @classmethod
    def of_url(cls, url: str, tiers: Tiers | None = None) -> RemoteShardedFiles:
        """Those at ``url``, which need not be there."""
        return cls(shown(below(url, MANIFEST)), False, url, tiers)

    @property
    def address(self) -> str:
        """What opens the table again: the whole URL."""
        return self.url

    @property
    def is_remote(self) -> bool:
        """Yes."""
        return True

    def size(self) -> int:
        """Bytes of all objects. StorageError if they cannot be asked for."""
        from audiomem_sql.remote import RemoteFile

        url = below(self.url, MANIFEST)
        entries = read_remote_manifest(url)[0].shards
        sizes = (RemoteFile(below(self.url, entry.file)).size for entry in entries)
        return RemoteFile(url).size + sum(sizes)

    def exists(self) -> bool:
        """Yes, as far as can be told without asking; opening it says more."""
        return True

    def load(self, cache: BlockCache, known: Snapshot | None = None) -> Snapshot:
        """The newest version; ``known`` if it still is. Shards that ``known`` has open stay open."""
        self._asked.at = time.monotonic()
        url = below(self.url, MANIFEST)
        manifest, _, state = read_remote_manifest(url)
        if isinstance(known, ShardedSnapshot) and known.state == state:
            return known
        return ShardedSnapshot(self.base, manifest, self._shards(known, manifest, cache), state, place=url)

    def _shard_file(
        self, number: int, entry: ShardEntry, schemas: Sequence[Schema], cache: BlockCache
    ) -> ShardFile:
        return RemoteShard(self.url, self.tiers, number, entry, schemas, cache)

    def changed(self, snapshot: Snapshot) -> bool:
        """Whether the manifest was replaced; asked for once in ``AUDIOMEM_REMOTE_REFRESH`` seconds."""
        from audiomem_sql.remote import RemoteFile, RemoteOptions

        now = time.monotonic()
        if now - self._asked.at < RemoteOptions.of_environment().refresh:
            return False
        self._asked.at = now
        if not isinstance(snapshot, ShardedSnapshot):
            return True
        return FileState.of_source(RemoteFile(below(self.url, MANIFEST))) != snapshot.state

    def check_writable(self) -> None:
        """UnsupportedError: objects are not changed."""
        raise UnsupportedError(
            "a sharded table in a store is only read",
            file=shown(self.url),
            remedy="Copy it to a folder with `audiomem backup`, write there, and copy that to the URL again.",
        )
