"""What every request passes before its route: its size, token and rate; and the log behind it.

The log has one JSON object a line, through the logger ``audiomem.access``: no contents, no queries, no keys
of rows, no tokens. A path is logged as its route is written, with the name of the table.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from audiomem_sql.serve.access import TOKEN_PROTOCOL, Caller, given_token, identified
from audiomem_sql.serve.problems import Problem
from audiomem_sql.serve.rates import Rates
from audiomem_sql.serve.routes_page import PAGE_PATHS

if TYPE_CHECKING:
    from audiomem_sql.serve.service import Service

LOGGER = logging.getLogger("audiomem.access")
#: Paths that everybody may ask for.
_OPEN = frozenset(("/health", "/ready", "/openapi.json", *PAGE_PATHS))
#: Bytes of the body of a request that cannot write.
_SMALL_BODY = 1 << 20
#: Bytes of its headers.
_HEADER_BYTES = 64 << 10
#: Wrong tokens of an address: one a second, and so many at once.
_GUESSES = 1.0, 20


class AccessLog:
    """Writes a line for each request, once it is answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and log."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        known: dict[str, Any] = scope.setdefault("audiomem", {})
        began, status, sent, whole = time.perf_counter(), 0, 0, False

        async def counted(message: Message) -> None:
            nonlocal status, sent, whole
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                sent += len(message.get("body", b""))
                whole = not message.get("more_body", False)
            elif scope["type"] == "websocket":
                whole = True
                sent += len(message.get("text") or message.get("body") or "")
                status = message.get("status", status or 101)
            await send(message)

        try:
            await self._app(scope, receive, counted)
        finally:
            LOGGER.info("%s", _line(scope, known, status, sent, whole, time.perf_counter() - began))


def _line(scope: Scope, known: Mapping[str, Any], status: int, sent: int, whole: bool, seconds: float) -> str:
    route = scope.get("route")
    path = scope["path"]
    caller = known.get("caller")
    client = scope.get("client")
    method = scope.get("method", "WEBSOCKET")
    entry = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "method": method if len(method) < 20 else "-",
        "route": getattr(route, "path", path if path in _OPEN else "-"),
        "table": scope.get("path_params", {}).get("table") if status not in (401, 404) else None,
        "status": status,
        "bytes": sent,
        "ms": round(seconds * 1000, 2),
        "client": None if client is None else client[0],
        "token": None if caller is None else caller.name,
    }
    if not whole:
        entry["aborted"] = True
    return json.dumps(entry, ensure_ascii=True)


