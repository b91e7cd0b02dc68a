"""Files and folders: flushes to the disk, durable renames, the operating system's errors in our words."""

from __future__ import annotations

import errno
import fcntl
import os
import re

from audiomem_sql.errors import StorageError
from audiomem_sql.machine.file_access import create_regular

_REMEDIES = {
    errno.EACCES: "Check the permissions of the file and its folder.",
    errno.EPERM: "Check the permissions of the file and its folder.",
    errno.EROFS: "The file system is read-only; copy the file to a place that can be written.",
    errno.ENOSPC: "Free space on the disk, then try again; nothing was changed.",
    errno.EDQUOT: "Free space within the quota, then try again; nothing was changed.",
    errno.EFBIG: "Raise the limit of file sizes, then try again; nothing was changed.",
    errno.EEXIST: "Open it, or choose another name.",
    errno.ENOENT: "Check the path; its folder must exist.",
    errno.ENAMETOOLONG: "Choose a shorter name: that of the log, and of a file that is new, is longer.",
    errno.EISDIR: "Name a file, not a folder.",
    errno.ENOTDIR: "Check the path; a part of it is not a folder.",
    errno.EMFILE: "Close other files or raise the limit of open files.",
    errno.EIO: "The disk may be failing: look at the system's log, and copy the table to another disk.",
}
_OTHER_REMEDY = "Check the disk and its file system, then try again."


def storage_error(error: OSError, path: str) -> StorageError:
    """An OSError in our words, with a remedy."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    return StorageError(reason, file=path, remedy=remedy_for(error))


def remedy_for(error: OSError) -> str:
    """What may help against an error of the operating system."""
    return _REMEDIES.get(error.errno or 0, _OTHER_REMEDY)


#: On macOS fsync leaves bytes in the cache of the drive; this command empties it (fcntl(2)). None elsewhere.
FULL_FSYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)
#: What file systems answer that do not have it, such as those of networks.
_NOT_THERE = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTTY)


def flush(handle: int) -> None:
    """Make a file durable, its times included, or the names in a folder. OSError if that failed."""
    if not _flush_drive(handle):
        os.fsync(handle)


def flush_data(handle: int) -> None:
    """Make bytes and size of a file durable. Its times may not be, which saves a write."""
    if not _flush_drive(handle):
        if hasattr(os, "fdatasync"):
            os.fdatasync(handle)
        else:
            os.fsync(handle)


def _flush_drive(handle: int) -> bool:
    """Whether the drive's own cache could be flushed, with the file in it."""
    if FULL_FSYNC is None:
        return False
    try:
        fcntl.fcntl(handle, FULL_FSYNC)
    except OSError as error:
        if error.errno in _NOT_THERE:
            return False
        raise
    return True


def fsync_folder(path: str) -> None:
    """Make renames inside the folder ``path`` durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flush(handle)
    finally:
        os.close(handle)


def replace_durably(source: str, target: str) -> None:
    """Rename ``source`` to ``target`` and fsync the folder; StorageError if the system refuses."""
    try:
        os.replace(source, target)
        fsync_folder(os.path.dirname(os.path.abspath(target)))
    except OSError as error:
        raise storage_error(error, target) from error


def link_durably(source: str, target: str) -> None:
    """Rename ``source`` to ``target``, which must be free.

    StorageError if it is not, or if the system refuses.

    After an error nothing has the name ``target`` that did not have it before, unless the message says so.
    """
    try:
        os.link(source, target)
    except OSError as error:
        taken = FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        raise storage_error(taken if os.path.lexists(target) else error, target) from error
    try:
        os.unlink(source)
        fsync_folder(os.path.dirname(os.path.abspath(target)))
    except OSError as error:
        try:
            os.unlink(target)
        except OSError as second:
            raise StorageError(
                f"{os.strerror(error.errno or errno.EIO)}, and what was made cannot be removed "
                f"({os.strerror(second.errno or errno.EIO)}): it may be lost when the power fails",
                file=target,
                remedy="Remove it, or copy it to a disk that works.",
            ) from error
        raise storage_error(error, target) from error


def temporary_file(path: str, like: str | None = None) -> tuple[int, str]:
    """A new file beside ``path`` that is to become it: handle and name, ``.<name of path>.<letters>.tmp``.

    like: the file whose mode and owner it has from the start, by default the one at ``path``. Where there is
    none it is as every new file. OSError if it cannot be made.
    """
    folder, name = os.path.split(os.path.abspath(path))
    while True:
        temporary = os.path.join(folder, f".{name}.{os.urandom(4).hex()}.tmp")
        try:
            return create_regular(temporary, like or path), temporary
        except FileExistsError:
            continue


def abandoned_files(path: str) -> list[str]:
    """Files that killed writers of ``path`` left behind.

    They are temporary files, and files that were set aside.
    """
    folder, name = os.path.split(os.path.abspath(path))
    name_pattern = re.compile(re.escape(f".{name}.") + r"[a-z0-9_]{8}\.tmp(\.old)?")
    try:
        return [os.path.join(folder, entry) for entry in os.listdir(folder) if name_pattern.fullmatch(entry)]
    except OSError:
        return []


def stat_identity(stat: os.stat_result) -> tuple[int, int]:
    """Device and inode: what tells one file from another that took its place."""
    return stat.st_dev, stat.st_ino


def file_identity(path: str) -> tuple[int, int] | None:
    """The identity of the file at ``path``, a link as such; None if there is none."""
    try:
        return stat_identity(os.lstat(path))
    except OSError:
        return None
