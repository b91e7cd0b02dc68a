"""How fast places were lately, and in which order they are asked."""

from __future__ import annotations

import threading
import time

from audiomem_sql.remote.tiers.tier import PerProcess

#: What a new measurement counts in the moving average of a place.
_SHARE = 0.2
#: A place that failed is asked last for so long.
PAUSE_SECONDS = 30.0
#: Of so many reads one goes to the place that was not asked for longest, to see how fast it is by now.
LOOK_EVERY = 32


class _Pace:
    """How fast a place was lately."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.asked = 0
        self.failed_until = 0.0


class _State:
    """The paces of all places, how many reads there were, and the place that answered last."""

    def __init__(self, count: int) -> None:
        self.lock = threading.Lock()
        self.reads = 0
        self.last = 0
        self.paces = [_Pace() for _ in range(count)]


class Paces:
    """Those of ``count`` places, by their numbers; a process that was forked off begins anew."""

    def __init__(self, count: int) -> None:
        self._state = PerProcess(lambda: _State(count))

    @property
    def last(self) -> int:
        """The place that answered last."""
        return self._state.get().last

    def order(self) -> list[int]:
        """The places as they are to be asked: unmeasured first, then by their pace; failed ones last."""
        state = self._state.get()
        with state.lock:
            state.reads += 1
            now = time.monotonic()
            paces = state.paces
            order = sorted(
                range(len(paces)), key=lambda each: (paces[each].failed_until > now, paces[each].seconds)
            )
            if state.reads % LOOK_EVERY == 0:
                oldest = min(order, key=lambda each: paces[each].asked)
                order.remove(oldest)
                order.insert(0, oldest)
            paces[order[0]].asked = state.reads
            return order

    def answered(self, number: int, seconds: float | None) -> None:
        """A place answered; seconds: None where that says nothing, because it had the bytes in memory."""
        state = self._state.get()
        with state.lock:
            state.last = number
            pace = state.paces[number]
            pace.failed_until = 0.0
            if seconds is not None:
                first = not pace.seconds
                pace.seconds = seconds if first else pace.seconds + _SHARE * (seconds - pace.seconds)

    def failed(self, number: int) -> None:
        """A place did not answer."""
        state = self._state.get()
        with state.lock:
            state.paces[number].failed_until = time.monotonic() + PAUSE_SECONDS

    def is_paused(self, number: int) -> bool:
        """Whether a place failed lately."""
        return self._state.get().paces[number].failed_until > time.monotonic()


class InOrder(Paces):
    """Places that are asked in their order, whatever they did before: what is read does not depend on it."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self._order = list(range(count))

    def order(self) -> list[int]:
        """The first one first."""
        return self._order
