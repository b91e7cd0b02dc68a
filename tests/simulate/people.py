"""What people and disks do to the files of a table: rename, copy, put back, damage, cut, add to."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from crash.workload import SMALL, Model
from damage.damages import Damage, Hole, Sectors

from audiomem_sql.audio import VerbatimPages
from audiomem_sql.errors import AudioMemError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.storage.pages import FRONT_BYTES
from audiomem_sql.storage.pages.head_record import HEAD_MAGIC, HEAD_RECORD
from audiomem_sql.table.table import Table
from simulate.events import close_session, read_again, write_once
from simulate.places import CACHE_BYTES, Difference, Place, difference, open_table
from simulate.world import NAME, World

_SHARES = {"standard": 0.05, "archive": 0.15}
Files = dict[str, bytes]


def table_files(path: Path) -> Files:
    """The files of the table at ``path``, by their path in its folder."""
    folder = path.parent
    return {
        os.path.relpath(os.path.join(top, name), folder): Path(top, name).read_bytes()
        for top, _, names in os.walk(folder)
        for name in names
        if name.startswith(NAME) or top != str(folder)
    }


def put_files(world: World, folder: Path, files: Files) -> None:
    """Write files below ``folder``, which is empty; they are durable."""
    for name, data in sorted(files.items()):
        path = folder / name
        if not path.parent.exists():
            os.mkdir(path.parent)
        write_file(path, data)
    world.calls.disk.settle()


def write_file(path: Path, data: bytes) -> None:
    """As ``cp`` does: into the file that is there, or a new one."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
    at = 0
    while at < len(data):
        at += os.pwrite(handle, data[at:], at)
    os.close(handle)


def take_away(folder: Path) -> None:
    """Delete all files in ``folder``."""
    for top, folders, names in os.walk(folder, topdown=False):
        for name in names:
            os.unlink(os.path.join(top, name))
        for name in folders:
            os.rmdir(os.path.join(top, name))


def leave(world: World, place: Place) -> None:
    """All processes at the place end: some close the table, some are killed."""
    for session in [session for session in world.sessions if session.place is place]:
        if world.rng.random() < 0.5:
            close_session(world, session)
        else:
            world.tell(f"{session.process.name} is killed")
            world.end(session)


def rename(world: World) -> None:
    """Somebody renames a table that nobody has open: all of its files."""
    place = world.some_place()
    if place is None:
        return
    leave(world, place)
    target = world.new_folder() / NAME
    world.tell(f"somebody moves {place.name} to {target.parent.name}")
    for name in sorted(os.listdir(place.path.parent)):
        if name.endswith(".d"):
            os.mkdir(target.parent / name)
            for delta in sorted(os.listdir(place.path.parent / name)):
                os.replace(place.path.parent / name / delta, target.parent / name / delta)
            os.rmdir(place.path.parent / name)
        else:
            os.replace(place.path.parent / name, target.parent / name)
    world.calls.disk.settle()
    place.path, place.others = target, []
    place.live = world.look(place, [place.live], "after it was moved")


def copy(world: World) -> None:
    """Somebody copies a table that nobody writes to at the moment; both go on."""
    place = world.some_place()
    if place is None or len(world.places) > 2:
        return
    target = Place(
        world.new_folder() / NAME,
        place.live,
        place.protection,
        history=world.ledger.new_history(place.history),
        acknowledged=place.acknowledged,
        foreign=place.foreign,
    )
    world.tell(f"somebody copies {place.name} to {target.name}")
    put_files(world, target.path.parent, table_files(place.path))
    world.places.append(target)
    target.live = world.look(target, [place.live], "copied")
    place.others = []  # everything was flushed


def put_back(world: World) -> None:
    """Somebody makes a backup, the table goes on, and the backup is put back whole."""
    place = world.some_place()
    if place is None:
        return
    files, model, acknowledged = table_files(place.path), place.live, place.acknowledged
    world.tell(f"somebody keeps the files of {place.name}")
    write_once(world, place)
    leave(world, place)
    if place.retired:
        return
    world.tell(f"somebody puts the files of {place.name} back")
    take_away(place.path.parent)
    put_files(world, place.path.parent, files)
    place.others, place.acknowledged = [], acknowledged
    place.live = world.look(place, [model], "put back")


def _repairable(data: bytes) -> bytes:
    """The bytes of a file without those that stand nowhere else.

    These are the MD5 of its samples, which is zero where pages were added, and the generation of the head
    record, which counts announcements that were taken back, with its checksum.
    """
    found = bytearray(data)
    found[26:42] = bytes(16)
    head = data.find(HEAD_MAGIC, 0, FRONT_BYTES)
    if head >= 0:
        found[head + 8 : head + 16] = bytes(8)
        found[head + HEAD_RECORD.size - 4 : head + HEAD_RECORD.size] = bytes(4)
    return bytes(found)


