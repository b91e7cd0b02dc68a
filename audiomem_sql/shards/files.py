"""The files of a sharded table: a folder with the manifest and a FLAC file for each shard.

:class:`ShardedFiles` has the face of ``TableFiles``; its base, with the writer's lock, is the manifest.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from audiomem_sql.bytes.file_state import FileState
from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import AudioMemError, DamagedFileError, InFile, StorageError, UnsupportedError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.durable import flush, storage_error, temporary_file
from audiomem_sql.machine.file_names import resolved
from audiomem_sql.machine.urls import file_name, is_url
from audiomem_sql.shards.manifest import Manifest, ShardEntry
from audiomem_sql.shards.manifest_bytes import pack_manifest, unpack_manifest
from audiomem_sql.shards.shard_file import ShardFile
from audiomem_sql.shards.snapshot import ShardedSnapshot
from audiomem_sql.versions import Snapshot, TableFiles

MANIFEST = "manifest"
#: What the manifest of a table is called that is being deleted.
DROPPED = "manifest.dropped"
#: Manifests that were read or written last, with the state of their file, by its path.
_KNOWN: dict[str, tuple[FileState, Manifest]] = {}
_MOST_KNOWN = 16
#: What folders of sharded tables are called by.
EXTENSION = ".shards"
#: What the file of a shard is called.
_SHARD_NAME = re.compile(r"shard-\d{4}\.flac")


def is_sharded(path: str | os.PathLike[str]) -> bool:
    """Whether ``path`` leads to the folder of a sharded table: one with a manifest, or called so.

    Of a URL the name says it: nothing is asked of the store.
    """
    if is_url(path):
        return file_name(path).lower().endswith(EXTENSION)
    if not os.path.isdir(path):
        return False
    called = os.fsdecode(path).rstrip(os.sep).lower().endswith(EXTENSION)
    return called or any(
        os.path.lexists(os.path.join(os.fsdecode(path), name)) for name in (MANIFEST, DROPPED)
    )


def is_half_dropped(path: str | os.PathLike[str]) -> bool:
    """Whether the table in the folder at ``path`` was being deleted by somebody who died."""
    there = [os.path.lexists(os.path.join(os.fsdecode(path), name)) for name in (MANIFEST, DROPPED)]
    return there == [False, True]


def shard_name(number: int) -> str:
    """What the file of a shard is called."""
    return f"shard-{number:04d}.flac"


def sharded_table_of(path: str) -> str | None:
    """The folder of the sharded table whose shard the file at ``path`` is; None if it is none.

    Where the manifest cannot be read, a file that is called like a shard is one. Where there is none,
    it is if the folder is called like that of a sharded table.
    """
    folder, name = os.path.split(path)
    if not os.path.lexists(os.path.join(folder, MANIFEST)):
        called = folder.lower().endswith(EXTENSION) or is_half_dropped(folder)
        return folder if called and _SHARD_NAME.fullmatch(name) else None
    try:
        manifest, _ = read_manifest(os.path.join(folder, MANIFEST))
    except AudioMemError:
        return folder if _SHARD_NAME.fullmatch(name) else None
    return folder if any(entry.file == name for entry in manifest.shards) else None


def is_shard_name(name: str) -> bool:
    """Whether a file is called like a shard."""
    return _SHARD_NAME.fullmatch(name) is not None


def read_manifest(path: str) -> tuple[Manifest, str | None]:
    """The manifest in a file, and what is wrong with one of its copies.

    StorageError if there is none, and the errors of ``unpack_manifest``, with the file.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        raise _no_manifest(os.path.dirname(path)) from None
    except OSError as error:
        raise storage_error(error, path) from error
    with InFile(path):
        return unpack_manifest(data)


def _no_manifest(folder: str) -> StorageError:
    """The error of a folder without a manifest: shards that are there are named."""
    if is_half_dropped(folder):
        return StorageError(
            "the table is deleted, but for files that stayed when that was interrupted",
            file=folder,
            remedy=f"Delete these, too: audiomem drop {folder}",
        )
    try:
        shards = sorted(name for name in os.listdir(folder) if _SHARD_NAME.fullmatch(name))
    except OSError:
        shards = []
    if not shards:
        return StorageError(
            "this folder holds no sharded table: there is no manifest in it",
            file=folder,
            remedy="Name a FLAC file, or the folder of a table that was made with shards=…",
        )
    return StorageError(
        f"the manifest is missing, and the files of shards are there, {shards[0]} to {shards[-1]}",
        file=os.path.join(folder, MANIFEST),
        remedy="Restore it from a copy, as new as the shards are. Each of them can be read by its own path.",
    )


