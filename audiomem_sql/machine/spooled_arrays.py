"""Many rows of numbers that are read in pieces.

They are in an array, or in a file where they would take too much memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from audiomem_sql.arrays import I64Array
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.machine.spool import Spool

Array = np.ndarray[Any, Any]
#: Bytes of a piece.
PIECE_BYTES = 8 << 20
#: Rows that are written stay in memory up to so many bytes.
SPOOL_BYTES = 32 << 20


class Rows(Protocol):
    """n rows of ``width`` numbers."""

    @property
    def width(self) -> int:
        """Numbers of a row."""

    def __len__(self) -> int: ...

    def pieces(self) -> Iterator[Array]:
        """All rows in order, (any, width) at a time."""

    def take(self, rows: I64Array) -> Array:
        """(m, width): rising int64 (m,) ``rows``."""


class ArrayRows:
    """The rows of an array (n, width)."""

    def __init__(self, array: Array) -> None:
        self._array = array
        self.width = int(array.shape[1])

    def __len__(self) -> int:
        return len(self._array)

    def pieces(self) -> Iterator[Array]:
        """All rows in order."""
        step = _rows_of_piece(self.width, self._array.dtype)
        for start in range(0, len(self), step):
            check_interrupt()
            yield self._array[start : start + step]

    def take(self, rows: I64Array) -> Array:
        """Rising int64 (m,) ``rows``."""
        return self._array[rows]


class SpooledRows:
    """Rows that are appended first and read afterwards.

    Many of them are in a file without a name, which goes with the object; up to ``most`` bytes are not.
    """

    def __init__(self, width: int, dtype: str, most: int = SPOOL_BYTES) -> None:
        self.width = width
        self._dtype = np.dtype(dtype)
        self._rows = 0
        self._file = Spool(most)

    def __len__(self) -> int:
        return self._rows

    def append(self, rows: Array) -> None:
        """Add (any, width)."""
        self._file.write(np.ascontiguousarray(rows, self._dtype).tobytes())
        self._rows += len(rows)

    def pieces(self) -> Iterator[Array]:
        """All rows in order."""
        step = _rows_of_piece(self.width, self._dtype)
        for start in range(0, self._rows, step):
            check_interrupt()
            yield self.read(start, min(start + step, self._rows))

    def take(self, rows: I64Array) -> Array:
        """Rising int64 (m,) ``rows``. Reads everything between the first and the last."""
        taken = np.empty((len(rows), self.width), self._dtype)
        step, at = _rows_of_piece(self.width, self._dtype), 0
        while at < len(rows):
            check_interrupt()
            start = int(rows[at])
            end = int(np.searchsorted(rows, start + step))
            taken[at:end] = self.read(start, int(rows[end - 1]) + 1)[rows[at:end] - start]
            at = end
        return taken

    def read(self, start: int, stop: int) -> Array:
        """Rows start … stop - 1."""
        size = self.width * self._dtype.itemsize
        self._file.seek(start * size)
        return np.frombuffer(self._file.read((stop - start) * size), self._dtype).reshape(-1, self.width)

    def scattered(self, rows: I64Array) -> Array:
        """Int64 (m,) ``rows`` in any order; those that follow on each other are read at once."""
        taken = np.empty((len(rows), self.width), self._dtype)
        starts = np.flatnonzero(np.diff(rows, prepend=-2) != 1).tolist()
        size = self.width * self._dtype.itemsize
        for start, end in pairwise([*starts, len(rows)]):
            self._file.seek(int(rows[start]) * size)
            taken[start:end].reshape(-1)[:] = np.frombuffer(
                self._file.read((end - start) * size), self._dtype
            )
        return taken

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _rows_of_piece(width: int, dtype: np.dtype[Any]) -> int:
    return max(1, PIECE_BYTES // (width * dtype.itemsize))
