"""One seed: made, run and checked."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import os
import shutil
import tempfile
import traceback
import warnings
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from crash.workload import create, small_limits

from audiomem_sql import warn_once
from audiomem_sql.writing import log_limits
from simulate import copying, events, mixing, people
from simulate.calls import SimulatedCalls
from simulate.places import Difference
from simulate.world import GROUPS, World, begin

#: What the product promises by now.
TODAY = GROUPS
Event = Callable[[World], None]
EVENTS: list[tuple[Event, int, str]] = [
    (events.write, 60, ""),
    (events.read, 5, ""),
    (events.read_again, 5, ""),
    (events.close, 9, ""),
    (events.kill, 5, "kill"),
    (events.power, 4, "power"),
    (events.settle, 4, ""),
    (events.jump, 4, "clock"),
    (people.rename, 3, "rename"),
    (people.copy, 4, "copy"),
    (copying.back_up, 4, "copy"),
    (people.put_back, 3, "restore"),
    (people.damage, 3, "damage"),
    (people.append_foreign, 2, "foreign"),
    (people.cut, 1, "damage"),
    (mixing.copy_some, 6, "sealed"),
    (mixing.copy_meanwhile, 6, "sealed"),
    (mixing.put_some_back, 5, "sealed"),
    (mixing.meddle, 4, "sealed"),
    (mixing.link, 3, "links"),
    (mixing.hard_link, 2, "links"),
]


@dataclass(slots=True)
class Outcome:
    """What a seed did. failure: what was wrong, or None. digest: of all files that it left."""

    seed: int
    digest: str = ""
    schedule: list[str] = field(default_factory=list)
    failure: str | None = None


class Simulator:
    """Runs seeds in one folder of memory. A context manager."""

    def __init__(self, groups: Collection[str] = TODAY) -> None:
        self.groups = frozenset(groups)
        self.events = [
            (event, weight) for event, weight, group in EVENTS if not group or group in self.groups
        ]
        self.seals = "sealed" in self.groups
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Simulator:
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(dir=memory)))
        patch = self._stack.enter_context(pytest.MonkeyPatch.context())
        small_limits(patch)
        patch.setattr(log_limits, "LOGGED_ROWS", 8)
        patch.setattr(log_limits, "LOGGED_COMMIT_BYTES", 1 << 10)
        patch.setattr(log_limits, "CHECKPOINT_BYTES", 3 << 10)
        self._stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        self.templates = {name: self._template(name) for name in ("none", "standard", "archive")}
        gc.collect()
        gc.freeze()
        return self

    def __exit__(self, *error: object) -> None:
        gc.unfreeze()
        self._stack.close()

    def _template(self, protection: str) -> dict[str, bytes]:
        folder = self._folder / protection
        folder.mkdir()
        with SimulatedCalls(folder, 0):
            create(folder / "t.flac", protection).close()
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        shutil.rmtree(folder)
        return files

    def run(self, seed: int) -> Outcome:
        """Run one seed."""
        folder = self._folder / "world"
        folder.mkdir()
        warn_once.warned.clear()
        outcome = Outcome(seed)
        try:
            with SimulatedCalls(folder, seed) as calls:
                world = World(seed, folder, calls, self.groups)
                outcome.schedule = world.schedule
                try:
                    self._happen(world)
                except Difference as found:
                    outcome.failure = str(found).replace(str(folder), "")
                except Exception as error:  # no error but the package's may leave it
                    place = "".join(traceback.format_tb(error.__traceback__)[-3:])
                    outcome.failure = f"{type(error).__name__}: {error}\n{place}".replace(str(folder), "")
                outcome.digest = hashlib.sha256(repr(sorted(calls.tree().items())).encode()).hexdigest()
                world.sessions.clear()
        finally:
            shutil.rmtree(folder)
        return outcome

    def _happen(self, world: World) -> None:
        begin(world, self.templates)
        if self.seals:
            people.note(world)
        count = world.rng.randint(3, 9)
        for event in world.rng.choices(
            [event for event, _ in self.events], [weight for _, weight in self.events], k=count
        ):
            event(world)
            if self.seals:
                people.note(world)
        people.finish(world)


def seeds(simulator: Simulator, first: int, last: int) -> Iterator[Outcome]:
    """The outcomes of the seeds from ``first`` to before ``last``."""
    for seed in range(first, last):
        yield simulator.run(seed)
