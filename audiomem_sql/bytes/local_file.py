"""A file of the operating system, read by offset.

The one place of the package that opens a table's file to read it. Positions are given with each call
(``pread``), so threads share a file without a lock; a length is cut to what the file has before memory is
taken.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Hashable, Sequence

from audiomem_sql.bytes.source import ByteSource
from audiomem_sql.errors import NotAudioMemoryError, StorageError
from audiomem_sql.machine.file_access import open_regular

_REMEDY = "Name a FLAC file"


class LocalFile(ByteSource):
    """A regular, non-empty file open for reading.

    ``identity``: device and inode, size and time of the last change. Raises ``StorageError`` for what cannot
    be opened and for folders and devices, ``NotAudioMemoryError`` for an empty file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._descriptor = -1
        self.name = os.fspath(path)
        try:
            self._descriptor = open_regular(self.name, os.O_RDONLY, follow=True, remedy=_REMEDY)
            status = os.fstat(self._descriptor)
        except FileNotFoundError:
            raise StorageError(
                "there is no such file", file=self.name, remedy="Check the path, or create the table first"
            ) from None
        except (OSError, ValueError) as fault:
            reason = getattr(fault, "strerror", None) or str(fault)
            raise StorageError(f"cannot be opened: {reason}", file=self.name) from fault
        self.size = status.st_size
        self._inode = status.st_dev, status.st_ino
        self.identity: Hashable = (*self._inode, status.st_size, status.st_mtime_ns)
        if not self.size:
            self.close()
            raise NotAudioMemoryError(
                "the file is empty", file=self.name, remedy="Delete it to create a table there"
            )

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """One ``pread`` a range as a rule: a local disk answers a short request at once."""
        return [self.read_at(offset, length) for offset, length in ranges]

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes from ``offset`` on: fewer only at the end of the file.

        One ``pread`` as a rule.
        """
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        try:
            data = os.pread(self._descriptor, length, offset)
            # The system may give less: at 2 GiB, or at the end of a file that was cut since.
            while len(data) < length:
                more = os.pread(self._descriptor, length - len(data), offset + len(data))
                if not more:
                    break
                data += more
        except OSError as fault:
            if self._descriptor < 0:
                raise StorageError(
                    "the file is closed", file=self.name, remedy="Open the table again."
                ) from fault
            raise StorageError(
                f"cannot be read: {fault.strerror}", file=self.name, place=f"byte {offset}"
            ) from fault
        return data

    def read_alike(self, offsets: Sequence[int], length: int) -> bytes:
        """The same, without looking at each answer: for thousands of short ones."""
        pread, descriptor = os.pread, self._descriptor
        if len(offsets) and max(offsets) + length <= self.size:
            with contextlib.suppress(OSError):
                data = b"".join([pread(descriptor, length, offset) for offset in offsets])
                if len(data) == len(offsets) * length:
                    return data
        return super().read_alike(offsets, length)

    def open_stream(self, offset: int) -> int | io.RawIOBase:
        """A descriptor positioned at ``offset``: a decoder in C reads it by itself.

        It has a position of its own, which a duplicate would share; so the file is opened anew, if it still
        has its name.
        """
        with contextlib.suppress(OSError, StorageError):
            descriptor = open_regular(self.name, os.O_RDONLY, follow=True)
            status = os.fstat(descriptor)
            if (status.st_dev, status.st_ino) == self._inode:
                os.lseek(descriptor, offset, os.SEEK_SET)
                return descriptor
            os.close(descriptor)
        return super().open_stream(offset)

    def is_current(self) -> bool:
        """Whether the file that has its name is still this one, as it was opened."""
        try:
            status = os.stat(self.name)
        except OSError as fault:
            raise StorageError(f"cannot be looked at: {fault.strerror}", file=self.name) from fault
        return self.identity == (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)

    def reopen(self) -> LocalFile:
        """The same open file, whatever has its name by now."""
        try:
            descriptor = os.dup(self._descriptor)
        except OSError as fault:
            raise StorageError(f"cannot be opened: {fault.strerror}", file=self.name) from fault
        other = LocalFile.__new__(LocalFile)
        vars(other).update(vars(self), _descriptor=descriptor)
        return other

    def close(self) -> None:
        """Let go of the file; twice is harmless."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()