def write_manifest(path: str, manifest: Manifest) -> str:
    """Write a manifest that is to be at ``path`` to a temporary file, durably; the name of that.

    StorageError if it cannot be written; then nothing is left of it.
    """
    with InFile(path):
        data = pack_manifest(manifest)
    temporary = None
    try:
        handle, temporary = temporary_file(path)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(handle, view) :]
            flush(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if temporary is not None:
            with suppress(OSError):
                os.unlink(temporary)
        raise storage_error(error, path) from error
    return temporary


def remember(path: str, state: FileState | None, manifest: Manifest) -> None:
    """Note what is in the file of a manifest, so that it need not be read."""
    if state is not None:
        while len(_KNOWN) >= _MOST_KNOWN and path not in _KNOWN:
            _KNOWN.pop(next(iter(_KNOWN)), None)
        _KNOWN[path] = state, manifest


@dataclass(frozen=True, slots=True)
class ShardedFiles(TableFiles):
    """Paths of a sharded table; ``base`` is that of its manifest."""

    @classmethod
    def of_folder(cls, path: str | os.PathLike[str]) -> ShardedFiles:
        """Those of the table in the folder that ``path`` leads to."""
        return cls(os.path.join(resolved(path), MANIFEST))

    @property
    def address(self) -> str:
        """What opens the table again: its folder."""
        return os.path.dirname(self.base)

    def size(self) -> int:
        """Bytes of all files."""
        total = 0
        for folder, _, names in os.walk(self.address):
            for name in names:
                with suppress(OSError):
                    total += os.path.getsize(os.path.join(folder, name))
        return total

    def deltas(self) -> list[tuple[int, str]]:
        """None of its own: shards have theirs."""
        return []

    def load(self, cache: BlockCache, known: Snapshot | None = None) -> Snapshot:
        """The newest version. Shards that ``known`` has open stay open."""
        state = FileState.of(self.base)
        if isinstance(known, ShardedSnapshot) and state is not None and known.state == state:
            return known
        entry = _KNOWN.get(self.base)
        if entry is not None and entry[0] == state:
            manifest = entry[1]
        else:
            while True:
                manifest, _ = read_manifest(self.base)
                now = FileState.of(self.base)
                if now == state:
                    break
                state = now
            remember(self.base, state, manifest)
        return ShardedSnapshot(self.base, manifest, self._shards(known, manifest, cache), state)

    def _shards(self, known: Snapshot | None, manifest: Manifest, cache: BlockCache) -> list[ShardFile]:
        """The file of each shard. DamagedFileError if the manifest is not that of the table of ``known``."""
        before = known if isinstance(known, ShardedSnapshot) else None
        if before is not None and before.manifest.table_id != manifest.table_id:
            raise DamagedFileError(
                "the manifest of another table took the place of this one's",
                file=self.base,
                remedy="Close the table, and open the one that you want.",
            )
        return [self._shard(number, before, manifest, cache) for number in range(len(manifest.shards))]

    def _shard(
        self, number: int, known: ShardedSnapshot | None, manifest: Manifest, cache: BlockCache
    ) -> ShardFile:
        """The file of a shard: that of ``known`` if it is the same."""
        entry, schemas = manifest.shards[number], [schema for _, schema in manifest.schemas]
        if known is not None and number < len(known.shard_files):
            file = known.shard_files[number]
            if (os.path.basename(file.files.base), file.table_id) == (entry.file, entry.table_id):
                file.know(schemas)
                return file
        return self._shard_file(number, entry, schemas, cache)

    def _shard_file(
        self, number: int, entry: ShardEntry, schemas: Sequence[Schema], cache: BlockCache
    ) -> ShardFile:
        files = TableFiles(os.path.join(self.address, entry.file))
        return ShardFile(files, number, entry, schemas, cache)

    def changed(self, snapshot: Snapshot) -> bool:
        """Whether something was committed since ``snapshot`` was loaded."""
        return not isinstance(snapshot, ShardedSnapshot) or FileState.of(self.base) != snapshot.state

    def remove_leftovers(self, snapshot: Snapshot) -> None:
        """Nothing: shards see to their own."""

    def check_undamaged(self, snapshot: Snapshot) -> None:
        """Shards see to it when they are written to."""

    def check_writable(self) -> None:
        """StorageError unless commits can be written."""
        for path in (self.address, self.base):
            if not os.access(path, os.W_OK):
                raise StorageError(
                    "cannot be written",
                    file=path,
                    remedy="Check the permissions of the folder and files.",
                )


def check_no_shard(base: str, path: str) -> None:
    """UnsupportedError if the file ``base``, opened as ``path``, is a shard of a table."""
    folder = sharded_table_of(base)
    if folder is None:
        return
    if os.path.lexists(os.path.join(folder, MANIFEST)):
        what, remedy = "", f"Open the table to write to it: {folder}"
    else:
        what = ". The manifest of that is missing"
        remedy = "Restore it, or move this file to another folder, to have a table of its own."
    raise UnsupportedError(
        f"this file is a shard of a table, and is only read by itself{what}", file=path, remedy=remedy
    )


def not_on_shards(what: str, path: str, remedy: str) -> UnsupportedError:
    """The error of what a sharded table does not do."""
    return UnsupportedError(f"a sharded table {what}", file=path, remedy=remedy)
