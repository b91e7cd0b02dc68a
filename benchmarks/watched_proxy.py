"""A proxy that adds 60 ms to each request and counts them, in a process of its own."""

from __future__ import annotations

import time
from multiprocessing.connection import Connection

from benchmarks.remote import FaultyProxy

DELAY = 0.06


class Watched(FaultyProxy):
    """A proxy that knows when requests came. Each asks for its delay, once."""

    def __init__(self, upstream: int) -> None:
        self.begun: list[float] = []
        self._delay = 0.0
        super().__init__(upstream)

    @property
    def delay(self) -> float:  # type: ignore[override]
        self.begun.append(time.monotonic())
        return self._delay

    @delay.setter
    def delay(self, seconds: float) -> None:
        self._delay = seconds

    def trips(self) -> int:
        """The most requests of which each came after the one before was answered."""
        count, free = 0, -1.0
        for began in sorted(self.begun):
            if began >= free:
                count, free = count + 1, began + self._delay
        return count


def serve(upstream: int, pipe: Connection) -> None:
    """A proxy in a process of its own: who asks waits for it alone. Counts anew at each message."""
    proxy = Watched(upstream)
    pipe.send(proxy.url)
    while pipe.recv():
        pipe.send((proxy.trips(), len(proxy.log), proxy.sent / 1000))
        proxy.reset()
        proxy.begun, proxy.delay = [], DELAY
    proxy.close()
