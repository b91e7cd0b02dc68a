"""What a scan does before its consumer comes: decode stretches of rows, and ask a store for their blocks.

A store answers each request after some milliseconds, so blocks are asked for in windows of some megabytes,
several at the same time, whichever segments they are of. The first stretches are read as they are asked for:
a LIMIT 1 costs one block. Who will take all rows, most likely, has windows asked for at the same time as the
first stretch. Stretches of few rows, such as rows that are looked up by their keys, are asked for with all
their columns.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain, islice

import numpy as np

from audiomem_sql.columns.batch import Batch
from audiomem_sql.machine.interrupts import check_interrupt, result_of
from audiomem_sql.machine.thread_pool import ThreadPool
from audiomem_sql.observe import hooks
from audiomem_sql.storage.segment import ReadableSegment
from audiomem_sql.versions import SegmentView

#: Stretches that are read when the consumer asks for them.
_AT_FIRST = 2
#: Stored bytes and rows of a window, and windows that are asked for at the same time. What a file keeps in
#: memory has room for them.
WINDOW_BYTES = 2 << 20
_WINDOW_ROWS = 1 << 19
_WINDOWS = 7
#: Those that are asked for before anything has come, where all rows will be wanted: the first stretch is one.
_WITH_THE_FIRST = 3
#: Rows of a stretch that are few, and how many such stretches are a window.
FEW_ROWS = 64
_FEW_STRETCHES = 32


def decoded_ahead(tasks: Iterator[Callable[[], Iterable[Batch]]], count: int) -> Iterator[Batch]:
    """Run the tasks in order, from the third on ``count`` of them ahead of the consumer."""
    for _, task in zip(range(_AT_FIRST), tasks, strict=False):
        check_interrupt()
        yield from task()
    waiting: deque[Future[Iterable[Batch]]] = deque()
    try:
        for task in tasks:
            check_interrupt()
            if not count:
                yield from task()
                continue
            waiting.append(_pool().submit(hooks.carried(task)))
            if len(waiting) > count:
                yield from result_of(waiting.popleft())
        while waiting:
            yield from result_of(waiting.popleft())
    finally:
        for task_left in waiting:
            task_left.cancel()


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What a scan reads of one segment of ``view``.

    tested: columns that say which rows are wanted, and alone are asked for; None where all rows are.
    spans: stretches of rows.
    """

    view: SegmentView
    columns: Sequence[int]
    tested: Sequence[int] | None
    spans: Iterator[tuple[int, int]]


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    """Stretches that are asked for together, of which these are the rows and columns. few: of few rows."""

    part: Part
    spans: list[tuple[int, int]]
    wanted: Sequence[int]
    few: bool

    def ask(self) -> Future[None]:
        """Ask for them on another thread."""
        rows = np.concatenate([np.arange(*span) for span in sorted(self.spans)])
        return _askers().submit(hooks.carried(self.part.view.segment.prefetch), self.wanted, rows)


def asked_ahead(
    parts: Iterable[Part], *, whole: bool
) -> Iterator[tuple[SegmentView, int, int, Callable[[], None]]]:
    """Stretches of rows in far files, and what waits until their blocks have come.

    whole: all rows will be wanted, most likely, so that windows are asked for together with the very first
    stretch. Otherwise that comes alone.
    """
    coming = _windows(parts)
    windows: deque[tuple[_Window, Future[None] | None]] = deque()
    most = _WITH_THE_FIRST if whole else 1
    alone = not whole
    try:
        while True:
            while len(windows) < most and (window := next(coming, None)):
                windows.append((window, None if alone and not window.few else window.ask()))
                alone = False
            if not windows:
                return
            window, asked = windows.popleft()
            wait = _nothing if asked is None else partial(result_of, asked)
            yield from ((window.part.view, start, stop, wait) for start, stop in window.spans)
            most = 1 if window.few and not whole else _WINDOWS
    finally:
        for _, asked in windows:
            if asked is not None:
                asked.cancel()


def _windows(parts: Iterable[Part]) -> Iterator[_Window]:
    """The windows of all parts. The very first stretch is one of its own, unless there are few rows."""
    is_first = True
    for part in parts:
        first = list(islice(part.spans, _AT_FIRST))
        if not first:
            continue
        few = len(first) > 1 and all(stop - start <= FEW_ROWS for start, stop in first)
        tested = part.tested
        wanted = part.columns if tested is None else [*tested, *part.columns] if few else tested
        if is_first and not few:
            yield _Window(part, first[:1], wanted, few)
            del first[:1]
        is_first = False
        later, most = chain(first, part.spans), _rows_of_a_window(part.view.segment, wanted)
        while spans := _window(later, most, few):
            yield _Window(part, spans, wanted, few)


def _nothing() -> None:
    """There is nothing to wait for."""


def _rows_of_a_window(segment: ReadableSegment, columns: Sequence[int]) -> int:
    directories = filter(None, map(segment.directory, columns))
    stored = sum(directory.stored_bytes for directory in directories)
    return min(_WINDOW_ROWS, WINDOW_BYTES * max(segment.rows, 1) // max(stored, 1))


def _window(spans: Iterator[tuple[int, int]], rows: int, are_few: bool) -> list[tuple[int, int]]:
    """The next stretches, until they have so many rows; empty at the end."""
    window: list[tuple[int, int]] = []
    for start, stop in spans:
        window.append((start, stop))
        rows -= stop - start
        if rows <= 0 or (are_few and len(window) == _FEW_STRETCHES):
            break
    return window


@cache
def _pool() -> ThreadPool:
    pool = ThreadPool(min(4, os.cpu_count() or 1), thread_name_prefix="audiomem-scan")
    os.register_at_fork(after_in_child=_pool.cache_clear)
    return pool


@cache
def _askers() -> ThreadPool:
    """Threads of their own: those that decode wait for them."""
    pool = ThreadPool(_WINDOWS, thread_name_prefix="audiomem-ask")
    os.register_at_fork(after_in_child=_askers.cache_clear)
    return pool
