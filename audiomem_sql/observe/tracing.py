"""Spans of OpenTelemetry, sent by OTLP over HTTP."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from opentelemetry import context, propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

from audiomem_sql._version import __version__


def provider(endpoint: str | None) -> TracerProvider:
    """One that sends to ``endpoint``, a URL; None: where OTEL_EXPORTER_OTLP_ENDPOINT says.

    OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER and OpenTelemetry's other variables count as elsewhere.
    """
    resource = Resource.create()
    if resource.attributes.get(SERVICE_NAME, "unknown_service").__str__().startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: "audiomem"}))
    made = TracerProvider(resource=resource)
    if endpoint is not None and not endpoint.endswith("/v1/traces"):
        endpoint = endpoint.rstrip("/") + "/v1/traces"
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    return made


class Spans:
    """Makes spans ``audiomem.STAGE`` with attributes ``audiomem.FACT``."""

    def __init__(self, provider: Any) -> None:
        self.provider = provider
        self._tracer = provider.get_tracer("audiomem_sql", __version__)

    def span(self, name: str, facts: dict[str, Any]) -> ActiveSpan:
        """A span inside the current one, which begins now."""
        return ActiveSpan(self._tracer.start_span(f"audiomem.{name}", attributes=_attributes(facts)))

    def within(self, headers: Mapping[str, str]) -> Any:
        """Make the span that the headers of a request name the current one; what ``leave`` takes."""
        return context.attach(propagate.extract(headers))

    def leave(self, token: Any) -> None:
        """It is no longer."""
        context.detach(token)

    def ended(self, name: str, seconds: float, facts: dict[str, Any], error: str) -> None:
        """A span inside the current one that ends now, after so many seconds."""
        now = time.time_ns()
        span = self._tracer.start_span(
            f"audiomem.{name}",
            kind=SpanKind.CLIENT,
            attributes=_attributes(facts),
            start_time=now - int(seconds * 1e9),
        )
        _end(span, error or None, now)


class ActiveSpan:
    """A span that is the current one between ``resume`` and ``pause``."""

    __slots__ = ("_span", "_token")

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        self._token: Any = None

    def resume(self) -> None:
        """What begins now is inside it."""
        self._token = context.attach(trace.set_span_in_context(self._span))

    def pause(self) -> None:
        """What begins now is not."""
        context.detach(self._token)

    def end(self, error: str | None) -> None:
        """It is over."""
        _end(self._span, error, None)


def _attributes(facts: dict[str, Any]) -> dict[str, Any]:
    return {f"audiomem.{name}": value for name, value in facts.items()}


def _end(span: trace.Span, error: str | None, at: int | None) -> None:
    if error is not None:
        span.set_attribute("error.type", error)
        span.set_status(Status(StatusCode.ERROR))
    span.end(at)
