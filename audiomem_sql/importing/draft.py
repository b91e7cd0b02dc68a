"""A table that has its name when all rows are in it: until then it is in a folder beside."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator

from audiomem_sql.errors import AudioMemError, StorageError
from audiomem_sql.machine.durable import fsync_folder, storage_error

_SUFFIX = ".import"
_LOCK = "lock"


@contextlib.contextmanager
def draft(path: str) -> Iterator[str]:
    """Where to make the table; behind the block it is at ``path``, which must be free, and durable.

    After an error nothing is left. What an import that was killed left behind is removed by the next one.
    """
    parent, name = os.path.split(os.path.abspath(path))
    prefix = f".{name}."
    try:
        _remove_abandoned(parent, prefix)
        folder = tempfile.mkdtemp(prefix=prefix, suffix=_SUFFIX, dir=parent)
    except OSError as error:
        raise storage_error(error, parent) from error
    place = os.path.join(folder, name)
    try:
        with open(os.path.join(folder, _LOCK), "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield place
            _publish(place, path)
            fsync_folder(parent)
    except AudioMemError as error:
        if error.file is not None and error.file.startswith(folder):
            error.file = None
            error.at(file=path)
        raise
    except OSError as error:
        raise storage_error(error, path) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _publish(place: str, path: str) -> None:
    """Give the file its name. StorageError if somebody else made one that is called so."""
    try:
        os.link(place, path)
    except FileExistsError:
        raise StorageError(
            "the file exists already", file=path, remedy="Choose another name, or --append."
        ) from None
    except OSError:  # a file system without links
        if os.path.lexists(path):
            raise
        os.rename(place, path)


def _remove_abandoned(parent: str, prefix: str) -> None:
    for name in os.listdir(parent):
        if not (name.startswith(prefix) and name.endswith(_SUFFIX)):
            continue
        folder = os.path.join(parent, name)
        with contextlib.suppress(OSError), open(os.path.join(folder, _LOCK), "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
