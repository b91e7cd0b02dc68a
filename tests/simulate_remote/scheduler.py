"""Processes that take turns: each runs until it waits for the store or for time. A seed says who is next."""

from __future__ import annotations

import random
from collections.abc import Callable

from greenlet import greenlet


class Killed(BaseException):
    """A process ends where it waits."""


class Process:
    """One process, such as ``writer 2``."""

    def __init__(self, name: str, body: Callable[[], None]) -> None:
        self.name = name
        self.thread = greenlet(body)
        self.wakes = 0.0


class Scheduler:
    """Runs processes until all are over. kills: how many may be killed; failures: what they raised."""

    def __init__(self, chance: random.Random, kills: int) -> None:
        self.chance = chance
        self.kills = kills
        self.now = 0.0
        self.log: list[str] = []
        self.processes: list[Process] = []
        self.late: list[Callable[[], None]] = []
        self.killed: Callable[[Process], None] = lambda process: None
        self._main = greenlet.getcurrent()
        self._running: Process | None = None

    def add(self, name: str, body: Callable[[], None]) -> None:
        self.processes.append(Process(name, body))

    def note(self, text: str) -> None:
        who = "network" if self._running is None else self._running.name
        self.log.append(f"{self.now:8.3f} {who}: {text}")

    def step(self) -> None:
        """Let the others run before the process goes on."""
        if self._running is not None:
            self._main.switch()

    def sleep(self, seconds: float) -> None:
        """Let time pass for the process."""
        if self._running is None:
            self.now += seconds
            return
        self._running.wakes = self.now + seconds
        self._main.switch()

    def run(self) -> None:
        """Until every process is over, and every request has arrived."""
        while self.processes or self.late:
            ready = [process for process in self.processes if process.wakes <= self.now]
            if self.late and (not self.processes or self.chance.random() < 0.05):
                self.late.pop(self.chance.randrange(len(self.late)))()
            elif ready:
                self._let_run(self.chance.choice(ready))
            else:
                self.now = min(process.wakes for process in self.processes)

    def _let_run(self, process: Process) -> None:
        self._running = process
        self.now += self.chance.random() * 0.02
        try:
            if self.kills and process.thread and self.chance.random() < 0.01:
                self.kills -= 1
                self.note("is killed")
                process.thread.throw(Killed)
            else:
                process.thread.switch()
        except Killed:
            self._running = None
            self.killed(process)
        finally:
            self._running = None
            if process.thread.dead:
                self.processes.remove(process)
