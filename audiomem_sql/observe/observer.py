"""Who observes: stages are timed for the metrics, and become spans."""

from __future__ import annotations

import contextlib
import contextvars
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Protocol, TypeVar

from audiomem_sql.errors import AudioMemError
from audiomem_sql.observe.figures import table_name

_T = TypeVar("_T")

#: Tables that metrics tell apart; what comes after them is called OTHER.
MOST_TABLES = 64
OTHER = "other"
#: Stages that come many times in a query, and how many of them in one trace become spans.
OFTEN = ("read", "decode")
MOST_SPANS = 256

#: The table of the stage that runs, and the spans of OFTEN stages in this trace so far.
_TABLE: ContextVar[str] = ContextVar("audiomem_table", default=OTHER)
_SPANS: ContextVar[list[int] | None] = ContextVar("audiomem_spans", default=None)
_COUNTED = "_audiomem_counted"


class Counting(Protocol):
    """The metrics."""

    def add(self, name: str, amount: float, **labels: str) -> None:
        """Add to a counter, or an observation to a histogram."""
        ...


class Span(Protocol):
    """A span; it is the current one between ``resume`` and ``pause``."""

    def resume(self) -> None:
        """What begins now is inside it."""
        ...

    def pause(self) -> None:
        """What begins now is not."""
        ...

    def end(self, error: str | None) -> None:
        """It is over. error: the class of what it failed with."""
        ...


class Tracing(Protocol):
    """What makes spans."""

    def span(self, name: str, facts: dict[str, Any]) -> Span:
        """A span inside the current one, which begins now."""
        ...

    def ended(self, name: str, seconds: float, facts: dict[str, Any], error: str) -> None:
        """A span inside the current one that ends now, after so many seconds."""
        ...

    def within(self, headers: Mapping[str, str]) -> Any:
        """Make the span that the headers of a request name the current one."""
        ...

    def leave(self, token: Any) -> None:
        """Undo ``within``."""
        ...


class Observer:
    """Passes on what the hooks tell to metrics and traces, each of which may be missing."""

    def __init__(self, metrics: Counting | None, tracing: Tracing | None) -> None:
        self.metrics = metrics
        self.tracing = tracing
        self._labels: dict[str, str] = {}
        self._names: set[str] = set()
        self._lock = threading.Lock()

    def stage(self, name: str, file: str | None = None, **facts: Any) -> Stage:
        """As :class:`~audiomem_sql.observe.hooks.Observing` says, like all of these."""
        return Stage(self, name, self.table_label(file), facts)

    @contextlib.contextmanager
    def within(self, headers: Mapping[str, str]) -> Iterator[None]:
        """What runs here belongs to the trace that the headers of a request name."""
        if self.tracing is None:
            yield
            return
        token = self.tracing.within(headers)
        try:
            yield
        finally:
            self.tracing.leave(token)

    def carried(self, function: Callable[..., _T]) -> Callable[..., _T]:
        """In a copy of this thread's context, one for each call."""
        context = contextvars.copy_context()

        def call(*arguments: Any, **named: Any) -> _T:
            return context.copy().run(function, *arguments, **named)

        return call

    def add(self, name: str, amount: float, **labels: str) -> None:
        """Of metrics only."""
        if self.metrics is not None:
            self.metrics.add(name, amount, **labels)

    def request(self, store: str, method: str, seconds: float, sent: int, received: int, error: str) -> None:
        """A counter, a histogram, and a span."""
        outcome = "failed" if error else "ok"
        self.add("store_requests", 1, store=store, method=method, outcome=outcome)
        self.add("store_request_duration", seconds, store=store, method=method)
        for direction, count in (("sent", sent), ("received", received)):
            if count:
                self.add("store_bytes", count, store=store, direction=direction)
        if self.tracing is not None:
            facts = {"store": store, "method": method, "sent": sent, "received": received}
            self.tracing.ended("request", seconds, facts, error)

    def failed(self, error: BaseException) -> None:
        """Once for each error, whatever stages it passes through."""
        if not isinstance(error, Exception) or hasattr(error, _COUNTED):
            return
        self.add("errors", 1, error=type(error).__name__ if isinstance(error, AudioMemError) else OTHER)
        with contextlib.suppress(AttributeError):  # some errors of C take no attributes
            setattr(error, _COUNTED, True)

    def table_label(self, file: str | None = None) -> str:
        """The name of the table; OTHER after too many of them."""
        if file is None:
            return _TABLE.get()
        known = self._labels.get(file)
        if known is not None:
            return known
        name = table_name(file)
        with self._lock:
            if name not in self._names and len(self._names) >= MOST_TABLES:
                return OTHER
            self._names.add(name)
            if len(self._labels) < 16 * MOST_TABLES:
                self._labels[file] = name
        return name


class Stage:
    """A stage that runs: its time is that of its ``with`` blocks together.

    A stage that has one block only needs no :meth:`end`.
    """

    __slots__ = (
        "_began",
        "_error",
        "_is_over",
        "_name",
        "_observer",
        "_resumed",
        "_seconds",
        "_span",
        "_spans",
        "_table",
        "_tokens",
    )

    def __init__(self, observer: Observer, name: str, table: str, facts: dict[str, Any]) -> None:
        self._observer, self._name, self._table = observer, name, table
        self._seconds = 0.0
        self._error: str | None = None
        self._is_over = False
        self._tokens: tuple[Any, Any] | None = None
        self._spans = _SPANS.get()
        self._span = self._begun({"table": table, **facts})

    def _begun(self, facts: dict[str, Any]) -> Span | None:
        tracing = self._observer.tracing
        if tracing is None:
            return None
        if self._spans is None:
            self._spans = [0]
        if self._name in OFTEN:
            self._spans[0] += 1
            if self._spans[0] > MOST_SPANS:
                return None
        return tracing.span(self._name, facts)

    def __enter__(self) -> None:
        self._tokens = _TABLE.set(self._table), _SPANS.set(self._spans)
        if self._span is not None:
            self._span.resume()
        self._resumed = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._seconds += time.perf_counter() - self._resumed
        if self._span is not None:
            self._span.pause()
        if self._tokens is not None:
            _TABLE.reset(self._tokens[0])
            _SPANS.reset(self._tokens[1])
            self._tokens = None
        if error is not None:
            self._error = type(error).__name__
            self._observer.failed(error)
            self.end()

    def end(self) -> None:
        """The time is told."""
        if self._is_over:
            return
        self._is_over = True
        self._observer.add("stage_duration", self._seconds, stage=self._name, table=self._table)
        if self._span is not None:
            self._span.end(self._error)

    def __del__(self) -> None:
        self.end()
