"""What processes do in the simulation: writers, readers, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable

from crash.workload import (
    ALTERED,
    NAMES,
    SMALL,
    UNDONE,
    Model,
    Step,
    _change,
    _checkpoint,
    _cover,
    _delete_all,
    _insert,
    _merge,
    _restore,
    _tag,
    _vacuum,
)

from audiomem_sql.errors import AudioMemError, SchemaError
from simulate.faults import Killed, Plan
from simulate.places import Difference, Place, difference, open_table
from simulate.world import Session, World

_LARGE = _insert(12, 60)
_STEPS: list[tuple[str, Step, int]] = [
    ("inserts 2 rows", SMALL, 30),
    ("inserts 12 rows", _LARGE, 8),
    ("updates and deletes", _change, 14),
    ("deletes all", _delete_all, 2),
    ("tags", _tag, 5),
    ("restores an old version", _restore, 4),
    ("rolls back a prepared insert", UNDONE[0], 4),
    ("rolls back a large prepared insert", UNDONE[1], 2),
    ("checkpoints", _checkpoint, 8),
    ("merges", _merge, 4),
    ("vacuums", _vacuum(None), 3),
    ("vacuums, keeping 2 versions", _vacuum(2), 3),
    ("sets a cover", _cover, 2),
    ("alters the columns", ALTERED[0], 5),
]


def _step(world: World, model: Model) -> tuple[str, Step]:
    """What a writer does."""
    what, step, _ = world.rng.choices(_STEPS, [weight for _, _, weight in _STEPS])[0]
    if step is _cover and "sealed" in world.groups:  # the ledger knows a base by all of its bytes
        step, what = SMALL, "inserts 2 rows"
    if step in (_change, _delete_all) and not model.rows:
        return "inserts 2 rows", SMALL
    if step is ALTERED[0]:
        columns = model.columns[model.newest]
        step = ALTERED[0] if columns == NAMES else ALTERED[1] if "e" in columns else ALTERED[2]
    return what, step


def write(world: World) -> None:
    """A writer does something, and something may go wrong meanwhile."""
    place = world.some_place()
    if place is not None:
        write_once(world, place)


def write_once(
    world: World, place: Place, visit: Callable[[], None] | None = None, known: Step | None = None
) -> list[Model]:
    """A writer does something at the place; the states that it may have made meanwhile.

    visit: what happens at some call of it, instead of something that goes wrong. known: what it does.
    """
    session = world.session(place)
    what, step = ("inserts 2 rows", known) if known else _step(world, place.live)
    before = place.live
    attempts: list[Model] = []

    def look() -> None:
        world.tell("  meanwhile somebody looks")
        world.look(place, [before, *attempts], "while somebody writes")

    def attempt(model: Model) -> None:
        attempts.append(shown(model))

    place.foreign = place.foreign or step is _cover
    plan = world.some_plan(look) if visit is None else world.visit_plan(visit)
    stale = session.table.snapshot.schema.names != before.columns[before.newest]
    line = len(world.schedule)
    world.tell("")

    def body() -> Model:
        try:
            return step(session.table, before, attempt, world.rng)
        except SchemaError as error:
            world.refused(error)
            if not stale:
                raise Difference(f"refused without a reason: {error}") from error
            attempts.clear()  # others changed the columns: it must go well the second time
            return step(session.table, before, attempt, world.rng)

    try:
        with_fault(world, session, before, attempts, plan, body)
    finally:
        told = "" if plan is None else f"; {plan}"
        world.schedule[line] = (
            f"{session.process.name} in {place.name}, version {before.newest}: {what}{told}"
        )
    return attempts


def shown(model: Model) -> Model:
    """The model, with the columns that are compared alone in its newest rows."""
    model.versions[model.newest] = {rowid: row[: len(NAMES)] for rowid, row in model.rows.items()}
    return model


def with_fault(
    world: World,
    session: Session,
    before: Model,
    attempts: list[Model],
    plan: Plan | None,
    body: Callable[[], Model],
) -> None:
    """Do it under the plan, and see what became of it."""
    place = session.place
    try:
        with world.calls.acting(session.process, plan):
            after = body()
    except Killed:
        killed(world, session, plan, [before, *attempts])
        return
    except AudioMemError as error:
        refused(world, session, plan, error, before, attempts)
        return
    except AssertionError as error:
        raise Difference(f"{session.process.name} in {place.name}: {error}") from error
    place.acknowledge(after)
    with world.calls.acting(session.process), world.no_refusal("what the writer reads"):
        session.table.refresh()
        if found := difference(session.table, after):
            raise Difference(f"the writer itself sees {found}")
    if world.rng.random() < 0.25:
        place.live = world.look(place, [after], "after the commit")


def killed(world: World, session: Session, plan: Plan | None, models: list[Model]) -> None:
    """The session's process died in the middle; the machine, too, if the plan says so."""
    place = session.place
    world.end(session)
    place.doubt(models)
    if plan is not None and plan.kind == "power":
        world.lose_power()
        return
    place.live = world.look(place, models, "after the kill")


