"""Segments of a table in a store that only old versions are read from, opened when one is asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from audiomem_sql.errors import AudioMemError
from audiomem_sql.storage.segment import Segment

if TYPE_CHECKING:
    from audiomem_sql.remote.commits.manifest import SegmentEntry


class StoredHistory:
    """The segments of ``entries``. Rows of each ended by its ``last_version``.

    open_all: opens some at once. known: another one, whose open segments are used again. Safe to use from
    several threads.
    """

    def __init__(
        self,
        entries: Sequence[SegmentEntry],
        open_all: Callable[[Sequence[SegmentEntry]], list[Segment]],
        known: StoredHistory | None = None,
    ) -> None:
        names = {entry.name for entry in entries}
        before: dict[str, Segment] = {} if known is None else known._open.copy()  # others may open some now
        self.entries = tuple(entries)
        self._open_all = open_all
        self._open: dict[str, Segment] = {name: segment for name, segment in before.items() if name in names}
        self._guard = threading.Lock()
        self._on_damage = "fail"

    def shown_at(self, version: int) -> tuple[Segment, ...]:
        """Those that ``version`` is read from. ArchivedError for one that must be restored before."""
        return self._opened([entry for entry in self.entries if entry.last_version > version])

    def ended_from(self, version: int) -> tuple[Segment, ...]:
        """Those with rows that ended with ``version``, or later."""
        return self._opened([entry for entry in self.entries if entry.last_version >= version])

    def tried(self) -> list[Segment | AudioMemError]:
        """All of them, or why one cannot be opened."""
        found: list[Segment | AudioMemError] = []
        for entry in self.entries:
            try:
                found += self._opened([entry])
            except AudioMemError as error:
                found.append(error.with_traceback(None))
        return found

    def mark_damage(self, on_damage: str) -> None:
        """Tell the segments what a read does about damage."""
        with self._guard:
            self._on_damage = on_damage
            for segment in self._open.values():
                self._mark(segment)

    def close(self) -> None:
        """Close those that are open."""
        with self._guard:
            for segment in self._open.values():
                segment.close()

    def _opened(self, entries: Sequence[SegmentEntry]) -> tuple[Segment, ...]:
        if not entries:
            return ()
        with self._guard:
            missing = [entry for entry in entries if entry.name not in self._open]
            for entry, segment in zip(missing, self._open_all(missing), strict=True):
                self._mark(segment)
                self._open[entry.name] = segment
            return tuple(self._open[entry.name] for entry in entries)

    def _mark(self, segment: Segment) -> None:
        segment.skip_damage = self._on_damage != "fail"
        segment.null_damage = self._on_damage == "null"
