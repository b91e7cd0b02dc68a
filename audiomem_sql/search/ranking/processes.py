"""Processes that search some shards of a table beside this one, each always the same shards.

``AUDIOMEM_SEARCH_PROCESSES=4`` has three more processes for each table. They are started by the first search,
which does not wait for them, and end with the table, with this process, or when they are killed: then they
are started anew. Whatever one of them cannot do, this process does.

A process is asked through pipes, in pickled tuples that nobody else writes. It opens the table itself, and
answers from the very version that is searched here, or not at all (``search/shard_searches.py``).
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING, Any

from audiomem_sql.errors import OptionError
from audiomem_sql.machine.interrupts import INTERVAL, check_interrupt
from audiomem_sql.scan import Readable
from audiomem_sql.search.ranking.parts import Kept
from audiomem_sql.shards import ShardedSnapshot
from audiomem_sql.warn_once import warn_or_log

if TYPE_CHECKING:
    import subprocess
    from multiprocessing.connection import Connection

ENVIRONMENT = "AUDIOMEM_SEARCH_PROCESSES"
MOST_PROCESSES = 256
#: How often each process may end before one has answered, until no more are started.
MOST_LOST = 3
_MAIN = (
    "import sys; sys.path[:] = sys.argv[1:]; from audiomem_sql.search import shard_searches as s; s.main()"
)
_numbers = count(1)


class WorkerFailedError(Exception):
    """A process gave no answer: what it was asked for is to be found here."""


def chosen_processes() -> int:
    """How many search a table, as the environment says; by default 1. OptionError if it says no number."""
    chosen = os.environ.get(ENVIRONMENT) or "1"
    if not chosen.isascii() or not chosen.isdigit() or not 1 <= int(chosen) <= MOST_PROCESSES:
        raise OptionError(
            f"{ENVIRONMENT}={chosen:.40} is no number from 1 to {MOST_PROCESSES}",
            remedy="Use the number of cores, or 1 to search in one process.",
        )
    return int(chosen)


def interpreter() -> str | None:
    """The Python to start processes with; None where this process is a database's that has none."""
    candidates = (
        os.environ.get("AUDIOMEM_PYTHON"),
        sys.executable,
        os.path.join(sys.prefix, "bin", "python3"),
    )
    for path in candidates:
        if path and os.path.basename(path).startswith("python") and os.access(path, os.X_OK):
            return path
    return None


