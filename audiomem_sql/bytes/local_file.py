"""A file read by offset.

The one place of this folder that calls the operating system to read. Positions are given with each call (``pread``), so
threads share a file without a lock; a length is cut to what the file has before memory is taken.
"""

from __future__ import annotations

import os
import stat

from audiomem_sql.errors import NotAudioMemoryError, StorageError


class RawFile:
    """A regular, non-empty file open for reading.

    ``size`` is its length in bytes when it was opened. Raises ``StorageError`` for what cannot be opened and for folders
    and devices, ``NotAudioMemoryError`` for an empty file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._fd = -1
        self.path = os.fspath(path)
        try:
            self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            status = os.fstat(self._fd)
        except FileNotFoundError:
            raise StorageError(
                "there is no such file", file=self.path, remedy="Check the path, or create the table first"
            ) from None
        except (OSError, ValueError) as fault:
            reason = getattr(fault, "strerror", None) or str(fault)
            raise StorageError(f"cannot be opened: {reason}", file=self.path) from fault
        self.size = status.st_size
        if not stat.S_ISREG(status.st_mode):
            self.close()
            kind = "folder" if stat.S_ISDIR(status.st_mode) else "device or a pipe"
            raise StorageError(f"is a {kind}, not a file", file=self.path, remedy="Name a FLAC file")
        if not self.size:
            self.close()
            raise NotAudioMemoryError(
                "the file is empty", file=self.path, remedy="Delete it to create a table there"
            )

    def read(self, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes from ``offset`` on: fewer only at the end of the file. One ``pread`` as a rule."""
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        try:
            data = os.pread(self._fd, length, offset)
            while (
                len(data) < length
            ):  # the system may give less than asked, at 2 GiB or at the end of a file cut since
                more = os.pread(self._fd, length - len(data), offset + len(data))
                if not more:
                    break
                data += more
        except OSError as fault:
            what = "is closed" if self._fd < 0 else f"cannot be read: {fault.strerror}"
            raise StorageError(what, file=self.path, place=f"byte {offset}") from fault
        return data

    def duplicate(self, offset: int) -> int:
        """Another descriptor of the same open file, positioned at ``offset``; the caller closes it."""
        try:
            fd = os.dup(self._fd)
            os.lseek(fd, offset, os.SEEK_SET)
        except OSError as fault:
            raise StorageError(f"cannot be opened: {fault.strerror}", file=self.path) from fault
        return fd

    def close(self) -> None:
        """Let go of the file; twice is harmless."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.close()
