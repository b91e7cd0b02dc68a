"""What a tier is: a place that keeps blocks and may lose any of them, and what is counted there."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from audiomem_sql.remote.tiers.block import Block
from audiomem_sql.remote.tiers.prices import Prices

Made = TypeVar("Made")


class PerProcess(Generic[Made]):
    """What each process makes for itself: locks, sockets and descriptors that a fork must not share."""

    def __init__(self, make: Callable[[], Made]) -> None:
        self._make = make
        self._made = make()
        _ALL.add(self)

    def get(self) -> Made:
        """That of this process."""
        return self._made

    def renew(self) -> None:
        """Make another one."""
        self._made = self._make()


_ALL: weakref.WeakSet[PerProcess[Any]] = weakref.WeakSet()


def _renew() -> None:
    for each in list(_ALL):
        each.renew()


os.register_at_fork(after_in_child=_renew)


@dataclass(slots=True)
class Counts:
    """Numbers since the start of the process.

    hits, misses: blocks that were asked for. bytes_out, bytes_in: of blocks that were read and written.
    requests: to a server or to the store, or files. evictions: blocks that were thrown away for room.
    errors: blocks that were damaged, and requests that failed. skipped: blocks that were too large.
    """

    hits: int = 0
    misses: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    requests: int = 0
    evictions: int = 0
    errors: int = 0
    skipped: int = 0


class Counters:
    """The counts of one tier in this process. Safe to use from several threads."""

    def __init__(self) -> None:
        self._state = PerProcess(lambda: (threading.Lock(), Counts()))

    def add(self, **counts: int) -> None:
        """Add to the counts of these names."""
        lock, total = self._state.get()
        with lock:
            for name, count in counts.items():
                setattr(total, name, getattr(total, name) + count)

    def now(self) -> Counts:
        """The counts."""
        return self._state.get()[1]


@dataclass(frozen=True, slots=True)
class TierInfo:
    """What a tier says of itself: bytes that it holds and may hold (None: not known here), and its state."""

    held: int | None
    capacity: int | None
    state: str = "ok"


class Tier(Protocol):
    """A place of blocks. Safe to use from several threads, and after a fork.

    ``name``: as it was asked for, without passwords. ``prices``: what it costs.
    Only ``open`` raises: a tier that fails later gives and keeps nothing, and counts an error.
    """

    name: str
    counters: Counters
    prices: Prices

    def open(self) -> None:
        """Be ready. StorageError where that cannot be, MissingExtraError without a package."""
        ...

    def get_many(self, keys: Sequence[bytes]) -> dict[bytes, Block]:
        """The blocks that are there, by their keys."""
        ...

    def put_many(self, blocks: Mapping[bytes, Block]) -> int:
        """Keep the blocks, in the place of what is under their keys, as far as there is room.

        Returns the bytes of those that it kept.
        """
        ...

    def info(self) -> TierInfo:
        """What there is to say of it."""
        ...

    def close(self) -> None:
        """Let go of files and connections; twice is harmless, and it may be opened again."""
        ...
