"""Observing begins and ends; this imports prometheus_client and OpenTelemetry where they are asked for."""

from __future__ import annotations

import atexit
import os
import threading
import warnings
from typing import TYPE_CHECKING, Any

from audiomem_sql.errors import MissingExtraError, OptionError
from audiomem_sql.observe import hooks
from audiomem_sql.observe.observer import Observer

if TYPE_CHECKING:
    from audiomem_sql.observe.metrics import Metrics

#: What AUDIOMEM_OBSERVE may name.
KINDS = ("prometheus", "otlp")
LOOPBACK = "127.0.0.1"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _State:
    """What runs in this process."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.metrics: Metrics | None = None
        self.spans: Any = None
        self.owns_provider = False
        self.server: Any = None


_STATE = _State()


def start(
    *,
    prometheus: bool = True,
    port: int | None = None,
    address: str = LOOPBACK,
    otlp: bool | str = False,
    tracer_provider: Any = None,
) -> None:
    """Begin to observe; what is observed already goes on."""
    with _STATE.lock:
        if prometheus or port is not None:
            _start_metrics(port, address)
        if (otlp or tracer_provider is not None) and _STATE.spans is None:
            tracing = _module("tracing", "opentelemetry")
            made = tracer_provider or tracing.provider(otlp if isinstance(otlp, str) else None)
            _STATE.spans = tracing.Spans(made)
            _STATE.owns_provider = tracer_provider is None
            atexit.register(flush)
        if _STATE.metrics is not None or _STATE.spans is not None:
            hooks.observer = Observer(_STATE.metrics, _STATE.spans)


def _start_metrics(port: int | None, address: str) -> None:
    module = _module("metrics", "prometheus_client")
    if _STATE.metrics is None:
        _STATE.metrics = module.Metrics()
    if port is not None and _STATE.server is None:
        from prometheus_client import start_http_server

        try:
            _STATE.server = start_http_server(port, address, registry=_STATE.metrics.registry)
        except OSError as error:
            raise OptionError(
                f"metrics cannot be served at {address}:{port}: {error.strerror}",
                remedy="Name another port, one for each process.",
            ) from None


def _module(name: str, package: str) -> Any:
    import importlib

    try:
        return importlib.import_module(f"audiomem_sql.observe.{name}")
    except ImportError as error:
        raise MissingExtraError(
            f"observing needs {package}", remedy="Run pip install 'audiomem-sql[observe]'."
        ) from error


def stop() -> None:
    """End it: spans that wait are sent, the port is closed, and what was counted is forgotten."""
    with _STATE.lock:
        hooks.observer = None
        if _STATE.server is not None:
            server, thread = _STATE.server
            server.shutdown()
            server.server_close()
            thread.join()
        if _STATE.spans is not None and _STATE.owns_provider:
            _STATE.spans.provider.shutdown()
        atexit.unregister(flush)
        _STATE.metrics = _STATE.spans = _STATE.server = None


def flush() -> None:
    """Send the spans that wait."""
    if _STATE.spans is not None and hasattr(_STATE.spans.provider, "force_flush"):
        _STATE.spans.provider.force_flush(5_000)


def metrics_text() -> bytes:
    """What Prometheus reads."""
    if _STATE.metrics is None:
        raise OptionError(
            "nothing is counted", remedy="Call audiomem_sql.observe.start() first, or set AUDIOMEM_OBSERVE."
        )
    return _STATE.metrics.text()


def port() -> int | None:
    """Where metrics are served; None where they are not."""
    return None if _STATE.server is None else int(_STATE.server[0].server_port)


def start_from(said: str) -> None:
    """Begin what ``said`` names, as ``prometheus=9464,otlp``; what cannot be begun is a warning.

    A program must not fail because it cannot be observed.
    """
    try:
        start(**arguments_of(said))
    except (OptionError, MissingExtraError) as error:
        warnings.warn(f"AUDIOMEM_OBSERVE: {error}", RuntimeWarning, stacklevel=2)


def arguments_of(said: str) -> dict[str, Any]:
    """The arguments of :func:`start`. OptionError for what cannot be understood."""
    found: dict[str, Any] = {"prometheus": False}
    for part in filter(None, (part.strip() for part in said.split(","))):
        kind, _, value = part.partition("=")
        if kind not in KINDS:
            raise OptionError(f"{part!r} is nothing to observe with", remedy=f"Name {' or '.join(KINDS)}.")
        if kind == "otlp":
            found["otlp"] = value or True
            continue
        found["prometheus"] = True
        if value:
            address, _, number = value.rpartition(":")
            if not number.isdecimal() or int(number) > 65535:
                raise OptionError(f"{number!r} is no port", remedy="Write prometheus=9464.")
            found |= {"port": int(number), "address": address.strip("[]") or LOOPBACK}
    return found


def from_environment() -> None:
    """Begin what AUDIOMEM_OBSERVE names."""
    said = os.environ.get("AUDIOMEM_OBSERVE")
    if said:
        start_from(said)
