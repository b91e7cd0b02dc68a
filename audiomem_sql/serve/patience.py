"""Connections of slow clients: how long one may take for its headers, its body, and to take the answer.

Uvicorn has a time for connections between requests, and none for these.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from audiomem_sql.serve.settings import Limits


class PatientProtocol(H11Protocol):
    """HTTP/1.1 with an end to patience. limits: those of the server; a subclass has them."""

    limits = Limits()

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._headers: asyncio.TimerHandle | None = None
        self._part: asyncio.TimerHandle | None = None
        self._body: asyncio.TimerHandle | None = None
        self._answer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there, and may say what it wants."""
        super().connection_made(transport)
        self._headers = self.loop.call_later(self.limits.header_seconds, self._too_late)

    def data_received(self, data: bytes) -> None:
        """Bytes of headers, or of a body."""
        super().data_received(data)
        if self.transport.is_closing():
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

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is waited for any more."""
        for timer in (self._headers, self._part, self._body, self._answer):
            _ended(timer)
        super().connection_lost(exc)

    def _too_late(self) -> None:
        self._headers = None
        if not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            )
            self.transport.close()
            self.loop.call_later(1.0, self.transport.abort)

    def _give_up(self) -> None:
        self.transport.abort()


def _ended(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    """What is left of a timer: nothing."""
    if timer is not None:
        timer.cancel()
    return None
