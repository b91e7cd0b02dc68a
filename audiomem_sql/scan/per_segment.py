"""What a scan works out once for each segment."""

from __future__ import annotations

from collections.abc import Sequence

from audiomem_sql.arrays import I64Array
from audiomem_sql.scan.candidates import touches, undecided_rows
from audiomem_sql.scan.filters import Filter
from audiomem_sql.scan.spans import rows_in
from audiomem_sql.storage.segment import ReadableSegment


class PerSegment:
    """For a scan of ``columns`` with ``filters``, in batches of ``size`` bytes."""

    def __init__(self, columns: Sequence[int], filters: Sequence[Filter], size: int) -> None:
        self._columns, self._filters, self._size = columns, filters, size
        self._steps: dict[ReadableSegment, int] = {}
        self._undecided: dict[ReadableSegment, list[I64Array]] = {}

    def step(self, segment: ReadableSegment) -> int:
        """Rows of a batch."""
        step = self._steps.get(segment)
        if step is None:
            size = min(self._size, segment.limits.batch_bytes)
            step = self._steps[segment] = rows_in(segment, self._columns, size)
        return step

    def deciding(self, segment: ReadableSegment, start: int, stop: int) -> list[Filter]:
        """The filters that some candidates among rows start … stop - 1 may not pass, in their order."""
        known = self._undecided.get(segment)
        if known is None:
            known = self._undecided[segment] = [undecided_rows(segment, item) for item in self._filters]
        return [item for item, rows in zip(self._filters, known, strict=True) if touches(rows, start, stop)]
