"""Where the files of a stream go: into a folder, or into a store below a URL. The playlists come last."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

from audiomem_sql.errors import AudioMemError, StorageError
from audiomem_sql.machine.durable import flush, fsync_folder, storage_error
from audiomem_sql.machine.file_access import create_regular
from audiomem_sql.machine.urls import is_url

if TYPE_CHECKING:
    from audiomem_sql.remote.upload import StoreTarget


class Target(Protocol):
    """Takes files by name. scratch: a folder of the disk for what is needed meanwhile; None for any."""

    scratch: str | None

    def put(self, name: str, parts: Iterable[bytes]) -> None:
        """Write a file. StorageError if that failed."""
        ...

    def finish(self) -> None:
        """Make all of them durable."""
        ...

    def address(self, name: str) -> str:
        """Where a file is."""
        ...


@contextlib.contextmanager
def target_at(where: str | os.PathLike[str], like: str) -> Iterator[Target]:
    """A target at a folder or a URL. After an error what was written there is removed, or the error names it.

    like: the file whose mode and owner files get. StorageError for a folder that has something in it, and
    for a store that has a playlist there.
    """
    name = os.fspath(where)
    target: _FolderTarget | StoreTarget
    if is_url(name):
        from audiomem_sql.remote.upload import StoreTarget

        target = StoreTarget(name)
    else:
        target = _FolderTarget(name, like)
    try:
        yield target
    except BaseException as error:
        left = target.remove()
        if left and isinstance(error, AudioMemError):
            raise type(error)(
                f"{error.what}; what was written of the stream could not be removed: {len(left)} files, "
                f"among them {left[0]}",
                file=error.file,
                place=error.place,
                remedy=f"{error.remedy or ''} Delete them, or stream to another place.".lstrip(),
            ) from error
        raise


class _FolderTarget:
    """A folder, which is made if it is not there."""

    def __init__(self, path: str, like: str) -> None:
        self.scratch: str | None = path
        self._path = path
        self._like = like
        self._written: list[str] = []
        try:
            self._made = not os.path.lexists(path)
            if self._made:
                os.mkdir(path)
            elif os.listdir(path):
                raise StorageError(
                    "the folder is not empty", file=path, remedy="Name a folder that is empty or not there."
                )
        except OSError as error:
            raise storage_error(error, path) from error

    def put(self, name: str, parts: Iterable[bytes]) -> None:
        path = self.address(name)
        try:
            handle = create_regular(path, None if is_url(self._like) else self._like)
            self._written.append(path)
            with os.fdopen(handle, "wb") as file:
                for part in parts:
                    file.write(part)
                file.flush()
                flush(file.fileno())
        except OSError as error:
            raise storage_error(error, path) from error

    def finish(self) -> None:
        try:
            fsync_folder(self._path)
            if self._made:
                fsync_folder(os.path.dirname(os.path.abspath(self._path)))
        except OSError as error:
            raise storage_error(error, self._path) from error

    def address(self, name: str) -> str:
        return os.path.join(self._path, name)

    def remove(self) -> list[str]:
        """Remove what was written, the playlists first; what stays."""
        left = []
        for path in reversed(self._written):
            try:
                os.unlink(path)
            except FileNotFoundError:
                continue
            except OSError:
                left.append(path)
        if self._made and not left:
            with contextlib.suppress(OSError):  # somebody else put something there
                os.rmdir(self._path)
        return left
