"""A service over HTTP, observed: a middleware of ASGI, for Starlette, FastAPI and whatever speaks it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from audiomem_sql.observe import hooks
from audiomem_sql.observe.starting import CONTENT_TYPE, metrics_text

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Observed:
    """Counts the requests to ``app``, makes a span of each, and answers ``metrics_path`` with the metrics.

    route: the template that the application matched, such as ``/tables/{name}``, so that there are few; what
    matched none is called ``none``. metrics_path: None where the application serves them itself.
    """

    def __init__(self, app: App, metrics_path: str | None = "/metrics") -> None:
        self.app = app
        self._metrics_path = metrics_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""
        if scope["type"] != "http" or hooks.observer is None:
            await self.app(scope, receive, send)
        elif self._metrics_path is not None and scope["path"] == self._metrics_path:
            await _answer_metrics(send)
        else:
            await self._observed(hooks.observer, scope, receive, send)

    async def _observed(self, observer: hooks.Observing, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        status, began = "500", time.perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            with observer.within(headers):
                stage = observer.stage("http", method=method)
                with stage:
                    await self.app(scope, receive, watched)
                stage.end()
        finally:
            route = str(getattr(scope.get("route"), "path", "none"))
            seconds = time.perf_counter() - began
            observer.add("http_requests", 1, method=method, route=route, status=status)
            observer.add("http_request_duration", seconds, method=method, route=route)


async def _answer_metrics(send: Send) -> None:
    body = metrics_text()
    headers = [(b"content-type", CONTENT_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
