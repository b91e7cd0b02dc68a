"""Progress bars on stderr, for people only: nothing is drawn where stderr is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


#: Seconds that a rate is the mean of, so that kinds of work which take turns have one together; and seconds
#: between two amounts that are kept for it, as rich keeps a thousand.
_RATE_SECONDS = 240.0
_STEP_SECONDS = 0.25


class Bar:
    """What long work reports to."""

    def __init__(self, progress: Progress | None, task: TaskID | None) -> None:
        self._progress = progress
        self._task = task
        self._part: TaskID | None = None
        self._part_done = 0
        self._due = 0.0

    def to(self, done: int, total: int | None) -> None:
        """So much is done, of so much in all; None where that is not known."""
        now = time.monotonic()
        if self._progress is not None and self._task is not None and (now >= self._due or done == total):
            self._due = now + _STEP_SECONDS
            self._progress.update(self._task, completed=done, total=total)

    def doing(self, what: str) -> None:
        """What is going on now."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, description=what)

    def part(self, what: str, done: int, total: int, unit: str) -> None:
        """So much is done of one part of the work, which has a line of its own until it is all done."""
        if self._progress is None:
            return
        if self._part is not None and done < self._part_done:
            self.end_part()
        if self._part is None:
            self._part = self._progress.add_task(what, total=total, unit=unit)
        self._part_done = done
        self._progress.update(self._part, description=what, completed=done, total=total)

    def end_part(self) -> None:
        """That part is done."""
        if self._progress is not None and self._part is not None:
            self._progress.remove_task(self._part)
            self._part = None

    def say(self, line: str, stream: TextIO | None = None) -> None:
        """Print a line above the bar (or where there is none, as it is) on ``stream``, stderr by default."""
        out = stream or sys.stderr
        if self._progress is not None and out.isatty():
            self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=out)


@contextmanager
def bar(unit: str, what: str = "") -> Iterator[Bar]:
    """A bar with rate and remaining time; ``unit`` is what is counted, "bytes" are shown as such."""
    if not sys.stderr.isatty():
        yield Bar(None, None)
        return
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.text import Text

    from audiomem_sql.cli.output import console

    class Amount(ProgressColumn):
        """What is done, of what there is."""

        def __init__(self) -> None:
            super().__init__()
            self._of_bytes, self._of_others = DownloadColumn(), MofNCompleteColumn()

        def render(self, task: Task) -> Text:
            if task.total is None and not task.completed:
                return Text("")  # nobody knows yet how much there is
            column = self._of_bytes if task.fields["unit"] == "bytes" else self._of_others
            return column.render(task)

    class Rate(TransferSpeedColumn):
        """Units a second."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            if task.fields["unit"] == "bytes" and speed:
                return super().render(task)
            return Text(f"{speed:,.0f} {task.fields['unit']}/s" if speed else "", style="progress.data.speed")

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), Amount(), Rate())
    with Progress(
        *columns,
        TimeRemainingColumn(),
        console=console(sys.stderr),
        transient=True,
        speed_estimate_period=_RATE_SECONDS,
    ) as progress:
        yield Bar(progress, progress.add_task(what or unit, total=None, unit=unit))
