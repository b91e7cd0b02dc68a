"""A proxy between the package and a store: it takes its time, answers 503, loses requests and replies."""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

#: A request that is answered 503 and does not arrive, one that is cut, one that arrives and has no reply.
FAULTS = ("503", "cut", "lost")


class Proxy(ThreadingHTTPServer):
    """Forwards to ``endpoint``. rate: of requests with a fault; delay: seconds that each takes longer."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 100

    def __init__(self, endpoint: str, rate: float, delay: float, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(endpoint).netloc
        self.rate, self.delay = rate, delay
        self.chance = random.Random(seed)
        self.counts: dict[str, int] = dict.fromkeys(("requests", *FAULTS), 0)
        self.lock = threading.Lock()
        self.at_work = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def fault(self) -> str:
        with self.lock:
            self.counts["requests"] += 1
            kind = self.chance.choice(FAULTS) if self.chance.random() < self.rate else ""
            if kind:
                self.counts[kind] += 1
            return kind

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever was killed does not wait for its answer."""

    def wait_until_idle(self) -> None:
        while True:
            with self.lock:
                if not self.at_work:
                    return
            time.sleep(0.01)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65_537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        with self.server.lock:
            self.server.at_work += 1
        try:
            self._forward()
        finally:
            with self.server.lock:
                self.server.at_work -= 1

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.server.delay:
            time.sleep(self.server.delay)
        fault = self.server.fault()
        if fault == "503":
            self.wfile.write(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n")
            return
        if fault == "cut":
            self.close_connection = True
            return
        status, reason, headers, data = self._ask(body)
        if fault == "lost":
            self.close_connection = True
            return
        lines = [f"HTTP/1.1 {status} {reason}"]
        lines += [f"{k}: {v}" for k, v in headers if k.lower() not in ("transfer-encoding", "connection")]
        if not any(name.lower() == "content-length" for name, _ in headers) and status not in (204, 304):
            lines.append(f"Content-Length: {len(data)}")
        self.wfile.write("\r\n".join([*lines, "", ""]).encode() + data)

    def _ask(self, body: bytes) -> tuple[int, str, list[tuple[str, str]], bytes]:
        connection = getattr(self, "upstream", None)
        if connection is None:
            connection = self.upstream = http.client.HTTPConnection(self.server.upstream, timeout=60)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            connection.putheader(name, value)
        connection.endheaders(body or None)
        answer = connection.getresponse()
        return answer.status, answer.reason, answer.getheaders(), answer.read()

    def finish(self) -> None:
        try:
            super().finish()
        finally:
            if hasattr(self, "upstream"):
                self.upstream.close()


@contextmanager
def proxied(endpoint: str, *, rate: float = 0, delay: float = 0, seed: int = 0) -> Iterator[Proxy]:
    """The proxy while the body runs."""
    proxy = Proxy(endpoint, rate, delay, seed)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()
