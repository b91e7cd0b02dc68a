"""Where the copies of a protected log are in its file, and reading and writing them.

    strips     copy 0    copy 1    …    copy 0    copy 1    …
    bytes      0 …       0 …            262144 …  262144 …

A log that is written c times is cut into strips of 256 KiB, and the file has c copies of the first strip,
then c of the second. So copies are a strip apart, at the same place of their sectors, and the log may grow
for as long as it must: nothing stands in its way, as a mirror at a fixed place would. The file grows by c
strips of zeros at a time, so that few commits change its size.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

STRIP_BYTES = 256 << 10
_READ_AT_ONCE = 64 << 10


@dataclass(slots=True)
class Copies:
    """The file behind ``handle``, which has everything ``count`` times. Offsets are those of one copy.

    A log that is written once is the case of one copy, whose strips are the quanta that its file grows by.
    """

    handle: int
    count: int
    strip: int = field(default_factory=lambda: STRIP_BYTES)
    _held: dict[int, tuple[int, bytes]] = field(default_factory=dict)

    def place(self, copy: int, offset: int) -> int:
        """Where a byte is in the file."""
        strip, inside = divmod(offset, self.strip)
        return (strip * self.count + copy) * self.strip + inside

    def size(self) -> int:
        """Bytes that the file has room for in every copy, or had before its end was lost."""
        return -(-os.fstat(self.handle).st_size // (self.count * self.strip)) * self.strip

    def read(self, copy: int, offset: int, size: int, ahead: int = 0) -> bytes:
        """``size`` bytes of a copy.

        Zeros where the file ends before them. ahead: bytes to read with them, and to hold.
        """
        start, data = self._held.get(copy, (0, b""))
        if not start <= offset or offset + size > start + len(data):
            start, data = offset, self._read(copy, offset, max(size, ahead))
            if ahead:
                self._held[copy] = start, data
        return data[offset - start : offset - start + size]

    def all(self, offset: int, size: int) -> list[bytes]:
        """The same bytes of every copy."""
        return [self.read(copy, offset, size) for copy in range(self.count)]

    def first(self, offset: int, size: int) -> bytes:
        """Bytes of copy 0, which is read ahead."""
        return self.read(0, offset, size, _READ_AT_ONCE)

    def _read(self, copy: int, offset: int, size: int) -> bytes:
        if self._is_in_a_strip(offset, size):
            return os.pread(self.handle, size, self.place(copy, offset)).ljust(size, b"\0")
        parts = [
            os.pread(self.handle, length, offset_in_file).ljust(length, b"\0")
            for offset_in_file, length in self._spans(copy, offset, size)
        ]
        return b"".join(parts)

    def _is_in_a_strip(self, offset: int, size: int) -> bool:
        """Whether a range is in one strip: nearly always, and then it is one call."""
        return offset % self.strip + size <= self.strip

    def _spans(self, copy: int, offset: int, size: int) -> Iterator[tuple[int, int]]:
        """(place in the file, bytes) of a range, strip by strip."""
        while size:
            length = min(size, self.strip - offset % self.strip)
            yield self.place(copy, offset), length
            offset, size = offset + length, size - length

    def is_cut(self, begin: int, end: int) -> bool:
        """Whether the file has a size that no writer gives it, if it holds records from ``begin`` to ``end``.

        That is whole strips; or a strip that a crash kept from growing, which has nothing in it yet; or what
        :meth:`blank` leaves.
        """
        size = os.fstat(self.handle).st_size
        whole = size - size % (self.count * self.strip)
        if size in (whole, self.place(0, end)):
            return False
        start = max(whole, begin)
        return size < begin or any(os.pread(self.handle, size - start, start))

    def reserve(self, end: int, *, filled: bool = True, ahead: int = 0) -> bool:
        """Room up to ``end`` in every copy; whether there was none.

        The size changes at once, so that no crash leaves a part of a strip. filled: write zeros, as the flush
        of a commit would otherwise have to find room for its bytes. ahead: bytes more where there is none, if
        the file may have them.
        """
        group = self.count * self.strip
        needed = -(-end // self.strip) * group
        there = os.fstat(self.handle).st_size
        grows = there < needed
        if grows:
            with_more = -(-(end + ahead) // self.strip) * group
            try:
                os.ftruncate(self.handle, with_more)
            except OSError:
                if with_more == needed:
                    raise
                os.ftruncate(self.handle, needed)  # the disk has room for this one, perhaps
            else:
                needed = with_more
        if not filled:
            return grows
        while there < needed:
            length = min(needed - there, group)
            write_all(self.handle, bytes(length), there)
            there += length
        return grows

    def write(self, copy: int, offset: int, data: bytes) -> None:
        """Write ``data`` to one copy."""
        self._held.pop(copy, None)
        if self._is_in_a_strip(offset, len(data)):
            write_all(self.handle, data, self.place(copy, offset))
            return
        at = 0
        for offset_in_file, length in self._spans(copy, offset, len(data)):
            write_all(self.handle, data[at : at + length], offset_in_file)
            at += length

    def blank(self, end: int) -> bool:
        """Zeros from ``end`` on, in every copy; whether the copies of what stands before are all kept.

        Strips that hold nothing else are cut off, what shares its strip with records is written over. If that
        fails, the file is cut behind copy 0 of what stays, which needs no room on the disk, and made as long
        again with zeros; the other copies of it are lost.
        """
        self._held.clear()
        group = self.count * self.strip
        last = end // self.strip
        size = min(os.fstat(self.handle).st_size, (last + 1) * group)
        os.ftruncate(self.handle, size)
        try:
            for copy in range(self.count):
                there = self._read(copy, end, (last + 1) * self.strip - end).rstrip(b"\0")
                self.write(copy, end, bytes(len(there)))
        except OSError:
            os.ftruncate(self.handle, self.place(0, end))
            with contextlib.suppress(OSError):
                os.ftruncate(self.handle, size)
            return self.count == 1
        return True


def write_all(handle: int, data: bytes, offset: int) -> None:
    """Write ``data`` at ``offset`` of the file, however many calls it takes."""
    while data:
        written = os.pwrite(handle, data, offset)
        data, offset = data[written:], offset + written
