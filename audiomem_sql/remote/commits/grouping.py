"""Commits of several threads in one replacement of the manifest: one round trip, however many they are.

With ``durability="sync"`` a commit returns when it is durable. With ``"async"`` it returns at once, and a
thread makes what has gathered durable. If the process is killed, the machine fails or the store stays away,
what was submitted since the last ``flush`` that returned may be lost: the newest commits, never one in the
middle that others of this process follow, unless it is refused because another writer came first.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self

from audiomem_sql.errors import AudioMemError, StorageError
from audiomem_sql.remote.commits.changes import Change
from audiomem_sql.remote.commits.committer import MOST_AT_ONCE, Committer, Outcome

#: How long an asynchronous commit waits for others to go with it, in seconds.
GATHERING = 0.2


@dataclass(eq=False)
class Ticket:
    """A change that was submitted."""

    change: Change
    outcome: Outcome | None = None
    _done: threading.Event = field(default_factory=threading.Event)

    def wait(self) -> int:
        """The version, once it is durable; raises why it was refused, or is lost."""
        self._done.wait()
        if isinstance(self.outcome, AudioMemError):
            raise self.outcome
        assert self.outcome is not None
        return self.outcome

    def settle(self, outcome: Outcome) -> None:
        """Say what became of it."""
        self.outcome = outcome
        self._done.set()


class GroupedCommits:
    """Changes of one table from any number of threads, in the order in which they are submitted."""

    def __init__(
        self,
        committer: Committer,
        *,
        durability: Literal["sync", "async"] = "sync",
        gathering: float = GATHERING,
    ) -> None:
        self.durability = durability
        self._committer = committer
        self._gathering = gathering
        self._waiting: deque[Ticket] = deque()
        self._failed: list[AudioMemError] = []
        self._changed = threading.Condition()
        self._is_busy = False
        self._is_closed = False
        self._is_flushing = False
        self._thread: threading.Thread | None = None

    def submit(self, change: Change) -> Ticket:
        """Take a change: durable when this returns, or, with ``async``, some time later.

        Raises why it was refused, or, with ``async``, why an earlier one was.
        """
        ticket = Ticket(change)
        with self._changed:
            if self._is_closed:
                raise StorageError("the table was closed", remedy="Open it again.")
            self._raise_failure()
            self._waiting.append(ticket)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="commits", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        if self.durability == "sync":
            ticket.wait()
        return ticket

    @property
    def pending(self) -> int:
        """How many changes may be lost now."""
        with self._changed:
            return len(self._waiting) + self._is_busy

    def flush(self) -> None:
        """Wait until all that was submitted is durable; raises why one was refused, or is lost."""
        with self._changed:
            self._is_flushing = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._waiting and not self._is_busy)
            self._is_flushing = False
            self._raise_failure()

    def close(self) -> None:
        """Flush, and take no more."""
        try:
            self.flush()
        finally:
            with self._changed:
                self._is_closed = True
                self._changed.notify_all()
            if self._thread is not None:
                self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _raise_failure(self) -> None:
        if self._failed:
            failures, self._failed = self._failed, []
            raise failures[0]

    def _run(self) -> None:
        while (group := self._next_group()) is not None:
            try:
                outcomes = self._committer.make_all([ticket.change for ticket in group])
            except Exception as failure:
                error = failure if isinstance(failure, AudioMemError) else _unexpected(failure)
                outcomes = [error] * len(group)
                group += self._fail_those_behind()
                outcomes += [error] * (len(group) - len(outcomes))
            with self._changed:
                if self.durability == "async":
                    self._failed += [each for each in outcomes if isinstance(each, AudioMemError)]
                self._is_busy = False
                self._changed.notify_all()
            for ticket, outcome in zip(group, outcomes, strict=True):
                ticket.settle(outcome)

    def _fail_those_behind(self) -> list[Ticket]:
        """What waits, where nobody waited for what is lost: it must not become durable without that."""
        with self._changed:
            behind = list(self._waiting) if self.durability == "async" else []
            if behind:
                self._waiting.clear()
            return behind

    def _next_group(self) -> list[Ticket] | None:
        """The changes that go together next; None when the table was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            if not self._waiting:
                return None
            if self.durability == "async":
                self._changed.wait_for(
                    lambda: self._is_flushing or self._is_closed or len(self._waiting) >= MOST_AT_ONCE,
                    self._gathering,
                )
            self._is_busy = True
            size = min(MOST_AT_ONCE, len(self._waiting))
            return [self._waiting.popleft() for _ in range(size)]


def _unexpected(failure: Exception) -> StorageError:
    error = StorageError(f"commits failed ({type(failure).__name__}: {failure})")
    error.__cause__ = failure
    return error