def refused(
    world: World,
    session: Session,
    plan: Plan | None,
    error: AudioMemError,
    before: Model,
    attempts: list[Model],
) -> None:
    """A step failed: that must have a reason, and change nothing."""
    place = session.place
    world.refused(error)
    if plan is None or not plan.spent:
        raise Difference(f"refused without a reason: {type(error).__name__}: {error}") from error
    with world.calls.acting(session.process, None):
        session.table.rollback()
    allowed = [before]
    if plan.lasting or any(model.newest == before.newest for model in attempts):
        allowed += attempts  # its undoing failed as well; or a vacuum was done when its last call failed
    if "cannot be removed" in str(error) or plan.names is None:
        allowed += attempts
    place.live = world.look(place, allowed, "after the refusal")
    place.doubt([before, *attempts])
    if plan.lasting:  # the disk works again, and has what the system still holds
        world.calls.disk.settle()


def read(world: World) -> None:
    """A process opens the table to read, and keeps what it sees."""
    place = world.some_place()
    if place is None:
        return
    process = world.new_process("reader")
    world.tell(f"{process.name} opens {place.name}")
    with world.calls.acting(process), world.no_refusal(f"{process.name} opens {place.name}"):
        table = open_table(place.path)
        found = difference(table, place.live)
    if found is not None:
        raise Difference(f"{process.name} opens {place.name}: {found}")
    world.sessions.append(Session(process, place, table, table.snapshot, place.live))


def read_again(world: World) -> None:
    """Readers look again at what they opened; one of them goes on to the newest."""
    readers = [session for session in world.sessions if session.pinned is not None]
    for session in readers:
        world.check_pinned(session)
    if not readers:
        return
    session = world.rng.choice(readers)
    world.tell(f"{session.process.name} refreshes")
    with world.calls.acting(session.process), world.no_refusal("a reader refreshes"):
        session.table.refresh()
        found = difference(session.table, session.place.live)
    if found is not None:
        raise Difference(f"{session.process.name} after a refresh: {found}")
    session.pinned, session.model = session.table.snapshot, session.place.live


def close(world: World) -> None:
    """A process closes the table."""
    if not world.sessions:
        return
    session = world.rng.choice(world.sessions)
    close_session(world, session, world.some_plan(lambda: _look_at(world, session.place)))


def _look_at(world: World, place: Place) -> None:
    world.tell("  meanwhile somebody looks")
    world.look(place, [place.live], "while somebody closes")


def close_session(world: World, session: Session, plan: Plan | None = None) -> None:
    """Close it under the plan; closing never fails, and loses nothing."""
    place = session.place
    line = len(world.schedule)
    world.tell("")
    try:
        with world.calls.acting(session.process, plan), world.no_refusal("closing"):
            session.table.close()
    except Killed:
        killed(world, session, plan, [place.live])
        return
    finally:
        world.schedule[line] = (
            f"{session.process.name} closes {place.name}{'' if plan is None else f'; {plan}'}"
        )
    world.end(session)
    place.live = world.look(place, [place.live], "after closing")


def kill(world: World) -> None:
    """A process is killed while it does nothing."""
    if world.sessions:
        session = world.rng.choice(world.sessions)
        world.tell(f"{session.process.name} is killed")
        world.end(session)


def power(world: World) -> None:
    """The machine loses its power while nobody does anything."""
    world.tell("power loss")
    world.lose_power()


def settle(world: World) -> None:
    """Half a minute passes: the system has written everything to the disk."""
    world.tell("everything is flushed")
    world.calls.disk.settle()


def jump(world: World) -> None:
    """Somebody sets the clock."""
    seconds = world.rng.choice((-1, 1)) * world.rng.choice((1, 3600, 86400 * 400))
    world.tell(f"the clock jumps by {seconds} s")
    world.calls.clock += seconds * 10**9
