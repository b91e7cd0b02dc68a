"""A server on loopback that speaks as much of the XML API of Google's store as its client here asks for.

"XML API reference" of Cloud Storage: PUT and GET of objects, x-goog-if-generation-match, x-goog-generation,
lists of version 2, and multipart uploads. It stands for what Google's store promises, and is not that store.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

_ISO = "%Y-%m-%dT%H:%M:%S.000Z"


@dataclass
class Generations:
    """Its objects: bytes, generation, time. keeps: whether it looks at conditions.

    unconditional: keys that were written without one.
    """

    url: str = ""
    keeps: bool = True
    objects: dict[str, tuple[bytes, int, float]] = field(default_factory=dict)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    unconditional: list[str] = field(default_factory=list)
    refused: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    last: int = 1_700_000_000_000_000

    def put(self, key: str, data: bytes, condition: str | None) -> int | None:
        """The new generation; None if the condition does not hold."""
        with self.lock:
            there = self.objects.get(key)
            if condition is None:
                self.unconditional.append(key)
            elif self.keeps and int(condition) != (there[1] if there else 0):
                self.refused += 1
                return None
            self.last += 1
            self.objects[key] = (data, self.last, time.time())
            return self.last


@contextlib.contextmanager
def generations() -> Iterator[Generations]:
    """The server, which is empty at first and has every bucket."""
    store = Generations()

    class Handler(_Handler):
        kept = store

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    store.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _tag(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'


class _Handler(BaseHTTPRequestHandler):
    kept: Generations
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def _asked(self) -> tuple[str, dict[str, list[str]], bytes]:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        key = unquote(parts.path).lstrip("/").partition("/")[2]
        return key, parse_qs(parts.query, keep_blank_values=True), body

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _written(self, key: str, data: bytes, condition: str | None, body: bytes = b"") -> None:
        made = self.kept.put(key, data, condition)
        if made is None:
            self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        else:
            self._answer(200, body, ETag=_tag(data), x_goog_generation=str(made))

    def do_PUT(self) -> None:
        key, query, body = self._asked()
        if "uploadId" in query:
            self.kept.uploads[query["uploadId"][0]][int(query["partNumber"][0])] = body
            self._answer(200, ETag=_tag(body))
        else:
            self._written(key, body, self.headers.get("x-goog-if-generation-match"))

    def do_POST(self) -> None:
        key, query, _ = self._asked()
        if "uploads" in query:
            with self.kept.lock:
                self.kept.last += 1
                number = str(self.kept.last)
            self.kept.uploads[number] = {}
            self._answer(
                200,
                b"<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key>"
                b"<UploadId>%s</UploadId></InitiateMultipartUploadResult>" % number.encode(),
            )
            return
        parts = self.kept.uploads.pop(query["uploadId"][0])
        data = b"".join(parts[number] for number in sorted(parts))
        name = "CompleteMultipartUploadResult"
        said = f"<{name}><ETag>{escape(_tag(data))}</ETag></{name}>"
        self._written(key, data, self.headers.get("x-goog-if-generation-match"), said.encode())

    def do_DELETE(self) -> None:
        key, query, _ = self._asked()
        if "uploadId" in query:
            self.kept.uploads.pop(query["uploadId"][0], None)
        elif self.kept.objects.pop(key, None) is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        self._answer(204)

    def do_GET(self) -> None:
        key, query, _ = self._asked()
        if "list-type" in query:
            self._listed(query["prefix"][0])
            return
        there = self.kept.objects.get(key)
        if there is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        data, generation, at = there
        tag = _tag(data)
        facts = {
            "ETag": tag,
            "x_goog_generation": str(generation),
            "Last_Modified": formatdate(at, usegmt=True),
        }
        if self.headers.get("If-None-Match") == tag:
            self._answer(304, **facts)
        elif self.headers.get("If-Match", tag) != tag:
            self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        elif span := self.headers.get("Range"):
            first, last = span.removeprefix("bytes=").split("-")
            start = int(first) if first else max(0, len(data) - int(last))
            stop = min(int(last) + 1, len(data)) if first and last else len(data)
            if start >= len(data):
                self._answer(416, b"<Error><Code>InvalidRange</Code></Error>")
                return
            facts["Content_Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
            self._answer(206, data[start:stop], **facts)
        else:
            self._answer(200, data, **facts)

    do_HEAD = do_GET

    def _listed(self, prefix: str) -> None:
        with self.kept.lock:
            found = sorted((key, *rest) for key, rest in self.kept.objects.items() if key.startswith(prefix))
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(data)}</Size><ETag>{escape(_tag(data))}</ETag>"
            f"<LastModified>{time.strftime(_ISO, time.gmtime(at))}</LastModified></Contents>"
            for key, data, _, at in found
        )
        self._answer(200, f"<ListBucketResult>{rows}</ListBucketResult>".encode())
