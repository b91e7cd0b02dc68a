"""The world of one seed: a disk, processes with open tables, people, and what must be true of it all."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from crash.workload import Model, create, rows_at

from audiomem_sql.errors import AudioMemError
from audiomem_sql.table.table import Table
from audiomem_sql.versions import Snapshot
from simulate.calls import SimulatedCalls
from simulate.faults import Killed, Plan, Process, failing_call, failing_flush, full_disk
from simulate.ledger import Ledger
from simulate.places import (
    Difference,
    Place,
    check_history,
    check_refusal,
    check_times,
    fitting,
    open_table,
    rows_differ,
)

NAME = "t.flac"
#: What is drawn and checked; one can be left out while the product does not promise it.
GROUPS = frozenset(
    {"kill", "power", "full disk", "flush", "call", "visit", "clock", "refusal", "rename", "copy", "restore",
     "damage", "foreign", "at rest", "sealed", "times", "links"}
)  # fmt: skip


@dataclass(slots=True)
class Session:
    """A process with a table open. pinned: the snapshot that it goes on reading, and its version's model."""

    process: Process
    place: Place
    table: Table
    pinned: Snapshot | None = None
    model: Model | None = None


class World:
    """Everything that a seed makes happen, and the model of it.

    schedule: what happened, a line each; with the seed it says all.
    """

    def __init__(self, seed: int, folder: Path, calls: SimulatedCalls, groups: Collection[str]) -> None:
        self.rng = random.Random(seed)
        self.folder = folder
        self.calls = calls
        self.groups = groups
        self.places: list[Place] = []
        self.sessions: list[Session] = []
        self.ledger = Ledger()
        self.schedule: list[str] = []
        self._processes = 0
        self._folders = 0

    # -- people, processes and places

    def tell(self, what: str) -> None:
        """Write a line of the schedule."""
        self.schedule.append(what)

    def new_process(self, what: str = "p") -> Process:
        """A process that has not done anything."""
        self._processes += 1
        return Process(f"{what}{self._processes}")

    def new_folder(self) -> Path:
        """A durable folder for one more place."""
        self._folders += 1
        path = self.folder / "abcdefghijklmnopqrstuvwxyz"[self._folders - 1]
        os.mkdir(path)
        self.calls.disk.settle()
        return path

    def some_place(self) -> Place | None:
        """A place of which something is expected."""
        places = [place for place in self.places if not place.retired]
        return self.rng.choice(places) if places else None

    def session(self, place: Place) -> Session:
        """A process that has the table open to write: one that is there, or a new one."""
        there = [session for session in self.sessions if session.place is place and session.pinned is None]
        if there and self.rng.random() < 0.8:
            return self.rng.choice(there)
        process = self.new_process()
        with self.calls.acting(process), self.no_refusal(f"{process.name} opens {place.name}"):
            session = Session(process, place, open_table(place.path))
        self.sessions.append(session)
        return session

    @contextmanager
    def no_refusal(self, what: str) -> Iterator[None]:
        """Difference for any error of the product."""
        try:
            yield
        except AudioMemError as error:
            raise Difference(f"{what}: {type(error).__name__}: {error}") from error
        except Exception as error:
            if isinstance(error, Difference):
                raise Difference(f"{what}: {error}") from error
            raise

    # -- what goes wrong

    def some_plan(self, visit: Callable[[], None]) -> Plan | None:
        """What goes wrong during an event; mostly nothing."""
        rng = self.rng
        at = min(int(rng.expovariate(1 / 6)), 60)
        kind = rng.choices(
            ("none", "kill", "power", "full disk", "flush", "call", "visit"), (40, 16, 16, 8, 7, 5, 8)
        )[0]
        if kind == "none" or kind not in self.groups:
            return None
        if kind in ("kill", "power"):
            return Plan(kind, at)
        if kind == "full disk":
            return full_disk(at // 2)
        if kind == "flush":
            return failing_flush(at // 4, lasting=rng.random() < 0.3)
        return failing_call(at) if kind == "call" else Plan("visit", at, action=visit)

    def visit_plan(self, visit: Callable[[], None]) -> Plan:
        """``visit`` happens at some call."""
        return Plan("visit", min(int(self.rng.expovariate(1 / 6)), 60), action=visit)

    def end(self, session: Session) -> None:
        """The session's process is dead."""
        self.calls.end(session.process)
        if session in self.sessions:
            self.sessions.remove(session)

    def lose_power(self) -> None:
        """The machine stops, and starts again."""
        way = self.calls.lose_power(self.rng)
        self.sessions.clear()
        self.tell(f"  the disk after the power loss: {way}")
        for place in self.places:
            if not place.retired:
                place.live = self.look(place, [place.live, *place.others], "after the power loss")
                place.others = []

    # -- what must be true

    def look(self, place: Place, models: list[Model], when: str, *, whole: bool = False) -> Model:
        """What somebody sees who opens the table now: one of the models, or Difference."""
        process = self.new_process("look")
        with self.calls.acting(process), self.no_refusal(f"{place.name} {when}"):
            table = open_table(place.path)
            try:
                model = fitting(table, models)
                check_history(table, model, self.rng, whole=whole)
                if "times" in self.groups:
                    check_times(table)
            finally:
                table.close()
        return model

    def refused(self, error: AudioMemError) -> None:
        """An error was right; it must say what to do."""
        self.tell(f"  refused: {type(error).__name__}: {error}".replace(str(self.folder), ""))
        if "refusal" in self.groups:
            check_refusal(error)

    def check_pinned(self, session: Session) -> None:
        """A reader sees what it saw when it opened the table, whatever happened since."""
        assert session.pinned is not None
        assert session.model is not None
        with self.calls.acting(session.process), self.no_refusal(f"reader {session.process.name}"):
            found = rows_differ(rows_at(session.pinned), session.model.rows)
        if found is not None:
            raise Difference(f"reader {session.process.name} sees another state than it opened: {found}")


def begin(world: World, templates: dict[str, dict[str, bytes]]) -> None:
    """The first place of a world: a template's table, or one whose creation may go wrong."""
    rng = world.rng
    protection = rng.choices(("none", "standard", "archive"), (90, 7, 3))[0]
    folder = world.new_folder()
    place = Place(folder / NAME, Model(), protection, history=world.ledger.new_history())
    if rng.random() < 0.9:
        for name, data in templates[protection].items():
            (folder / name).write_bytes(data)
        world.calls.adopt(folder)
        world.tell(f"a: a table with protection={protection}")
    else:
        _created(world, place)
    place.acknowledged = place.live.newest
    world.places.append(place)


def _created(world: World, place: Place) -> None:
    """Create the table, whatever goes wrong at the first try."""
    plan = world.some_plan(lambda: None)
    process = world.new_process()
    world.tell(f"{process.name} creates a table in {place.name}; {plan}")
    try:
        with world.calls.acting(process, plan):
            create(place.path, place.protection).close()
    except Killed:
        world.calls.end(process)
        if plan is not None and plan.kind == "power":
            world.tell(f"  the disk after the power loss: {world.calls.lose_power(world.rng)}")
    except AudioMemError as error:
        world.refused(error)
        if plan is None or not plan.spent:
            raise Difference("a table cannot be created") from error
        if place.path.exists():
            raise Difference("the creation of a table failed, and left one") from error
    if not place.path.exists():
        with world.calls.acting(None), world.no_refusal("a table is created after the fault"):
            create(place.path, place.protection).close()
    world.calls.disk.settle()
    world.look(place, [place.live], "created")
