"""A WebSocket of ``/tables/{table}/live``: the change feed, search while typing, and rows in chunks.

Messages are JSON texts. The client names each of its questions with an ``id``, which the answers have, too.
Each id has at most one piece of work, and one message that is made ahead of its time.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import WebSocket, WebSocketDisconnect
from pydantic import ValidationError

from audiomem_sql.errors import AudioMemError
from audiomem_sql.serve.access import Caller
from audiomem_sql.serve.live import Live
from audiomem_sql.serve.live_rows import RowChunks, found_message
from audiomem_sql.serve.live_schemas import ChangesMessage, IdMessage, MoreMessage, RowsMessage, SearchMessage
from audiomem_sql.serve.problems import Problem, problem_of, said, status_of
from audiomem_sql.serve.requests import bound
from audiomem_sql.serve.served_table import ServedTable
from audiomem_sql.serve.version_events import Wanted, check_after
from audiomem_sql.serve.work import ClientGone, Job

if TYPE_CHECKING:
    from audiomem_sql.serve.service import Service

#: Questions of one connection that are open at the same time.
_MOST_IDS = 8
#: Chunks that a client may ask for ahead.
_MOST_CHUNKS = 64
#: Why a connection is closed (RFC 6455, 7.4, and the registry of IANA).
UNAUTHORIZED, FORBIDDEN, TOO_LATE = 3000, 3003, 3008


class Search:
    """The searches of one id: a newer one ends the one before it."""

    def __init__(self) -> None:
        self.pending: SearchMessage | None = None
        self.job: Job | None = None

    def ask(self, message: SearchMessage) -> None:
        """Search for this, and no more for what was asked before."""
        self.pending = message
        if self.job is not None:
            self.job.cancel()


class Credit:
    """How many chunks of rows a client takes."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.more = asyncio.Event()

    def add(self, count: int) -> None:
        """The client takes so many more."""
        self.count = min(self.count + count, _MOST_CHUNKS)
        self.more.set()

    async def take(self) -> None:
        """Wait until there is one."""
        while self.count < 1:
            self.more.clear()
            await self.more.wait()
        self.count -= 1


