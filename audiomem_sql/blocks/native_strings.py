"""Blocks of texts, decompressed and decoded in C: what :func:`encoding.decode_strings` gives, in one call.

What zstd decompresses stands directly behind the dictionary, so that a match which reaches into it is like
any other.
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.machine.native import library

#: Areas that are kept, of all columns together: each has the bytes of a dictionary and of a block.
_KEPT = min(4, os.cpu_count() or 1) + 2
#: Bytes of a block that an area has room for, unless the first one is larger.
_ROOM = 256 << 10


class Frames:
    """Frames of zstd in ``data``: where each begins, and its bytes there and as it was, int64 (n,)."""

    __slots__ = ("data", "raw", "starts", "stored")

    def __init__(self, data: bytes, starts: I64Array, stored: I64Array, raw: I64Array) -> None:
        self.data = data
        self.starts, self.stored, self.raw = _int64(starts), _int64(stored), _int64(raw)

    def views(self) -> list[memoryview]:
        """The stored bytes of each."""
        view = memoryview(self.data)
        ends = (self.starts + self.stored).tolist()
        return [view[start:end] for start, end in zip(self.starts.tolist(), ends, strict=True)]


class NativeStrings:
    """Decodes blocks that were compressed with ``dictionary``. Safe to use from several threads."""

    def __init__(self, dictionary: bytes | None) -> None:
        self._dictionary = dictionary or b""

    def decode(self, frames: Frames, rows: I64Array, *, text: bool) -> tuple[pa.Buffer, pa.Buffer] | None:
        """Offsets and bytes of several blocks of STRINGS without NULLs, as if they were one.

        rows: of each block, int64 (n,). text: whether the values must be UTF-8. None where there is no such
        library, or a block is anything else: then Python says what.
        """
        native = library()
        most = int(frames.raw.sum())
        if native is None or not 0 < int(frames.raw.min()) <= most < 1 << 31:
            return None
        if len(rows) != len(frames.raw) or int(rows.min()) < 0:
            return None
        area = _areas.take(self) or _Area.made(native, self._dictionary, int(frames.raw.max()))
        if area is None:
            return None
        rows = _int64(rows)
        offsets, values = pa.allocate_buffer(4 * (int(rows.sum()) + 1)), pa.allocate_buffer(most)
        numbers = (each.ctypes.data for each in (frames.starts, frames.stored, frames.raw, rows))
        places = (offsets.address, values.address, most)
        found: int = native.audiomem_decode_strings(
            area.pointer, frames.data, len(frames.data), len(rows), *numbers, text, *places
        )
        _areas.give(self, area)
        return None if found < 0 else (offsets, values.slice(0, found))


class _Area:
    """A decompressor with a dictionary, for one thread at a time."""

    __slots__ = ("_native", "pointer")

    def __init__(self, native: ctypes.CDLL, pointer: int) -> None:
        self._native, self.pointer = native, pointer

    @classmethod
    def made(cls, native: ctypes.CDLL, dictionary: bytes, most: int) -> _Area | None:
        """A new one, for blocks of at most so many bytes; None for want of memory."""
        pointer = native.audiomem_area_new(dictionary, len(dictionary), max(most, _ROOM))
        return cls(native, pointer) if pointer else None

    def __del__(self) -> None:
        self._native.audiomem_area_free(self.pointer)


class _Areas:
    """Areas that nobody uses at the moment: those that were used last, at most ``_KEPT``."""

    def __init__(self) -> None:
        self._free: list[tuple[weakref.ref[NativeStrings], _Area]] = []
        self.lock = threading.Lock()

    def take(self, owner: NativeStrings) -> _Area | None:
        """One of ``owner``, if there is one."""
        with self.lock:
            for place in range(len(self._free) - 1, -1, -1):
                if self._free[place][0]() is owner:
                    return self._free.pop(place)[1]
        return None

    def give(self, owner: NativeStrings, area: _Area) -> None:
        """Keep an area for ``owner``."""
        with self.lock:
            self._free.append((weakref.ref(owner, self._sweep), area))
            gone = self._free[:-_KEPT]
            del self._free[:-_KEPT]
        del gone  # which takes a moment

    def _sweep(self, _: Any) -> None:
        """Drop what nobody owns; never waits: a garbage collection calls this anywhere."""
        if self.lock.acquire(blocking=False):
            try:
                self._free = [kept for kept in self._free if kept[0]() is not None]
            finally:
                self.lock.release()


_areas = _Areas()
_lock = _areas.lock
os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


def _int64(numbers: Any) -> I64Array:
    return np.ascontiguousarray(numbers, np.int64)
