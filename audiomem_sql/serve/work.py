"""Work of the engine, which blocks, in a bounded number of threads: for a time, and until nobody waits.

A :class:`Job` is asked by the engine's long loops, through ``machine.interrupts``, and by SQLite's progress
handler, whether it is to end.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from audiomem_sql.errors import InterruptError
from audiomem_sql.machine.interrupts import watched
from audiomem_sql.machine.thread_pool import ThreadPool
from audiomem_sql.serve.problems import Problem

_Result = TypeVar("_Result")
#: Seconds after its time at which work is interrupted, and at which its thread counts as stuck.
_SOON, _STUCK = 0.05, 5.0


class Job:
    """The work on one request. seconds: that it may take; only the time in which it is worked on counts."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.cancelled = False
        #: Whether a thread worked on it; it is not refused then.
        self.begun = False
        self._spent = 0.0
        self._since: float | None = None
        self._lock = threading.Lock()
        self._interrupt: Callable[[], None] | None = None

    @property
    def left(self) -> float:
        """Seconds of work that are left to it."""
        return max(0.0, self.seconds - self._spent)

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
        self.interrupt()

    def interrupted_by(self, interrupt: Callable[[], None] | None) -> None:
        """What interrupts the work that is done now, from any thread; None: nothing, any more."""
        with self._lock:
            self._interrupt = interrupt

    def interrupt(self) -> None:
        """Interrupt the work, if it is to end; it may look at the time too seldom."""
        with self._lock:
            if self._interrupt is not None and self.is_over():
                self._interrupt()

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
    """Threads in which jobs are worked on, and the queue before them.

    threads: that work at the same time. waiting: jobs that may wait for one; more are refused with 503, as
    is one that waited for ``seconds``. What has begun is never refused.
    """

    def __init__(self, threads: int, waiting: int, seconds: float) -> None:
        self._executor = ThreadPool(threads, thread_name_prefix="audiomem-serve")
        self._free = asyncio.Semaphore(threads)
        self._most = threads + waiting
        self._seconds = seconds
        self.busy = 0
        #: Threads that go on although their time is over, in a step that nothing interrupts.
        self.stuck = 0
        #: Called when a thread is stuck.
        self.on_stuck: Callable[[], None] | None = None

    async def run(self, job: Job, function: Callable[[], _Result]) -> _Result:
        """``function()``, watched for ``job``, in a thread. If this task is cancelled, so is the job."""
        if self.busy >= self._most and not job.begun:
            raise Problem(503, "too many requests are being worked on; come again in a second")
        self.busy += 1
        try:
            await self._thread_for(job)
        except BaseException:
            self.busy -= 1
            raise
        job.begun = True
        future = asyncio.get_running_loop().run_in_executor(self._executor, _watched, job, function)
        future.add_done_callback(self._done)
        self._watch(job, future)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            job.cancel()
            raise

    def _watch(self, job: Job, future: asyncio.Future[_Result]) -> None:
        """Interrupt the job when its time is over; count the thread as stuck if that is of no use."""
        loop, stuck = asyncio.get_running_loop(), False

        def late() -> None:
            nonlocal stuck
            stuck = True
            self.stuck += 1
            if self.on_stuck is not None:
                self.on_stuck()

        def done(_: asyncio.Future[_Result]) -> None:
            for timer in timers:
                timer.cancel()
            self.stuck -= stuck

        timers = [
            loop.call_later(job.left + _SOON, job.interrupt),
            loop.call_later(job.left + _STUCK, late),
        ]
        future.add_done_callback(done)

    async def _thread_for(self, job: Job) -> None:
        """Wait until a thread is free."""
        if not self._free.locked() or job.begun:
            await self._free.acquire()
            return
        try:
            await asyncio.wait_for(self._free.acquire(), self._seconds)
        except TimeoutError:
            raise Problem(503, "no thread was free for this in time; come again in a second") from None

    def close(self) -> None:
        """End the threads; what is being worked on is waited for."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _done(self, future: asyncio.Future[_Result]) -> None:
        self.busy -= 1
        self._free.release()
        if not future.cancelled():
            future.exception()  # which nobody may ask for any more


def _watched(job: Job, function: Callable[[], _Result]) -> _Result:
    if job.is_over():
        raise job.ended()
    with job.working():
        return function()
