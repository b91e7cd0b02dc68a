"""The writer's turn: which of the threads that share one open table may write.

The lock between processes is :mod:`audiomem_sql.machine.writer_lock`; a thread takes its turn first, then
that lock. Turns are given in the order of asking. Whoever asks may bring an item of work that somebody else
can do for it: the one whose turn it is takes such items out of the queue, does them with its own, and wakes
their threads, which then need no turn any more.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from audiomem_sql.errors import BusyError, StorageError
from audiomem_sql.machine.interrupts import wait_until
from audiomem_sql.observe import hooks

Item = TypeVar("Item")
#: Holds the turn where calls come from any thread, one at a time, as those of a SQLite connection do.
ANY_THREAD = 0


@dataclass(slots=True, eq=False)
class Ticket(Generic[Item]):
    """A thread that waits, with its item (None: it must have a turn of its own) and the bytes of that."""

    thread: int
    item: Item | None
    size: int
    woken: threading.Event = field(default_factory=threading.Event)
    has_turn: bool = False


class WriterTurn(Generic[Item]):
    """The turns of one open table. A fork of the process begins with nobody writing."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.closed = False
        self._reset()

    def _reset(self) -> None:
        self._process = os.getpid()
        self._guard = threading.Lock()
        self._holder: int | None = None
        self._queue: deque[Ticket[Item]] = deque()

    @property
    def busy(self) -> bool:
        """Whether a thread of this process is writing."""
        return self._holder is not None and self._process == os.getpid()

    @property
    def mine(self) -> bool:
        """Whether it is the turn of the thread that asks."""
        holder = self._holder
        if holder is None or (holder != ANY_THREAD and holder != threading.get_ident()):
            return False
        return self._process == os.getpid()

    @property
    def waiting(self) -> int:
        """How many threads wait for their turn."""
        return len(self._queue)

    def enter(self, timeout: float, item: Item | None = None, size: int = 0) -> bool:
        """Wait for the turn; False if somebody else took ``item`` meanwhile, and is done with it.

        BusyError after ``timeout`` seconds, or at once when it is this thread's turn already; StorageError
        when the table is closed. An item that was taken is waited for, however long it takes: it may be
        durable by then.
        """
        if self._process != os.getpid():
            self._reset()
        me = threading.get_ident()
        with self._guard:
            self._check_open()
            if self._holder is None:
                self._holder = me
                return True
            if self._holder in (ANY_THREAD, me):
                raise BusyError("this thread is writing to the table already", file=self.path)
            ticket = Ticket(me, item, size)
            self._queue.append(ticket)
        began = time.monotonic()
        try:
            if not wait_until(ticket.woken, timeout) and self._withdraw(ticket):
                raise BusyError(
                    f"another thread is writing, for {timeout:.3g} s by now",
                    file=self.path,
                    remedy="Try again later, or raise the busy timeout.",
                )
            ticket.woken.wait()
        except BaseException:
            if not self._withdraw(ticket) and ticket.has_turn:
                self.leave()
            raise
        finally:
            hooks.lock_waited(self.path, "thread", time.monotonic() - began)
        if ticket.has_turn:
            try:
                self._check_open()
            except StorageError:
                self.leave()
                raise
        return ticket.has_turn

    def _check_open(self) -> None:
        if self.closed:
            raise StorageError("the table is closed", file=self.path, remedy="Open it again.")

    def _withdraw(self, ticket: Ticket[Item]) -> bool:
        """Leave the queue; False if the ticket is not in it any more."""
        with self._guard:
            if ticket not in self._queue:
                return False
            self._queue.remove(ticket)
            return True

    def lend(self) -> None:
        """Let calls of any thread count as those of the one whose turn it is."""
        self._holder = ANY_THREAD

    def take(self, room: int) -> list[Ticket[Item]]:
        """Those who wait first in the queue, as long as they brought items, of ``room`` bytes together."""
        taken: list[Ticket[Item]] = []
        with self._guard:
            while self._queue and self._queue[0].item is not None and self._queue[0].size <= room:
                taken.append(self._queue.popleft())
                room -= taken[-1].size
        return taken

    def answer(self, tickets: Sequence[Ticket[Item]]) -> None:
        """Wake those whose items were taken."""
        for ticket in tickets:
            ticket.woken.set()

    def leave(self) -> None:
        """End the turn; the next one in the queue has it."""
        with self._guard:
            if self._queue:
                ticket = self._queue.popleft()
                self._holder, ticket.has_turn = ticket.thread, True
                ticket.woken.set()
            else:
                self._holder = None
