"""Models and forks: the threads that run a model are not there in a forked child, which would wait for them.

So a child that is forked after a model was loaded is refused its models, and all others. Vectors that are
remembered, and the hashing embedder, work there.
"""

from __future__ import annotations

import os
import threading
import weakref

from audiomem_sql.errors import UnsupportedError


class ForkedLock:
    """A lock that is free in a forked child, whoever held it in the parent."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        _LOCKS.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def renew(self) -> None:
        """Be free."""
        self._lock = threading.Lock()


_LOCKS: weakref.WeakSet[ForkedLock] = weakref.WeakSet()
#: Of the process in which the first model was loaded; 0 before that.
_process = 0


def check_process(name: str) -> None:
    """Before a model is loaded or run: UnsupportedError in a child of the process that loaded one."""
    global _process
    if _process not in (0, os.getpid()):
        raise UnsupportedError(
            f"the model {name} cannot run in a process that was forked after a model was loaded",
            remedy="Start workers with multiprocessing.get_context('spawn') or 'forkserver', or fork before "
            "the first text is embedded.",
        )
    _process = os.getpid()


def _renew() -> None:
    for lock in list(_LOCKS):
        lock.renew()


os.register_at_fork(after_in_child=_renew)
