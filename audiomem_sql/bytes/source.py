"""The contract of a place where bytes are: a file on a local disk today, an object in a store later.

Everything that reads a table's file reads it through a ``ByteSource``: ``size`` and ``identity`` say what it
is, ``read`` takes many ranges at once, because a store answers each request after some milliseconds, however
short it is. A new kind of place is a class with ``read``, ``reopen`` and ``close`` that passes the tests of
``tests/bytes/contract.py``.
"""

from __future__ import annotations

import io
from collections.abc import Hashable, Sequence
from typing import Protocol

from audiomem_sql.errors import AudioMemError


class ByteSource(Protocol):
    """Bytes that are read by offset. Safe to use from several threads.

    ``name``: how messages name it, such as its path. ``size``: bytes when it was opened, at least 1.
    ``identity``: equal for two sources exactly if they are the same bytes, as far as can be told without
    reading them; it changes when the bytes are replaced, and says nothing across kinds of places.
    """

    name: str
    size: int
    identity: Hashable
    #: Whether fewer bytes are worth more care: a few cells are read rather than their page.
    prefers_short_reads: bool = False

    @property
    def lasting_identity(self) -> Hashable | None:
        """``identity``, if nobody will ever find other bytes under it, in this process; else None."""
        return None

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes of each range, which is an offset of 0 or more and a length.

        An answer is shorter only where the source ends before its range does.

        Raises ``StorageError`` for what cannot be read, and after ``close``.
        """
        ...

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes of one range."""
        return self.read([(offset, length)])[0]

    def read_alike(self, offsets: Sequence[int], length: int) -> bytes:
        """``length`` bytes from each offset on, one behind the other; zeros where the source ends."""
        parts = self.read([(offset, length) for offset in offsets])
        return b"".join(part.ljust(length, b"\0") for part in parts)

    def prefetch(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Tell which ranges will be read next: a store is asked for all of them at the same time.

        Nothing by default. Raises as :meth:`read`.
        """
        return

    def read_anew(self, ranges: Sequence[tuple[int, int]]) -> bool:
        """Whether ranges that failed their checksums may be others now: they were read past caches.

        Nothing by default, and False. Raises as :meth:`read`.
        """
        return False

    def is_current(self) -> bool:
        """Whether ``name`` still leads to these bytes; a store is asked.

        Yes by default: who has the path of a local file looks there. Raises as :meth:`read`.
        """
        return True

    def open_stream(self, offset: int) -> int | io.RawIOBase:
        """The bytes from ``offset`` on, for a decoder that reads a stream.

        It ends with them, and is closed by itself.

        A descriptor of the operating system that is positioned there, or a file object whose place 0 is
        there.
        """
        return ByteStream(self.reopen(), offset)

    def reopen(self) -> ByteSource:
        """Another source of the same bytes, which is closed by itself.

        Even where the name leads to others by now.
        """
        ...

    def close(self) -> None:
        """Let go of the bytes; twice is harmless."""
        ...


class ByteStream(io.RawIOBase):
    """The bytes of ``source`` from ``offset`` on as a file object; it takes over ``source``.

    ``fault`` is what a read raised: a caller in C sees only that the bytes end.
    """

    def __init__(self, source: ByteSource, offset: int) -> None:
        super().__init__()
        self.fault: AudioMemError | None = None
        self._source = source
        self._start = offset
        self._position = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Bytes from the start of the stream."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """The new position."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._source.size - self._start}
        self._position = max(0, base[whence] + offset)
        return self._position

    def readinto(self, buffer: object) -> int:
        """Fill ``buffer`` as far as there are bytes; how many there were."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        try:
            data = self._source.read_at(self._start + self._position, len(view))
        except AudioMemError as fault:
            self.fault = fault
            return 0
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        """Let go of the source."""
        self._source.close()
        super().close()
