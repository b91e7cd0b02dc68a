"""What the searches of one cursor have in common: a join searches once for each row of the other table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from audiomem_sql import search
from audiomem_sql.scan import Readable, RowFilter
from audiomem_sql.versions import Snapshot
from audiomem_sql.writing.transaction import Transaction


class SearchMemory:
    """The newest of what a cursor searched, and the newest condition that the connection evaluated.

    An open transaction may change between two searches, so nothing of it is kept.
    """

    __slots__ = ("_kept", "_passing", "_passing_key", "_searched", "_searched_key")

    def __init__(self) -> None:
        self._searched: Snapshot | None = None
        self._searched_key: Any = None
        self._kept: search.Kept | None = None
        self._passing: RowFilter | None = None
        self._passing_key: tuple[Snapshot, Any] | None = None

    def readable(self, readable: Transaction | Snapshot, filters: tuple[Any, ...]) -> Readable:
        """What to search; from the second search with the same ``filters`` on, one that remembers."""
        if not isinstance(readable, Snapshot):
            return readable
        if readable is not self._searched or filters != self._searched_key:
            self._searched, self._searched_key, self._kept = readable, filters, None
            return readable
        if self._kept is None:
            self._kept = search.Kept(readable)
        return self._kept

    def passing(
        self, readable: Transaction | Snapshot, key: tuple[Any, ...], evaluate: Callable[[], RowFilter]
    ) -> RowFilter:
        """What a condition lets through; ``key``: the condition and the version that is read."""
        if not isinstance(readable, Snapshot):
            return evaluate()
        before = self._passing_key
        if self._passing is None or before is None or before[0] is not readable or before[1] != key:
            self._passing, self._passing_key = evaluate(), (readable, key)
        return self._passing