class Gate:
    """Lets requests in: by size, by token, by rate. The caller is then in ``scope['audiomem']['caller']``."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service
        limits = service.settings.limits
        self._rates = Rates(limits.rate, limits.burst)
        self._guesses = Rates(*_GUESSES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let it in, or answer why not."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            most = self._let_in(scope)
        except Problem as problem:
            await problem.response()(scope, receive, send)
            return
        await self._app(scope, receive if scope["type"] == "websocket" else _bounded(receive, most), send)

    def _let_in(self, scope: Scope) -> int:
        """The most bytes that its body may have. Problem for a request that is refused."""
        headers = dict(scope["headers"])
        self._check_host(headers)
        if sum(len(name) + len(value) + 4 for name, value in scope["headers"]) > _HEADER_BYTES:
            raise Problem(431, "the headers are too long", headers={"Connection": "close"})
        if len(scope["query_string"]) > _SMALL_BODY // 16:
            raise Problem(414, "the address is too long; POST has a body")
        if scope["path"] in _OPEN:
            return _checked_size(headers, _SMALL_BODY)
        client = scope.get("client")
        address = "-" if client is None else str(client[0])
        given = self._given(scope, headers)
        known = scope.setdefault("audiomem", {})

        def recheck() -> Caller:
            service = self._service
            return identified(
                service.tokens, known["given"], service.tables, writable=service.settings.writable
            )

        known["recheck"] = recheck
        known["spend"] = lambda: self._spend(known.get("caller"), address)
        if scope["type"] == "websocket":
            check_origin(headers, self._service.settings.origins)
            if given is None and self._service.tokens is not None:  # the first message has it
                self._spend(None, address)
                known["identify"] = lambda token: self._identified(token, address, known)
                return 0
        caller = self._identified(given, address, known)
        self._spend(caller, address)
        known["caller"] = caller
        limits = self._service.settings.limits
        return _checked_size(
            headers, limits.body_bytes if caller.may_write else min(_SMALL_BODY, limits.body_bytes)
        )

    def _given(self, scope: Scope, headers: Mapping[bytes, bytes]) -> str | None:
        """The token of a request; of a WebSocket also one among the subprotocols."""
        if scope["type"] == "websocket":
            given = given_token(headers, b"", in_query=False)
            tokens = [each for each in scope["subprotocols"] if each.startswith(TOKEN_PROTOCOL)]
            return tokens[0].removeprefix(TOKEN_PROTOCOL) if given is None and tokens else given
        in_query = scope["method"] in ("GET", "HEAD") and any(
            part in scope["path"] for part in ("/file", "/hls", "/changes")
        )
        return given_token(headers, scope["query_string"], in_query=in_query)

    def _identified(self, given: str | None, address: str, known: dict[str, Any]) -> Caller:
        """Who gave this token. Problem 401, and 429 for an address that guesses."""
        service = self._service
        if service.tokens is not None:
            _refuse_for(self._guesses.wait(address))
        known["given"] = given
        try:
            return identified(service.tokens, given, service.tables, writable=service.settings.writable)
        except Problem:
            if given is not None:
                self._guesses.count(address)
            raise

    def _spend(self, caller: Caller | None, address: str) -> None:
        """Count a request of ``caller``. Problem 429 if it is one too many."""
        token = None if caller is None else caller.token
        who = f"address {address}" if token is None else f"token {token.name}"
        _refuse_for(self._rates.wait(who))
        self._rates.count(who)

    def _check_host(self, headers: Mapping[bytes, bytes]) -> None:
        allowed = self._service.settings.allowed_hosts
        if not allowed:
            return
        host = headers.get(b"host", b"").decode("latin-1")
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if name.lower() not in allowed:
            raise Problem(421, "this server is not asked by that name; see --allow-host")


def check_origin(headers: Mapping[bytes, bytes], origins: Sequence[str]) -> None:
    """Problem 403 for a WebSocket of a page that is neither of this server nor of one of ``origins``.

    Browsers let any page open one, and say only where the page is from.
    """
    origin = headers.get(b"origin")
    if origin is None:
        return
    given = origin.decode("latin-1")
    if given in origins or "*" in origins:
        return
    scheme, _, place = given.lower().partition("://")
    host = headers.get(b"host", b"").decode("latin-1").lower()
    port = {"http": ":80", "https": ":443"}.get(scheme, "")
    if not place or place.removesuffix(port) != host.removesuffix(port):
        raise Problem(403, "pages of this origin may not ask; see --origin")


def _refuse_for(seconds: float) -> None:
    if seconds > 0:
        raise Problem(429, "these are too many requests", headers={"Retry-After": str(int(seconds) + 1)})


def _checked_size(headers: Mapping[bytes, bytes], most: int) -> int:
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > most:
        raise Problem(
            413, f"the body has more than {most:,} bytes", kind="LimitError", headers={"Connection": "close"}
        )
    return most


def _bounded(receive: Receive, most: int) -> Receive:
    """``receive``, which raises for the byte that is one too many."""
    count = 0

    async def bounded() -> Message:
        nonlocal count
        message = await receive()
        count += len(message.get("body", b""))
        if count > most:
            raise HTTPException(413, f"the body has more than {most:,} bytes", {"Connection": "close"})
        return message

    return bounded
