"""Progress bars on stderr, for people only: nothing is drawn where stderr is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn, TaskID


class Bar:
    """What long work reports to."""

    def __init__(self, progress: Progress | None, task: TaskID | None) -> None:
        self._progress = progress
        self._task = task

    def to(self, done: int, total: int) -> None:
        """So much is done, of so much in all."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, total=total)

    def doing(self, what: str) -> None:
        """What is going on now."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, description=what)

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
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.text import Text

    from audiomem_sql.cli.output import console

    class Rate(TransferSpeedColumn):
        """Units a second."""

        def render(self, task: object) -> Text:
            speed = getattr(task, "finished_speed", None) or getattr(task, "speed", None)
            return Text(f"{speed:,.0f} {unit}/s" if speed else "", style="progress.data.speed")

    columns: list[ProgressColumn] = [TextColumn("{task.description}", markup=False), BarColumn()]
    columns += (
        [DownloadColumn(), TransferSpeedColumn()] if unit == "bytes" else [MofNCompleteColumn(), Rate()]
    )
    with Progress(*columns, TimeRemainingColumn(), console=console(sys.stderr), transient=True) as progress:
        yield Bar(progress, progress.add_task(what or unit, total=None))
