"""Requests of one step, made at the same time: tried again when they fail, and twice when they are late.

Threads wait for answers, because the client lets go of the interpreter's lock. The thread that asked waits
for them, and looks meanwhile whether its statement is interrupted.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.machine.thread_pool import ThreadPool
from audiomem_sql.observe import hooks
from audiomem_sql.remote.contract import TransientFaultError
from audiomem_sql.remote.faults import given_up
from audiomem_sql.remote.forks import check_fork, renewed_in_children
from audiomem_sql.remote.options import RemoteOptions

_Answer = TypeVar("_Answer")
_LONGEST_PAUSE = 2.0
#: Seconds for what is seldom mended by trying again, such as a name that no host has.
_BRIEFLY = 3.0
_FIRST_PAUSE = 0.1
_ASK_INTERVAL = 0.1
_MOST_THREADS = 64
#: Answers whose times are remembered, and how many there must be before a request counts as late.
_REMEMBERED, _FEWEST = 64, 8
#: Second requests, at most: one, and this share of all.
_HEDGED_SHARE = 0.1


class _Pool:
    """The threads of the process that wait for answers."""

    def __init__(self) -> None:
        self.renew()
        renewed_in_children(self)

    def renew(self) -> None:
        """In a child, which has none of them."""
        self._executor: ThreadPool | None = None
        self._lock = threading.Lock()

    def executor(self) -> ThreadPool:
        """They are made when they are asked for."""
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPool(_MOST_THREADS, thread_name_prefix="audiomem-remote")
            return self._executor


_POOL = _Pool()


@dataclass(slots=True)
class Counts:
    """What was asked of a store: steps, requests, those that failed, second ones, and bytes that came."""

    steps: int = 0
    requests: int = 0
    failed: int = 0
    hedged: int = 0
    bytes: int = 0


@dataclass(slots=True)
class _Job(Generic[_Answer]):
    """One request of a step. in_flight: tries of it. due: when the next may begin."""

    ask: Callable[[], _Answer]
    answer: list[_Answer] = field(default_factory=list)
    in_flight: int = 0
    tries: int = 0
    hedged: bool = False
    due: float = 0.0


class Requests:
    """The requests for one object, ``name``. Safe to use from several threads.

    survives_forks: the client is made anew in children, so that these may go on.
    """

    def __init__(self, name: str, options: RemoteOptions, survives_forks: bool = False) -> None:
        self.name = name
        self._survives_forks = survives_forks
        self.counts = Counts()
        self._options = options
        self._times: deque[float] = deque(maxlen=_REMEMBERED)
        #: When the requests began to fail, of which some has failed in every step since.
        self._failing_since: float | None = None
        #: Until when the store asks to be left alone.
        self._rest_until = 0.0
        self._lock = threading.Lock()

    def all(self, asks: Sequence[Callable[[], _Answer]]) -> list[_Answer]:
        """The answers, in order. Each of ``asks`` is called in a thread, until it does not fail.

        StorageError if they go on failing, and what an ask raises besides TransientFaultError.
        """
        if not self._survives_forks:
            check_fork(self.name)
        jobs = [_Job(ask) for ask in asks]
        flying: dict[Future[_Answer], tuple[_Job[_Answer], float]] = {}
        failed = False
        self.counts.steps += 1
        try:
            while unanswered := [job for job in jobs if not job.answer]:
                self._start(unanswered, flying)
                wait(flying, self._pause(unanswered, flying), FIRST_COMPLETED)
                check_interrupt()
                for future in [each for each in flying if each.done()]:
                    failed = not self._take(future, *flying.pop(future)) or failed
        finally:
            for future in flying:
                future.cancel()
        if not failed:
            self._failing_since = None
        return [job.answer[0] for job in jobs]

    def _start(
        self, jobs: Sequence[_Job[_Answer]], flying: dict[Future[_Answer], tuple[_Job[_Answer], float]]
    ) -> None:
        """Begin what is due, and what is late a second time; nothing while the store is left alone."""
        now = time.monotonic()
        if now < self._rest_until:
            return
        for job in jobs:
            if len(flying) >= self._options.parallel:
                return
            if not job.in_flight and job.due <= now:
                self._begin(job, flying, now)
        late = self._late_after()
        if late is None:
            return
        for job, began in list(flying.values()):
            room = self.counts.hedged < 1 + _HEDGED_SHARE * self.counts.requests
            if room and not job.hedged and not job.answer and now - began >= late:
                job.hedged = True
                self.counts.hedged += 1
                self._begin(job, flying, now)

    def _begin(
        self, job: _Job[_Answer], flying: dict[Future[_Answer], tuple[_Job[_Answer], float]], now: float
    ) -> None:
        job.in_flight += 1
        self.counts.requests += 1
        flying[_POOL.executor().submit(job.ask)] = job, now

    def _take(self, future: Future[_Answer], job: _Job[_Answer], began: float) -> bool:
        """Take the outcome of a try; False if it failed. StorageError if that has gone on for too long."""
        job.in_flight -= 1
        now = time.monotonic()
        try:
            answer = future.result()
        except TransientFaultError as fault:
            self.counts.failed += 1
            hooks.requested(self.name, "get", began, 0, 0, "TransientFault")
            if job.answer:
                return False
            if self._failing_since is None:
                self._failing_since = began
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**job.tries) * random.uniform(0.5, 1)
            pause = max(pause, fault.wait)
            budget = min(self._options.budget, _BRIEFLY) if fault.brief else self._options.budget
            if now + pause - self._failing_since > budget and not job.in_flight:
                asks = f" and asks to wait for {fault.wait:.0f} s" if fault.wait else ""
                raise given_up(self.name, f"{fault.cause}{asks}", now - self._failing_since) from None
            self._rest_until = max(self._rest_until, now + min(fault.wait, budget))
            job.tries += 1
            job.due = now + pause
            return False
        except Exception as error:
            hooks.requested(self.name, "get", began, 0, 0, type(error).__name__)
            if job.answer:  # of the try that came second
                return True
            raise
        hooks.requested(self.name, "get", began, 0, _bytes_of(answer))
        if not job.answer:
            job.answer.append(answer)
            if isinstance(answer, bytes):
                self.counts.bytes += len(answer)
            self._times.append(now - began)
        return True

    def _late_after(self) -> float | None:
        """Seconds after which a request is late: the 95th percentile of the last ones."""
        if not self._options.hedge or len(self._times) < _FEWEST:
            return None
        times = sorted(self._times)
        return max(self._options.hedge, times[int(0.95 * (len(times) - 1))])

    def _pause(
        self, jobs: Sequence[_Job[_Answer]], flying: dict[Future[_Answer], tuple[_Job[_Answer], float]]
    ) -> float:
        """Seconds until something is due, at most those after which an interrupt is looked for."""
        now = time.monotonic()
        rest = self._rest_until
        dues = [max(job.due, rest) for job in jobs if not job.in_flight and max(job.due, rest) > now]
        late = self._late_after()
        if late is not None:
            dues += [began + late for job, began in flying.values() if not job.hedged]
        return max(0.001, min([_ASK_INTERVAL, *(due - now for due in dues)]))


def _bytes_of(answer: object) -> int:
    """Bytes of an answer: data, or the state of an object and data."""
    parts = answer if isinstance(answer, tuple) else (answer,)
    return sum(len(part) for part in parts if isinstance(part, bytes))
