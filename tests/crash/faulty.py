"""A file layer that records what the package asks of the ``os`` module for one folder, and can fail.

:class:`FileLayer` stands in for the functions that change files. It records every call, and can let one of
them fail. :class:`Disk` plays a recording back as a disk would that promises no more than POSIX does: of a
file only what was written before its last fsync is sure, of a folder only the names that were given before
the folder's last fsync.
"""

from __future__ import annotations

import errno
import io
import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

SYNCS = ("fsync", "fdatasync")
#: Calls that need room on the disk.
GROWING = ("create", "pwrite", "ftruncate", "link", "mkdir", "replace")


@dataclass(frozen=True, slots=True)
class Operation:
    """A call that succeeded. kind: name, write, size, sync, folder or mark.

    name: ``path`` means ``file`` from now on (None: nothing, -1: a folder). write: ``data`` at ``offset`` of
    ``file``. size: ``file`` has ``offset`` bytes. sync: of ``file``. folder: sync of the folder ``path``.
    mark: ``data`` is the caller's.
    """

    kind: str
    file: int | None = None
    path: str = ""
    offset: int = 0
    data: Any = None


class FileLayer:
    """Stands in for the ``os`` module, for what is in ``folder``. A context manager.

    fail: asked before each call, with its name; True lets the call fail with ``error``, a write after half of
    its bytes.
    """

    def __init__(
        self, folder: Path, fail: Callable[[str], bool] = lambda name: False, error: int = errno.EIO
    ) -> None:
        self.operations: list[Operation] = []
        self.calls: list[str] = []
        self.error = error
        self._short = False
        self._folder = str(folder)
        self._fail = fail
        self._real = {name: getattr(os, name) for name in _REPLACED}
        self._numbers: dict[int, int] = {}  # inode: number of the file
        self._handles: dict[int, tuple[int, str]] = {}  # handle: number of the file (-1: a folder), path
        self._patch = pytest.MonkeyPatch()

    def __enter__(self) -> FileLayer:
        for name in _REPLACED:
            self._patch.setattr(os, name, getattr(self, f"_{name}"))
        return self

    def __exit__(self, *error: object) -> None:
        self._patch.undo()

    def mark(self, what: object) -> None:
        """Put something of the caller's between the operations."""
        self.operations.append(Operation("mark", data=what))

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if self._fail(name):
            raise OSError(self.error, os.strerror(self.error))

    def _inside(self, path: Any) -> bool:
        return isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith(self._folder)

    def _named(self, file: int | None, path: str) -> None:
        self.operations.append(Operation("name", file, os.path.relpath(path, self._folder)))

    def _number(self, path: str) -> int:
        return self._numbers[os.stat(path).st_ino]

    # -- the functions

    def _open(self, path: Any, flags: int, mode: int = 0o777, **options: Any) -> int:
        if not self._inside(path):
            return int(self._real["open"](path, flags, mode, **options))
        new = bool(flags & os.O_CREAT) and not os.path.lexists(path)
        if new:
            self._call("create")
        handle = int(self._real["open"](path, flags, mode, **options))
        inode = os.fstat(handle).st_ino
        if os.path.isdir(path):
            self._handles[handle] = -1, os.path.relpath(path, self._folder)
            return handle
        if new or inode not in self._numbers:
            self._numbers[inode] = 1 + max(self._numbers.values(), default=0) + len(self.operations)
        if new:
            self._named(self._numbers[inode], path)
        self._handles[handle] = self._numbers[inode], str(path)
        if flags & os.O_TRUNC and not new:
            self.operations.append(Operation("size", self._numbers[inode], offset=0))
        return handle

    def _dup(self, handle: int) -> int:
        other = int(self._real["dup"](handle))
        if handle in self._handles:
            self._handles[other] = self._handles[handle]
        return other

    def _close(self, handle: int) -> None:
        self._handles.pop(handle, None)
        self._real["close"](handle)

    def _pwrite(self, handle: int, data: Any, offset: int) -> int:
        if handle not in self._handles:
            return int(self._real["pwrite"](handle, data, offset))
        data = bytes(data)
        try:
            self._call("pwrite")
        except OSError:
            self._short = not self._short and len(data) > 1
            if not self._short:
                raise
            data = data[: len(data) // 2]  # what there was room for; the next one fails
        written = int(self._real["pwrite"](handle, data, offset))
        self.operations.append(
            Operation("write", self._handles[handle][0], offset=offset, data=data[:written])
        )
        return written

    def _fsync(self, handle: int) -> None:
        self._sync("fsync", handle)

    def _fdatasync(self, handle: int) -> None:
        self._sync("fdatasync", handle)

    def _sync(self, name: str, handle: int) -> None:
        if handle not in self._handles:
            self._real[name](handle)
            return
        self._call(name)  # nothing here outlives the machine: the call itself is left out
        number, path = self._handles[handle]
        self.operations.append(Operation("folder", path=path) if number == -1 else Operation("sync", number))

    def _ftruncate(self, handle: int, size: int) -> None:
        if handle in self._handles:
            self._call("ftruncate" if size > os.fstat(handle).st_size else "shrink")
            self.operations.append(Operation("size", self._handles[handle][0], offset=size))
        self._real["ftruncate"](handle, size)

    def _replace(self, source: Any, target: Any) -> None:
        if not self._inside(source):
            self._real["replace"](source, target)
            return
        number = self._number(source)
        self._call("replace")
        self._real["replace"](source, target)
        self._named(number, target)
        self._named(None, source)

    def _link(self, source: Any, target: Any) -> None:
        if self._inside(source):
            self._call("link")
        self._real["link"](source, target)
        if self._inside(source):
            self._named(self._number(source), target)

    def _unlink(self, path: Any) -> None:
        if self._inside(path):
            self._call("unlink")
        self._real["unlink"](path)
        if self._inside(path):
            self._named(None, path)

    def _mkdir(self, path: Any, mode: int = 0o777) -> None:
        if self._inside(path):
            self._call("mkdir")
        self._real["mkdir"](path, mode)
        if self._inside(path):
            self._named(-1, path)

    def _rmdir(self, path: Any) -> None:
        if self._inside(path):
            self._call("rmdir")
        self._real["rmdir"](path)
        if self._inside(path):
            self._named(None, path)

    def _fdopen(self, handle: int, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if handle not in self._handles:
            return self._real["fdopen"](handle, mode, *arguments, **options)
        assert mode in ("w+b", "r+b", "wb", "rb")
        raw = _Raw(handle)
        if options.get("buffering") == 0:
            return raw
        return io.BufferedRandom(raw, 1 << 16)

    def _refused(self, *arguments: Any, **options: Any) -> Any:
        raise AssertionError("the package calls a function that is not recorded")

    _rename = _remove = _truncate = _write = _symlink = _posix_fallocate = _refused


_REPLACED = (
    "open", "dup", "close", "pwrite", "fsync", "fdatasync", "ftruncate", "replace", "link", "unlink", "mkdir",
    "rmdir", "fdopen", "rename", "remove", "truncate", "symlink", "posix_fallocate",
)  # fmt: skip


class _Raw(io.RawIOBase):
    """What ``os.fdopen`` gives, through the ``os`` module."""

    def __init__(self, handle: int) -> None:
        super().__init__()
        self._handle = handle
        self._place = 0

    def fileno(self) -> int:
        return self._handle

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = os.pread(self._handle, len(buffer), self._place)
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def write(self, data: Any) -> int:
        written = os.pwrite(self._handle, data, self._place)
        self._place += written
        return written

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = (0, self._place, os.fstat(self._handle).st_size)[whence]
        self._place = start + offset
        return self._place

    def tell(self) -> int:
        return self._place

    def truncate(self, size: int | None = None) -> int:
        size = self._place if size is None else size
        os.ftruncate(self._handle, size)
        return size

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.close(self._handle)


Change = Operation
Tree = dict[str, bytes | None]


@dataclass(slots=True)
class Disk:
    """What is sure to be on the disk, and what may be: changes since the last sync of a file or folder."""

    names: dict[str, int] = field(default_factory=dict)
    files: dict[int, bytearray] = field(default_factory=dict)
    unsure: list[Change] = field(default_factory=list)

    def apply(self, operation: Operation) -> None:
        """Go on by one operation."""
        if operation.kind in ("name", "write", "size"):
            self.unsure.append(operation)
            return
        sure, unsure = [], []
        for change in self.unsure:
            if operation.kind == "sync":
                synced = change.kind != "name" and change.file == operation.file
            else:
                synced = change.kind == "name" and (os.path.dirname(change.path) or ".") == operation.path
            (sure if synced else unsure).append(change)
        _change(self.names, self.files, sure)
        self.unsure = unsure

    def after(self, changes: Sequence[Change]) -> Tree:
        """What is in the folder if these changes reached the disk and no others.

        Bytes by path, None for a folder.
        """
        names, files = dict(self.names), {number: bytearray(data) for number, data in self.files.items()}
        _change(names, files, changes)
        folders = {path for path, number in names.items() if number == -1}
        return {
            path: None if number == -1 else bytes(files.get(number, b""))
            for path, number in sorted(names.items())
            if not os.path.dirname(path) or os.path.dirname(path) in folders
        }

    def crashes(self, rng: random.Random, ways: int) -> Iterator[tuple[str, Tree]]:
        """What a crash may leave now: the plain cases, and so many ways by chance."""
        names = [change for change in self.unsure if change.kind == "name"]
        data = [change for change in self.unsure if change.kind != "name"]
        yield "all of it", self.after(self.unsure)
        if not self.unsure:
            return
        yield "only what was synced", self.after([])
        yield "names without data", self.after(names)
        yield "data without names", self.after(data)
        yield "sizes without data", self.after([*map(_blank, data), *names])
        if data and data[-1].kind == "write":
            half = len(data[-1].data) // 2
            start, end = data[-1].data[:half], bytes(half) + data[-1].data[half:]
            yield "half of the last write", self.after([*data[:-1], _with(data[-1], start), *names])
            yield "its other half", self.after([*data[:-1], _with(data[-1], end), *names])
        for _ in range(ways):
            chosen = [_torn(change, rng) for change in self.unsure if rng.random() < 0.6]
            yield "some of it", self.after(chosen)


def _change(names: dict[str, int], files: dict[int, bytearray], changes: Sequence[Change]) -> None:
    for change in changes:
        if change.kind == "name":
            if change.file is None:
                names.pop(change.path, None)
            else:
                names[change.path] = change.file
            continue
        assert change.file is not None
        data = files.setdefault(change.file, bytearray())
        end = change.offset + (len(change.data) if change.kind == "write" else 0)
        if len(data) < end:
            data.extend(bytes(end - len(data)))
        if change.kind == "write":
            data[change.offset : end] = change.data
        else:
            del data[change.offset :]


def _with(change: Change, data: bytes) -> Change:
    return Operation(change.kind, change.file, change.path, change.offset, data)


def _blank(change: Change) -> Change:
    return _with(change, bytes(len(change.data))) if change.kind == "write" else change


def _torn(change: Change, rng: random.Random) -> Change:
    """A write, or by chance only the first part of it, to the sector or to the byte."""
    if change.kind != "write" or rng.random() < 0.7:
        return change
    cut = rng.randrange(len(change.data) + 1)
    return _with(change, change.data[: cut if rng.random() < 0.5 else cut // 512 * 512])
