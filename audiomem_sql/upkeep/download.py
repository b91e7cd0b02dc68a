"""A copy of a table in a store, as one local file: the object as it is, or an older version of it."""

from __future__ import annotations

import contextlib
import os

from audiomem_sql.errors import StorageError
from audiomem_sql.machine.durable import flush, storage_error, temporary_file
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.machine.progress import Progress
from audiomem_sql.versions import Snapshot

#: Bytes that are asked for at once.
_STEP_BYTES = 16 << 20


def downloaded(snapshot: Snapshot, target: str, progress: Progress | None = None) -> str:
    """Copy the object of ``snapshot`` beside ``target``, durably; the name of the copy.

    StorageError if it cannot be read or written; then there is no copy.
    """
    source = snapshot.segments[0].file.source.file.reopen()
    try:
        handle, name = temporary_file(target)
    except OSError as error:
        raise storage_error(error, target) from error
    try:
        with contextlib.closing(source), os.fdopen(handle, "wb") as copy:
            for start in range(0, source.size, _STEP_BYTES):
                check_interrupt()
                data = source.read_at(start, _STEP_BYTES)
                copy.write(data)
                if progress is not None:
                    progress(start + len(data), source.size)
            copy.flush()
            flush(copy.fileno())
    except OSError as error:
        _remove(name)
        raise storage_error(error, target) from error
    except BaseException:
        _remove(name)
        raise
    if os.path.getsize(name) != source.size:
        _remove(name)
        raise StorageError("is shorter than it was", file=source.name, remedy="Try again.")
    return name


def _remove(name: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(name)
