"""The simulated disk: what a power loss leaves of the sectors, sizes and names that were not flushed.

The files are real ones in a folder of memory, and are what processes see. Beside them a journal holds what is
durable. :meth:`PowerDisk.power_loss` picks one legal state of the disk: of each write since the file's last
flush any subset of its sectors, of a file that grew any length, of the names since the folder's last flush
any subset.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field

from crash.faulty import Disk, Operation, Tree

SECTORS = (512, 4096)


@dataclass(slots=True)
class PowerDisk(Disk):
    """A disk that loses what was not flushed.

    doubtful: writes whose flush failed. The system takes them for clean afterwards, so no later flush brings
    them to the disk, and nobody knows whether they are there.
    """

    doubtful: set[int] = field(default_factory=set)

    def apply(self, operation: Operation) -> None:
        if operation.kind != "sync" or not self.doubtful:
            Disk.apply(self, operation)
            return
        unsure = self.unsure
        doubtful = [change for change in unsure if id(change) in self.doubtful]
        others = [change for change in unsure if change.file == operation.file and change.kind != "name"]
        later = [change for change in others if id(change) not in self.doubtful]
        kept = [
            change
            for change in doubtful
            if change.file == operation.file and not any(_hides(new, change) for new in later)
        ]
        self.unsure = [change for change in unsure if id(change) not in self.doubtful]
        Disk.apply(self, operation)
        self.unsure = kept + [change for change in doubtful if change.file != operation.file] + self.unsure
        self.doubtful = {id(change) for change in self.unsure if id(change) in self.doubtful}

    def doubt(self, file: int) -> None:
        """The flush of ``file`` failed."""
        self.doubtful |= {
            id(change) for change in self.unsure if change.kind == "write" and change.file == file
        }

    def settle(self) -> None:
        """All of it becomes durable, as it does after some seconds."""
        tree = self.unsure
        self.unsure, self.doubtful = [], set()
        for change in tree:
            if change.kind == "name":
                Disk.apply(self, change)
                Disk.apply(self, Operation("folder", path=os.path.dirname(change.path) or "."))
            else:
                Disk.apply(self, change)
                Disk.apply(self, Operation("sync", change.file))

    def power_loss(self, rng: random.Random) -> tuple[str, Tree]:
        """One of the states that the disk may be in when it has power again, and how it was picked."""
        way = rng.choice(("all", "flushed", "names", "data", "sectors", "sectors", "ends", "any", "any"))
        changes: list[Operation] = []
        share, size = rng.choice((0.2, 0.5, 0.9)), rng.choice(SECTORS)
        for change in self.unsure:
            is_name = change.kind == "name"
            if way == "all" or (way == "names" and is_name) or (way == "data" and not is_name):
                changes.append(change)
            elif way == "sectors":
                changes.extend([change] if is_name else _some_sectors(change, rng, size, share))
            elif way == "ends":
                changes.append(change if is_name else _shortened(change, rng))
            elif way == "any" and rng.random() < share:
                changes.extend([change] if is_name else _some_sectors(change, rng, size, 0.8))
        return f"{way}, {len(self.unsure)} changes in doubt", self.after(changes)

    def new_number(self) -> int:
        """A number that no file has."""
        named = [change.file for change in self.unsure if change.file is not None]
        return 1 + max([*self.files, *self.names.values(), *named], default=0)

    def begin_again(self, tree: Tree) -> dict[str, int]:
        """The disk has exactly this; the numbers of the files by path."""
        self.names, self.files, self.unsure, self.doubtful = {}, {}, [], set()
        for number, (path, data) in enumerate(sorted(tree.items()), start=1):
            self.names[path] = -1 if data is None else number
            if data is not None:
                self.files[number] = bytearray(data)
        return {path: number for path, number in self.names.items() if number != -1}


def _hides(new: Operation, old: Operation) -> bool:
    """Whether ``new`` takes the place of a part of the write ``old``."""
    if new.kind == "size":
        return new.offset < old.offset + len(old.data)
    return new.offset < old.offset + len(old.data) and old.offset < new.offset + len(new.data)


def _some_sectors(change: Operation, rng: random.Random, size: int, share: float) -> list[Operation]:
    """The sectors of a write that reached the disk; the file ends behind the last of them."""
    if change.kind != "write":
        return [change]
    kept: list[Operation] = []
    end = change.offset + len(change.data)
    start = change.offset
    while start < end:
        stop = min(end, (start // size + 1) * size)
        if rng.random() < share:
            data = change.data[start - change.offset : stop - change.offset]
            kept.append(Operation("write", change.file, offset=start, data=data))
        start = stop
    return kept


def _shortened(change: Operation, rng: random.Random) -> Operation:
    """The first sectors of a write."""
    if change.kind != "write" or rng.random() < 0.5:
        return change
    end = change.offset + rng.randrange(len(change.data) + 1)
    cut = max(0, end // SECTORS[0] * SECTORS[0] - change.offset)
    return Operation("write", change.file, offset=change.offset, data=change.data[:cut])
