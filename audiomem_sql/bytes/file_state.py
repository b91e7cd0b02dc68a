"""What tells one state of a local file from another, at the cost of one short read."""

from __future__ import annotations

import os
from collections.abc import Hashable
from dataclasses import dataclass, field

from audiomem_sql.bytes.source import ByteSource
from audiomem_sql.machine.durable import stat_identity, storage_error
from audiomem_sql.machine.file_access import open_with_status

#: Bytes at the front of a file by which it is told whether it was changed: the first sector.
FRONT_BYTES = 512


@dataclass(frozen=True, slots=True)
class FileState:
    """Device and inode (or what a place that is no disk has for them), size, and the bytes at the front.

    touched: when its bytes or its entry were last changed, in ns. Two states that differ in it alone are
    equal: who changed mode, owner or links did no harm. Who wrote behind the front touched it, too.
    """

    identity: Hashable
    size: int
    front: bytes
    touched: int = field(compare=False)

    @classmethod
    def of(cls, path: str) -> FileState | None:
        """Of the file at ``path``; None if there is none. StorageError if it cannot be read.

        It is opened each time, for 3 µs: a network file system asks the server about a file that is opened,
        and may answer anything else from what it knows.
        """
        try:
            handle, status = open_with_status(path, os.O_RDONLY, follow=True)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise storage_error(error, path) from error
        try:
            return cls._read(handle, status)
        except OSError as error:
            raise storage_error(error, path) from error
        finally:
            os.close(handle)

    @classmethod
    def of_source(cls, source: ByteSource) -> FileState:
        """Of bytes that are open, of any kind of place. StorageError if they cannot be read."""
        return cls(source.identity, source.size, source.read_at(0, FRONT_BYTES), 0)

    @classmethod
    def of_handle(cls, handle: int) -> FileState:
        """Of an open file. OSError if it cannot be read."""
        return cls._read(handle, os.fstat(handle))

    @classmethod
    def _read(cls, handle: int, status: os.stat_result) -> FileState:
        return cls(
            stat_identity(status), status.st_size, os.pread(handle, FRONT_BYTES, 0), status.st_ctime_ns
        )
