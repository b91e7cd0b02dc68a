"""Answers that are made while they are sent: a part at a time, in the workers, until the client goes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from audiomem_sql.serve.problems import Problem
from audiomem_sql.serve.work import ClientGone, Job, Workers

_Result = TypeVar("_Result")


class AbortedError(Exception):
    """An answer of which a part is sent cannot go on: the connection ends, so that the client knows."""


@dataclass(slots=True)
class Made:
    """What is sent. parts: the bytes; they are made one after the other, and closed at the end."""

    parts: Iterator[bytes]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Streamed(Response):
    """The answer that ``make`` makes, in a worker. What is wrong in the first part is an error like others.

    workers, job: where it is worked on, and what ends it. seconds: from the first part to the last. most:
    bytes.
    """

    def __init__(
        self, workers: Workers, job: Job, make: Callable[[], Made], *, seconds: float, most: int | None = None
    ) -> None:
        self.background = None
        self._workers = workers
        self._job = job
        self._make = make
        self._seconds = seconds
        self._most = most
        self._parts: Iterator[bytes] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. AbortedError where a part is sent, and there is no other."""
        gone = asyncio.ensure_future(_until_gone(receive))
        started = False
        try:
            made, part = await self._step(self._begin, gone)
            deadline, sent = time.monotonic() + self._seconds, 0
            headers = [
                (name.lower().encode(), value.encode("latin-1")) for name, value in made.headers.items()
            ]
            await send({"type": "http.response.start", "status": made.status, "headers": headers})
            started = True
            while part is not None:
                sent += len(part)
                if time.monotonic() > deadline or (self._most is not None and sent > self._most):
                    raise AbortedError("the answer takes too long, or too much")
                if part:
                    await send({"type": "http.response.body", "body": part, "more_body": True})
                part = await self._step(self._next, gone)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except ClientGone:
            scope.setdefault("audiomem", {})["gone"] = True
        except AbortedError:
            raise
        except Exception as error:
            if started:
                raise AbortedError(f"{type(error).__name__} in the middle of an answer") from error
            raise
        finally:
            self._job.cancel()
            gone.cancel()
            with contextlib.suppress(Problem, ClientGone):
                await self._close()

    def _begin(self) -> tuple[Made, bytes | None]:
        made = self._make()
        self._parts = made.parts
        return made, next(made.parts, None)

    def _next(self) -> bytes | None:
        assert self._parts is not None
        return next(self._parts, None)

    async def _step(self, function: Callable[[], _Result], gone: asyncio.Future[None]) -> _Result:
        """A step of the work; ClientGone, once it has ended, if the client goes meanwhile."""
        if gone.done():
            raise ClientGone
        step = asyncio.ensure_future(self._workers.run(self._job, function))
        await asyncio.wait((step, gone), return_when=asyncio.FIRST_COMPLETED)
        if not step.done():
            self._job.cancel()
            with contextlib.suppress(Exception):
                await step
            raise ClientGone
        return step.result()

    async def _close(self) -> None:
        close = getattr(self._parts, "close", None)
        if close is not None:
            await self._workers.run(Job(self._job.seconds), close)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
