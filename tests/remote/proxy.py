"""A proxy in front of a store: it counts requests, delays them, and does to answers what networks do."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: Headers of one connection, which are not passed on.
_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade"}


class FaultyProxy:
    """Listens at ``port`` and passes requests on to ``upstream``, a port of this machine.

    faults: names of what happens to the next GETs, one each, the first one first; ``always``: to all of them.
    log: (method, path, Range or "") of each request; authorizations: of each, or "".
    delay: seconds added to each. busy_until: until when, by the monotonic clock, each gets a ``busy_status``
    with ``retry_after``, seconds or a date.
    faults_of_puts: the same of PUTs; "lost": it is done, and no answer comes.
    """

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.delay = 0.0
        self.busy_until, self.busy_status, self.retry_after = 0.0, 503, "1"
        self.log: list[tuple[str, str, str]] = []
        self.authorizations: list[str] = []
        self.sent = 0
        self.faults: list[str] = []
        self.faults_of_puts: list[str] = []
        self.always = ""
        self.released = threading.Event()
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reset(self) -> None:
        """Do as an honest proxy does, with an empty log."""
        self.released.set()
        self.released = threading.Event()
        self.faults, self.always, self.delay, self.log, self.sent = [], "", 0.0, [], 0
        self.authorizations = []
        self.busy_until, self.busy_status, self.retry_after = 0.0, 503, "1"
        self.faults_of_puts = []

    def gets(self) -> list[str]:
        """The ranges that were asked for."""
        return [asked for method, _, asked in self.log if method == "GET"]

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are what is tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: FaultyProxy
    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        owner = self.owner
        owner.log.append((self.command, self.path, self.headers.get("Range", "")))
        owner.authorizations.append(self.headers.get("Authorization", ""))
        fault = owner.always
        if self.command == "GET" and owner.faults:
            fault = owner.faults.pop(0)
        if self.command == "PUT" and owner.faults_of_puts:
            fault = owner.faults_of_puts.pop(0)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))  # else it is taken for a request
        time.sleep(owner.delay)
        if time.monotonic() < owner.busy_until:
            self.refuse(owner.busy_status)
            return
        if fault in _INSTEAD:
            _INSTEAD[fault](self)
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
        _BEFORE.get(fault, lambda headers: None)(headers)
        with closing(http.client.HTTPConnection("127.0.0.1", owner.upstream, timeout=20)) as upstream:
            upstream.request(self.command, self.path, body or None, headers)
            answer = upstream.getresponse()
            data = answer.read()
        if fault == "lost":
            self.cut()
            return
        status, found = answer.status, dict(answer.getheaders())
        passed_on = {name: value for name, value in found.items() if name.lower() not in _HOP}
        if fault == "wrong" and headers.get("cache-control", headers.get("Cache-Control")) != "no-cache":
            data = data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]
        if fault == "etag":
            passed_on = {name: value for name, value in passed_on.items() if name.lower() != "etag"}
            passed_on["ETag"] = '"of-another"'
        if fault == "weak":
            passed_on = {
                name: f"W/{value}" if name.lower() == "etag" else value for name, value in passed_on.items()
            }
        self._answer(status, passed_on, data, cut=fault == "short")

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET

    def _answer(self, status: int, headers: dict[str, str], data: bytes, *, cut: bool = False) -> None:
        if self.command != "HEAD":
            headers = {name: value for name, value in headers.items() if name.lower() != "content-length"}
            headers["Content-Length"] = str(len(data))
        sent = b"" if self.command == "HEAD" else data[: len(data) // 2] if cut else data
        self.owner.sent += len(sent)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(sent)
        self.close_connection = cut

    def refuse(self, status: int) -> None:
        told = {"Retry-After": self.owner.retry_after} if self.owner.retry_after else {}
        self._answer(status, told, b"<Error><Code>SlowDown</Code></Error>")

    def deny(self) -> None:
        """As S3 does it: what was to be signed is in the answer."""
        secret = "<Error><Code>SignatureDoesNotMatch</Code><StringToSign>SECRET</StringToSign></Error>"
        self._answer(403, {"Content-Type": "application/xml"}, secret.encode())

    def stall(self) -> None:
        self.owner.released.wait(20)
        self.close_connection = True

    def cut(self) -> None:
        """RST in the place of an answer."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True


_INSTEAD: dict[str, Callable[[_Handler], None]] = {
    "503": lambda handler: handler.refuse(503),
    "429": lambda handler: handler.refuse(429),
    "400": lambda handler: handler.refuse(400),
    "403": _Handler.deny,
    "stall": _Handler.stall,
    "reset": _Handler.cut,
}


def _without(name: str) -> Callable[[dict[str, str]], None]:
    def change(headers: dict[str, str]) -> None:
        for given in [each for each in headers if each.lower() == name]:
            del headers[given]

    return change


def _smaller(headers: dict[str, str]) -> None:
    for name in [each for each in headers if each.lower() == "range"]:
        first, _, last = headers[name].removeprefix("bytes=").partition("-")
        headers[name] = f"bytes={first}-{(int(first) + int(last)) // 2}"


_BEFORE: dict[str, Callable[[dict[str, str]], None]] = {
    "whole": _without("range"),
    "deaf": _without("if-match"),
    "smaller": _smaller,
}
