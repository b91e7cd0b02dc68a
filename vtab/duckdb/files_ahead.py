"""Several files that are read one behind the other: the first rows of the next ones are decoded meanwhile.

The rows come in the order of the files. Where one file ends, the next has begun, so that no processor waits
for the first block of each; and files of few rows are read side by side.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from itertools import chain, islice
from typing import TypeAlias

import pyarrow as pa

from audiomem_sql.machine.interrupts import result_of, watched
from audiomem_sql.machine.limits import LIMITS
from audiomem_sql.table.reader import TableReader

#: Files that are begun while one is read.
FILES = 4
#: Batches of a file that are made before its turn comes; each has some megabyte, and the scan makes more.
BATCHES = 2

_Begun: TypeAlias = tuple[list[pa.RecordBatch], Iterator[pa.RecordBatch]]


def may_read_ahead(tables: Iterable[TableReader]) -> bool:
    """Whether all tables have a profile with which something is decoded before it is asked for."""
    return all(LIMITS[table.options.profile].ahead for table in tables)


def one_after_another(
    files: Sequence[Callable[[], Iterator[pa.RecordBatch]]], *, ahead: bool = True
) -> Iterator[pa.RecordBatch]:
    """The batches of all ``files``, in their order; each is called once, maybe by another thread.

    ahead: whether files are begun before their turn, which no file is before a second batch is asked for. An
    error comes where its file would. When nobody asks any more, what has begun ends.
    """
    count = min(FILES, os.cpu_count() or 1) if ahead else 0
    ended = threading.Event()
    left = iter(files)
    waiting: deque[Future[_Begun]] = deque()

    def begin(make: Callable[[], Iterator[pa.RecordBatch]]) -> _Begun:
        with watched(ended.is_set):
            batches = make()
            return list(islice(batches, BATCHES)), batches

    def begin_some() -> None:
        for make in islice(left, count - len(waiting)):
            waiting.append(_pool().submit(begin, make))

    try:
        while True:
            if waiting:
                made, batches = result_of(waiting.popleft())
            else:
                make = next(left, None)
                if make is None:
                    return
                made, batches = [], make()
            for batch in chain(made, batches):
                yield batch
                begin_some()
    finally:
        ended.set()
        for future in waiting:
            future.cancel()


@cache
def _pool() -> ThreadPoolExecutor:
    """Threads of their own: those that decode stretches of rows are waited for."""
    pool = ThreadPoolExecutor(min(FILES, os.cpu_count() or 1), thread_name_prefix="audiomem-files")
    os.register_at_fork(after_in_child=_pool.cache_clear)
    return pool
