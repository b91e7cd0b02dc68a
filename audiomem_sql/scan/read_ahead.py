"""What a scan does before its consumer comes: decode stretches of rows, and ask a store for their blocks.

A store answers each request after some milliseconds, so blocks are asked for in windows of some megabytes,
several at the same time. The first stretches are read as they are asked for: a LIMIT 1 costs one block.
Stretches of few rows, such as rows that are looked up by their keys, are asked for with all their columns.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, partial
from itertools import chain, islice

import numpy as np

from audiomem_sql.columns.batch import Batch
from audiomem_sql.machine.interrupts import check_interrupt, result_of
from audiomem_sql.storage.segment import ReadableSegment

#: Stretches that are read when the consumer asks for them.
_AT_FIRST = 2
#: Stored bytes and rows of a window, and windows that are asked for at the same time. What a file keeps in
#: memory has room for them.
WINDOW_BYTES = 2 << 20
_WINDOW_ROWS = 1 << 19
_WINDOWS = 7
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
            waiting.append(_pool().submit(task))
            if len(waiting) > count:
                yield from result_of(waiting.popleft())
        while waiting:
            yield from result_of(waiting.popleft())
    finally:
        for task_left in waiting:
            task_left.cancel()


def asked_ahead(
    segment: ReadableSegment,
    columns: Sequence[int],
    tested: Sequence[int] | None,
    spans: Iterator[tuple[int, int]],
) -> Iterator[tuple[int, int, Callable[[], None]]]:
    """Stretches of rows, and what waits until their blocks have come.

    tested: columns that say which rows are wanted, and alone are asked for; None where all rows are. Nothing
    waits for a file that is near.
    """
    if not segment.file.is_far:
        yield from ((start, stop, _nothing) for start, stop in spans)
        return
    first = list(islice(spans, _AT_FIRST))
    are_few = len(first) > 1 and all(stop - start <= FEW_ROWS for start, stop in first)
    if not are_few:
        yield from ((start, stop, _nothing) for start, stop in first[:1])
        del first[:1]
    wanted = columns if tested is None else [*tested, *columns] if are_few else tested
    later, most = chain(first, spans), _rows_of_a_window(segment, wanted)
    windows: deque[tuple[list[tuple[int, int]], Future[None]]] = deque()
    try:
        while True:
            while len(windows) < (1 if are_few else _WINDOWS) and (window := _window(later, most, are_few)):
                rows = np.concatenate([np.arange(*span) for span in sorted(window)])
                windows.append((window, _askers().submit(segment.prefetch, wanted, rows)))
            if not windows:
                return
            window, asked = windows.popleft()
            yield from ((start, stop, partial(result_of, asked)) for start, stop in window)
    finally:
        for _, asked in windows:
            asked.cancel()


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
def _pool() -> ThreadPoolExecutor:
    pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="audiomem-scan")
    os.register_at_fork(after_in_child=_pool.cache_clear)
    return pool


@cache
def _askers() -> ThreadPoolExecutor:
    """Threads of their own: those that decode wait for them."""
    pool = ThreadPoolExecutor(_WINDOWS, thread_name_prefix="audiomem-ask")
    os.register_at_fork(after_in_child=_askers.cache_clear)
    return pool
