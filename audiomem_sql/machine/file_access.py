"""Opening and creating the files of a table: regular files only, and who may read and write them.

Names beside a table, such as that of its log, can be taken by somebody else first: by a link, a pipe, a
device. So each of them is opened here, without waiting for anything and without following a link. A new file
is its owner's alone until it has mode and owner of the file that it belongs to.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from audiomem_sql.errors import StorageError

#: Where Linux keeps the access control list of a file; the group's bits of its mode are then the mask of it.
_ACL = "system.posix_acl_access"
_READ_BITS = 0o444
_NOT_OURS = "It is not ours: move it away, and try again."
#: What open(2) says of a link that is not to be followed, and of a socket or a pipe that nobody reads.
_IRREGULAR = {
    errno.ELOOP: "a symbolic link",
    errno.EMLINK: "a symbolic link",
    errno.ENXIO: "a device or a pipe",
}


def open_regular(
    path: str | os.PathLike[str],
    flags: int,
    mode: int = 0o600,
    *,
    follow: bool = False,
    remedy: str = _NOT_OURS,
) -> int:
    """The descriptor of the regular file at ``path``; it does not wait, whatever is there.

    flags: of ``os.open``. mode: of a file that they create. follow: open what a symbolic link leads to.
    StorageError with ``remedy`` for a link, folder, pipe, socket or device; OSError for what else fails.
    """
    return open_with_status(path, flags, mode, follow=follow, remedy=remedy)[0]


def open_with_status(
    path: str | os.PathLike[str],
    flags: int,
    mode: int = 0o600,
    *,
    follow: bool = False,
    remedy: str = _NOT_OURS,
) -> tuple[int, os.stat_result]:
    """:func:`open_regular`, and the status of what was opened."""
    flags |= os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | (0 if follow else os.O_NOFOLLOW)
    try:
        handle = os.open(path, flags, mode)
    except OSError as error:
        kind = _IRREGULAR.get(error.errno or 0) if not follow or error.errno == errno.ENXIO else None
        if error.errno == errno.EISDIR:
            kind = "a folder"
        if kind is None:
            raise
        raise StorageError(f"is {kind}, not a file", file=path, remedy=remedy) from error
    status = os.fstat(handle)
    if stat.S_ISREG(status.st_mode):
        return handle, status
    os.close(handle)
    kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a device or a pipe"
    raise StorageError(f"is {kind}, not a file", file=path, remedy=remedy)


def create_regular(path: str, like: str | None) -> int:
    """The descriptor of a new file at ``path``, to read and write; FileExistsError if the name is taken.

    like: the file whose mode and owner it gets before it has a byte; where there is none, the system gives it
    what every new file gets.
    """
    new = os.O_RDWR | os.O_CREAT | os.O_EXCL
    model = None if like is None else _status(like)
    if model is None or like is None:
        return open_regular(path, new, 0o666)
    handle = open_regular(path, new, 0o600)
    try:
        give_access(handle, like, model)
    except BaseException:
        os.close(handle)
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise
    return handle


def create_folder(path: str, like: str) -> None:
    """A folder at ``path`` for files that belong to ``like``: who may read that may list it, too.

    One that is there gets the same, as far as the system lets us. StorageError if that is a link.
    """
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise StorageError("is a link or a file, not a folder", file=path, remedy=_NOT_OURS) from error
        raise
    try:
        model = _status(like)
        if model is not None:
            with contextlib.suppress(PermissionError):  # somebody else's, who decides about it
                give_access(handle, like, model)
    finally:
        os.close(handle)


def renew_access(handle: int, like: str) -> None:
    """Give a file that is there mode and owner of ``like``, as far as the system lets us."""
    model = _status(like)
    if model is not None:
        with contextlib.suppress(PermissionError):
            give_access(handle, like, model)


def give_access(handle: int, like: str, model: os.stat_result) -> None:
    """Give an open file or folder of ours mode and owner of the file ``like``, whose status is ``model``.

    Nobody may do more with it than with ``like``: where the group cannot be kept, group and others get only
    what both had.
    """
    status = os.fstat(handle)
    if (status.st_uid, status.st_gid) != (model.st_uid, model.st_gid):
        try:
            os.fchown(handle, model.st_uid, model.st_gid)
        except OSError:
            with contextlib.suppress(OSError):
                os.fchown(handle, -1, model.st_gid)
        status = os.fstat(handle)
    mode = model.st_mode & 0o777
    if status.st_gid != model.st_gid or not _give_list(handle, like):
        both = mode >> 3 & mode & 0o7
        mode = mode & 0o700 | both << 3 | both
    if stat.S_ISDIR(status.st_mode):
        mode |= (mode & _READ_BITS) >> 2
    if mode != stat.S_IMODE(status.st_mode):
        os.fchmod(handle, mode)


def _give_list(handle: int, like: str) -> bool:
    """Give an open file the access control list of ``like``, or none; False if that has one which is lost."""
    if not hasattr(os, "getxattr"):
        return True
    try:
        entries = os.getxattr(like, _ACL)
    except OSError:
        with contextlib.suppress(OSError):  # the folder may have given it one
            os.removexattr(handle, _ACL)
        return True
    try:
        os.setxattr(handle, _ACL, entries)
    except OSError:
        return False
    return True


def _status(path: str) -> os.stat_result | None:
    """The status of the file that access is taken from; None if there is none."""
    try:
        return os.stat(path)
    except OSError:
        return None
