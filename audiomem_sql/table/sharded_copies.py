"""Copies of a sharded table between folders and stores: a file for each shard, and a manifest of these.

What is copied is a snapshot, so others go on writing. A folder gets its name when all of it is durable. In a
store the files of shards are immutable objects under names that no other copy has, and the manifest, which is
replaced on a condition, names them: readers see the state before or the one behind, and never a mix.

Objects are named by the number of the copy and by chance. A copy that did not come to its end belongs to a
number that was given to another one, so what has a number up to that of the newest copy, and is named by
neither this nor the one before, is garbage: nobody can name it any more.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from audiomem_sql.errors import BusyError, InFile, StorageError, UnsupportedError
from audiomem_sql.machine.file_names import resolved
from audiomem_sql.machine.new_folder import new_folder
from audiomem_sql.machine.progress import Progress
from audiomem_sql.machine.urls import below, shown
from audiomem_sql.shards import (
    MANIFEST,
    Manifest,
    ShardedSnapshot,
    is_sharded,
    not_on_shards,
    pack_manifest,
    shard_name,
    unpack_manifest,
    write_manifest,
)
from audiomem_sql.storage.segment import TableOptions
from audiomem_sql.upkeep.backup import write_backup
from audiomem_sql.upkeep.repair import Repair, repair_copy
from audiomem_sql.versions import check_keeps_conditions

if TYPE_CHECKING:
    from audiomem_sql.remote.commits import ObjectStore, Stored
    from audiomem_sql.remote.commits.reading import ManifestReader

#: What the objects of shards are called: the number of the shard, that of the copy, and chance.
_NAME = re.compile(r"shard-\d{4}-([0-9a-f]{8})-[0-9a-f]{16}\.flac")
_PART_BYTES = 8 << 20
#: A file that is larger is uploaded in parts.
_PARTS_ABOVE = 16 << 20


def copy_to_folder(
    snapshot: ShardedSnapshot,
    path: str | os.PathLike[str],
    options: TableOptions,
    progress: Progress | None = None,
) -> None:
    """Copy the newest version, and all before it, to a new folder at ``path``, durably.

    Others may be writing: a shard is copied with the commits that the snapshot shows.

    StorageError if there is something at ``path``; after an error nothing is there.
    """
    folder = resolved(path)
    shards = [replace(e, file=shard_name(n)) for n, e in enumerate(snapshot.manifest.shards)]
    with new_folder(folder) as temporary:
        for number, entry in enumerate(shards):
            _copy_shard(snapshot, number, os.path.join(temporary, entry.file), options)
            _tell(progress, number + 1, len(shards))
        name = os.path.join(temporary, MANIFEST)
        os.rename(write_manifest(name, replace(snapshot.manifest, shards=tuple(shards), copies=0)), name)


def repaired_copy(
    snapshot: ShardedSnapshot, path: str | os.PathLike[str], progress: Progress | None = None
) -> list[Repair]:
    """Write the table as it was made to a new folder at ``path``; what was done, a file each.

    DamagedFileError for what cannot be recovered: then nothing is there.
    """
    done: list[Repair] = []
    with new_folder(resolved(path)) as temporary:
        for number, (file, entry) in enumerate(
            zip(snapshot.shard_files, snapshot.manifest.shards, strict=True)
        ):
            target = os.path.join(temporary, entry.file)
            done += repair_copy(snapshot.shard(number), file.files, target, progress)
        name = os.path.join(temporary, MANIFEST)
        os.rename(write_manifest(name, snapshot.manifest), name)
    return done


def copy_to_store(
    snapshot: ShardedSnapshot, url: str, options: TableOptions, progress: Progress | None = None
) -> None:
    """Copy the newest version, and all before it, to ``url``, where nothing or an older copy of it is.

    Shards whose commits are those of the older copy stay as they are. StorageError for another table, or one
    with other commits, BusyError where another copy came first; then what is there stays as it is.
    """
    check_called_shards(url)
    with InFile(shown(url)):
        target = ShardedTarget(url)
        names = target.begin(snapshot)
        for number, name in enumerate(names):
            if not name:
                names[number] = _put_copy(target, snapshot, number, options)
            _tell(progress, number + 1, len(names))
        target.commit(snapshot.manifest, names)


def check_called_shards(url: str) -> None:
    """UnsupportedError for a URL that is not called as a sharded table is."""
    if not is_sharded(url):
        raise not_on_shards("is not copied to an object", shown(url), "Name a folder: s3://bucket/kb.shards.")


def _put_copy(target: ShardedTarget, snapshot: ShardedSnapshot, number: int, options: TableOptions) -> str:
    with tempfile.TemporaryDirectory(prefix="audiomem-") as folder:
        path = os.path.join(folder, shard_name(number))
        _copy_shard(snapshot, number, path, options)
        return target.put(number, path)


class ShardedTarget:
    """Where a sharded table is copied to in a store, for one copy: ``begin``, ``put``, ``commit``.

    copies: the number of the copy. Tasks on other machines may put shards, each with a target of its own that
    was given the number; only who began commits. UnsupportedError for a store without conditional writes.
    """

    def __init__(self, url: str, copies: int = 0) -> None:
        from audiomem_sql.remote import RemoteOptions
        from audiomem_sql.remote.commits import ManifestReader, table_store

        place, limits = below(url, MANIFEST), RemoteOptions.of_environment()
        check_keeps_conditions(place)
        self.copies = copies
        self._store: ObjectStore
        self._store, self._key = table_store(place, limits.timeout)
        self._folder = self._key.removesuffix(MANIFEST)
        self._reader: ManifestReader = ManifestReader(self._store, self._key, seconds=max(limits.budget, 1.0))
        self._before: Stored | None = None

    def begin(self, snapshot: ShardedSnapshot) -> list[str]:
        """Look what is there; of each shard the name of the object that has it already, or "".

        StorageError for another table, or one with other commits.
        """
        self._before = self._stored()
        before = self._manifest_before()
        self.copies = 1 if before is None else before.copies + 1
        names = [""] * len(snapshot.shard_files)
        if before is not None:
            _check_goes_on(before, snapshot.manifest)
            kept = _names_kept(before, snapshot)
            names[: len(kept)] = kept
        return names

    def put(self, number: int, path: str) -> str:
        """Put the file of a shard into the store, where no manifest names it yet; the name of the object."""
        from audiomem_sql.remote.commits import Missing, Refused, Unanswered
        from audiomem_sql.remote.commits.waiting import Patience

        patience = Patience(self._reader.seconds, self._reader.surroundings)
        while True:  # under a new name each time: what an earlier attempt left is garbage
            name = f"shard-{number:04d}-{self.copies:08x}-{os.urandom(8).hex()}.flac"
            try:
                if os.path.getsize(path) > _PARTS_ABOVE:
                    self._store.put_parts(self._folder + name, _parts(path))
                else:
                    self._store.put_if_absent(self._folder + name, b"".join(_parts(path)))
                return name
            except (Missing, Refused, Unanswered) as error:
                if not patience.wait():
                    raise Unanswered(f"a shard could not be uploaded ({error.what})") from error

    def commit(self, manifest: Manifest, names: Sequence[str]) -> None:
        """Name the shards: the copy is there. Then remove what nobody can name any more.

        BusyError if another copy came first.
        """
        shards = tuple(replace(e, file=name) for e, name in zip(manifest.shards, names, strict=True))
        self._replace(pack_manifest(replace(manifest, shards=shards, copies=self.copies)))
        before = self._manifest_before()
        with contextlib.suppress(StorageError):  # the copy is there; the next one removes what is left
            self._collect({*names, *(() if before is None else (entry.file for entry in before.shards))})

    def _manifest_before(self) -> Manifest | None:
        from audiomem_sql.remote.commits.manifest_bytes import is_manifest

        if self._before is None:
            return None
        if is_manifest(self._before.data):
            raise UnsupportedError(
                "a sharded table that is written to in the store is there",
                remedy="Choose another name, such as copy.shards.",
            )
        return unpack_manifest(self._before.data)[0]

    def _stored(self) -> Stored | None:
        from audiomem_sql.remote.commits import Missing

        try:
            return self._reader.answered(lambda: self._store.get(self._key))
        except Missing:
            return None

    def _replace(self, data: bytes) -> None:
        """Put the manifest into the place of the one before. What came of lost answers is read."""
        from audiomem_sql.remote.commits import Refused, Unanswered
        from audiomem_sql.remote.commits.waiting import Patience

        before = self._before
        patience = Patience(self._reader.seconds, self._reader.surroundings)
        while True:
            try:
                if before is None:
                    self._store.put_if_absent(self._key, data)
                else:
                    self._store.put_if_match(self._key, data, before.mark)
                return
            except (Refused, Unanswered) as error:
                now = self._stored()
                if now is not None and now.data == data:
                    return
                if now != before:
                    raise BusyError(
                        "another copy came first", remedy="Copy it again if that is older."
                    ) from error
                if not patience.wait():
                    raise

    def _collect(self, kept: set[str]) -> None:
        """Remove the objects of copies that did not come to an end, and of those before the last one."""
        for key in self._reader.answered(lambda: self._store.keys(self._folder)):
            name = key.removeprefix(self._folder)
            match = _NAME.fullmatch(name)
            if match is not None and name not in kept and int(match[1], 16) <= self.copies:
                self._store.delete(key)


def _check_goes_on(before: Manifest, now: Manifest) -> None:
    """StorageError unless ``now`` is the table of ``before``, with its commits and perhaps more."""
    if before.table_id != now.table_id:
        raise StorageError("another table is there", remedy="Choose another name.")
    newest = before.versions[-1].version
    place = newest.number - now.versions[0].version.number
    if place >= 0 and newest not in [each.version for each in now.versions[place : place + 1]]:
        raise StorageError(
            f"what is there has version {newest.number}, which this copy of the table does not have",
            remedy="Copy what is there to a folder, and go on from that.",
        )


def _names_kept(before: Manifest, snapshot: ShardedSnapshot) -> list[str]:
    """Of each shard of the older copy the name of its object if the shard is still the same, else ""."""
    now = snapshot.manifest
    same = before.options == now.options
    old_pins = before.pins_at(before.newest)
    pairs = zip(before.shards, now.shards, old_pins, snapshot.pins, strict=False)
    return [
        old.file if same and (replace(old, file=new.file), there) == (new, here) else ""
        for old, new, there, here in pairs
    ]


def _copy_shard(snapshot: ShardedSnapshot, number: int, path: str, options: TableOptions) -> None:
    """Copy one shard, with the commits that the snapshot shows, to a new file at ``path``."""
    write_backup(snapshot.shard_files[number].files, snapshot.shard(number), path, options)


def _parts(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while part := file.read(_PART_BYTES):
            yield part


def _tell(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)
