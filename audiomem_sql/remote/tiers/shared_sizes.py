"""How many bytes the files of a folder have, counted by all processes that write there.

A file of 16 numbers, one for each first digit of the names, and their CRC-32C. It is changed under a lock
that the system takes back from a process that dies. A process may die between a file and its count, so the
numbers are near the truth, and become the truth each time that a group of files is listed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from fastcrc import crc32

from audiomem_sql.machine.file_access import open_regular
from audiomem_sql.remote.tiers.tier import PerProcess

GROUPS = 16
#: Whoever cannot count within so long leaves it: the count is near the truth anyway.
WAIT_SECONDS = 0.1
_PAUSE_SECONDS = 0.001
_NUMBERS = struct.Struct(f"<{GROUPS}q")
_CODE = struct.Struct("<I")


class _Handle:
    """A descriptor of this process, which a thread at a time uses; opened when it is used first."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.descriptor = -1

    def __del__(self, close: Callable[[int], None] = os.close) -> None:  # module os may be gone by then
        descriptor, self.descriptor = (
            self.descriptor,
            -1,
        )  # whoever comes later closes nothing
        if descriptor >= 0:
            close(descriptor)


class SharedLock:
    """A lock on the file at ``path`` among threads and processes; who dies lets go."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._handle = PerProcess(_Handle)

    @contextmanager
    def held(self, seconds: float) -> Iterator[int]:
        """Hold the lock; the descriptor of the file. BlockingIOError if it cannot be had within ``seconds``.

        Who holds it may have been stopped, so nobody waits without an end. OSError or StorageError where the
        file cannot be opened or locked.
        """
        end = time.monotonic() + seconds
        handle = self._handle.get()
        if not handle.lock.acquire(timeout=seconds):
            raise BlockingIOError(errno.EWOULDBLOCK, "another thread holds the lock", self.path)
        try:
            descriptor = self._opened(handle)
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= end:
                        raise
                    time.sleep(_PAUSE_SECONDS)
            try:
                yield descriptor
            finally:
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        finally:
            handle.lock.release()

    def _opened(self, handle: _Handle) -> int:
        """The descriptor; of a new file if somebody emptied the folder."""
        if not self._is_there(handle.descriptor):
            old, handle.descriptor = handle.descriptor, -1
            if old >= 0:
                os.close(old)
            handle.descriptor = open_regular(self.path, os.O_RDWR | os.O_CREAT)
        return handle.descriptor

    def _is_there(self, descriptor: int) -> bool:
        """Whether the open file still has the name."""
        if descriptor < 0:
            return False
        try:
            named, mine = os.stat(self.path), os.fstat(descriptor)
        except OSError:
            return False
        return (named.st_dev, named.st_ino) == (mine.st_dev, mine.st_ino)

    def close(self) -> None:
        """Let go of the file; it is opened again when it is used again."""
        handle = self._handle.get()
        with handle.lock:
            descriptor, handle.descriptor = handle.descriptor, -1
            if descriptor >= 0:
                os.close(descriptor)


class SharedSizes:
    """The numbers in the file at ``path``; counted: lists the files of a group, for numbers that are lost."""

    def __init__(self, path: str, counted: Callable[[int], int]) -> None:
        self._lock = SharedLock(path)
        self._counted = counted

    def add(self, changes: Mapping[int, int]) -> list[int]:
        """The numbers after ``changes`` in bytes of some groups. OSError, StorageError."""
        return self._change(lambda sizes: [size + changes.get(group, 0) for group, size in enumerate(sizes)])

    def correct(self, before: Sequence[int], found: Mapping[int, int]) -> list[int]:
        """The numbers after some groups were listed; before: as they were then. OSError, StorageError.

        What was added since then stays, though the list may have it: too much is corrected by the next list,
        too little would let the folder grow.
        """
        return self._change(
            lambda sizes: [
                found[group] + max(0, size - before[group]) if group in found else size
                for group, size in enumerate(sizes)
            ]
        )

    def now(self) -> list[int]:
        """The numbers. OSError, StorageError."""
        return self._change(lambda sizes: sizes)

    def _change(self, change: Callable[[list[int]], list[int]]) -> list[int]:
        with self._lock.held(WAIT_SECONDS) as descriptor:
            data = os.pread(descriptor, _NUMBERS.size + _CODE.size, 0)
            sizes = _read(data)
            # The files that a change is about are there already, so they are counted.
            changed = [self._counted(group) for group in range(GROUPS)] if sizes is None else change(sizes)
            changed = [max(0, size) for size in changed]
            if changed != sizes:
                numbers = _NUMBERS.pack(*changed)
                os.pwrite(descriptor, numbers + _CODE.pack(_code(numbers)), 0)
            return changed

    def close(self) -> None:
        """Let go of the file."""
        self._lock.close()


def _read(data: bytes) -> list[int] | None:
    """The numbers of a file; None if it does not hold any, or others than were written."""
    if len(data) != _NUMBERS.size + _CODE.size:
        return None
    numbers = data[: _NUMBERS.size]
    return (
        list(_NUMBERS.unpack(numbers)) if _CODE.unpack(data[_NUMBERS.size :])[0] == _code(numbers) else None
    )


def _code(numbers: bytes) -> int:
    return int(crc32.iscsi(numbers))
