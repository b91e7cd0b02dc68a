"""What was read of an object and stays in memory: the head, and the newest of the rest."""

from __future__ import annotations

import threading
from bisect import bisect_right, insort
from collections import OrderedDict

from audiomem_sql.remote.forks import renewed_in_children


class Kept:
    """Parts of one object by offset, at most ``limit`` bytes of them; those that came last are kept.

    Parts do not overlap. Safe to use from several threads.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._starts: list[int] = []
        #: By offset, in the order they came.
        self._parts: OrderedDict[int, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        renewed_in_children(self)

    def renew(self) -> None:
        """In a child: what another thread was changing when its parent forked is left out."""
        if self._lock.locked():
            self._starts, self._parts, self._bytes = [], OrderedDict(), 0
        self._lock = threading.Lock()

    def put(self, start: int, data: bytes) -> None:
        """Keep ``data``, which is at ``start``, where nothing is kept yet."""
        with self._lock:
            for low, high in self._gaps(start, start + len(data)):
                insort(self._starts, low)
                self._parts[low] = data[low - start : high - start]
                self._bytes += high - low
            while self._bytes > self.limit and len(self._parts) > 1:
                self._remove(next(iter(self._parts)))

    def gaps(self, start: int, stop: int) -> list[tuple[int, int]]:
        """The stretches of ``start`` to ``stop`` that are not kept."""
        with self._lock:
            return self._gaps(start, stop)

    def parts(self, start: int, stop: int) -> list[tuple[int, bytes]]:
        """What is kept of ``start`` to ``stop``: parts with their offsets, in order, not cut to these."""
        with self._lock:
            return [(low, self._parts[low]) for low in self._within(start, stop)]

    def forget(self, start: int, stop: int) -> None:
        """Drop every part with a byte in ``start`` to ``stop``."""
        with self._lock:
            for low in self._within(start, stop):
                self._remove(low)

    def _within(self, start: int, stop: int) -> list[int]:
        place = max(0, bisect_right(self._starts, start) - 1)
        found = []
        while place < len(self._starts) and (low := self._starts[place]) < stop:
            if low + len(self._parts[low]) > start:
                found.append(low)
            place += 1
        return found

    def _gaps(self, start: int, stop: int) -> list[tuple[int, int]]:
        found = []
        for low in self._within(start, stop):
            if low > start:
                found.append((start, low))
            start = max(start, low + len(self._parts[low]))
        if start < stop:
            found.append((start, stop))
        return found

    def _remove(self, low: int) -> None:
        self._bytes -= len(self._parts.pop(low))
        del self._starts[bisect_right(self._starts, low) - 1]


def assembled(parts: list[tuple[int, bytes]], start: int, stop: int) -> bytes:
    """Bytes ``start`` to ``stop`` - 1 out of parts with their offsets, which cover them."""
    whole = []
    for low, data in sorted(parts):
        if low + len(data) <= start:
            continue
        if low > start:  # cannot be: every byte was fetched or kept
            raise AssertionError(f"byte {start} is missing")
        whole.append(data[start - low : stop - low])
        start = min(stop, low + len(data))
        if start >= stop:
            break
    return whole[0] if len(whole) == 1 else b"".join(whole)
