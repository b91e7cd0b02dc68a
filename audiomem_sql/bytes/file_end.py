"""The end of a local file, open for writing: bytes come behind a place, and the front says so afterwards."""

from __future__ import annotations

import os
from typing import BinaryIO

from audiomem_sql.bytes.file_state import FileState
from audiomem_sql.errors import StorageError
from audiomem_sql.machine.durable import flush_data, storage_error
from audiomem_sql.machine.file_access import open_regular


class FileEnd:
    """The end of the file at ``path`` from byte ``start`` on.

    front: its first bytes as they were, as many as a ``FileState`` has. OSErrors of the methods are for the
    caller, who takes back what was written.
    """

    def __init__(self, path: str, state: FileState, start: int, *, cut: bool = True) -> None:
        """Open the file, which must be in ``state``. StorageError if it is not, or cannot be written.

        cut: False leaves what is at ``start``, until :meth:`cut`.
        """
        self.path, self.start = path, start
        try:
            self._handle = open_regular(path, os.O_RDWR)
        except OSError as error:
            raise storage_error(error, path) from error
        try:
            now = FileState.of_handle(self._handle)
            if now != state:
                raise StorageError(
                    "the file was changed or replaced while it was written to; nothing was committed",
                    file=path,
                    remedy="Open it again, and look whether it is the one that you want.",
                )
            self.front = now.front
            if cut:
                self.cut()
        except OSError as error:
            self.close()
            raise storage_error(error, path) from error
        except BaseException:
            self.close()
            raise

    def sink(self, offset: int | None = None) -> BinaryIO:
        """The file, positioned at ``offset``, by default ``start``, without a buffer; closed by itself."""
        sink = os.fdopen(os.dup(self._handle), "r+b", buffering=0)
        sink.seek(self.start if offset is None else offset)
        return sink

    def cut(self) -> None:
        """Remove what is at ``start`` and behind it."""
        os.ftruncate(self._handle, self.start)

    def append(self, data: bytes) -> None:
        """Write ``data`` at ``start``."""
        self._write(data, self.start)

    def change_front(self, data: bytes) -> None:
        """Put ``data`` in the place of the first bytes, in one write."""
        self._write(data, 0)

    def _write(self, data: bytes, offset: int) -> None:
        """Write ``data`` in one piece. StorageError if the system takes less: the disk is full."""
        if os.pwrite(self._handle, data, offset) != len(data):
            raise StorageError(
                "cannot be written whole",
                file=self.path,
                place=f"byte {offset}",
                remedy="Free space on the disk, then try again.",
            )

    def flush(self) -> None:
        """Make what was written durable."""
        flush_data(self._handle)

    def take_back(self) -> None:
        """Let the file be as it was, durably."""
        try:
            self.change_front(self.front)
            self.flush()
        finally:
            self.cut()
            self.flush()

    def close(self) -> None:
        """Close the file; twice is harmless."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)
