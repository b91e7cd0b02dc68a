"""Scrubbing: everything is read again and again, slowly, to find damage while it can be repaired."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from audiomem_sql.errors import AudioMemError
from audiomem_sql.machine.progress import Progress
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import Problem, problems

#: Bytes a second, and seconds between two rounds, unless something else is asked for.
RATE = 8 << 20
INTERVAL = 24 * 3600.0


def scrub(
    table: Table,
    rate: float = RATE,
    sleep: Callable[[float], object] = time.sleep,
    progress: Progress | None = None,
) -> Iterator[Problem]:
    """Every fault in the files of ``table``, looked for at no more than ``rate`` bytes of file a second.

    sleep: called with seconds; what it raises ends the search. progress: called with pages and all of them.
    """
    page = max(segment.file.layout.page_size for segment in table.snapshot.readable().segments)
    started, slept = time.monotonic(), 0.0

    def pace(pages: int, total: int) -> None:
        nonlocal slept
        if progress is not None:
            progress(pages, total)
        ahead = pages * page / rate - (time.monotonic() - started)
        if ahead > 0.01:
            slept += ahead
            sleep(ahead)

    yield from problems(table, pace)


class Scrubber(threading.Thread):
    """Scrubs the table at ``path`` on a thread of its own, until :meth:`stop`.

    rate: bytes a second. interval: seconds between two rounds. repair: repair what can be. on_problem: called
    with each problem, and with each error that a round ends with. ``rounds`` counts those that came to their
    end.
    """

    def __init__(
        self,
        path: str,
        *,
        rate: float = RATE,
        interval: float = INTERVAL,
        repair: bool = False,
        on_problem: Callable[[Problem | AudioMemError], object] | None = None,
    ) -> None:
        super().__init__(name="audiomem-scrub", daemon=True)
        self.rounds = 0
        self._path = path
        self._rate = rate
        self._interval = interval
        self._repair = repair
        self._tell = on_problem or (lambda problem: None)
        self._stopped = threading.Event()

    def run(self) -> None:
        """Round after round."""
        while not self._stopped.is_set():
            try:
                self._round()
            except _Stopped:
                return
            except AudioMemError as error:
                self._tell(error)
            self._stopped.wait(self._interval)

    def _round(self) -> None:
        with Table(self._path) as table:
            count = 0
            for problem in scrub(table, self._rate, self._pause):
                self._tell(problem)
                count += 1
            if count and self._repair:
                table.repair()
        self.rounds += 1

    def _pause(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise _Stopped

    def stop(self, timeout: float | None = None) -> None:
        """End at the next page, and wait for it."""
        self._stopped.set()
        self.join(timeout)


class _Stopped(Exception):
    pass
