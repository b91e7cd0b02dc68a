"""Lines that are no rows: refused, left out, or kept in a file; they are counted in any case."""

from __future__ import annotations

import contextlib
import os
from types import TracebackType
from typing import IO, Self

from audiomem_sql.errors import DataTypeError, OptionError, StorageError
from audiomem_sql.machine.durable import storage_error

REFUSE, SKIP, KEEP = "refuse", "skip", "keep"
MODES = (REFUSE, SKIP, KEEP)


class BadLines:
    """The bad lines of one import. As a context: the file gets its name only if all went well.

    mode: one of ``MODES``. path: of the file, which must be free, if they are kept.
    """

    def __init__(self, mode: str, path: str | None) -> None:
        if mode not in MODES:
            raise OptionError(
                f"--on-bad-line is {mode!r}", remedy="It is refuse, skip or keep; refuse is the default."
            )
        if path is not None and os.path.lexists(path):
            raise StorageError(
                "the file for bad lines exists already", file=path, remedy="Move it away, or name another."
            )
        self.mode = mode
        self.count = 0
        self.first: str | None = None
        self._path = path if mode == KEEP else None
        self._head = b""
        self._stream: IO[bytes] | None = None

    @property
    def path(self) -> str | None:
        """The file that has the lines; None without one."""
        return self._path if self.count else None

    def begin(self, head: str = "") -> None:
        """Forget the lines of an earlier attempt. head: the line that the file begins with."""
        self.count, self.first = 0, None
        self._head = f"{head}\n".encode() if head else b""
        self._remove()

    def add(self, line: str | bytes, fault: str, file: str, place: str) -> None:
        """A line that is none. DataTypeError if such are refused."""
        if self.mode == REFUSE:
            raise DataTypeError(
                fault,
                file=file,
                place=place,
                remedy="Correct it, or leave such lines out with --on-bad-line skip, or keep.",
            )
        self.count += 1
        self.first = self.first or f"{file}: {place}: {fault}"
        if self._path is None:
            return
        raw = line if isinstance(line, bytes) else line.encode("utf-8", "surrogatepass")
        try:
            if self._stream is None:
                self._stream = open(f"{self._path}.part", "wb")  # noqa: SIM115  # closed at the end
                self._stream.write(self._head)
            self._stream.write(raw.rstrip(b"\r\n") + b"\n")
        except OSError as error:
            raise storage_error(error, self._path) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None or self._stream is None or self._path is None:
            self._remove()
            return
        try:
            self._stream.close()
            os.rename(f"{self._path}.part", self._path)
        except OSError as failure:
            raise storage_error(failure, self._path) from failure

    def _remove(self) -> None:
        if self._stream is not None:
            self._stream.close()
            with contextlib.suppress(OSError):
                os.unlink(f"{self._path}.part")
            self._stream = None
