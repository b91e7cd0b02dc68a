"""Work of the engine, which blocks, in a bounded number of threads: for a time, and until nobody waits.

A :class:`Job` is asked by the engine's long loops, through ``machine.interrupts``, and by SQLite's progress
handler, whether it is to end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from audiomem_sql.errors import InterruptError
from audiomem_sql.machine.interrupts import watched
from audiomem_sql.serve.problems import Problem

_Result = TypeVar("_Result")


class Job:
    """The work on one request. seconds: that it may take; only the time in which it is worked on counts."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.cancelled = False
        self._spent = 0.0
        self._since: float | None = None

    @property
    def is_late(self) -> bool:
        """Whether it took longer than it may."""
        since = self._since
        return self._spent + (0.0 if since is None else time.monotonic() - since) > self.seconds

    def is_over(self) -> bool:
        """Whether it is to end: nobody waits for it any more, or it took too long."""
        return self.cancelled or self.is_late

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        self.cancelled = True

    @contextmanager
    def working(self) -> Iterator[None]:
        """Work on it in this thread. Problem 504 in the place of an interrupt, if it took too long."""
        self._since = time.monotonic()
        try:
            with watched(self.is_over):
                yield
        except InterruptError:
            raise self.ended() from None
        finally:
            self._spent += time.monotonic() - self._since
            self._since = None

    def ended(self) -> Exception:
        """Why it ended before its time."""
        if self.cancelled:
            return ClientGone()
        return Problem(
            504,
            f"the work took longer than {self.seconds:g} s; ask for less, or have the server started with a "
            "longer --statement-timeout",
            kind="InterruptError",
        )


class ClientGone(Exception):
    """The client does not wait for the answer any more."""


class Workers:
    """threads: that work at the same time. waiting: jobs that wait for one; more are refused with 503."""

    def __init__(self, threads: int, waiting: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="audiomem-serve")
        self._most = threads + waiting
        self.busy = 0

    async def run(self, job: Job, function: Callable[[], _Result]) -> _Result:
        """``function()``, watched for ``job``, in a thread. If this task is cancelled, so is the job."""
        if self.busy >= self._most:
            raise Problem(503, "too many requests are being worked on; come again in a second")
        self.busy += 1
        future = asyncio.get_running_loop().run_in_executor(self._executor, _watched, job, function)
        future.add_done_callback(self._done)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            job.cancel()
            raise

    def close(self) -> None:
        """End the threads; what is being worked on is waited for."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _done(self, future: asyncio.Future[_Result]) -> None:
        self.busy -= 1
        if not future.cancelled():
            future.exception()  # which nobody may ask for any more


def _watched(job: Job, function: Callable[[], _Result]) -> _Result:
    if job.is_over():
        raise job.ended()
    with job.working():
        return function()
