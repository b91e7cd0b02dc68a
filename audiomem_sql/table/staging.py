"""Where rows are staged that several processes write to one commit: a folder beside the table."""

from __future__ import annotations

import contextlib
import os
import time

from audiomem_sql.errors import StorageError
from audiomem_sql.machine.urls import is_url
from audiomem_sql.versions import TableFiles

#: Seconds after which a folder of staged rows that nobody writes to belongs to nobody.
ABANDONED_SECONDS = 24 * 3600


def staging_folder(path: str) -> str:
    """Where rows for the table at ``path`` are staged. StorageError for a URL."""
    if is_url(path):
        raise StorageError(
            "rows for a table at a URL are staged in a folder that all processes see",
            file=path,
            remedy="Name one: option staging.",
        )
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.join(folder, f".{name}.staged")


def remove_staged(path: str, seconds: float = 0) -> int:
    """Remove what writes to the table at ``path`` left behind, if nobody wrote to it for ``seconds``."""
    import shutil

    parent, removed = staging_folder(path), 0
    with contextlib.suppress(OSError):
        for name in os.listdir(parent):
            folder = os.path.join(parent, name)
            if _newest(folder) <= time.time() - seconds:
                shutil.rmtree(folder, ignore_errors=True)
                removed += 1
        os.rmdir(parent)
    return removed


def remove_abandoned(files: TableFiles) -> None:
    """Remove what writers that died a day ago staged beside a table; none do beside one in a store."""
    if not files.is_remote:
        remove_staged(files.address, ABANDONED_SECONDS)


def _newest(folder: str) -> float:
    """When something in a folder was last written."""
    times = [os.stat(folder).st_mtime]
    for name in os.listdir(folder):
        with contextlib.suppress(OSError):
            times.append(os.stat(os.path.join(folder, name)).st_mtime)
    return max(times)
