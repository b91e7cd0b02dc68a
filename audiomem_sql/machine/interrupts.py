"""Whether whoever asked for a piece of work still wants it: what long loops look at.

A door for a database, which hears of Ctrl-C and of progress handlers in a way of its own, tells the thread
whom to ask (:func:`watch`). Every loop whose steps take milliseconds calls :func:`check_interrupt`. Where
nobody is to be asked it does nothing: Python raises KeyboardInterrupt by itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager

from audiomem_sql.errors import InterruptError

#: Seconds of work between two questions.
INTERVAL = 0.04


class _Asked(threading.local):
    """Whom the work of a thread asks, and when it does so next."""

    interrupted: Callable[[], bool] | None = None
    due = 0.0


_asked = _Asked()


def watch(interrupted: Callable[[], bool] | None) -> Callable[[], bool] | None:
    """Have the work of this thread ask ``interrupted``, None for nobody; whom it asked before.

    What was asked before is put back by a second call when the work is done.
    """
    before = _asked.interrupted
    _asked.interrupted = interrupted
    _asked.due = time.monotonic() + INTERVAL
    return before


def check_interrupt() -> None:
    """Raise InterruptError if the work of this thread is to end; asks once in ``INTERVAL``."""
    interrupted = _asked.interrupted
    if interrupted is None or time.monotonic() < _asked.due:
        return
    if interrupted():
        raise InterruptError("interrupted")
    _asked.due = time.monotonic() + INTERVAL


def wait_for(futures: Sequence[Future[object]]) -> None:
    """Wait for work that other threads do for this one, which asks meanwhile; raises what one raised."""
    for future in futures:
        while not wait([future], max(INTERVAL, 0.001)).done:
            check_interrupt()
        future.result()


@contextmanager
def watched(interrupted: Callable[[], bool] | None) -> Iterator[None]:
    """Have the work of this thread ask ``interrupted`` meanwhile."""
    before = watch(interrupted)
    try:
        yield
    finally:
        watch(before)
