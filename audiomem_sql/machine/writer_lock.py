"""The writer's lock: an exclusive flock on the base file of a table.

A commit may put another file in the base's place. So whoever has the lock looks whether the file at that path
is still the one that is locked, and a writer locks what it is about to put there (:meth:`WriterLock.follow`)
before it is there. Who waits does so in :mod:`audiomem_sql.machine.writer_queue`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from audiomem_sql.errors import BusyError, StorageError
from audiomem_sql.machine.durable import file_identity, stat_identity, storage_error
from audiomem_sql.machine.file_access import open_regular
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.machine.writer_queue import WriterQueue
from audiomem_sql.observe import hooks

#: Seconds between two looks: of the one who is next, and of those behind.
_FIRST_INTERVAL = 0.001
_INTERVAL = 0.01
#: The locks of this process, so that one that waits can tell whom for.
_LOCKS: weakref.WeakSet[WriterLock] = weakref.WeakSet()
_GUARD = threading.Lock()
os.register_at_fork(before=_GUARD.acquire, after_in_parent=_GUARD.release, after_in_child=_GUARD.release)


class WriterLock:
    """The lock of one open table. A process that dies releases it; a fork of the process does not have it.

    The file stays open from one transaction to the next, so that taking the lock again opens nothing.
    """

    def __init__(self, base: str) -> None:
        self.base = base
        self.held = False
        self._handles: list[int] = []  # of files that are, were or will be the base; the last is the newest
        self._process = os.getpid()
        self._queue = WriterQueue(base)
        with _GUARD:
            _LOCKS.add(self)

    def acquire(self, timeout: float, told: float | None = None) -> None:
        """Become the writer, after those who wait already. BusyError after ``timeout`` seconds.

        told: the seconds that the error names, with those that were waited for something else before.
        """
        if self._queue.exists() or not self._try():
            began = time.monotonic()
            try:
                self._wait(began + timeout, timeout if told is None else told)
            finally:
                hooks.lock_waited(self.base, "process", time.monotonic() - began)
        self.held = True

    def _wait(self, deadline: float, told: float) -> None:
        place = self._queue.enter()
        try:
            while not ((is_first := place.is_first()) and self._try()):
                check_interrupt()
                left = deadline - time.monotonic()
                if left <= 0:
                    raise self._busy(told)
                time.sleep(min(left, _FIRST_INTERVAL if is_first else _INTERVAL))
        finally:
            place.leave()

    def _busy(self, told: float) -> BusyError:
        with _GUARD:
            own = [lock for lock in _LOCKS if lock.held and lock._process == os.getpid()]
        if any(lock is not self and lock.base == self.base for lock in own):
            return BusyError(
                f"another connection or table object of this process is writing, for {told:.3g} s by now",
                file=self.base,
                remedy="End its transaction first: commit it, roll it back, or close it.",
            )
        return BusyError(
            f"another process is writing, for {told:.3g} s by now",
            file=self.base,
            remedy="Try again later, or raise the busy timeout.",
        )

    def follow(self, path: str) -> None:
        """Lock a file that is about to become the base, too.

        StorageError if the one that is locked is no longer the base.
        """
        if self.held:
            self.check_in_place()
        try:
            handle = open_regular(path, os.O_RDONLY)
            self._handles.append(handle)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise storage_error(error, path) from error

    def release(self) -> None:
        """Let others write."""
        self.held = False
        if self._process != os.getpid():
            self.close()
            return
        newest = self._handles.pop()
        self.close()
        fcntl.flock(newest, fcntl.LOCK_UN)
        self._handles.append(newest)

    def check_in_place(self) -> int:
        """When the file that is locked was touched last: the ns of its st_ctime.

        StorageError if it was moved away, or another took its place.
        """
        there = file_identity(self.base)
        for handle in reversed(self._handles):
            status = os.fstat(handle)
            if stat_identity(status) == there:
                return status.st_ctime_ns
        raise StorageError(
            "the file was moved, deleted or replaced while it was written to; nothing was committed",
            file=self.base,
            remedy="Put it back in its place, or open it where it is now.",
        )

    def close(self) -> None:
        """Close the files."""
        while self._handles:
            os.close(self._handles.pop())

    def __del__(self) -> None:
        self.close()

    def _try(self) -> bool:
        """Whether the lock could be had now."""
        while True:
            handle = self._open()
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                free = True
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EINTR):
                    raise storage_error(error, self.base) from error
                free = False
            if stat_identity(os.fstat(handle)) == file_identity(self.base):
                return free
            self.close()  # another file is the base by now

    def _open(self) -> int:
        if self._process != os.getpid():
            self.close()  # inherited: the lock on these would be the parent's
            self._process = os.getpid()
        if not self._handles:
            try:
                self._handles.append(open_regular(self.base, os.O_RDONLY))
            except OSError as error:
                raise storage_error(error, self.base) from error
        return self._handles[-1]


@contextmanager
def nobody_writes(base: str) -> Iterator[bool]:
    """Whether it is sure that nobody writes to the table as long as the body lasts.

    The body should be short, because writers wait.

    The lock is shared with others that look. One who writes at this moment is not waited for.
    """
    try:
        handle = open_regular(base, os.O_RDONLY)
    except OSError as error:
        raise storage_error(error, base) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            free = True
        except OSError as error:
            free = error.errno not in (
                errno.EWOULDBLOCK,
                errno.EINTR,
            )  # where there are no locks nobody can write
        yield free and stat_identity(os.fstat(handle)) == file_identity(base)
    finally:
        os.close(handle)