def _sealed_bytes(path: Path) -> int:
    """Where the pages end that have parity: an announce page that is lost is made anew."""
    with Table(path, cache=BlockCache(CACHE_BYTES)) as table:
        file = table.snapshot.table_file
        assert file is not None
        source = file.newest.file.source
        assert isinstance(source, VerbatimPages)
        return source.offset(file.stop)


def damage(world: World) -> None:
    """The disk damages what the protection can bring back: it is read, then repaired."""
    rng = world.rng
    places = [place for place in world.places if not place.retired and place.protection != "none"]
    if not places:
        return
    place = rng.choice(places)
    leave(world, place)
    share = _SHARES[place.protection]
    kind: Damage = rng.choice((Sectors(share / 2), Hole(share / 2, "anywhere"), Hole(share / 2, "front")))
    world.tell(f"{place.name} is damaged: {kind.name}")
    data = np.frombuffer(place.path.read_bytes(), np.uint8)
    left = kind.apply(data, np.random.default_rng(rng.getrandbits(32))).data
    write_file(place.path, left.tobytes())
    world.calls.disk.settle()
    place.others = []
    world.look(place, [place.live], "damaged")
    process = world.new_process()
    with world.calls.acting(process), world.no_refusal(f"{place.name} is repaired"):
        table = open_table(place.path)
        table.repair()
        table.close()
    now, sealed = place.path.read_bytes(), _sealed_bytes(place.path)
    if (
        not place.foreign
        and (
            not sealed <= len(now) <= len(data)  # an announcement that was taken back is cut off
            or _repairable(now[:sealed]) != _repairable(data.tobytes()[:sealed])
        )
    ):
        raise Difference(f"{place.name} was repaired, and is not what it was")
    world.ledger.repaired(data.tobytes(), now)
    world.look(place, [place.live], "repaired", whole=True)


def append_foreign(world: World) -> None:
    """A tagger writes a tag behind the last frame."""
    place = world.some_place()
    if place is None:
        return
    leave(world, place)
    tag = b"TAG" + world.rng.randbytes(125) if world.rng.random() < 0.5 else world.rng.randbytes(700)
    world.tell(f"{len(tag)} foreign bytes behind {place.name}")
    data = place.path.read_bytes()
    write_file(place.path, data + tag)
    world.calls.disk.settle()
    place.others = []
    place.foreign = True
    place.live = world.look(place, [place.live], "with foreign bytes behind it")


def cut(world: World) -> None:
    """The file loses its end: whatever is read is right, or an error says what is missing."""
    place = world.some_place()
    if place is None:
        return
    leave(world, place)
    data = place.path.read_bytes()
    left = world.rng.randrange(len(data))
    world.tell(f"{place.name} is cut to {left} of {len(data)} bytes")
    write_file(place.path, data[:left])
    world.calls.disk.settle()
    process = world.new_process("look")
    with world.calls.acting(process):
        try:
            table = open_table(place.path)
            found = difference(table, place.live)
            table.close()
        except AudioMemError as error:
            world.refused(error)
            found = None
    if found is not None:
        raise Difference(f"{place.name} was cut, and shows {found}")
    place.retired = True


def finish(world: World) -> None:
    """Every table is whole, can be written to, and is right when all of that is over."""
    read_again(world)
    for place in world.places:
        if place.retired:
            continue
        leave(world, place)
        place.live = world.look(place, [place.live], "at the end", whole=True)
        process = world.new_process()
        world.tell(f"{process.name} writes to {place.name} at the end")
        with world.calls.acting(process), world.no_refusal(f"a commit in {place.name} at the end"):
            table = open_table(place.path)
            after: Model = SMALL(table, place.live, lambda model: None, world.rng)
            table.close()
            check_left(world, place)
        place.live = world.look(place, [after], "after the last commit", whole=True)


def note(world: World) -> None:
    """The tables are at rest: the ledger notes their files."""
    for place in world.places:
        if not place.retired and not place.foreign:
            world.ledger.note(place.history, table_files(place.path), place.live, place.acknowledged)


def check_left(world: World, place: Place) -> None:
    """Nothing temporary is left; with the group ``at rest`` nothing but the file itself."""
    names = sorted(table_files(place.path))
    left = [path.name for path in place.path.parent.rglob("*") if ".tmp" in path.name]
    if left:
        raise Difference(f"left in {place.name}: {left}")
    if "at rest" in world.groups and names != [NAME]:
        raise Difference(f"closed, {place.name} is {names}")
