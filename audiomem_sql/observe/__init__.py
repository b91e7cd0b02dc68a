"""Observing the library: metrics for Prometheus, spans for OpenTelemetry, records for ``logging``.

Nothing is imported, counted or sent until :func:`start`, or until the environment says so:
``AUDIOMEM_OBSERVE=prometheus=9464,otlp``. The extra ``observe`` brings what it needs.
"""

from __future__ import annotations

import os
from typing import Any

__all__ = ["flush", "instrument", "metrics_text", "port", "start", "stop"]


def start(
    *,
    prometheus: bool = True,
    port: int | None = None,
    address: str = "127.0.0.1",
    otlp: bool | str = False,
    tracer_provider: Any = None,
) -> None:
    """Begin to observe this process. What is observed already goes on.

    prometheus: count, for :func:`metrics_text`. port, address: serve the metrics there as well, at
    ``/metrics``; port 0 is any free one, see :func:`port`. otlp: send spans to this URL; True for the one
    that OTEL_EXPORTER_OTLP_ENDPOINT names, by default ``http://localhost:4318``. tracer_provider: the
    program's own, instead.

    MissingExtraError without the packages; OptionError if the port is taken.
    """
    from audiomem_sql.observe import starting

    starting.start(
        prometheus=prometheus, port=port, address=address, otlp=otlp, tracer_provider=tracer_provider
    )


def stop() -> None:
    """End it: spans that wait are sent, the port is closed, and what was counted is forgotten."""
    from audiomem_sql.observe import starting

    starting.stop()


def flush() -> None:
    """Send the spans that wait."""
    from audiomem_sql.observe import starting

    starting.flush()


def metrics_text() -> bytes:
    """The metrics in Prometheus's text format. OptionError before :func:`start`."""
    from audiomem_sql.observe import starting

    return starting.metrics_text()


def port() -> int | None:
    """The port at which metrics are served; None where they are not."""
    from audiomem_sql.observe import starting

    return starting.port()


def instrument(app: Any, *, metrics_path: str | None = "/metrics") -> Any:
    """Observe a service: an application of ASGI, such as one of FastAPI; what serves it from now on.

    Each request is counted and has a span, and ``metrics_path`` answers with the metrics (None: it does not).
    An application that takes middleware is changed, and returned itself.
    """
    from audiomem_sql.observe.asgi import Observed

    if hasattr(app, "add_middleware"):
        app.add_middleware(Observed, metrics_path=metrics_path)
        return app
    return Observed(app, metrics_path)


if os.environ.get("AUDIOMEM_OBSERVE"):
    from audiomem_sql.observe.starting import from_environment

    from_environment()
