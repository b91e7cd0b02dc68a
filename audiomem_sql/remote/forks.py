"""Processes that forked after remote objects were read.

The client has threads and locks that a fork does not take along; a child that used it would wait for ever.
So it gets an error.
"""

from __future__ import annotations

import os

from audiomem_sql.errors import StorageError


class _Process:
    """used: requests were made in this process. orphaned: it was forked from one where that is so."""

    used = False
    orphaned = False


def _forked() -> None:
    _Process.orphaned = _Process.orphaned or _Process.used


os.register_at_fork(after_in_child=_forked)


def check_fork(name: str) -> None:
    """Say that requests are about to be made. StorageError in a process that must not make any."""
    if _Process.orphaned:
        raise StorageError(
            "the process was forked after its parent read from a store, whose client cannot be used in it",
            file=name,
            remedy="Start processes with multiprocessing's 'spawn' or 'forkserver', or fork before the first "
            "remote table is opened.",
        )
    _Process.used = True
