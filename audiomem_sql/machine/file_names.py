"""The one name of a table's file: symbolic links are resolved, and other hard links are told.

Log and deltas stand beside the file. If it could be reached by two names, each would have its own, and one
table would have two histories.
"""

from __future__ import annotations

import errno
import os
import stat

from audiomem_sql.errors import StorageError, UnsupportedError
from audiomem_sql.machine.durable import abandoned_files, stat_identity, storage_error
from audiomem_sql.machine.urls import file_name, is_url, shown

_ATTEMPTS = 100


def resolved(path: str | os.PathLike[str]) -> str:
    """The absolute path of the file that ``path`` leads to, through all symbolic links; it need not be there.

    StorageError for links that lead back to themselves, and for what cannot be a path; UnsupportedError for a
    URL: whoever reads asks :func:`place_of`.
    """
    name = os.fspath(path)
    if is_url(name):
        raise UnsupportedError(
            "a URL is no file, and this can only be done to files",
            file=shown(name),
            remedy="Rows of tables in stores are written through their URL; objects are deleted by tools "
            "of the store.",
        )
    try:
        full = os.path.realpath(name)
    except ValueError as error:
        raise StorageError(f"cannot be opened: {error}", file=name) from error
    except OSError as error:  # of a relative path: the working directory was deleted
        raise storage_error(error, name) from error
    try:
        loops = stat.S_ISLNK(os.lstat(full).st_mode)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP):
            raise storage_error(error, name) from error
        loops = error.errno == errno.ELOOP
    if loops:
        raise StorageError(
            "symbolic links lead back to themselves",
            file=name,
            remedy="Remove the link, or let it name a file.",
        )
    return full


def place_of(path: str | os.PathLike[str]) -> str:
    """A URL as it is, or :func:`resolved`."""
    return os.fspath(path) if is_url(path) else resolved(path)


def absolute(path: str | os.PathLike[str], folder: str = "") -> str:
    """A path as an absolute one, where it is relative from ``folder`` on; a URL as it is."""
    name = os.fsdecode(path)
    return name if is_url(name) else os.path.abspath(os.path.join(folder, name))


def stem(path: str | os.PathLike[str]) -> str:
    """The name of the file that a path or a URL leads to, without folder and extension."""
    return os.path.splitext(file_name(path))[0]


def readable_name(path: str) -> str:
    """A name as text, for what is stored: bytes of it that are no UTF-8 become replacement characters."""
    return os.fsencode(path).decode(errors="replace")


def is_there(path: str | os.PathLike[str]) -> bool:
    """Whether something stands where ``path`` leads to; StorageError as :func:`resolved`.

    Of a URL it is said without asking: what is not there, is told when it is opened.
    """
    return is_url(path) or os.path.lexists(resolved(path))


def check_one_name(path: str) -> None:
    """StorageError if the file at ``path`` has a second name, which somebody else made.

    Names that a killed writer of ours left behind do not count. The writer's lock must be held.
    """
    for _ in range(_ATTEMPTS):
        try:
            status = os.lstat(path)
            if status.st_nlink < 2:
                return
            ours = [name for name in abandoned_files(path) if _names(name, status)]
            if status.st_nlink <= 1 + len(ours):
                return
            if os.lstat(path).st_nlink == status.st_nlink:
                break
        except OSError as error:
            raise storage_error(error, path) from error
    raise StorageError(
        "the file has a second name, a hard link, under which it would be another table",
        file=path,
        remedy="Delete one of the names, or make it a copy or a symbolic link; reading goes on.",
    )


def _names(path: str, status: os.stat_result) -> bool:
    """Whether ``path`` is another name of a file."""
    try:
        return stat_identity(os.lstat(path)) == stat_identity(status)
    except OSError:
        return False
