"""Another file takes the place of a table's, as COPY lets it: nothing of the old table may then be beside it.

What stands beside a file, its log and its deltas, would be read as part of the new one, or be in its way. So
the old table is folded into its one file first, and its writer's lock is held until the file is replaced.
That is harmless if it stays where it is after all.
"""

from __future__ import annotations

import contextlib
import os

from audiomem_sql.errors import AudioMemError, BusyError, NotAudioMemoryError, StorageError
from audiomem_sql.machine.writer_lock import WriterLock
from audiomem_sql.shards import is_sharded, not_on_shards
from audiomem_sql.table.table import Table
from audiomem_sql.versions import TableFiles

#: Seconds that somebody else may write to the old table before it is given up.
TIMEOUT = 5.0
_ATTEMPTS = 5


class Held:
    """A place that a new file may take; :meth:`release` when it has."""

    def __init__(self, lock: WriterLock | None = None) -> None:
        self._lock = lock

    def release(self) -> None:
        """Let others write again: to the new table, or to the old one if it is still there."""
        if self._lock is not None:
            self._lock.release()
            self._lock.close()
            self._lock = None


def hold(path: str) -> Held:
    """Make the place of ``path`` ready for another file, and keep writers away from the table in it.

    BusyError while somebody writes to it. StorageError if something would stay beside the new file.
    """
    if is_sharded(path):
        raise not_on_shards("is not replaced by another", path, "Drop it first, or choose another place.")
    if os.path.islink(path) or not os.path.lexists(path):
        _check_nothing_beside(TableFiles(os.path.abspath(path)))  # a link is replaced, not what it leads to
        return Held()
    files = TableFiles.at(path)
    for _ in range(_ATTEMPTS):
        _fold(files)
        lock = WriterLock(files.base)
        try:
            lock.acquire(TIMEOUT)
            if not _beside(files):
                return Held(lock)
        except BaseException:
            lock.close()
            raise
        lock.release()
        lock.close()
    raise BusyError("others write to the table", file=path, remedy="Try again later, or delete it first.")


def _fold(files: TableFiles) -> None:
    """Put all of the table into its one file."""
    if not _beside(files):
        return
    try:
        with contextlib.closing(Table(files.base)) as table:
            table.busy_timeout = TIMEOUT
            table.checkpoint()
            if files.deltas():
                table.vacuum()
    except NotAudioMemoryError:
        pass
    except AudioMemError as error:
        raise type(error)(
            f"the table cannot be replaced: {error.what}",
            file=error.file,
            place=error.place,
            remedy="Delete it first, with `audiomem drop` or in the file system, or choose another path.",
        ) from error
    with contextlib.suppress(OSError):
        os.rmdir(files.folder)
    if os.path.lexists(files.folder) or not os.path.lexists(files.base):
        _check_nothing_beside(files)


def _beside(files: TableFiles) -> str | None:
    """What stands beside the file."""
    return next((name for name in (files.log, files.folder) if os.path.lexists(name)), None)


def _check_nothing_beside(files: TableFiles) -> None:
    found = _beside(files)
    if found is not None:
        raise StorageError(
            "the log or the deltas of another table are in the way", file=found, remedy="Move it away."
        )
