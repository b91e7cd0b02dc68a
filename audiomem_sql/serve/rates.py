"""Token buckets: how many requests a second somebody may make, and how many at once."""

from __future__ import annotations

import time
from collections import OrderedDict

#: Whoever is remembered; the one that was away for longest is forgotten first.
_MOST = 10_000


class Rates:
    """rate: requests a second; 0: any. burst: at once. Used by one thread."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = max(1.0, float(burst))
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, who: str) -> float:
        """Seconds until ``who`` may ask; nothing is counted."""
        if not self._rate:
            return 0.0
        left = self._now(who)
        return 0.0 if left >= 1.0 else (1.0 - left) / self._rate

    def count(self, who: str) -> None:
        """``who`` asked once."""
        if self._rate:
            self._left[who] = self._now(who) - 1.0, time.monotonic()
            self._left.move_to_end(who)
            while len(self._left) > _MOST:
                self._left.popitem(last=False)

    def _now(self, who: str) -> float:
        left, since = self._left.get(who, (self._burst, 0.0))
        return min(self._burst, left + (time.monotonic() - since) * self._rate) if since else left
