"""A sharded table in a store or on a web server: the same files as objects below a URL, or one manifest.

The manifest is read as one state of its object. That of a copy names commits of the shards: a shard that was
replaced since is shown at that commit, or is an error that says so. So nobody sees rows of two versions. A
copy is only read. A table that was made in the store has another kind of manifest, see ``stored_shards``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from audiomem_sql.bytes.file_state import FileState
from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import AudioMemError, DamagedFileError, InFile, StorageError, UnsupportedError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.thread_pool import ThreadPool
from audiomem_sql.machine.urls import below, shown
from audiomem_sql.shards.files import MANIFEST, ShardedFiles
from audiomem_sql.shards.manifest import Manifest, ShardEntry
from audiomem_sql.shards.manifest_bytes import MAX_RAW_BYTES, unpack_manifest
from audiomem_sql.shards.shard_file import ShardFile
from audiomem_sql.shards.snapshot import ShardedSnapshot
from audiomem_sql.versions import RemoteTableFiles, Snapshot, StoredTable, Tiers, table_files

if TYPE_CHECKING:
    from audiomem_sql.bytes import ByteSource
    from audiomem_sql.remote import RemoteFile
    from audiomem_sql.remote.commits import Head

#: Objects whose sizes are asked for at the same time.
_ASKED_AT_ONCE = 16
#: How often a manifest is read that is replaced while it is read.
_ATTEMPTS = 5


def read_remote_manifest(url: str) -> tuple[Manifest, str | None, FileState]:
    """The manifest at ``url``, what is wrong with one of its copies, and the state of the object.

    Errors as of ``read_manifest``.
    """
    from audiomem_sql.remote.commits.manifest_bytes import is_manifest
    from audiomem_sql.shards.stored_shards import content_of

    source, data = _read(url)
    with InFile(shown(url)):
        if is_manifest(data):
            return content_of(_head_of(url, source, data).manifest), None, FileState.of_source(source)
        return (*unpack_manifest(data), FileState.of_source(source))


def is_copied_folder(url: str) -> bool:
    """Whether the manifest at ``url`` is that of a folder, which was copied there."""
    try:
        unpack_manifest(_read(url)[1])
    except AudioMemError:
        return False
    return True


def _read(url: str) -> tuple[RemoteFile, bytes]:
    """The object of a manifest, and its bytes."""
    from audiomem_sql.remote import NoObjectError, RemoteFile
    from audiomem_sql.remote.faults import AnotherStateError

    for attempt in range(_ATTEMPTS):
        try:
            source = RemoteFile(url)
            if source.size > 2 * MAX_RAW_BYTES:
                raise DamagedFileError("is too large to be the manifest of a sharded table", file=source.name)
            return source, source.read_at(0, source.size)
        except AnotherStateError:
            if attempt == _ATTEMPTS - 1:
                raise
        except NoObjectError:
            raise NoObjectError(
                "there is no sharded table here: there is no manifest",
                file=shown(url),
                remedy="Check bucket and key. Tables of one file are not called .shards.",
            ) from None
    raise AssertionError("the last attempt returns or raises")


def _head_of(url: str, source: RemoteFile, data: bytes) -> Head:
    """What a table that is written to in a store is at this moment, from the bytes of its manifest."""
    from audiomem_sql.remote.commits import Head, ManifestReader, Mark, table_store
    from audiomem_sql.remote.commits.manifest_bytes import unpack_manifest as unpack_head

    if source.pin.is_lasting and not urlsplit(url).scheme.lower().startswith("g"):
        return Head(unpack_head(data, lambda page: ()), Mark(source.pin.tag))
    from audiomem_sql.remote import RemoteOptions

    # Google replaces objects on the condition of a generation, which has to be asked for.
    store, key = table_store(url.removesuffix(f"/{MANIFEST}"), RemoteOptions.of_environment().timeout)
    return ManifestReader(store, key).load()


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
    """When the store was last asked for the manifest, by ``time.monotonic``.

    stored: the objects of the table, once it is known to be one that is written to here. anew: whether the
    next load uses nothing that is open.
    """

    at: float = 0.0
    stored: StoredTable | None = None
    anew: bool = False


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

    @property
    def stored(self) -> StoredTable | None:
        """The objects of a table that is written to here; None for a copy. Known when it has been loaded."""
        return self._asked.stored

    def forget(self) -> None:
        """Open everything anew at the next load."""
        self._asked.anew = True

    def size(self) -> int:
        """Bytes of all objects. StorageError if they cannot be asked for."""
        from audiomem_sql.remote import RemoteFile

        if self.stored is not None:
            return self.stored.size()
        url = below(self.url, MANIFEST)
        entries = read_remote_manifest(url)[0].shards
        urls = [url, *(below(self.url, entry.file) for entry in entries)]
        with ThreadPool(min(len(urls), _ASKED_AT_ONCE)) as threads:
            return sum(threads.map(lambda each: RemoteFile(each).size, urls))

    def exists(self) -> bool:
        """Yes, as far as can be told without asking; opening it says more."""
        return True

    def load(self, cache: BlockCache, known: Snapshot | None = None) -> Snapshot:
        """The newest version; ``known`` if it still is. Shards that ``known`` has open stay open."""
        from audiomem_sql.remote.commits.manifest_bytes import is_manifest

        url = below(self.url, MANIFEST)
        if self._asked.anew:
            known, self._asked.anew = None, False
        if self.stored is not None:
            return self._load_stored(self.stored, cache, known)
        self._asked.at = time.monotonic()
        source, data = _read(url)
        if is_manifest(data):
            with InFile(self.base):
                head = _head_of(url, source, data)
            stored = StoredTable(self.url.rstrip("/"), self._source)
            stored.take(head)
            snapshot = self._load_stored(stored, cache, known)
            self._asked.stored = stored
            return snapshot
        with InFile(self.base):
            manifest = unpack_manifest(data)[0]
        state = FileState.of_source(source)
        if isinstance(known, ShardedSnapshot) and known.state == state:
            return known
        return ShardedSnapshot(self.base, manifest, self._shards(known, manifest, cache), state, place=url)

    def _load_stored(self, stored: StoredTable, cache: BlockCache, known: Snapshot | None) -> Snapshot:
        from audiomem_sql.shards.stored_shards import snapshot_of

        with InFile(shown(self.url)):
            return snapshot_of(stored, shown(self.url), below(self.url, MANIFEST), cache, known)

    def _source(self, url: str) -> ByteSource:
        """The object of a segment, behind the tiers of the cache."""
        return RemoteTableFiles.of_url(url, self.tiers).source_of(url)

    def _shard_file(
        self, number: int, entry: ShardEntry, schemas: Sequence[Schema], cache: BlockCache
    ) -> ShardFile:
        return RemoteShard(self.url, self.tiers, number, entry, schemas, cache)

    def changed(self, snapshot: Snapshot) -> bool:
        """Whether the manifest was replaced; asked for once in ``AUDIOMEM_REMOTE_REFRESH`` seconds."""
        from audiomem_sql.remote import RemoteFile, RemoteOptions

        if self.stored is not None:
            seq = snapshot.files[1] if isinstance(snapshot, ShardedSnapshot) else 0
            assert isinstance(seq, int)
            return self.stored.changed(seq)
        now = time.monotonic()
        if now - self._asked.at < RemoteOptions.of_environment().refresh:
            return False
        self._asked.at = now
        if not isinstance(snapshot, ShardedSnapshot):
            return True
        return FileState.of_source(RemoteFile(below(self.url, MANIFEST))) != snapshot.state

    def check_writable(self) -> None:
        """UnsupportedError for a copy, and in a store that keeps no conditions."""
        if self.stored is not None:
            self.stored.check_writable()
            return
        raise UnsupportedError(
            "a sharded table that was copied to a store is only read",
            file=shown(self.url),
            remedy="Copy it to a folder with `audiomem backup`, write there, and copy that to the URL again.",
        )
