"""What the rooms of the library call when something happens. It costs a comparison while nobody observes.

``observer`` is None until :func:`audiomem_sql.observe.start`. Nothing here, and nothing that is given to it,
has the contents of rows.
"""

from __future__ import annotations

import functools
import logging
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, ParamSpec, Protocol, TypeVar

from audiomem_sql.observe.figures import CacheFigures, TableFigures, table_name

_P = ParamSpec("_P")
_T = TypeVar("_T")

#: Everything that is logged goes here: nowhere, until the program says where.
LOGGER = logging.getLogger("audiomem_sql")
LOGGER.addHandler(logging.NullHandler())

#: Seconds of waiting for another writer that are worth a record.
LONG_WAIT = 1.0


class Ongoing(AbstractContextManager[None], Protocol):
    """A stage that goes on in pieces: each is a ``with`` block, :meth:`end` comes behind the last."""

    def end(self) -> None:
        """The stage is over; twice is harmless."""
        ...


class Observing(Protocol):
    """Who observes."""

    def stage(self, name: str, file: str | None = None, **facts: Any) -> Ongoing:
        """A stage, as a ``with`` block, or in pieces. file: the table's, where the stage knows it."""
        ...

    def within(self, headers: Mapping[str, str]) -> AbstractContextManager[None]:
        """What runs in the block belongs to the trace that the headers of a request name."""
        ...

    def carried(self, function: Callable[..., _T]) -> Callable[..., _T]:
        """``function``, for another thread: what it does there belongs to the stage of this one."""
        ...

    def add(self, name: str, amount: float, **labels: str) -> None:
        """Add to a counter, or an observation to a histogram, by the name of the metric."""
        ...

    def request(self, store: str, method: str, seconds: float, sent: int, received: int, error: str) -> None:
        """A request to a store has ended. error: empty, or the class of what it failed with."""
        ...

    def failed(self, error: BaseException) -> None:
        """Count an error, once, wherever it is seen again."""
        ...

    def table_label(self, file: str | None = None) -> str:
        """How metrics name the table of a file, or of the stage that runs."""
        ...


class Watched(Protocol):
    """An open table."""

    def figures(self) -> TableFigures:
        """What is known of it without reading its rows."""
        ...


#: Who observes; None: nobody.
observer: Observing | None = None
#: The open tables of the process.
tables: weakref.WeakSet[Any] = weakref.WeakSet()
#: Tell what is counted at caches, each of some tiers.
caches: list[Callable[[], Iterable[CacheFigures]]] = []
#: Called before metrics are given: whoever has tables open that others write to looks for commits.
refreshes: list[Callable[[], None]] = []


def staged(
    stage: str, file: Callable[..., Any] | None = None, level: int | None = None
) -> Callable[[Callable[_P, _T]], Callable[_P, _T]]:
    """A decorator: calls of the function are a stage.

    file: the path or the URL of the table, from the arguments; None for a stage inside another one.
    level: of the record that is logged at the end; None for none.
    """

    def decorate(function: Callable[_P, _T]) -> Callable[_P, _T]:
        @functools.wraps(function)
        def observed(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            if observer is None and (level is None or not LOGGER.isEnabledFor(level)):
                return function(*args, **kwargs)
            name = None if file is None else str(file(*args, **kwargs))
            began = time.perf_counter()
            outcome = "ok"
            try:
                if observer is None:
                    return function(*args, **kwargs)
                with observer.stage(stage, name):
                    return function(*args, **kwargs)
            except BaseException as error:
                outcome = type(error).__name__
                raise
            finally:
                if level is not None:
                    seconds = time.perf_counter() - began
                    log(level, stage, name, outcome, seconds=seconds)

        return observed

    return decorate


def each(stage: str, make: Callable[[], Iterator[_T]], file: str | None = None) -> Iterator[_T]:
    """What ``make`` gives, whose making is a stage, from the call to the last item."""
    if observer is None:
        return make()
    running = observer.stage(stage, file)
    with running:
        items = make()
    return _each(running, items)


def _each(stage: Ongoing, items: Iterator[_T]) -> Iterator[_T]:
    try:
        while True:
            with stage:
                item = next(items, _END)
            if item is _END:
                return
            yield item
    finally:
        stage.end()


_END: Any = object()


def carried(function: Callable[..., _T]) -> Callable[..., _T]:
    """``function``, for another thread."""
    return function if observer is None else observer.carried(function)


def log(level: int, event: str, file: str | None, outcome: str = "ok", **facts: float | int | str) -> None:
    """Log what happened, if somebody listens: the facts are attributes of the record."""
    if LOGGER.isEnabledFor(level):
        table = "" if file is None else table_name(file)
        said = "".join(
            f" {name}={value:.6f}" if isinstance(value, float) else f" {name}={value}"
            for name, value in facts.items()
        )
        fields = {"event": event, "table": table, "outcome": outcome, **facts}
        LOGGER.log(level, "%s %s %s%s", event, table, outcome, said, extra=fields)


def rows_written(file: str, inserted: int, deleted: int) -> None:
    """A commit is durable."""
    if observer is not None:
        table = observer.table_label(file)
        for change, count in (("insert", inserted), ("delete", deleted)):
            if count:
                observer.add("rows_written", count, table=table, change=change)
    log(logging.DEBUG, "committed", file, inserted=inserted, deleted=deleted)


def lock_waited(file: str, kind: str, seconds: float) -> None:
    """A writer waited for another one. kind: ``thread`` or ``process``."""
    if observer is not None:
        observer.add("lock_wait", seconds, table=observer.table_label(file), kind=kind)
    if seconds >= LONG_WAIT:
        log(logging.WARNING, "lock_wait", file, kind=kind, seconds=seconds)


def corrected(file: str, layer: str, corrected_count: int, lost: int = 0) -> None:
    """Damage was found on the way, and corrected or not. layer: ``page``, ``parity`` or ``band``."""
    if observer is not None:
        for severity, count in (("corrected", corrected_count), ("lost", lost)):
            if count:
                observer.add("ecc_corrections", count, layer=layer, severity=severity)
    if lost:
        log(logging.ERROR, "damage", file, "lost", layer=layer, lost=lost)
    elif corrected_count:
        log(logging.WARNING, "damage", file, "corrected", layer=layer, corrected=corrected_count)


def requested(name: str, method: str, began: float, sent: int, received: int, error: str = "") -> None:
    """A request to the store of the URL ``name`` has ended. began: by ``time.monotonic``."""
    seconds = time.monotonic() - began
    store = name.partition("://")[0] if "://" in name else "file"
    if observer is not None:
        observer.request(store, method, seconds, sent, received, error)
    if error:
        log(logging.WARNING, "request", name, error, store=store, method=method, seconds=seconds)
