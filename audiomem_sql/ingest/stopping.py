"""When an ingest ends early, which long work below it hears of, too."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from audiomem_sql.errors import InterruptError
from audiomem_sql.machine.interrupts import watch


class Stopped(Exception):
    """The user wants no more."""


class Stopping:
    """Whether an ingest is to end: once ``stop`` says so, or what may still be done takes too long."""

    def __init__(self, stop: Callable[[], bool]) -> None:
        self._stop = stop
        self._deadline: float | None = None

    def allow(self, seconds: float) -> None:
        """From here on the time decides, ``stop`` no longer."""
        self._deadline = time.monotonic() + seconds

    def is_due(self) -> bool:
        """Whether it is to end."""
        return self._stop() if self._deadline is None else time.monotonic() > self._deadline

    def check(self) -> None:
        """Raise Stopped if it is to end."""
        if self.is_due():
            raise Stopped

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Have the work of this thread ask meanwhile; Stopped where that ends it.

        Whoever was asked before is asked as well, and ends it with an InterruptError as before.
        """
        before = watch(None)
        watch(lambda: self.is_due() or (before is not None and before()))
        try:
            yield
        except InterruptError:
            self.check()
            raise
        finally:
            watch(before)
