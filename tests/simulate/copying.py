"""Backups: a process copies a table while it is written to, and whatever goes wrong there is one or none."""

from __future__ import annotations

from pathlib import Path

from crash.workload import Model

from audiomem_sql.errors import AudioMemError
from simulate.events import write_once
from simulate.faults import Killed, Plan
from simulate.people import table_files
from simulate.places import Difference, Place
from simulate.world import NAME, Session, World


def back_up(world: World) -> None:
    """A process makes a backup of a version; the copy goes on as a table of its own."""
    place = world.some_place()
    if place is None or len(world.places) > 2:
        return
    session = world.session(place)
    before, target = place.live, world.new_folder() / NAME
    number = world.rng.choice((None, None, world.rng.randint(before.oldest, before.newest)))
    seen = [before]

    def meanwhile() -> None:
        world.tell("  meanwhile somebody writes")
        seen.extend(write_once(world, place))
        seen.append(place.live)

    plan = world.some_plan(meanwhile)
    line = len(world.schedule)
    world.tell("")
    try:
        done = _backed_up(world, session, plan, target, number)
    finally:
        which = "" if number is None else f"version {number} of "
        told = "" if plan is None else f"; {plan}"
        world.schedule[line] = (
            f"{session.process.name} backs {which}{place.name}, version {before.newest}, up to "
            f"{target.parent.name}{told}"
        )
    if not target.exists():
        if done:
            raise Difference(f"the backup {target.parent.name} is not there")
        return
    models = seen if number is None else [_at(model, number) for model in seen if model.newest >= number]
    model = world.look(Place(target, models[0]), models, "a backup")
    world.calls.disk.settle()
    files = table_files(target)
    if list(files) != [NAME]:
        raise Difference(f"a backup is {sorted(files)}")
    if not place.foreign:
        world.ledger.note(place.history, files, model)
    history = world.ledger.new_history(place.history)
    copy = Place(target, model, place.protection, history, acknowledged=model.newest, foreign=place.foreign)
    world.places.append(copy)


def _backed_up(world: World, session: Session, plan: Plan | None, target: Path, number: int | None) -> bool:
    """Make the backup under the plan; whether it was made for all that its maker knows."""
    try:
        with world.calls.acting(session.process, plan):
            session.table.backup(target, number)
    except Killed:
        world.end(session)
        if plan is not None and plan.kind == "power":
            world.lose_power()
        return False
    except AudioMemError as error:
        world.refused(error)
        if plan is None or not plan.spent:
            raise Difference(f"refused without a reason: {type(error).__name__}: {error}") from error
        if plan.lasting:
            world.calls.disk.settle()
        return False
    return not session.process.dead  # the machine may have stopped while somebody else wrote


def _at(model: Model, number: int) -> Model:
    """The model as it was at a version, which is the only one that a backup of it has to keep."""
    upto = range(min(model.versions), number + 1)
    return Model(
        {each: model.versions[each] for each in upto},
        {name: version for name, version in model.tags.items() if version == number},
        number,
        number,
        {each: model.columns[each] for each in upto},
    )
