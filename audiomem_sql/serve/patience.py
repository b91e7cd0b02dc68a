"""Connections of slow clients: how long one may take for its headers, its body, and to take the answer.

Uvicorn has a time for connections between requests, and none for these.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from audiomem_sql.serve.settings import Limits

LOGGER = logging.getLogger("audiomem.serve")
#: Seconds for which something is not said again.
_QUIET = 10.0


class PatientProtocol(H11Protocol):
    """HTTP/1.1 with an end to patience. limits: those of the server; a subclass has them."""

    limits = Limits()
    #: Until when it is not said again that there are too many.
    said_until = 0.0

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._headers: asyncio.TimerHandle | None = None
        self._part: asyncio.TimerHandle | None = None
        self._body: asyncio.TimerHandle | None = None
        self._answer: asyncio.TimerHandle | None = None
        self._is_too_many = False
        self._upgraded = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there, and may say what it wants."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self._is_too_many = True
            self._say_too_many()
            if len(self.connections) > 2 * self.limits.connections:
                transport.abort()
        self._headers = self.loop.call_later(self.limits.header_seconds, self._too_late)

    def data_received(self, data: bytes) -> None:
        """Bytes of headers, or of a body."""
        if self._is_too_many:
            self._refuse(b"503 Service Unavailable", b"retry-after: 1\r\n")
            return
        super().data_received(data)
        if self.transport.is_closing() or self._upgraded:
            return
        if self.cycle is None or self.cycle.response_complete:
            if self._headers is None:
                self._headers = self.loop.call_later(self.limits.header_seconds, self._too_late)
            return
        self._headers = _ended(self._headers)
        self._part = _ended(self._part)
        if not self.cycle.more_body:
            self._body = _ended(self._body)
            return
        if not self.flow.read_paused:
            self._part = self.loop.call_later(self.limits.read_seconds, self._give_up)
        if self._body is None:
            self._body = self.loop.call_later(self.limits.response_seconds, self._give_up)

    def on_response_complete(self) -> None:
        """The next request of the connection may come; the rest of this one does not matter."""
        self._part, self._body = _ended(self._part), _ended(self._body)
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The client does not take what is sent."""
        super().pause_writing()
        if self._answer is None:
            self._answer = self.loop.call_later(self.limits.write_seconds, self._give_up)

    def resume_writing(self) -> None:
        """It took some."""
        super().resume_writing()
        self._answer = _ended(self._answer)

    def handle_websocket_upgrade(self, event: Any) -> None:
        """The connection is a WebSocket from here on, with times of its own."""
        self._upgraded = True
        self._headers = _ended(self._headers)
        super().handle_websocket_upgrade(event)

    def shutdown(self) -> None:
        """The server ends: who follows a table is told so as if the client had gone."""
        super().shutdown()
        cycle = self.cycle
        known: Any = {} if cycle is None else cycle.scope
        if cycle is not None and not cycle.response_complete and known.get("audiomem", {}).get("follows"):
            cycle.disconnected = True
            cycle.message_event.set()
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is waited for any more."""
        for timer in (self._headers, self._part, self._body, self._answer):
            _ended(timer)
        super().connection_lost(exc)

    def _too_late(self) -> None:
        self._headers = None
        self._refuse(b"408 Request Timeout")

    def _refuse(self, status: bytes, header: bytes = b"") -> None:
        """Say why the connection ends, and end it."""
        if not self.transport.is_closing():
            head = b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n"
            self.transport.write(head + header + b"\r\n")
            self.transport.close()
            self.loop.call_later(1.0, self.transport.abort)

    def _say_too_many(self) -> None:
        """Log it, but not for each of them."""
        now, kind = self.loop.time(), type(self)
        if now >= kind.said_until:
            kind.said_until = now + _QUIET
            LOGGER.warning("there are more than %d connections; others are refused", self.limits.connections)

    def _give_up(self) -> None:
        self.transport.abort()


def _ended(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    """What is left of a timer: nothing."""
    if timer is not None:
        timer.cancel()
    return None
