"""Several processes that answer at one address, and the one that starts them, again if one dies.

All of them accept from one socket, which the supervisor holds, so that it takes connections as long as any
process does. Each has the tables open for itself.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from typing import Any

from audiomem_sql.errors import OptionError, StorageError
from audiomem_sql.serve.settings import Settings

LOGGER = logging.getLogger("audiomem.serve")
_SPAWN = get_context("spawn")
#: Seconds that a process has to begin, and to end when it is told to.
_START, _END = 120.0, 20.0
#: Seconds before a process is started again that lived for less than that, at first and at most.
_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_BACKLOG = 2048


@dataclass(slots=True)
class _Worker:
    """A process. since: when it was started. pause: seconds before it is started again."""

    process: Any
    ready: connection.Connection
    since: float
    pause: float = 0.0


class Supervisor:
    """Runs ``count`` processes that serve the tables in ``places``; a process that dies is started again.

    metrics_port: where the first has its metrics; those of the others are at the ports behind it.
    """

    def __init__(
        self, places: Sequence[str], settings: Settings, count: int, metrics_port: int | None = None
    ) -> None:
        self._places = list(places)
        self._settings = settings
        self._count = count
        self._metrics_port = metrics_port
        self._workers: list[_Worker] = []
        self._ended = False
        self._wake, self._woken = socket.socketpair()

    def run(self, started: Callable[[str], None]) -> None:
        """Serve until SIGINT or SIGTERM. started: called with the address.

        OptionError where nothing can listen there; what a process raises that cannot begin.
        """
        before = {each: signal.signal(each, self._on_signal) for each in (signal.SIGINT, signal.SIGTERM)}
        listener = _listening(self._settings)
        try:
            self._workers = [self._start(listener, number) for number in range(self._count)]
            for worker in self._workers:
                self._await_start(worker)
            if not self._ended:
                host, port = listener.getsockname()[:2]
                scheme = "http" if self._settings.certificate is None else "https"
                started(f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}")
            while not self._ended:
                self._look(listener)
        finally:
            listener.close()
            self._end()
            for each, handler in before.items():
                signal.signal(each, handler)
            self._wake.close()
            self._woken.close()

    @property
    def pids(self) -> list[int]:
        """The processes that answer."""
        return [worker.process.pid for worker in self._workers]

    def _on_signal(self, *_: Any) -> None:
        self._ended = True
        with contextlib.suppress(OSError):
            self._wake.send(b"x")

    def _start(self, listener: socket.socket, number: int, pause: float = 0.0) -> _Worker:
        ready, other = _SPAWN.Pipe(duplex=False)
        port = None if self._metrics_port is None else self._metrics_port + number
        process = _SPAWN.Process(
            target=_serve, args=(self._places, self._settings, listener, other, port), daemon=False
        )
        process.start()
        other.close()
        return _Worker(process, ready, time.monotonic(), pause)

    def _await_start(self, worker: _Worker) -> None:
        """Wait until it answers; what it raised where it cannot."""
        told = connection.wait([worker.ready, self._woken], _START)
        if self._ended:
            return
        try:
            error = worker.ready.recv() if worker.ready in told else StorageError("a process does not begin")
        except EOFError:
            worker.process.join(_END)
            if (worker.process.exitcode or 0) < 0:  # somebody killed it, and it is started again
                return
            error = StorageError("a process ended before it began", remedy="See the log.")
        if error is not None:
            raise error

    def _look(self, listener: socket.socket) -> None:
        """Wait until a process dies, and start it again."""
        connection.wait([*(worker.process.sentinel for worker in self._workers), self._woken])
        for number, worker in enumerate(self._workers):
            if self._ended or worker.process.is_alive():
                continue
            lived = time.monotonic() - worker.since
            pause = 0.0 if lived > _PAUSE else min(max(2 * worker.pause, _PAUSE), _LONGEST_PAUSE)
            code = worker.process.exitcode
            LOGGER.error("process %d ended with %s; it is started again", worker.process.pid, code)
            worker.process.join()
            worker.ready.close()
            if pause:
                connection.wait([self._woken], pause)
            if not self._ended:
                self._workers[number] = self._start(listener, number, pause)

    def _end(self) -> None:
        """End the processes, by force after a time."""
        for worker in self._workers:
            worker.process.terminate()
        end = time.monotonic() + _END
        for worker in self._workers:
            worker.process.join(max(end - time.monotonic(), 0.1))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.ready.close()


def _listening(settings: Settings) -> socket.socket:
    """The socket of the address."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        made = socket.socket(family, kind, protocol)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(address)
            made.listen(_BACKLOG)
            made.setblocking(False)
        except BaseException:
            made.close()
            raise
    except OSError:
        where = f"{settings.host}:{settings.port}"
        raise OptionError(f"nothing can listen on {where}", remedy="Choose another --port.") from None
    return made


def _serve(
    places: Sequence[str],
    settings: Settings,
    listener: socket.socket,
    ready: connection.Connection,
    metrics_port: int | None,
) -> None:
    """A process: serve until it is told to end, or its supervisor is gone."""
    from audiomem_sql import observe
    from audiomem_sql.serve.server import run

    def started(_: str) -> None:
        ready.send(None)

    parent = parent_process()

    def follow() -> None:
        if parent is not None:
            connection.wait([parent.sentinel])
            signal.raise_signal(signal.SIGTERM)

    threading.Thread(target=follow, daemon=True).start()
    try:
        if metrics_port is not None:
            observe.start(port=metrics_port)
        run(places, settings, started, sockets=[listener], is_replaced=True)
    except Exception as error:
        with contextlib.suppress(OSError):
            ready.send(error)
        raise SystemExit(1) from None
