"""Objects of which a cache on the way had an old state lately.

Who opens one of them next asks past caches. Otherwise it would get the old state again, and with it the same
error, until the cache forgets it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable

_SECONDS = 60.0
_MOST = 1024


class StalePlaces:
    """Places, for a minute each. Safe to use from several threads."""

    def __init__(self) -> None:
        self._until: dict[Hashable, float] = {}
        self._lock = threading.Lock()

    def add(self, place: Hashable) -> None:
        """An old state of the object was found."""
        with self._lock:
            self._until.pop(place, None)
            self._until[place] = time.monotonic() + _SECONDS
            if len(self._until) > _MOST:
                del self._until[next(iter(self._until))]

    def has(self, place: Hashable) -> bool:
        """Whether that was less than a minute ago."""
        return self._until.get(place, 0.0) > time.monotonic()


stale_places = StalePlaces()
