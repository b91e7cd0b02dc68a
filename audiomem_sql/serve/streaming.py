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
#: Bytes, and seconds of work, of an answer before any of it is sent, unless its first part has more.
_GATHER_BYTES, _GATHER_SECONDS = 256 << 10, 0.1


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
            made, part, whole = await self._step(self._begin, gone)
            deadline, sent = time.monotonic() + self._seconds, 0
            headers = [
                (name.lower().encode(), value.encode("latin-1")) for name, value in made.headers.items()
            ]
            if whole and made.status != 304 and "Content-Length" not in made.headers:
                headers.append((b"content-length", b"%d" % len(part or b"")))
            await send({"type": "http.response.start", "status": made.status, "headers": headers})
            started = True
            while part is not None:
                sent += len(part)
                if time.monotonic() > deadline or (self._most is not None and sent > self._most):
                    raise AbortedError("the answer takes too long, or too much")
                if part:
                    await send({"type": "http.response.body", "body": part, "more_body": not whole})
                part = None if whole else await self._step(self._next, gone)
            if not (whole and sent):
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
            if self._parts is not None:
                with contextlib.suppress(Problem, ClientGone):
                    await self._close()

    def _begin(self) -> tuple[Made, bytes | None, bool]:
        """The answer, its first parts as one, and whether they are all, so that a small one is one step.

        What is wrong with any of them is an error like others, since nothing is sent yet.
        """
        made = self._make()
        self._parts = made.parts
        held: list[bytes] = []
        size, end = 0, time.monotonic() + _GATHER_SECONDS
        while size < _GATHER_BYTES and (not held or time.monotonic() < end):
            part = next(made.parts, None)
            if part is None:
                self._end()
                return made, b"".join(held), True
            held.append(part)
            size += len(part)
            if self._most is not None and size > self._most:
                raise Problem(
                    413, f"the answer has more than {self._most:,} bytes; ask for less", kind="LimitError"
                )
        return made, b"".join(held), False

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
            if not self._job.begun:  # it waits for a thread
                step.cancel()
            with contextlib.suppress(Exception, asyncio.CancelledError):
                await step
            raise ClientGone
        return step.result()

    def _end(self) -> None:
        parts, self._parts = self._parts, None
        close = getattr(parts, "close", None)
        if close is not None:
            close()

    async def _close(self) -> None:
        job = Job(self._job.seconds)
        job.begun = True  # else it could be refused, and what the answer holds would stay open
        await self._workers.run(job, self._end)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
