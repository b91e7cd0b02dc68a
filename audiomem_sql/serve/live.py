"""Versions as they are committed: who waits for the next one, and what each one changed.

Nobody has a queue: who follows a table remembers the version that it saw last, and asks for those behind it.
So a slow client costs nothing but its connection, and one that comes again goes on where it was.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audiomem_sql.errors import AudioMemError
from audiomem_sql.serve.problems import Problem
from audiomem_sql.serve.served_table import ServedTable
from audiomem_sql.serve.version_events import MOST_BYTES, Event, Told, Wanted, events_of

if TYPE_CHECKING:
    from audiomem_sql.serve.service import Service

#: Seconds between two looks at a table that is followed.
_POLL = 0.2
#: Most versions that are made into events at once.
_VERSIONS = 100
#: Bytes of an answer beside its events, at most.
_AROUND = 512


@dataclass(slots=True)
class _Watch:
    newest: int = -1
    waiting: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Live:
    """Those who follow the tables of ``service``. Used by one event loop.

    A table is looked at while somebody waits for it, once for all of them, and when another server tells of
    it.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self._watches: dict[str, _Watch] = {}
        self._open = 0
        #: Connections that may follow at the same time; the others are for requests.
        self.most = max(1, service.settings.limits.connections // 2)
        #: Bytes of the events that are made at once.
        self.most_bytes = min(MOST_BYTES, (service.settings.limits.response_bytes or 1 << 62) - _AROUND)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Be one of those who follow. Problem 503 if there are too many."""
        if self._open >= self.most:
            raise Problem(503, "too many clients follow tables; come again later")
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    async def events(
        self, table: ServedTable, after: int, wanted: Wanted
    ) -> AsyncGenerator[list[Event], None]:
        """The versions behind ``after``, in order, as they come: lists of events.

        Problem 410 where what comes next is not kept any more.
        """
        while True:
            found = (await self.some(table, after, wanted)).events
            if found:
                yield found
                after = found[-1].version
            else:
                await self._another(table, after)

    async def some(self, table: ServedTable, after: int, wanted: Wanted) -> Told:
        """Events of the next versions behind ``after`` that are there already."""
        service = self.service
        return await service.workers.run(
            service.job(), lambda: events_of(table.reader(), after, wanted, _VERSIONS, self.most_bytes)
        )

    async def _another(self, table: ServedTable, seen: int) -> None:
        """Wait until the newest version is perhaps another one than ``seen``."""
        watch = self._watches.setdefault(table.name, _Watch())
        watch.waiting += 1
        if watch.task is None or watch.task.done():
            watch.newest = -1
            watch.task = asyncio.create_task(self._look(table, watch))
        try:
            while watch.newest < 0 or watch.newest == seen:
                await watch.changed.wait()
            if watch.newest < seen:  # known from an older look, or another table is there now
                await asyncio.sleep(2 * _POLL)
        finally:
            watch.waiting -= 1

    async def _look(self, table: ServedTable, watch: _Watch) -> None:
        told = asyncio.Event()
        end = await self._listen(table, told)
        try:
            while watch.waiting:
                told.clear()
                await self._look_once(table, watch)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(told.wait(), _POLL)
        finally:
            end()

    async def _look_once(self, table: ServedTable, watch: _Watch) -> None:
        service = self.service
        try:
            newest = await service.workers.run(service.job(), lambda: table.reader().version)
        except (Problem, AudioMemError, OSError) as error:
            if not isinstance(error, Problem):
                service.note(error)
            await asyncio.sleep(4 * _POLL)
            return
        if newest != watch.newest:
            watch.newest = newest
            changed, watch.changed = watch.changed, asyncio.Event()
            changed.set()

    async def _listen(self, table: ServedTable, told: asyncio.Event) -> Callable[[], None]:
        """Have ``told`` set when another server tells of the table, if servers do; what ends it."""
        service, loop = self.service, asyncio.get_running_loop()
        if service.settings.changes is None:
            return lambda: None

        def tell(version: int) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(told.set)

        try:
            return await service.workers.run(
                service.job(), lambda: service.changes.subscribe(table.name, tell)
            )
        except (Problem, AudioMemError, OSError):
            return lambda: None  # looking tells why
