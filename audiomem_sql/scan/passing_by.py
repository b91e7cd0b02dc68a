"""What a scan reads of a table larger than the cache of decoded blocks passes that by.

Filling it would push out what others use, and what the scan itself will find again: by its end the first
blocks would be gone. So of a scan that takes more than half of the cache the first blocks are kept, up to a
quarter, and no others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext

from audiomem_sql.storage.segment import ReadableSegment
from audiomem_sql.versions import SegmentView

#: Of the cache, the part that a scan may take as a whole, and the part that a larger one may keep.
_WHOLE, _KEPT = 2, 4


class PassingBy:
    """Whether the cache keeps what a scan reads next of some columns. Used by several threads."""

    def __init__(self) -> None:
        self._views: Sequence[SegmentView] = ()
        self._columns: frozenset[int] = frozenset()
        self._room: int | None = None
        self._is_large: bool | None = None

    def expect(self, views: Sequence[SegmentView], columns: Iterable[int]) -> None:
        """Say what will be read at most, before anything is."""
        self._views, self._columns = views, frozenset(columns)
        self._room = views[0].segment.cache_bytes // _KEPT if views else None

    def reading(self, segment: ReadableSegment) -> AbstractContextManager[None]:
        """What to read the next rows of ``segment`` in."""
        if self._room is None or self._room > 0:
            return nullcontext()
        if self._is_large is None:
            self._is_large = self._takes_more()
        return segment.read_once() if self._is_large else nullcontext()

    def count(self, size: int) -> None:
        """So many bytes were read."""
        if self._room is not None:
            self._room -= size

    def _takes_more(self) -> bool:
        """Whether all that can be read takes more of the cache than a scan may."""
        directories = (view.segment.directory(column) for view in self._views for column in self._columns)
        total = sum(directory.raw_bytes for directory in directories if directory is not None)
        return total > self._views[0].segment.cache_bytes // _WHOLE
