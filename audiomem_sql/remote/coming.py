"""Which stretches of an object are being asked for, so that nobody asks for them at the same time."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.remote.forks import renewed_in_children

#: From a byte to behind another.
_Stretch = tuple[int, int]
_LOOK_INTERVAL = 0.1


class Coming:
    """Stretches of one object that are on their way. Safe to use from several threads."""

    def __init__(self) -> None:
        self.renew()
        renewed_in_children(self)

    def renew(self) -> None:
        """In a child, where nobody waits for what its parent asked for."""
        self._asked: dict[_Stretch, threading.Event] = {}
        self._lock = threading.Lock()

    @contextmanager
    def claimed(self, wanted: Sequence[_Stretch]) -> Iterator[tuple[list[_Stretch], list[_Stretch]]]:
        """Stretches of ``wanted``, which do not overlap, to ask for, and those that others have asked for.

        The former count as asked for while this lasts. At its end the latter have come, or cannot be had.
        """
        with self._lock:
            own, others = [], []
            for start, stop in wanted:
                for low, high in sorted(self._asked):
                    if low < stop and start < high:
                        if start < low:
                            own.append((start, low))
                        others.append((max(start, low), min(stop, high)))
                        start = high
                if start < stop:
                    own.append((start, stop))
            events = [
                event
                for (low, high), event in self._asked.items()
                if any(low < stop and start < high for start, stop in others)
            ]
            done = threading.Event()
            self._asked |= dict.fromkeys(own, done)
        try:
            yield own, others
        finally:
            with self._lock:
                for each in own:
                    self._asked.pop(each, None)
            done.set()
        for event in events:
            while not event.wait(_LOOK_INTERVAL):
                check_interrupt()
