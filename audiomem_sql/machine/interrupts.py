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
from typing import Any, TypeVar

from audiomem_sql.errors import InterruptError
from audiomem_sql.machine.thread_pool import ThreadPool

_Result = TypeVar("_Result")
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
    # First: apsw calls in with an exception on its way, which comes out here.
    due = time.monotonic() + INTERVAL
    before = _asked.interrupted
    _asked.interrupted, _asked.due = interrupted, due
    return before


def check_interrupt() -> None:
    """Raise InterruptError if the work of this thread is to end; asks once in ``INTERVAL``."""
    interrupted = _asked.interrupted
    if interrupted is None or time.monotonic() < _asked.due:
        return
    if interrupted():
        raise InterruptError("interrupted")
    _asked.due = time.monotonic() + INTERVAL


def wait_for(futures: Sequence[Future[Any]]) -> None:
    """Wait for work that other threads do for this one, which asks meanwhile; raises what one raised."""
    for future in futures:
        result_of(future)


def result_of(future: Future[_Result]) -> _Result:
    """What another thread makes for this one, which asks while it waits."""
    if _asked.interrupted is not None:
        while not future.done() and not wait([future], max(INTERVAL, 0.001)).done:
            check_interrupt()
    return future.result()


def apart(function: Callable[..., _Result], *arguments: Any) -> _Result:
    """``function(*arguments)``, on a thread of its own where somebody is to be asked.

    For one long step of a library, which nothing else can end: an interrupt leaves it alone. So it must
    change nothing that others see.
    """
    if _asked.interrupted is None:
        return function(*arguments)
    executor = ThreadPool(1, thread_name_prefix="audiomem-apart")
    future = executor.submit(function, *arguments)
    executor.shutdown(wait=False)
    return result_of(future)


def wait_until(event: threading.Event, timeout: float) -> bool:
    """Wait for ``event`` for at most so many seconds, and ask meanwhile; whether it came."""
    end = time.monotonic() + timeout
    while _asked.interrupted is not None:
        left = end - time.monotonic()
        if event.wait(max(0.0, min(left, max(INTERVAL, 0.001)))):
            return True
        check_interrupt()
        if left <= 0:
            return False
    return event.wait(timeout)


@contextmanager
def watched(interrupted: Callable[[], bool] | None) -> Iterator[None]:
    """Have the work of this thread ask ``interrupted`` meanwhile."""
    before = watch(interrupted)
    try:
        yield
    finally:
        watch(before)
