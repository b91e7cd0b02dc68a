"""The queue before the writer's lock: processes that wait get it in the order in which they came.

Whoever finds the lock taken puts a ticket into the folder ``X.flac-queue``: a file whose name begins with the
time of its coming, locked as long as its process waits. The folder is there only while somebody waits, so
that a writer who is alone pays for one look; where it is there, a newcomer waits behind the others instead of
taking the lock between two of their looks. The ticket of a process that was killed is not locked, and
whoever is behind it removes it. The queue orders those who wait and protects nothing: where it cannot be
made, on a full disk, the lock is waited for without it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time

from audiomem_sql.errors import StorageError
from audiomem_sql.machine.file_access import create_folder, create_regular

#: Time of coming, process, and letters that tell its threads apart.
_TICKET = re.compile(r"\d{20}-\d{10}-[0-9a-f]{8}")


class WriterQueue:
    """The queue of one table; ``base`` is the path of its file."""

    def __init__(self, base: str) -> None:
        self._base = base
        self.folder = base + "-queue"

    def exists(self) -> bool:
        """Whether somebody waits, or was killed while it waited."""
        try:
            os.stat(self.folder)
        except OSError:
            return False
        return True

    def enter(self) -> Place:
        """A place at the end."""
        name = f"{time.monotonic_ns():020d}-{os.getpid():010d}-{os.urandom(4).hex()}"
        for _ in range(3):  # somebody who leaves may remove the folder before the ticket is in it
            try:
                create_folder(self.folder, self._base)
                path = os.path.join(self.folder, name)
                handle = create_regular(path, self._base)
            except FileNotFoundError:
                continue
            except (OSError, StorageError):
                break
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:  # somebody saw it before it was locked: it counts for nothing
                os.close(handle)
                continue
            return Place(self, name, handle)
        return Place(self, "", -1)

    def names(self) -> list[str]:
        """The tickets, the first to come first."""
        try:
            return sorted(filter(_TICKET.fullmatch, os.listdir(self.folder)))
        except OSError:
            return []

    def remove(self, name: str) -> None:
        """Take a ticket away, and the folder with the last one."""
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(self.folder, name))
        with contextlib.suppress(OSError):
            os.rmdir(self.folder)

    def is_waiting(self, name: str) -> bool:
        """Whether the process of a ticket is still there."""
        try:
            handle = os.open(
                os.path.join(self.folder, name), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
            )
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(handle)
        return False


class Place:
    """A place in the queue, until :meth:`leave`; without a name where there is no queue."""

    def __init__(self, queue: WriterQueue, name: str, handle: int) -> None:
        self._queue = queue
        self._name = name
        self._handle = handle

    def is_first(self) -> bool:
        """Whether nobody who came before is still waiting."""
        if not self._name:
            return True
        for name in self._queue.names():
            if name >= self._name:
                break
            if self._queue.is_waiting(name):
                return False
            self._queue.remove(name)
        return True

    def leave(self) -> None:
        """Go, with the lock or without."""
        if self._name:
            self._queue.remove(self._name)
            os.close(self._handle)
            self._name = ""
