"""The file of a table as bytes that others read: in one state, which its ETag names, or not at all.

A file is a table alone only while it has no log and no deltas beside it. Where it has, the log is made part
of it if this server may write to it, and else a copy is served.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

from audiomem_sql.machine.durable import storage_error
from audiomem_sql.machine.file_access import open_with_status
from audiomem_sql.machine.urls import is_url
from audiomem_sql.serve.copies import Copies
from audiomem_sql.serve.problems import Problem
from audiomem_sql.serve.served_table import ServedTable
from audiomem_sql.serve.streaming import AbortedError
from audiomem_sql.serve.table_writer import TableWriter

#: Bytes that are read at once.
_CHUNK = 256 << 10
#: File systems tell times in steps of up to so many seconds. A file that was changed later than that ago may
#: change again, and look the same.
_TIME_STEP = 0.02
_ATTEMPTS = 100
_FRONT = 4096


@dataclass(slots=True)
class OpenedFile:
    """A file that is open in a state: ``size`` bytes. etag: in quotes. It is to be closed."""

    handle: int
    status: os.stat_result
    etag: str

    @property
    def size(self) -> int:
        """Bytes."""
        return self.status.st_size

    def close(self) -> None:
        """Close it."""
        handle, self.handle = self.handle, -1
        if handle >= 0:
            os.close(handle)

    def chunks(self, ranges: Sequence[tuple[int, int]]) -> Iterator[bytes]:
        """The bytes of ranges, one after the other; AbortedError once the file is in another state."""
        for start, stop in ranges:
            while start < stop:
                chunk = os.pread(self.handle, min(_CHUNK, stop - start), start)
                if not chunk or state_of(os.fstat(self.handle)) != state_of(self.status):
                    raise AbortedError("the file changed while it was sent")
                yield chunk
                start += len(chunk)


def check_served(table: ServedTable) -> None:
    """Problem 409 for a table that is not one file here."""
    if is_url(table.place):
        raise Problem(409, "the table is at another address, and is read from there")
    if os.path.isdir(table.place):
        raise Problem(
            409,
            "the table has several files; copy it to one: "
            f"audiomem backup {table.name}.shards {table.name}.flac, and serve that",
        )


def opened_file(table: ServedTable, writer: TableWriter | None, copies: Copies) -> OpenedFile:
    """The file of the table, complete. Problem 409 for what is none, 503 while it changes all the time."""
    check_served(table)
    path = table.path_of_file
    for attempt in range(3):
        if not _has_more(path):
            opened = open_still(path)
            if not _has_more(path):
                return opened
            opened.close()
        if writer is not None and not attempt:
            writer.settle()
        elif attempt:
            return open_still(copies.of(table))
    return open_still(copies.of(table))


def open_still(path: str) -> OpenedFile:
    """The file at ``path``, once nobody has changed it for a moment, so that every change will show."""
    for _ in range(_ATTEMPTS):
        try:
            handle, status = open_with_status(path, os.O_RDONLY, follow=True)
        except OSError as error:
            raise storage_error(error, path) from None
        try:
            changed = max(status.st_mtime_ns, status.st_ctime_ns)
            if abs(time.time_ns() - changed) > _TIME_STEP * 1e9:
                front = os.pread(handle, _FRONT, 0)
                after = os.fstat(handle)
                if state_of(after) == state_of(status):
                    return OpenedFile(handle, status, _tag(status, front))
        except OSError as error:
            os.close(handle)
            raise storage_error(error, path) from None
        os.close(handle)
        time.sleep(_TIME_STEP)
    raise Problem(503, "the file is being written to all the time; come again in a second")


def _has_more(path: str) -> bool:
    return os.path.lexists(path + "-wal") or os.path.isdir(path + ".d")


def state_of(status: os.stat_result) -> tuple[int, ...]:
    """What tells a file from another one, and from itself once it was written to."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _tag(status: os.stat_result, front: bytes) -> str:
    """A strong tag. What changes links and modes alone, and no byte, changes no tag."""
    return f'"{sha256(repr(state_of(status)).encode() + front).hexdigest()[:32]}"'
