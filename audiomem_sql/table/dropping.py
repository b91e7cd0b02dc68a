"""Deletes a table: its file, and what stands beside it; also to put another one in its place.

DROP TABLE of SQL does not; the file stays there.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from audiomem_sql.errors import AudioMemError, StorageError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.durable import fsync_folder, replace_durably, storage_error
from audiomem_sql.machine.file_access import open_regular, renew_access
from audiomem_sql.machine.urls import is_url, shown
from audiomem_sql.machine.writer_lock import WriterLock
from audiomem_sql.shards import check_no_shard, is_sharded, not_on_shards
from audiomem_sql.storage.segment import Segment
from audiomem_sql.versions import TableFiles, read_head

__all__ = ["drop", "replace"]


def drop(path: str | os.PathLike[str], *, busy_timeout: float = 0.0) -> list[str]:
    """Delete the table in a FLAC file, with all its versions: the file, its deltas and its log; their paths.

    What is of another table, or none, stays. So does a symbolic link at ``path``, by which a table can be
    created again. Whoever has the table open reads on. The file goes first: a crash before the end leaves no
    table, never an older one. A shard is not deleted by itself: UnsupportedError. Of a sharded table the
    files that the manifest names go, and the folder if nothing else is in it; of a table in a store the
    objects that belong to it. Where that is interrupted, drop it again.

    busy_timeout: seconds to wait while somebody writes to it; then BusyError. NotAudioMemoryError for what is
    no table, StorageError for what cannot be deleted or has a hard link, DamagedFileError for a table that
    cannot be read, because it is not sure then what belongs to it. After any of them every file is as it was.
    """
    if is_sharded(path):
        if is_url(path):
            raise not_on_shards("is not dropped in a store", shown(os.fsdecode(path)), "Delete its objects.")
        from audiomem_sql.table.sharded_dropping import drop_folder

        return drop_folder(path, busy_timeout)
    if is_url(path):
        from audiomem_sql.table.stored_dropping import drop_stored

        return drop_stored(os.fsdecode(path), busy_timeout)
    files = TableFiles.at(path)
    with _alone(files, busy_timeout) as beside:
        _delete(files.base)
        _delete_rest(files, beside)
    return [files.base, *beside]


def replace(path: str | os.PathLike[str], new: str, *, busy_timeout: float = 0.0) -> None:
    """Put the closed table in the file ``new`` in the place of the one at ``path``, which is deleted.

    The new file has no log and no deltas; it takes the place in one step, and gets mode and owner of the old
    one. The arguments and errors are otherwise those of :func:`drop`.
    """
    files = TableFiles.at(path)
    other = TableFiles.at(new)
    if os.path.lexists(other.log) or other.deltas():
        raise StorageError("the table is not in one file", file=new, remedy="Close it first.")
    with _alone(files, busy_timeout) as beside:
        handle = open_regular(new, os.O_RDWR, follow=False, remedy="Check the file.")
        try:
            renew_access(handle, files.base)
        finally:
            os.close(handle)
        replace_durably(new, files.base)
        _delete_rest(files, beside)


@contextlib.contextmanager
def _alone(files: TableFiles, busy_timeout: float) -> Iterator[list[str]]:
    """The paths of what stands beside the base and is of its table, while nobody else writes to that."""
    cache = BlockCache(0)
    files.load(cache).close()  # what is no table has no lock, either
    check_no_shard(files.base, files.base)
    lock = WriterLock(files.base)
    try:
        files.check_writable()
        lock.acquire(busy_timeout)
        files.check_one_name()
        snapshot = files.load(cache)
        try:
            table_id = snapshot.segments[0].catalog.table_id
            beside = [files.log] if snapshot.log is not None else []
            head = read_head(files.head)
            if head is not None and head.table_id == table_id:
                beside.append(files.head)
            beside += [name for _, name in files.deltas() if _belongs(name, table_id)]
        finally:
            snapshot.close()
        lock.check_in_place()
        yield beside
    finally:
        if lock.held:
            lock.release()
        lock.close()


def _belongs(path: str, table_id: bytes) -> bool:
    """Whether a delta is of the table."""
    try:
        delta = Segment.open(path, BlockCache(0))
    except AudioMemError:
        return False
    try:
        return delta.catalog.table_id == table_id
    finally:
        delta.close()


def _delete(path: str) -> None:
    """Delete a file, durably."""
    try:
        os.unlink(path)
        fsync_folder(os.path.dirname(path))
    except OSError as error:
        raise storage_error(error, path) from error


def _delete_rest(files: TableFiles, paths: list[str]) -> None:
    """Delete what stood beside the base, which is gone. StorageError names what stays."""
    files.sweep()
    failed: list[str] = []
    for path in paths:
        try:
            os.unlink(path)
        except FileNotFoundError:
            continue
        except OSError:
            failed.append(path)
    with contextlib.suppress(OSError):  # something that is not of the table is in it
        os.rmdir(files.folder)
    if failed:
        raise StorageError(
            "the table is deleted, but this stays of it",
            file=failed[0],
            remedy="Check the permissions of its folder, and delete it.",
        )
