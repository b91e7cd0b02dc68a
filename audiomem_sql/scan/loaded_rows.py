"""The columns of a stretch of rows, each read once, for those of its rows that passed so far."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import BoolArray, I64Array
from audiomem_sql.columns.selection import taken
from audiomem_sql.scan.passing_by import PassingBy
from audiomem_sql.storage.segment import ReadableSegment


class LoadedRows:
    """Rows start … stop - 1 of a segment.

    chosen: those of them that passed, int64 (n,) relative to start; None: all. What was read of all rows is
    kept: a text that a filter looked at is wanted by the caller, too. cached: what the cache keeps of it.
    """

    def __init__(
        self,
        segment: ReadableSegment,
        start: int,
        stop: int,
        chosen: I64Array | None = None,
        cached: PassingBy | None = None,
    ) -> None:
        self._segment, self.start, self._stop = segment, start, stop
        self.chosen = chosen
        self._cached = PassingBy() if cached is None else cached
        self._held: dict[int, pa.Array] = {}

    def __call__(self, column: int) -> pa.Array:
        """The values of the chosen rows."""
        if self.chosen is None:
            if column not in self._held:
                self._held[column] = self._read(lambda: self._segment.slice(column, self.start, self._stop))
            return self._held[column]
        if column in self._held:
            return self.take(column, self.rows)
        return self._read(lambda: self._segment.take(column, self.rows))

    @property
    def rows(self) -> I64Array:
        """The chosen rows of the segment, ascending int64 (n,)."""
        if self.chosen is None:
            return np.arange(self.start, self._stop)
        return self.chosen + self.start

    def take(self, column: int, rows: I64Array, *, coded: bool = False) -> pa.Array:
        """The values at ``rows`` of the segment, ascending int64 (n,); ``coded`` as in a segment."""
        held = None if coded else self._held.get(column)
        if held is None:
            return self._segment.take(column, rows, coded=coded)
        return taken(held, rows - self.start)

    def _read(self, read: Callable[[], pa.Array]) -> pa.Array:
        """What ``read`` gives, which counts for the cache."""
        with self._cached.reading(self._segment):
            array = read()
        self._cached.count(array.nbytes)
        return array

    def keep(self, mask: BoolArray) -> bool:
        """Whether any of the chosen rows is left by ``mask``, bool (n,)."""
        if not mask.all():
            self.chosen = np.flatnonzero(mask) if self.chosen is None else self.chosen[mask]
        return self.chosen is None or len(self.chosen) > 0
