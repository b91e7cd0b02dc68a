"""Processes that forked after remote objects were read.

obstore has threads and locks that a fork does not take along; a child that used it would wait for ever. So
it gets an error. What can be made anew is: locks, the threads that wait for answers, file systems of fsspec.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol

from audiomem_sql.errors import StorageError


class _Process:
    """used: requests were made in this process. orphaned: it was forked from one where that is so."""

    used = False
    orphaned = False


class Renewed(Protocol):
    """What must not go on as the parent left it: a lock that another thread held, a pool without threads."""

    def renew(self) -> None:
        """Be ready for use in a child, in which only the thread that forked goes on."""
        ...


_ALL: weakref.WeakSet[Renewed] = weakref.WeakSet()


def renewed_in_children(each: Renewed) -> None:
    """Have ``each`` renewed in every child, for as long as it is there."""
    _ALL.add(each)


def _forked() -> None:
    _Process.orphaned = _Process.orphaned or _Process.used
    for each in list(_ALL):
        each.renew()


os.register_at_fork(after_in_child=_forked)


def check_orphan(name: str) -> None:
    """StorageError in a process that must not make any requests, before a lock or a client is touched."""
    if _Process.orphaned:
        raise StorageError(
            "the process was forked after its parent read from a store, whose client cannot be used in it",
            file=name,
            remedy="Start processes with multiprocessing's 'spawn' or 'forkserver', or fork before the first "
            "remote table is opened.",
        )


def check_fork(name: str) -> None:
    """Say that requests are about to be made. StorageError in a process that must not make any."""
    check_orphan(name)
    _Process.used = True
