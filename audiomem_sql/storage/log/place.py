"""The file of a log: opened without following a link, created only where its name is free."""

from __future__ import annotations

import contextlib
import os

from audiomem_sql.errors import StorageError
from audiomem_sql.machine.file_access import create_regular, open_regular, open_with_status, renew_access
from audiomem_sql.storage.log import copies
from audiomem_sql.storage.log.chain import SLOTS
from audiomem_sql.storage.log.content import LOG_MAGIC
from audiomem_sql.storage.log.protected import MAX_COPIES, SLOT_BYTES

_AT_ONCE = 1 << 20
_REMEDY = "It is no log of this table: move it away, and try again."


def open_log(path: str) -> int:
    """The descriptor of the log, to read it; FileNotFoundError if there is none.

    StorageError for anything but a file, such as a link.
    """
    return open_regular(path, os.O_RDONLY, remedy=_REMEDY)


def open_log_with_status(path: str) -> tuple[int, os.stat_result]:
    """:func:`open_log`, and the status of what was opened."""
    return open_with_status(path, os.O_RDONLY, remedy=_REMEDY)


def open_to_append(path: str, like: str | None) -> int:
    """The descriptor of the log, to write to it; it gets mode and owner of ``like``.

    StorageError for anything but a file, and for one that has a second name.
    """
    handle = open_regular(path, os.O_RDWR, remedy=_REMEDY)
    if os.fstat(handle).st_nlink > 1:
        os.close(handle)
        raise StorageError(
            "the log has a second name, a hard link, under which it would change, too",
            file=path,
            remedy="Delete that name, or make it a copy.",
        )
    if like is not None:
        renew_access(handle, like)
    return handle


def create_log(path: str, like: str | None) -> int:
    """The descriptor of a new log, with mode and owner of ``like``.

    What a writer left that was killed while it made one is removed. StorageError for anything else there.
    """
    with contextlib.suppress(FileExistsError):
        return create_regular(path, like)
    remove_unfinished(path)
    return create_regular(path, like)


def remove_unfinished(path: str) -> None:
    """Remove what a writer left that was killed while it made a log. StorageError for anything else there."""
    try:
        handle = open_log(path)
    except FileNotFoundError:
        return
    try:
        ours = is_unfinished(handle)
    finally:
        os.close(handle)
    if not ours:
        raise StorageError("is no log, and not ours to overwrite", file=path, remedy=_REMEDY)
    os.unlink(path)


def is_unfinished(handle: int) -> bool:
    """Whether the file may be a log whose header was not written: it begins like one, or is empty.

    But for its first watermark, which is in a sector of its own.
    A header that was written whole but is damaged begins like one, too: that is for those who read it.
    """
    head = os.pread(handle, len(LOG_MAGIC), 0)
    if head.rstrip(b"\0") and LOG_MAGIC.startswith(head.rstrip(b"\0")):
        return True
    at = 0
    marks = [copy * copies.STRIP_BYTES + SLOTS[0] for copy in range(MAX_COPIES)]
    while data := bytearray(os.pread(handle, _AT_ONCE, at)):
        for mark in marks:
            if at <= mark < at + len(data):
                data[mark - at : mark - at + SLOT_BYTES] = bytes(
                    len(data[mark - at : mark - at + SLOT_BYTES])
                )
        if data.count(0) != len(data):
            return False
        at += len(data)
    return True
