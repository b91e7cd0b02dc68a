"""The calls that the package makes of ``os``, as the simulated disk and processes answer them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from crash.faulty import FileLayer, Operation, Tree

from simulate.disk import PowerDisk
from simulate.faults import Killed, Plan, Process

T = TypeVar("T")

_PAGE = 4096
_FIRST_TIME = 1_750_000_000_000_000_000  # ns since 1970


class _Names:
    """Names of temporary files, from the seed; for other threads any."""

    def __init__(self, rng: random.Random) -> None:
        self._next = in_this_thread(
            lambda: "".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789_", k=8)),
            lambda: secrets.token_hex(8),
        )

    def __iter__(self) -> _Names:
        return self

    def __next__(self) -> str:
        return self._next()


def in_this_thread(here: Callable[..., T], elsewhere: Callable[..., T]) -> Callable[..., T]:
    """``here`` in the thread that asks for this, ``elsewhere`` in all others.

    A server of earlier tests that looks at the clock must not move it in the simulation.
    """
    thread = threading.get_ident()

    def call(*arguments: Any, **options: Any) -> T:
        return (here if threading.get_ident() == thread else elsewhere)(*arguments, **options)

    return call


def _pages(rng: random.Random, offset: int, length: int) -> int:
    """How much of a write is done when a process is killed in the middle: it is killed between two pages."""
    end = offset + rng.randrange(length + 1)
    return max(0, end // _PAGE * _PAGE - offset)


class _Applied:
    """Where the base class puts what it records: on the disk."""

    def __init__(self, disk: PowerDisk) -> None:
        self._disk = disk
        self._count = 0

    def append(self, operation: Operation) -> None:
        self._count += 1
        self._disk.apply(operation)

    def __len__(self) -> int:
        return self._count


class SimulatedCalls(FileLayer):
    """Files below ``folder`` are on the simulated disk; time and chance come from the seed.

    process: the one that runs now (None: a person, or the simulator itself). plan: what goes wrong in it.
    clock: ns since 1970.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, self._happens)
        self.folder = folder
        self.disk = PowerDisk()
        self.process: Process | None = None
        self.plan: Plan | None = None
        self.clock = _FIRST_TIME
        self._rng = random.Random(f"calls {seed}")
        self._owners: dict[int, Process | None] = {}
        self.operations = _Applied(self.disk)  # type: ignore[assignment]
        self._killed_now = False
        self._links: dict[str, str] = {}  # symbolic links, which are durable at once
        self._listed = os.listdir

    def __enter__(self) -> SimulatedCalls:
        super().__enter__()
        for owner, name, answer in (
            (os, "urandom", self._rng.randbytes),
            (os, "listdir", self._listdir),
            (time, "time_ns", self._time_ns),
            (time, "time", lambda: self._time_ns() / 1e9),
            (time, "sleep", lambda seconds: None),
        ):
            self._patch.setattr(owner, name, in_this_thread(answer, getattr(owner, name)))
        self._patch.setattr(tempfile, "_name_sequence", _Names(self._rng))
        return self

    @contextmanager
    def acting(self, process: Process | None, plan: Plan | None = None) -> Iterator[None]:
        """The body is done by ``process``."""
        before = self.process, self.plan
        self.process, self.plan = process, plan
        try:
            yield
        finally:
            self.process, self.plan = before

    def end(self, process: Process) -> None:
        """The process is dead: its locks are free. Its files are closed when nothing holds them any more."""
        process.dead = True
        for handle, owner in self._owners.items():
            if owner is process:
                with contextlib.suppress(OSError):  # closed by other means
                    fcntl.flock(handle, fcntl.LOCK_UN)

    def lose_power(self, rng: random.Random) -> str:
        """All processes are dead; the disk has what a power loss left. How that was picked."""
        for owner in {id(owner): owner for owner in self._owners.values() if owner is not None}.values():
            self.end(owner)
        way, tree = self.disk.power_loss(rng)
        self.put(tree)
        return way

    def put(self, tree: Tree) -> None:
        """Files and journal are exactly this."""
        for top, folders, files in os.walk(self.folder, topdown=False):
            for name in files:
                self._real["unlink"](os.path.join(top, name))
            for name in folders:
                self._real["rmdir"](os.path.join(top, name))
        numbers = self.disk.begin_again(tree)
        self._numbers.clear()
        for path, data in sorted(tree.items()):
            if data is None:
                self._real["mkdir"](self.folder / path)
            else:
                (self.folder / path).write_bytes(data)
                self._numbers[os.stat(self.folder / path).st_ino] = numbers[path]
        for link, target in self._links.items():
            if os.path.isdir(os.path.dirname(link)) and not os.path.lexists(link):
                self._real["symlink"](target, link)

    def adopt(self, folder: Path) -> None:
        """What stands in ``folder`` was put there past these calls; it is durable."""
        self.disk.settle()
        for entry in sorted(os.listdir(folder)):
            path = os.path.relpath(folder / entry, self.folder)
            number = self.disk.new_number()
            self.disk.names[path] = number
            self.disk.files[number] = bytearray((folder / entry).read_bytes())
            self._numbers[os.stat(folder / entry).st_ino] = number

    def tree(self) -> Tree:
        """What is in the folder now, as processes see it."""
        found: Tree = {}
        for top, folders, files in os.walk(self.folder):
            for name in folders:
                found[os.path.relpath(os.path.join(top, name), self.folder)] = None
            for name in files:
                path = os.path.join(top, name)
                if not os.path.islink(path):
                    found[os.path.relpath(path, self.folder)] = Path(path).read_bytes()
        return found

    # -- what the base class asks and does

    def _happens(self, name: str) -> bool:
        """Asked before each call that changes something."""
        self.calls.clear()
        process = self.process
        if process is None:
            return False
        if process.dead:
            raise Killed
        plan = self.plan
        if plan is None or not plan.meets(name):
            return False
        if plan.kind in ("kill", "power"):
            process.dead, self._killed_now = True, name == "pwrite"
            raise Killed
        if plan.kind == "visit":
            assert plan.action is not None
            plan.action()
            if process.dead:  # of what happened meanwhile, such as a power loss
                self._killed_now = False
                raise Killed
            return False
        self.error = plan.error
        return True

    def _check_alive(self, handle: int) -> None:
        """Killed if the file was opened by a process that is dead: an object of it that is cleared away."""
        owner = self._owners.get(handle)
        if owner is not None and owner.dead:
            raise Killed

    def _open(self, path: Any, flags: int, mode: int = 0o777, **options: Any) -> int:
        handle = super()._open(path, flags, mode, **options)
        if handle in self._handles:
            self._owners[handle] = self.process
        return handle

    def _close(self, handle: int) -> None:
        self._owners.pop(handle, None)
        super()._close(handle)

    def _pwrite(self, handle: int, data: Any, offset: int) -> int:
        self._check_alive(handle)
        try:
            return super()._pwrite(handle, data, offset)
        except Killed:
            if self._killed_now:  # in the middle of it
                part = bytes(data)[: self._rng.choice((0, len(data), _pages(self._rng, offset, len(data))))]
                self._killed_now = False
                with self.acting(None):
                    super()._pwrite(handle, part, offset)
            raise

    def _sync(self, name: str, handle: int) -> None:
        self._check_alive(handle)
        try:
            super()._sync(name, handle)
        except OSError:
            self.disk.doubt(self._handles[handle][0])
            raise

    def _ftruncate(self, handle: int, size: int) -> None:
        self._check_alive(handle)
        super()._ftruncate(handle, size)

    def _posix_fallocate(self, handle: int, offset: int, length: int) -> None:
        if handle in self._handles:
            self._check_alive(handle)
            self._call("posix_fallocate")
        self._real["posix_fallocate"](handle, offset, length)
        if handle in self._handles:
            self.operations.append(
                Operation("size", self._handles[handle][0], offset=os.fstat(handle).st_size)
            )

    def _fdopen(self, handle: int, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if mode == "rb" and handle in self._handles:  # closed past these calls, and changes nothing
            self._handles.pop(handle)
            self._owners.pop(handle, None)
        return super()._fdopen(handle, mode, *arguments, **options)

    def _rename(self, source: Any, target: Any) -> None:
        self._replace(source, target)

    def _remove(self, path: Any) -> None:
        self._unlink(path)

    def _symlink(self, target: Any, link: Any, **options: Any) -> None:
        self._real["symlink"](target, link, **options)
        if self._inside(link):
            self._links[os.fspath(link)] = os.fspath(target)

    def _listdir(self, path: Any = ".") -> list[str]:
        names: list[str] = self._listed(path)
        if self._inside(path):  # in any order, as file systems do
            names.sort()
            self._rng.shuffle(names)
        return names

    def _time_ns(self) -> int:
        self.clock += 1000
        return self.clock
