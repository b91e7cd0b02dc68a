"""Deletes a sharded table: its manifest, then the shards that it names, then the folder if that is empty.

The manifest is renamed, and from then on there is no table. It says until the end what is left to delete: who
dies before has made the table one that :func:`drop_folder` goes on to delete.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from audiomem_sql.errors import AudioMemError, StorageError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.durable import fsync_folder, storage_error
from audiomem_sql.machine.writer_lock import WriterLock
from audiomem_sql.shards import DROPPED, Manifest, ShardedFiles, ShardEntry, read_manifest
from audiomem_sql.storage.log import read_log
from audiomem_sql.storage.segment import Segment
from audiomem_sql.versions import TableFiles, read_head


def drop_folder(path: str | os.PathLike[str], busy_timeout: float) -> list[str]:
    """Delete the table in the folder at ``path``; the files that are gone. See ``dropping.drop``.

    What is in the folder, and is not of the table, stays, and so does the folder then.
    """
    files = ShardedFiles.of_folder(path)
    renamed = os.path.join(files.address, DROPPED)
    with contextlib.ExitStack() as stack:
        if os.path.lexists(files.base) or not os.path.lexists(renamed):
            shards = stack.enter_context(_alone(files, busy_timeout))
            _rename(files.base, renamed)
        else:
            shards = [_of_shard(files, entry) for entry in read_manifest(renamed)[0].shards]
        return [files.base, *_delete(files, renamed, shards)]


#: The files of a shard, and the paths that are to be deleted.
_Shard = tuple[TableFiles, list[str]]


@contextlib.contextmanager
def _alone(files: ShardedFiles, busy_timeout: float) -> Iterator[list[_Shard]]:
    """The shards, while nobody else writes to the table."""
    read_manifest(files.base)  # what is no table has no lock, either
    with contextlib.ExitStack() as stack:
        files.check_writable()
        lock = stack.enter_context(_held(files, busy_timeout))
        manifest: Manifest = read_manifest(files.base)[0]
        shards = []
        for entry in manifest.shards:
            shard = TableFiles(os.path.join(files.address, entry.file))
            if os.path.lexists(shard.base):
                stack.enter_context(_held(shard, busy_timeout))
            shards.append(_of_shard(files, entry))
        lock.check_in_place()
        yield shards


@contextlib.contextmanager
def _held(files: TableFiles, busy_timeout: float) -> Iterator[WriterLock]:
    lock = WriterLock(files.base)
    try:
        lock.acquire(busy_timeout)
        files.check_one_name()
        yield lock
    finally:
        if lock.held:
            lock.release()
        lock.close()


def _of_shard(files: ShardedFiles, entry: ShardEntry) -> _Shard:
    """What is to be deleted of a shard, the file itself last; not what is of another table."""
    shard = TableFiles(os.path.join(files.address, entry.file))
    paths = [path for _, path in shard.deltas() if _table_of(path) == entry.table_id]
    with contextlib.suppress(AudioMemError):
        head = read_head(shard.head)
        if head is not None and head.table_id == entry.table_id:
            paths.append(shard.head)
    if _table_of(shard.base) in (None, entry.table_id):
        paths += [shard.log, shard.base]
    else:
        with contextlib.suppress(AudioMemError):
            paths += [] if read_log(shard.log, entry.table_id) is None else [shard.log]
    return shard, [path for path in paths if os.path.lexists(path)]


def _table_of(path: str) -> bytes | None:
    """The id of the table in a file; None where it cannot be told."""
    try:
        segment = Segment.open(path, BlockCache(0))
    except AudioMemError:
        return None
    try:
        return segment.catalog.table_id
    finally:
        segment.close()


def _rename(path: str, renamed: str) -> None:
    """Rename a file, durably."""
    try:
        os.rename(path, renamed)
        fsync_folder(os.path.dirname(path))
    except OSError as error:
        raise storage_error(error, path) from error


def _delete(files: ShardedFiles, renamed: str, shards: list[_Shard]) -> list[str]:
    """Delete the shards, then the manifest, which has its other name; what is gone.

    StorageError names what stays.
    """
    gone: list[str] = []
    failed: list[str] = []
    for shard, paths in shards:
        for path in paths:
            try:
                os.unlink(path)
                gone.append(path)
            except FileNotFoundError:
                pass
            except OSError:
                failed.append(path)
        shard.sweep()
        with contextlib.suppress(OSError):
            os.rmdir(shard.folder)
    files.sweep()
    if failed:
        raise StorageError(
            "the table is deleted, but this stays of it",
            file=failed[0],
            remedy=f"Check the permissions, then run: audiomem drop {files.address}",
        )
    try:
        fsync_folder(files.address)
        os.unlink(renamed)
        fsync_folder(files.address)
        with contextlib.suppress(OSError):  # something that is not of the table is in it
            os.rmdir(files.address)
            fsync_folder(os.path.dirname(files.address))
    except OSError as error:
        raise storage_error(error, renamed) from error
    return gone
