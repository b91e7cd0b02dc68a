"""Folders that get their name when all that is in them is durable."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from audiomem_sql.errors import StorageError
from audiomem_sql.machine.durable import fsync_folder, storage_error


@contextlib.contextmanager
def new_folder(folder: str) -> Iterator[str]:
    """A folder to be filled, whose files the caller flushes; behind the block it is called ``folder``.

    StorageError if something is called so, or there is no folder for it. After an error in the block
    nothing is left.
    """
    parent = os.path.dirname(folder)
    if os.path.lexists(folder):
        raise StorageError("the file exists already", file=folder, remedy="Open it, or choose another name.")
    if not os.path.isdir(parent):
        raise StorageError(
            "there is no such folder", file=parent, remedy="Create it first, or choose another path."
        )
    temporary = os.path.join(parent, f".{os.path.basename(folder)}.{os.urandom(4).hex()}.tmp")
    try:
        os.mkdir(temporary)
        yield temporary
        fsync_folder(temporary)
        os.rename(temporary, folder)  # fails where somebody made a folder that is not empty meanwhile
        fsync_folder(parent)
    except OSError as error:
        _remove(temporary)
        raise storage_error(error, folder) from error
    except BaseException:
        _remove(temporary)
        raise


def _remove(folder: str) -> None:
    import shutil  # which imports every kind of archive

    shutil.rmtree(folder, ignore_errors=True)
