"""Bytes that are written and read again: in memory while they are few, then in a file without a name."""

from __future__ import annotations

import io
import os
import sys
from typing import IO


class Spool:
    """At most ``most`` bytes are in memory.

    OSError where the folder for temporary files has no room.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._memory: io.BytesIO | None = io.BytesIO()
        self._file: IO[bytes] = self._memory

    def seek(self, place: int) -> int:
        """Read or write from here on."""
        return self._file.seek(place)

    def read(self, size: int = -1) -> bytes:
        """So many bytes, fewer where they end; all that are left without a size."""
        return self._file.read(size)

    def write(self, data: bytes) -> int:
        """Write here."""
        if self._memory is not None and self._memory.tell() + len(data) > self._most:
            self._move(self._memory)
        return self._file.write(data)

    def _move(self, memory: io.BytesIO) -> None:
        file = _unnamed_file()
        with memory.getbuffer() as held:
            file.write(held)
        file.seek(memory.tell())
        self._file, self._memory = file, None

    def close(self) -> None:
        """Let go of the bytes."""
        self._file.close()


def _unnamed_file() -> IO[bytes]:
    """What ``tempfile.TemporaryFile`` gives, without that module where Linux makes a file without a name.

    It imports every kind of archive.
    """
    if "tempfile" not in sys.modules and hasattr(os, "O_TMPFILE"):
        flags = os.O_TMPFILE | os.O_RDWR | os.O_EXCL | os.O_CLOEXEC
        try:
            return os.fdopen(os.open(os.environ.get("TMPDIR") or "/tmp", flags, 0o600), "w+b")
        except OSError:  # another folder may do, and not every file system has such files
            pass
    from tempfile import TemporaryFile

    return TemporaryFile()
