"""Who has commits in a log: a shared flock on the log by everyone who wrote to it.

The last of them folds the log into the table's file when it closes. Who is the last is not guessed: it is the
one that gets the lock for itself without waiting. A process that dies lets go.
"""

from __future__ import annotations

import errno
import fcntl
import os

from audiomem_sql.machine.durable import stat_identity, storage_error
from audiomem_sql.machine.file_access import open_regular


class Presence:
    """The presence of one open table at the log at ``path``."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._handle = -1
        self._identity: tuple[int, int] | None = None
        self._process = os.getpid()

    def enter(self, identity: tuple[int, int] | None) -> None:
        """Be present at the log with this identity; nothing happens if that is so.

        The writer's lock must be held.
        """
        if self._process != os.getpid():
            self.leave()
            self._process = os.getpid()
        if self._handle >= 0 and self._identity == identity:
            return
        self.leave()
        try:
            self._handle = open_regular(self.path, os.O_RDONLY)
            self._identity = stat_identity(os.fstat(self._handle))
            self._lock(fcntl.LOCK_SH)
        except OSError as error:
            self.leave()
            raise storage_error(error, self.path) from error

    def is_last(self) -> bool:
        """Whether nobody else is present. The writer's lock must be held, so that nobody comes meanwhile."""
        if self._handle < 0 or self._process != os.getpid():
            return True
        alone = self._lock(fcntl.LOCK_EX)
        self._lock(fcntl.LOCK_SH)  # also where it was not to be had: then the system took the shared one away
        return alone

    def leave(self) -> None:
        """Be present no more; twice is harmless."""
        handle = self._handle
        self._handle, self._identity = -1, None
        if handle >= 0:
            os.close(handle)

    def _lock(self, kind: int) -> bool:
        """Whether the lock could be had; where there are no locks, it could."""
        try:
            fcntl.flock(self._handle, kind | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno not in (errno.EWOULDBLOCK, errno.EINTR)
        return True

    def __del__(self) -> None:
        self.leave()
