"""Appends that nobody waits for: ``durability="async"`` of a table in a store.

What was handed over and is not durable yet is lost if the process ends, or if the store does not answer; the
next call says so. After such a loss nothing that was handed over behind it is written.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

from audiomem_sql.errors import AudioMemError, StorageError
from audiomem_sql.writing.group_commit import Append

#: Seconds in which appends are gathered, how many go together, and how many may wait.
GATHERING = 0.05
MOST_AT_ONCE = 32
MOST_WAITING = 256


class LaterAppends:
    """Hands appends to ``commit``, in their order, from a thread of its own.

    commit: decides about each: a version or an error. What it raises is a loss.
    """

    def __init__(self, commit: Callable[[Sequence[Append]], None]) -> None:
        self._commit = commit
        self._waiting: deque[Append] = deque()
        self._busy = 0
        self._failed: BaseException | None = None
        self._flushing = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @property
    def mine(self) -> bool:
        """Whether the thread that asks is the one that commits."""
        return threading.current_thread() is self._thread

    @property
    def pending(self) -> int:
        """How many may be lost now."""
        with self._changed:
            return len(self._waiting) + self._busy

    def submit(self, append: Append) -> None:
        """Take an append; raises why an earlier one was refused, or lost."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < MOST_WAITING or self._failed is not None)
            self._raise_failure()
            self._waiting.append(append)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="audiomem appends", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until all of them are durable; raises why one was refused, or lost."""
        with self._changed:
            self._flushing += 1
            self._changed.notify_all()
            try:
                self._changed.wait_for(lambda: not self._waiting and not self._busy)
            finally:
                self._flushing -= 1
            self._raise_failure()

    def close(self) -> None:
        """Flush, and end the thread."""
        try:
            self.flush()
        finally:
            with self._changed:
                self._closed = True
                self._changed.notify_all()
            if self._thread is not None:
                self._thread.join()

    def _raise_failure(self) -> None:
        failed, self._failed = self._failed, None
        if failed is not None:
            raise failed

    def _run(self) -> None:
        while group := self._next_group():
            lost: BaseException | None = None
            try:
                self._commit(group)
            except Exception as error:
                lost = error if isinstance(error, AudioMemError) else _unexpected(error)
            refused = next((append.error for append in group if append.error is not None), None)
            with self._changed:
                self._failed = self._failed or lost or refused
                if lost is not None or isinstance(refused, StorageError):
                    self._waiting.clear()
                self._busy = 0
                self._changed.notify_all()

    def _next_group(self) -> list[Append]:
        """Those that go together next; none when the table was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._waiting and not self._flushing:
                self._changed.wait_for(
                    lambda: self._flushing or self._closed or len(self._waiting) >= MOST_AT_ONCE, GATHERING
                )
            group = [self._waiting.popleft() for _ in range(min(MOST_AT_ONCE, len(self._waiting)))]
            self._busy = len(group)
            return group


def _unexpected(failure: Exception) -> StorageError:
    error = StorageError(f"appends failed ({type(failure).__name__}: {failure})")
    error.__cause__ = failure
    return error
