"""Sources read by several processes at once, in the order in which they were given.

Each process has a pipe of its own, and no thread stands between: one that is ended at any moment, also while
it sends what it read, leaves nobody waiting.
"""

from __future__ import annotations

import multiprocessing
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from typing import Any

import pyarrow as pa

from audiomem_sql.errors import StorageError
from audiomem_sql.ingest.reading import Outcome, Reading, leave_interrupts, read_group
from audiomem_sql.ingest.sources import Source
from audiomem_sql.ingest.stopping import Stopped

#: A source of so many bytes is not sent between processes.
LARGE_SOURCE = 8 << 20
#: Sources that a process reads at once, and their bytes.
GROUP_SOURCES = 256
GROUP_BYTES = 512 << 10
#: Seconds between two questions whether to stop, and those that a process has to end by itself.
_INTERVAL = 0.1
_LAST_SECONDS = 5.0

#: What a process read: rows, their characters, and what became of each source.
_Read = tuple[pa.Table, int, list[Outcome]]
#: What a process is given: sources with the digests that are known of them.
_Given = list[tuple[Source, bytes | None]]


class _Task:
    """A group of sources, and what was read of it. ``given``: None for one that is read elsewhere."""

    def __init__(self, group: list[Source], given: _Given | None) -> None:
        self.group = group
        self.given = given
        self.read: _Read | None = None
        self.is_done = given is None


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
    groups = groups_of(sources)
    waiting: deque[_Task] = deque()
    with _Processes(processes, read, path) as pool:
        while True:
            # enough for all that read to have something while rows are written
            while len(waiting) < 4 * processes and (group := next(groups, None)) is not None:
                large = len(group) == 1 and group[0].size >= LARGE_SOURCE
                digests = known()
                given = None if large else [(source, digests.get(source.name)) for source in group]
                waiting.append(_Task(group, given))
                pool.give(waiting[-1])
            if not waiting:
                return
            while not waiting[0].is_done:
                if stop():
                    raise Stopped
                pool.work(_INTERVAL)
            task = waiting.popleft()
            yield task.group, task.read


class _Processes:
    """Processes that read, each one task at a time; they end with the block."""

    def __init__(self, count: int, read: tuple[Reading, Sequence[str]], path: str) -> None:
        self._count = count
        self._read = read
        self._path = path
        self._processes: list[Any] = []
        # Pipes; None: the process is starting. A large task is given to none that does not read yet.
        self._idle: list[Any] = []
        self._busy: dict[Any, _Task | None] = {}
        self._tasks: deque[_Task] = deque()

    def __enter__(self) -> _Processes:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        in_peace = kind is None
        for connection in (*self._idle, *self._busy):
            connection.close()
        for process in self._processes:
            if not in_peace:
                process.terminate()
            process.join(_LAST_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()

    def give(self, task: _Task) -> None:
        """Have ``task`` done by the next that is idle."""
        if not task.is_done:
            self._tasks.append(task)
            self._start()

    def _start(self) -> None:
        """Give tasks to those that are idle; for what is left, start one more, up to ``count``."""
        while self._tasks and self._idle:
            connection = self._idle.pop()
            task = self._busy[connection] = self._tasks.popleft()
            with suppress(BrokenPipeError, ConnectionResetError):  # it is told when its answer is read
                connection.send(task.given)
        if self._tasks and len(self._processes) < self._count:
            self._busy[self._new()] = None

    def _new(self) -> Any:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, *self._read), daemon=True)
        with _without_interrupts():
            process.start()
        self._processes.append(process)
        theirs.close()  # so that the end of the process is the end of the pipe
        return ours

    def work(self, seconds: float) -> None:
        """Take what was read, and give out what is to be read next; wait at most so long for it."""
        for ready in wait(list(self._busy), seconds):
            connection: Any = ready
            try:
                answer: Any = connection.recv()
            except (EOFError, OSError):
                raise StorageError(
                    "a process that reads sources was ended from outside",
                    file=self._path,
                    remedy="There may be too little memory. What is committed stays; run it again to go on.",
                ) from None
            if isinstance(answer, Exception):
                raise answer
            task = self._busy.pop(connection)
            if task is not None:
                task.read, task.is_done = answer, True
            self._idle.append(connection)
        self._start()


def _serve(connection: Any, reading: Reading, names: Sequence[str]) -> None:
    """Read groups of sources until there are no more: what a process does."""
    leave_interrupts()
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        connection.send(None)  # it reads from here on
        while True:
            given = connection.recv()
            answer: Any
            try:
                answer = read_group(given, reading, names)
            except Exception as error:
                error.add_note(traceback.format_exc())
                answer = error
            connection.send(answer)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ctrl-C is not for processes that are started meanwhile, not even before they can say so."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
