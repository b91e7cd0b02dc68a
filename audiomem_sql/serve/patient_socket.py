"""WebSockets of slow clients: how long one may take for what it is sent."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from audiomem_sql.serve.settings import Limits

#: Most bytes of a message of a client.
MESSAGE_BYTES = 1 << 20


class PatientSocket(WebSocketsSansIOProtocol):
    """A WebSocket with an end to patience. limits: those of the server; a subclass has them.

    Uvicorn asks it for a sign of life every 20 seconds, and takes one message after the other.
    """

    limits = Limits()

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._answer: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """The client does not take what is sent."""
        super().pause_writing()
        if self._answer is None:
            self._answer = self.loop.call_later(self.limits.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """It took some."""
        super().resume_writing()
        self._stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is waited for any more."""
        self._stop()
        super().connection_lost(exc)

    def _stop(self) -> None:
        timer, self._answer = self._answer, None
        if timer is not None:
            timer.cancel()
