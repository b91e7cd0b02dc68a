"""Pools of threads that Ctrl-C leaves whole.

``ThreadPoolExecutor`` starts its threads while work is submitted. A KeyboardInterrupt that is raised within
``Thread.start`` leaves a thread that runs and that its pool does not know: nobody ends it, and the process
waits for it for ever when it exits. Here the interrupt is raised when the work has been submitted.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import FrameType
from typing import Any, ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class ThreadPool(ThreadPoolExecutor):
    """A ``ThreadPoolExecutor`` whose threads are all known to it, whenever Ctrl-C comes."""

    def submit(
        self, fn: Callable[_Arguments, _Result], /, *args: _Arguments.args, **kwargs: _Arguments.kwargs
    ) -> Future[_Result]:
        """Have ``fn(*args, **kwargs)`` called by a thread."""
        with _interrupted_later():
            return super().submit(fn, *args, **kwargs)


@contextmanager
def _interrupted_later() -> Iterator[None]:
    """Have SIGINT handled at the end: in the main thread, which hears of it, if Python handles it."""
    handler = signal.getsignal(signal.SIGINT)
    came: list[tuple[int, FrameType | None]] = []
    if not callable(handler) or not _handled_by(lambda *signal_of: came.append(signal_of)):
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if came:
            handler(*came[0])


def _handled_by(handler: Callable[[int, FrameType | None], Any]) -> bool:
    """Have ``handler`` called for SIGINT from now on; whether this is the thread that may say so."""
    if threading.current_thread() is not threading.main_thread():
        return False
    try:
        signal.signal(signal.SIGINT, handler)
    except ValueError:  # the main thread of another interpreter
        return False
    return True
