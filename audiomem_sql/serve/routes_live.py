"""``/tables/{table}/changes``, the change feed over HTTP; ``/tables/{table}/live``, a WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Annotated, Any, cast

from fastapi import APIRouter, Query, Request, WebSocket
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from audiomem_sql.errors import AudioMemError
from audiomem_sql.serve.access import Caller
from audiomem_sql.serve.live import Live
from audiomem_sql.serve.live_session import Session, leave
from audiomem_sql.serve.problems import Problem, problem_of
from audiomem_sql.serve.requests import (
    Columns,
    Parameters,
    TableName,
    Where,
    caller_of,
    columns_of,
    parameters_of,
    service_of,
)
from audiomem_sql.serve.served_table import ServedTable
from audiomem_sql.serve.version_events import Told, Wanted, check_after, events_of

router = APIRouter(tags=["changes"])
#: The subprotocol of the WebSocket.
SUBPROTOCOL = "audiomem"
_EVENTS = "text/event-stream"
#: Seconds after which a comment shows that the connection is there.
_HEARTBEAT = 15.0
_EXAMPLE = {
    "table": "kb",
    "version": 7,
    "versions": [{"version": 7, "time": "2026-11-01 10:00:00", "inserted": 2, "deleted": 0, "message": None}],
    "next": None,
}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The versions behind `after`, oldest first; as events, as long as the client listens.",
        "content": {
            "application/json": {"schema": {"type": "object"}, "example": _EXAMPLE},
            _EVENTS: {"schema": {"type": "string"}},
        },
    },
    410: {"description": "The versions behind `after` are not all kept: read the table anew."},
}


@router.get("/tables/{table}/changes", responses=_ANSWERS, response_class=Response, summary="The change feed")
async def changes(
    request: Request,
    table: TableName,
    after: Annotated[
        int | None,
        Query(description="The version that the client saw last.", ge=0, lt=1 << 63, examples=[0]),
    ] = None,
    rows: Annotated[bool, Query(description="Also the rows that changed.")] = False,
    columns: Columns = None,
    where: Where = None,
    parameter: Parameters = None,
    limit: Annotated[int, Query(description="Most versions of an answer in JSON.", ge=1, le=100)] = 100,
) -> Response:
    """With `Accept: text/event-stream` the versions come as they are committed; `Last-Event-ID` resumes."""
    service, served = service_of(request), caller_of(request).table(table)
    live = cast(Live, request.app.state.live)
    wanted = Wanted(rows, columns_of(columns), where, parameters_of(parameter))
    as_events = _EVENTS in request.headers.get("accept", "")
    last = request.headers.get("last-event-id", "") if as_events else ""
    if last.isdecimal():
        after = int(last[:18])

    def begin() -> int:
        reader = served.reader()
        wanted.check(reader)
        known = reader.version if after is None else after
        check_after(reader, known)
        return known

    known = await service.workers.run(service.job(), begin)
    if as_events:
        return _EventStream(live, served, known, wanted, request.scope["audiomem"]["recheck"])

    def answer() -> bytes:
        told = events_of(served.reader(), known, wanted, limit, live.most_bytes)
        return _listed(served.name, known, told, service.settings.limits.response_bytes)

    content = await service.workers.run(service.job(), answer)
    return Response(content, media_type="application/json", headers={"Cache-Control": "no-store"})


def _listed(table: str, after: int, told: Told, most: int) -> bytes:
    """The answer in JSON. next: behind which there are more. Problem 413 beyond ``most`` bytes."""
    last = told.events[-1].version if told.events else after
    about = json.dumps({"table": table, "version": last}, ensure_ascii=False, separators=(",", ":"))
    versions = b",".join(event.content for event in told.events)
    behind = b"%d" % last if last < told.newest else b"null"
    content = b'%b,"versions":[%b],"next":%b}' % (about.encode()[:-1], versions, behind)
    if most and len(content) > most:
        raise Problem(413, f"the answer has more than {most:,} bytes; ask for less", kind="LimitError")
    return content


class _EventStream(Response):
    """Server-sent events (WHATWG HTML, 9.2), until the client goes or its token is over."""

    def __init__(
        self, live: Live, table: ServedTable, after: int, wanted: Wanted, recheck: Callable[[], Caller]
    ) -> None:
        self.background = None
        self._live = live
        self._table = table
        self._after = after
        self._wanted = wanted
        self._recheck = recheck

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""
        with self._live.entered():
            scope["audiomem"]["follows"] = True  # a server that ends does not wait for it
            headers = [
                (b"content-type", _EVENTS.encode()),
                (b"cache-control", b"no-store"),
                (b"x-accel-buffering", b"no"),  # of nginx, which would hold them back
            ]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            gone = asyncio.ensure_future(_until_gone(receive))
            sending = asyncio.ensure_future(self._send(send))
            try:
                await asyncio.wait((gone, sending), return_when=asyncio.FIRST_COMPLETED)
                if sending.done():
                    sending.result()
            finally:
                for task in (gone, sending):
                    task.cancel()
                await asyncio.gather(gone, sending, return_exceptions=True)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, send: Send) -> None:
        async def write(content: bytes) -> None:
            await send({"type": "http.response.body", "body": content, "more_body": True})

        await write(b": the versions come as events\n\n")
        source = self._live.events(self._table, self._after, self._wanted)
        events = asyncio.ensure_future(anext(source))
        try:
            while True:
                done, _ = await asyncio.wait((events,), timeout=_HEARTBEAT)
                self._recheck().table(self._table.name)
                if not done:
                    await write(b":\n\n")
                    continue
                for event in events.result():
                    await write(b"id: %d\nevent: version\ndata: %b\n\n" % (event.version, event.content))
                events = asyncio.ensure_future(anext(source))
        except (Problem, AudioMemError) as error:
            problem = error if isinstance(error, Problem) else problem_of(error, self._live.service.hide)
            text = json.dumps(problem.content(), ensure_ascii=False)
            await write(f"event: problem\ndata: {text}\n\n".encode())
        finally:
            events.cancel()
            await asyncio.gather(events, return_exceptions=True)
            await source.aclose()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@router.websocket("/tables/{table}/live")
async def live(socket: WebSocket, table: TableName) -> None:
    """The change feed, search while typing, and rows in chunks, see :mod:`audiomem_sql.serve.live_session`.

    The gate has looked at where the page comes from, and at the token. Without one the first message has it.
    """
    known = socket.scope["audiomem"]
    feed = cast(Live, socket.app.state.live)
    chosen = SUBPROTOCOL if SUBPROTOCOL in socket.scope["subprotocols"] else None
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(feed.entered())
            caller = known.get("caller")
            served = None if caller is None else caller.table(table)
        except Problem as problem:
            await problem.response()(socket.scope, socket.receive, socket.send)
            return
        await socket.accept(chosen)
        if served is None:
            try:
                known["caller"] = caller = known["identify"](await _first_token(socket, feed))
                served = caller.table(table)
            except Problem as problem:
                await leave(socket, problem)
                return
        await Session(socket, feed, served, known["recheck"], known["spend"]).run()


async def _first_token(socket: WebSocket, feed: Live) -> str:
    """The token that the first message has."""
    seconds = feed.service.settings.limits.header_seconds
    try:
        message = await asyncio.wait_for(socket.receive(), seconds)
    except TimeoutError:
        raise Problem(408, f"the token did not come in {seconds:g} s") from None
    try:
        given = json.loads(message.get("text") or "")["token"]
    except (ValueError, KeyError, TypeError, RecursionError):
        given = None
    if not isinstance(given, str):
        raise Problem(401, 'a token is needed: the first message is {"token": "…"}')
    return given