class Worker:
    """One process. OSError if it cannot be started."""

    def __init__(self, python: str) -> None:
        import subprocess
        from multiprocessing.connection import Connection

        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            [python, "-c", _MAIN, *sys.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._asks: Connection[Any, Any] = Connection(os.dup(self.process.stdin.fileno()), readable=False)
        self._answers: Connection[Any, Any] = Connection(os.dup(self.process.stdout.fileno()), writable=False)
        self.process.stdin.close()
        self.process.stdout.close()
        self._is_ready = False
        #: Answers that it owes, and whether it ended.
        self.owes = 1
        self.has_ended = False

    def is_ready(self) -> bool:
        """Whether it has started. WorkerFailedError if it ended."""
        if not self._is_ready and self._answers.poll(0):
            self.answer()
            self._is_ready = True
        return self._is_ready

    def ask(self, data: bytes) -> None:
        """Send what was pickled."""
        self.owes += 1
        try:
            self._asks.send_bytes(data)
        except OSError as error:
            self.has_ended = True
            raise WorkerFailedError(str(error)) from None

    def answer(self) -> Any:
        """What it answers. WorkerFailedError if it ended, or could not do what it was asked for."""
        try:
            while not self._answers.poll(INTERVAL):
                check_interrupt()
            answer, fault = self._answers.recv()
        except (OSError, EOFError) as error:
            self.has_ended = True
            raise WorkerFailedError(f"the process ended: {error}") from None
        self.owes -= 1
        if fault is not None:
            raise WorkerFailedError(fault)
        return answer

    def end(self) -> None:
        """End it: it only reads."""
        self.process.kill()
        self.process.wait()
        for pipe in (self._asks, self._answers):
            with suppress(OSError):
                pipe.close()


class Workers:
    """The processes beside this one that search a table. One search at a time has them."""

    def __init__(self, more: int) -> None:
        self._workers: list[Worker | None] = [None] * more
        self._turn = threading.Lock()
        self._process = os.getpid()
        #: Processes that ended since one answered.
        self.lost = 0
        self._closed = False
        #: Searches that they did.
        self.searches = 0

    def __len__(self) -> int:
        return len(self._workers)

    @property
    def ids(self) -> list[int]:
        """The numbers of the processes that were started."""
        return [worker.process.pid for worker in self._workers if worker is not None]

    def ready(self) -> bool:
        """Whether all have started; those that have not are."""
        python = interpreter()
        if self.lost >= MOST_LOST * len(self) or python is None or self._closed:
            return False
        are_ready = True
        for place, worker in enumerate(self._workers):
            try:
                if worker is None:
                    worker = self._workers[place] = Worker(python)
                are_ready &= worker.is_ready()
            except (OSError, WorkerFailedError) as error:
                self._lose(place, error)
                are_ready = False
        return are_ready

    def _lose(self, place: int, error: BaseException) -> None:
        worker, self._workers[place] = self._workers[place], None
        if worker is not None:
            worker.end()
        self.lost += 1
        if self.lost == MOST_LOST * len(self):
            warn_or_log(
                ("search_processes", id(self)),
                f"processes that search shards end again and again, so this one searches alone: {error}",
                RuntimeWarning,
            )

    @contextmanager
    def turn(self) -> Iterator[Sequence[Worker] | None]:
        """The processes, for one search; None where they are not there, or another search has them.

        Where it ends with an error, those that owe an answer are ended.
        """
        if self._process != os.getpid() or not self._turn.acquire(blocking=False):
            yield None
            return
        try:
            if not self.ready():
                yield None
                return
            try:
                yield [worker for worker in self._workers if worker is not None]
            except BaseException as error:
                for place, worker in enumerate(self._workers):
                    if worker is not None and worker.has_ended:
                        self._lose(place, error)
                    elif worker is not None and worker.owes:
                        worker.end()
                        self._workers[place] = None
                raise
            self.lost = 0
            self.searches += 1
        finally:
            self._turn.release()

    def _end(self) -> None:
        for place, worker in enumerate(self._workers):
            if worker is not None:
                worker.end()
            self._workers[place] = None

    def close(self) -> None:
        """End all, for good."""
        self._closed = True
        if self._process == os.getpid():
            with self._turn:
                self._end()

    def __del__(self) -> None:
        if hasattr(self, "_closed"):
            self.close()


class Session:
    """One search of a version of a table, of which ``own`` is what this process searches."""

    def __init__(self, snapshot: ShardedSnapshot, workers: Sequence[Worker]) -> None:
        self._workers = workers
        self._shares = shares(snapshot, 1 + len(workers))
        self._table = snapshot.place, snapshot.version, snapshot.pins
        self.own = snapshot.some(self._shares[0])

    def __len__(self) -> int:
        return len(self._workers)

    def ask(self, kind: str, *arguments: Any, own: Sequence[tuple[Any, ...]] | None = None) -> None:
        """Ask every process. own: further arguments of each. WorkerFailedError for what cannot be sent."""
        import pickle

        try:
            asked = pickle.dumps((kind, arguments))
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise WorkerFailedError(str(error)) from None
        further = [()] * len(self._workers) if own is None else own
        for worker, numbers, more in zip(self._workers, self._shares[1:], further, strict=True):
            worker.ask(pickle.dumps((self._table, numbers, asked, more)))

    def answers(self) -> list[Any]:
        """What every process answers. WorkerFailedError if one did not, when all others have."""
        found, failed = [], None
        for worker in self._workers:
            try:
                found.append(worker.answer())
            except WorkerFailedError as error:
                failed = error
        if failed is not None:
            raise failed
        return found


def shares(snapshot: ShardedSnapshot, processes: int) -> list[list[int]]:
    """The numbers of the shards that each process searches: as many buckets each as can be."""
    placed = snapshot.placement.shard_of_bucket
    buckets = [0] * len(snapshot.shard_files)
    for shard in placed:
        buckets[shard] += 1
    found: list[list[int]] = [[] for _ in range(processes)]
    loads = [0] * processes
    for shard in sorted(range(len(buckets)), key=lambda shard: -buckets[shard]):
        place = loads.index(min(loads))
        found[place].append(shard)
        loads[place] += buckets[shard]
    return [sorted(numbers) for numbers in found]


def workers_of(readable: Readable) -> tuple[ShardedSnapshot, Workers] | None:
    """What is searched by several processes, and these; None where this one searches alone.

    Rows of a transaction are in no file, and a store is read by one process.
    """
    snapshot = readable.searched if isinstance(readable, Kept) else readable
    if not isinstance(snapshot, ShardedSnapshot) or len(snapshot.shard_files) < 2:
        return None
    first = snapshot.shard_files[0]
    if first.files.is_remote or first.on_damage != "fail":
        return None
    if first.workers is None:
        first.workers = Workers(min(chosen_processes(), len(snapshot.shard_files)) - 1)
    workers = first.workers
    return (snapshot, workers) if len(workers) else None


@contextmanager
def session(readable: Readable) -> Iterator[Session | None]:
    """A search by several processes; None where this one searches alone."""
    found = workers_of(readable)
    if found is None:
        yield None
        return
    snapshot, workers = found
    with workers.turn() as turn:
        yield None if turn is None else Session(snapshot, turn)


def new_number() -> tuple[int, int]:
    """What no other search of any process is called."""
    return os.getpid(), next(_numbers)


def answered(readable: Readable, together: Callable[[Session], Any], alone: Callable[[], Any]) -> Any:
    """What several processes find together, or this one alone where they cannot."""
    try:
        with session(readable) as found:
            if found is not None:
                return together(found)
    except WorkerFailedError:
        pass
    return alone()
