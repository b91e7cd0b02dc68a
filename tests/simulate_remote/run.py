"""One seed: what writers, readers, a collector and a merger do, and what must be true of it."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from unittest import mock

from audiomem_sql.errors import AudioMemError
from audiomem_sql.remote.commits import (
    Committer,
    Limits,
    ManifestReader,
    Surroundings,
    changes,
    collect,
    committer,
)
from simulate_remote.memory_store import MemoryStore
from simulate_remote.network import Connection
from simulate_remote.people import Collector, Merger, Reader, Writer
from simulate_remote.scheduler import Killed, Process, Scheduler
from simulate_remote.truth import PATHS, Truth, Wrong, check


@dataclass(frozen=True)
class Outcome:
    """What a seed did, and what was wrong."""

    seed: int
    log: list[str]
    failure: str | None
    digest: str
    acknowledged: int
    settled: int
    kills: int


class World:
    """The table, the processes, and what was said to them."""

    def __init__(self, seed: int) -> None:
        self.chance = chance = random.Random(seed)
        self.scheduler = Scheduler(chance, chance.choice((0, 0, 1, 3)))
        self.store = MemoryStore()
        self.truth = Truth(self.store)
        self.rate = chance.choice((0.0, 0.1, 0.1, 0.3))
        self.limits = Limits(chance.choice((3, 8, 64)), chance.choice((700, 256 << 10)))
        self.retention = chance.choice((0, 1, 4, 20))
        self.surroundings = Surroundings(
            lambda: self.scheduler.now, self.scheduler.sleep, chance.uniform, chance.randbytes
        )
        self.acknowledged: dict[bytes, int] = {}
        self.refused: set[bytes] = set()
        self.tags: dict[str, int] = {}
        self.kills = 0

    def committer(self) -> Committer:
        """A new process's."""
        seconds = self.chance.choice((1.0, 10.0, 60.0))
        return Committer(
            Connection(self.store, self.scheduler, self.rate),
            PATHS.key,
            seconds=seconds,
            surroundings=self.surroundings,
            limits=self.limits,
        )

    def reader(self) -> ManifestReader:
        connection = Connection(self.store, self.scheduler, self.rate)
        return ManifestReader(connection, PATHS.key, surroundings=self.surroundings)

    def acknowledge(self, commit: bytes, version: int) -> None:
        self.scheduler.note(f"version {version} is acknowledged")
        check(self.truth.versions.get(commit) == version, "a commit was acknowledged with a wrong version")
        self.acknowledged[commit] = version

    def refuse(self, commit: bytes) -> None:
        self.scheduler.note("a commit is refused")
        check(commit not in self.truth.versions, "a commit was refused that took place")
        self.refused.add(commit)

    def populate(self) -> None:
        """Whoever takes part."""
        chance = self.chance
        Committer(self.store, PATHS.key, surroundings=self.surroundings).create(
            chance.randbytes(16), retention=self.retention
        )
        people = [Writer(self, f"writer {n}") for n in range(chance.randint(2, 5))]
        people += [Reader(self, f"reader {n}") for n in range(chance.randint(0, 2))]
        people += [Collector(self, f"collector {n}") for n in range(chance.choice((0, 1, 1, 2)))]
        people += [Merger(self, f"merger {n}") for n in range(chance.choice((0, 1, 1, 2)))]
        for person in people:
            self.scheduler.add(person.name, person.live)
        self.scheduler.killed = self._replace

    def _replace(self, process: Process) -> None:
        self.kills += 1
        if process.name.startswith("writer"):
            self.scheduler.add(f"{process.name}'", Writer(self, process.name).live)

    def finish(self) -> None:
        """What must be true in the end."""
        truth = self.truth
        truth.check_end()
        for commit, version in self.acknowledged.items():
            check(truth.versions.get(commit) == version, "an acknowledged commit is lost")
        check(not self.refused & truth.versions.keys(), "a commit that was refused took place")
        for name, version in self.tags.items():
            check(truth.head.tags.get(name) == version, "an acknowledged tag is lost")
        last = Committer(self.store, PATHS.key, surroundings=self.surroundings, limits=self.limits)
        last.refresh()
        collect(last)
        truth.check_clean()
        truth.check_end()


def run(seed: int) -> Outcome:
    """The whole of one seed."""
    world = World(seed)
    failure = None
    with mock.patch.object(changes, "INLINE_BYTES", 300), mock.patch.object(committer, "PARTS_ABOVE", 200):
        try:
            world.populate()
            world.scheduler.run()
            world.finish()
        except (Wrong, AudioMemError, AssertionError, KeyError) as error:
            failure = f"{type(error).__name__}: {error}"
        except Killed:
            failure = "the simulator itself was killed"
    log = world.scheduler.log
    digest = hashlib.sha256("\n".join(log).encode()).hexdigest()
    settled = sum("repeated" in line or "lost" in line for line in log)
    return Outcome(seed, log, failure, digest, len(world.acknowledged), settled, world.kills)
