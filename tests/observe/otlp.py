"""A receiver of OTLP over HTTP on loopback, which reads what it gets as protobuf."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass(frozen=True)
class Span:
    """A span as it arrived; parent: of the span around it, empty for a root."""

    name: str
    trace: str
    id: str
    parent: str
    facts: dict[str, Any]
    start: int
    end: int
    failed: bool


class Receiver:
    """``with Receiver() as receiver``: ``url`` to send to, ``spans`` that came, ``service`` that sent."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.service = ""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                assert self.headers["content-type"] == "application/x-protobuf"
                receiver._take(self.rfile.read(int(self.headers["content-length"])))
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def _take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            names = {each.key: each.value.string_value for each in resource.resource.attributes}
            self.service = names["service.name"]
            for scope in resource.scope_spans:
                for span in scope.spans:
                    facts = {
                        each.key: getattr(each.value, each.value.WhichOneof("value"))
                        for each in span.attributes
                    }
                    self.spans.append(
                        Span(
                            span.name,
                            span.trace_id.hex(),
                            span.span_id.hex(),
                            span.parent_span_id.hex(),
                            facts,
                            span.start_time_unix_nano,
                            span.end_time_unix_nano,
                            span.status.code == span.status.STATUS_CODE_ERROR,
                        )
                    )

    def path(self, span: Span) -> list[str]:
        """The names from the root to a span."""
        by_id = {each.id: each for each in self.spans}
        names = [span.name]
        while span.parent in by_id:
            span = by_id[span.parent]
            names.insert(0, span.name)
        return names

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
