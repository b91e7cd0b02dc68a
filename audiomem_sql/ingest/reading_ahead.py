"""Sources read by several processes at once, in the order in which they were given."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial

import pyarrow as pa

from audiomem_sql.errors import StorageError
from audiomem_sql.ingest.reading import Outcome, Reading, Stopped, leave_interrupts, read_group
from audiomem_sql.ingest.sources import Source

#: A source of so many bytes is not sent between processes.
LARGE_SOURCE = 8 << 20
#: Sources that a process reads at once, and their bytes.
GROUP_SOURCES = 256
GROUP_BYTES = 512 << 10

#: What a process read: rows, their characters, and what became of each source.
_Read = tuple[pa.Table, int, list[Outcome]]


def read_ahead(
    sources: Sequence[Source],
    known: Callable[[], Mapping[str, bytes]],
    read: tuple[Reading, Sequence[str]],
    processes: int,
    stop: Callable[[], bool],
    path: str,
) -> Iterator[tuple[list[Source], _Read | None]]:
    """Groups of neighbours with what was read of them; None for one very large source, to be read here.

    known: gives digests by name. read: how, and the columns of the rows. path: of the table, for messages.
    Raises Stopped once ``stop`` says True; the processes are ended then, whatever they do.
    """
    work = partial(read_group, reading=read[0], names=read[1])
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(processes, context, leave_interrupts) as pool:
        waiting: deque[tuple[list[Source], Future[_Read] | None]] = deque()
        try:
            groups = groups_of(sources)
            while True:
                while len(waiting) < 4 * processes and (group := next(groups, None)) is not None:
                    large = len(group) == 1 and group[0].size >= LARGE_SOURCE
                    digests = known()
                    given = [(source, digests.get(source.name)) for source in group]
                    waiting.append((group, None if large else pool.submit(work, given)))
                if not waiting:
                    return
                group, future = waiting.popleft()
                yield group, None if future is None else _result(future, stop, path)
        except BaseException:
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _result(future: Future[_Read], stop: Callable[[], bool], path: str) -> _Read:
    while True:
        if stop():
            raise Stopped
        try:
            return future.result(timeout=0.1)
        except TimeoutError:
            continue
        except BrokenProcessPool:
            raise StorageError(
                "a process that reads sources was ended from outside",
                file=path,
                remedy="There may be too little memory. What is committed stays; run it again to go on.",
            ) from None


def groups_of(sources: Iterable[Source]) -> Iterator[list[Source]]:
    """Neighbours that are read together; a large source is alone."""
    group: list[Source] = []
    size = 0
    for source in sources:
        if group and (size + source.size > GROUP_BYTES or len(group) >= GROUP_SOURCES):
            yield group
            group, size = [], 0
        group.append(source)
        size += source.size
    if group:
        yield group