class Session:
    """One connection to ``table``. recheck: who asks, anew; spend: Problem 429 for one message too many."""

    def __init__(
        self,
        socket: WebSocket,
        live: Live,
        table: ServedTable,
        recheck: Callable[[], Caller],
        spend: Callable[[], None],
    ) -> None:
        self._socket = socket
        self._live = live
        self._service: Service = live.service
        self._table = table
        self._recheck = recheck
        self._spend = spend
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._held: dict[str, Search | Credit] = {}
        self._jobs: set[Job] = set()

    async def run(self) -> None:
        """Answer until the client goes, or may not ask any more."""
        try:
            reader = await self._work(self._table.reader)
            await self._send({"type": "ready", "table": self._table.name, "version": reader.version})
            while True:
                text = await self._socket.receive_text()
                try:
                    self._check()
                    self._spend()
                    self._take(text)
                except (Problem, ValidationError, AudioMemError) as error:
                    problem = self._problem(error)
                    if problem.status in (401, 403, 404):
                        await self._leave(problem)
                        return
                    await self._say(_id_of(text), problem)
        except (WebSocketDisconnect, KeyError):  # a message of bytes has no text
            pass
        finally:
            for job in self._jobs:
                job.cancel()
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _take(self, text: str) -> None:
        """Begin what a message asks for."""
        try:
            given = json.loads(text)
        except (ValueError, RecursionError):
            given = None
        if not isinstance(given, dict):
            raise Problem(400, "a message is a JSON object")
        kind = given.pop("type", None)
        if kind == "changes":
            asked = ChangesMessage.model_validate(given)
            self._begin(asked.id, lambda: self._changes(asked), None)
        elif kind == "search":
            self._search(SearchMessage.model_validate(given))
        elif kind == "rows":
            rows = RowsMessage.model_validate(given)
            credit = Credit(rows.chunks)
            self._begin(rows.id, lambda: self._rows(rows, credit), credit)
        elif kind == "more":
            more = MoreMessage.model_validate(given)
            held = self._held.get(more.id)
            if isinstance(held, Credit):  # else it has ended meanwhile
                held.add(more.chunks)
        elif kind == "cancel":
            self._cancel(IdMessage.model_validate(given).id)
        else:
            raise Problem(400, "type is changes, search, rows, more or cancel")

    def _begin(
        self, name: str, work: Callable[[], Coroutine[Any, Any, None]], held: Search | Credit | None
    ) -> None:
        if name in self._tasks:
            raise Problem(409, "this id is in use; cancel it, or choose another one")
        if len(self._tasks) >= _MOST_IDS:
            raise Problem(429, f"at most {_MOST_IDS} ids are in use at the same time")
        if held is not None:
            self._held[name] = held
        self._tasks[name] = asyncio.create_task(self._guarded(name, work()))

    def _cancel(self, name: str) -> None:
        held = self._held.pop(name, None)
        if isinstance(held, Search) and held.job is not None:
            held.job.cancel()
        task = self._tasks.get(name)
        if task is not None:
            task.cancel()

    async def _guarded(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """The work of an id; what goes wrong in it is said to the client."""
        try:
            await work
        except (ClientGone, asyncio.CancelledError, WebSocketDisconnect):
            pass
        except Exception as error:
            problem = self._problem(error)
            if problem.status == 401:
                await self._leave(problem)
            else:
                await self._say(name, problem)
        finally:
            if self._tasks.get(name) is asyncio.current_task():
                del self._tasks[name]
                self._held.pop(name, None)

    # -- the change feed -------------------------------------------------------------------------------------

    async def _changes(self, asked: ChangesMessage) -> None:
        parameters = [bound(value) for value in asked.parameters]
        wanted = Wanted(asked.rows, asked.columns, asked.where, parameters)

        def begin() -> int:
            reader = self._table.reader()
            wanted.check(reader)
            after = reader.version if asked.after is None else asked.after
            check_after(reader, after)
            return after

        after = await self._work(begin)
        await self._send({"type": "following", "id": asked.id, "after": after})
        before = _text({"type": "version", "id": asked.id})[:-1]
        async for events in self._live.events(self._table, after, wanted):
            for event in events:
                self._check()
                await self._socket.send_text(f"{before},{event.content[1:].decode()}")

    # -- search while typing ---------------------------------------------------------------------------------

    def _search(self, message: SearchMessage) -> None:
        held = self._held.get(message.id)
        if isinstance(held, Search):
            held.ask(message)
            return
        search = Search()
        search.pending = message
        self._begin(message.id, lambda: self._searches(search), search)

    async def _searches(self, search: Search) -> None:
        """Search for the newest question, until there is no newer one."""
        while (message := search.pending) is not None:
            search.pending = None
            search.job = job = self._service.job()
            try:
                answer = await self._work(partial(found_message, self._table, message), job)
            except ClientGone:
                continue  # for a newer one, if there is one
            except (Problem, AudioMemError) as error:
                if search.pending is None:
                    await self._say(message.id, self._problem(error), message.sequence)
                continue
            finally:
                search.job = None
            if search.pending is None:
                await self._socket.send_text(answer)

    # -- rows in chunks --------------------------------------------------------------------------------------

    async def _rows(self, asked: RowsMessage, credit: Credit) -> None:
        """Send chunk after chunk as the client takes them; the next one is made meanwhile."""
        chunks = await self._work(lambda: RowChunks(self._table, asked))
        ahead = asyncio.create_task(self._work(chunks.message))
        try:
            while True:
                text = await ahead
                is_last = chunks.ended
                if not is_last:
                    ahead = asyncio.create_task(self._work(chunks.message))
                await asyncio.wait_for(credit.take(), self._service.settings.limits.response_seconds)
                self._check()
                await self._socket.send_text(text)
                if is_last:
                    return
        except TimeoutError:
            raise Problem(408, "no chunk was asked for in time; go on with after: next") from None
        finally:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)

    # -- what all of them need -------------------------------------------------------------------------------

    async def _work(self, function: Callable[[], Any], job: Job | None = None) -> Any:
        """``function()`` in a worker, which ends when the client goes."""
        job = job or self._service.job()
        self._jobs.add(job)
        try:
            return await self._service.workers.run(job, function)
        finally:
            self._jobs.discard(job)

    def _check(self) -> None:
        """Problem if the token was taken away meanwhile."""
        self._recheck().table(self._table.name)

    async def _send(self, message: dict[str, Any]) -> None:
        await self._socket.send_text(_text(message))

    def _problem(self, error: Exception) -> Problem:
        if isinstance(error, Problem):
            return error
        if isinstance(error, ValidationError):
            return Problem(400, "; ".join(said(each) for each in error.errors()[:5]))
        if isinstance(error, AudioMemError):
            if status_of(error) >= 500:
                self._service.note(error)
            return problem_of(error, self._service.hide)
        self._service.note(error)
        return Problem(500, "the server has a fault, which its log describes")

    async def _say(self, name: str | None, problem: Problem, sequence: int | None = None) -> None:
        more = {} if sequence is None else {"sequence": sequence}
        await self._send({"type": "error", "id": name, **more, "problem": problem.content()})

    async def _leave(self, problem: Problem) -> None:
        await leave(self._socket, problem)


async def leave(socket: WebSocket, problem: Problem) -> None:
    """Say why, and close."""
    content = {"type": "error", "id": None, "problem": problem.content()}
    await socket.send_text(json.dumps(content, ensure_ascii=False))
    await socket.close({401: UNAUTHORIZED, 408: TOO_LATE}.get(problem.status, FORBIDDEN))


def _text(message: dict[str, Any]) -> str:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


def _id_of(text: str) -> str | None:
    """The id of a message, if it has one."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        return None
    name = given.get("id") if isinstance(given, dict) else None
    return name[:64] if isinstance(name, str) else None
