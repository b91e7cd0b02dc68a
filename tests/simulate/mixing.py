"""What people do with some of the files of a table: copies of a part, old files put back, links, meddling.

All of this belongs to the group ``sealed`` or ``links``: what is allowed follows from the ledger.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

from crash.workload import NAMES, SMALL, Model

from audiomem_sql.bytes.file_state import FRONT_BYTES
from audiomem_sql.errors import AudioMemError
from simulate.events import write_once
from simulate.ledger import Allowed, Digests
from simulate.people import Files, leave, note, put_files, table_files, take_away, write_file
from simulate.places import Difference, Place, difference, fitting, open_table
from simulate.world import NAME, Session, World


def judge(world: World, path: os.PathLike[str], allowed: Allowed, what: str) -> bool:
    """Open the table; whether it opens. Difference if it does what is not allowed."""
    process = world.new_process("look")
    with world.calls.acting(process):
        try:
            table = open_table(world.folder / path)
        except AudioMemError as error:
            world.refused(error)
            if not allowed.refusal:
                raise Difference(f"{what} ({allowed.why}) is refused: {error}") from error
            return False
        try:
            if not allowed.models:
                raise Difference(f"{what} ({allowed.why}) is read: version {table.version}")
            fitting(table, allowed.models)
        except AudioMemError as error:
            world.refused(error)
            if not allowed.refusal:
                raise Difference(f"{what} ({allowed.why}) is refused: {error}") from error
        except Difference as found:
            raise Difference(f"{what} ({allowed.why}): {found}") from found
        finally:
            table.close()
    return True


def _mixed(world: World, place: Place, now: Digests) -> Digests:
    """Some of the files of a place, and perhaps older ones or those of a copy in their place."""
    rng = world.rng
    names = [name for name in sorted(now) if name == NAME or rng.random() < 0.6]
    chosen = {name: now[name] for name in names}
    rests = [rest for history in world.ledger.histories for rest in history.rests]
    for name in (NAME, f"{NAME}-wal"):
        if rng.random() < 0.4:
            rest = rng.choice(rests)
            if name in rest.files:
                chosen[name] = rest.files[name]
            elif name != NAME:
                chosen.pop(name, None)
    return chosen


def copy_some(world: World) -> None:
    """Somebody copies some of the files, or puts files of several moments together, and opens them."""
    place = world.some_place()
    if place is None or place.foreign:
        return
    now = world.ledger.digests(table_files(place.path))
    chosen = _mixed(world, place, now)
    folder = world.new_folder()
    world.tell(f"{folder.name} is made of files of {place.name} and others: {sorted(chosen)}")
    put_files(world, folder, {name: world.ledger.contents[digest] for name, digest in chosen.items()})
    judge(world, folder / NAME, world.ledger.allowed(NAME, chosen), f"what stands in {folder.name}")


def copy_meanwhile(world: World) -> None:
    """Somebody copies files one after the other, while a writer does something."""
    place = world.some_place()
    if place is None or place.foreign:
        return
    names = sorted(table_files(place.path))
    first = world.rng.sample(names, world.rng.randint(0, len(names)))
    taken: Files = {}

    def take() -> None:
        world.tell(f"  meanwhile somebody copies {first}")
        files = table_files(place.path)
        taken.update((name, files[name]) for name in first if name in files)

    before = place.live
    attempts = write_once(world, place, take)
    files = table_files(place.path)
    if world.rng.random() < 0.5:
        for name in files:
            taken.setdefault(name, files[name])
    if NAME not in taken:
        taken[NAME] = files[NAME]
    folder = world.new_folder()
    world.tell(f"{folder.name} is the copy: {sorted(taken)}")
    put_files(world, folder, taken)
    exact = world.ledger.allowed(NAME, world.ledger.digests(taken))
    allowed = Allowed([before, *attempts, place.live], True, "copied while somebody wrote")
    if exact.why in ("the files of one moment", "the log is missing"):
        allowed = exact
    judge(world, folder / NAME, allowed, f"what stands in {folder.name}")


def put_some_back(world: World) -> None:
    """Somebody puts old files beside new ones of a table that nobody has open, looks, and undoes it."""
    place = world.some_place()
    if place is None or place.foreign:
        return
    leave(world, place)
    note(world)
    files = table_files(place.path)
    chosen = _mixed(world, place, world.ledger.digests(files))
    world.tell(f"in {place.name} somebody puts old files back: {sorted(chosen)}")
    take_away(place.path.parent)
    put_files(world, place.path.parent, {name: world.ledger.contents[key] for name, key in chosen.items()})
    judge(world, place.path, world.ledger.allowed(NAME, chosen), f"what stands in {place.name}")
    world.tell(f"in {place.name} somebody undoes that")
    take_away(place.path.parent)
    put_files(world, place.path.parent, files)
    place.others = []
    place.live = world.look(place, [place.live], "put in order")


def meddle(world: World) -> None:
    """Somebody touches the files under an open writer, whose next commit is refused, or is there.

    Its transaction may have begun before that. It has seen the newest state; for any other an older file that
    is put back is what it knows.
    """
    place = world.some_place()
    if place is None or place.foreign:
        return
    session = world.session(place)
    with world.calls.acting(session.process), world.no_refusal("a writer refreshes"):
        session.table.refresh()
    rng, log = world.rng, place.path.parent / f"{NAME}-wal"
    older = rng.choice(place.history.rests).files[NAME]
    how = rng.choice(
        (
            "deletes the log",
            "overwrites the base",
            "overwrites pages of the base",
            "replaces the base",
            "moves the base away",
        )
    )
    commit = _begun(world, session) if rng.random() < 0.4 else None
    world.tell(
        f"somebody {how} of {place.name} under {session.process.name}{', in a transaction' if commit else ''}"
    )
    if how == "deletes the log":
        if log.exists():
            os.unlink(log)
    elif how == "overwrites the base":
        write_file(place.path, world.ledger.contents[older])
    elif how == "overwrites pages of the base":
        _overwrite_pages(rng, place.path, world.ledger.contents[older])
    elif how == "replaces the base":
        write_file(place.path.with_suffix(".new"), world.ledger.contents[older])
        os.replace(place.path.with_suffix(".new"), place.path)
    else:
        os.replace(place.path, place.path.with_suffix(".moved"))
    place.retired = True
    before, process = place.live, session.process
    for other in [other for other in world.sessions if other.place is place]:
        if other is session:
            world.sessions.remove(other)
        else:
            world.end(other)
    try:
        with world.calls.acting(process):
            after = commit() if commit else SMALL(session.table, before, lambda model: None, world.rng)
    except AudioMemError as error:
        world.refused(error)
        return
    with world.calls.acting(world.new_process("look")):
        try:
            found = difference(open_table(place.path), after)
        except AudioMemError as error:
            world.refused(error)
            return
    if found is not None:
        raise Difference(f"a commit was acknowledged, and who opens {place.name} sees {found}")


def _overwrite_pages(rng: random.Random, path: Path, older: bytes) -> None:
    """Put a piece of an older file into the place that it had, as a copy that was interrupted does."""
    size = os.path.getsize(path)
    first = rng.randrange(FRONT_BYTES, size)
    with open(path, "r+b") as file:
        file.seek(first)
        file.write(older[first : min(size, first + rng.choice((512, 4096, 1 << 20)))])


def _begun(world: World, session: Session) -> Callable[[], Model]:
    """Begin a transaction, and insert a row; what commits it."""
    before = session.place.live
    with world.calls.acting(session.process), world.no_refusal("a transaction begins"):
        transaction = session.table.begin()
        rowid = transaction.insert(None, (None, "begun", 0, None))
        row = None if rowid is None else transaction.stored_row(rowid)
    assert rowid is not None
    assert row is not None

    def commit() -> Model:
        session.table.commit()
        return before.with_commit(before.rows | {rowid: row[: len(NAMES)]})

    return commit


def link(world: World) -> None:
    """Somebody opens the table through a symbolic link, another by its name: it is one table."""
    place = world.some_place()
    if place is None:
        return
    folder = world.new_folder()
    os.symlink(place.path, folder / NAME)
    world.tell(f"{folder.name} is a symbolic link to {place.name}")
    name, place.path = place.path, folder / NAME
    try:
        write_once(world, place)
    finally:
        place.path = name
    place.live = world.look(place, [place.live], f"written through {folder.name}")


def hard_link(world: World) -> None:
    """Somebody makes a hard link: it is read, and a commit through either name is refused."""
    place = world.some_place()
    if place is None:
        return
    leave(world, place)
    folder = world.new_folder()
    os.link(place.path, folder / NAME)
    world.tell(f"{folder.name} is a hard link to {place.name}")
    process = world.new_process()
    with world.calls.acting(process):
        table = open_table(place.path)
        try:
            SMALL(table, place.live, lambda model: None, world.rng)
        except AudioMemError as error:
            world.refused(error)
        else:
            raise Difference("a file with a second hard link was written to")
        finally:
            table.close()
    os.unlink(folder / NAME)
    world.calls.disk.settle()
    place.live = world.look(place, [place.live], "without the hard link")
