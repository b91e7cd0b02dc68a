"""What can go wrong inside one call of the package, and when: a plan for its calls of ``os``."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass

from crash.faulty import GROWING, SYNCS


class Killed(BaseException):
    """The process is dead at this call. Nothing of the package catches it; clean-up code does not get far."""


@dataclass(slots=True)
class Process:
    """A process of the simulation; one that is dead changes nothing any more."""

    name: str
    dead: bool = False


@dataclass(slots=True)
class Plan:
    """What happens at the ``at``-th call, counted from 0, of those that ``names`` has (None: all).

    kind: ``kill``, ``power`` (both kill the process; the disk is looked at afterwards), ``fail``, or
    ``visit`` (``action`` is done, and the call goes on). lasting: every later call fails, too. spent: it
    happened, so often.
    """

    kind: str
    at: int
    names: tuple[str, ...] | None = None
    error: int = errno.EIO
    lasting: bool = False
    action: Callable[[], None] | None = None
    count: int = 0
    spent: int = 0
    where: str = ""

    def meets(self, name: str) -> bool:
        """Whether it happens at this call."""
        if self.names is not None and name not in self.names:
            return False
        self.count += 1
        if not (self.count > self.at if self.lasting else self.count == self.at + 1):
            return False
        self.spent += 1
        self.where = self.where or f"{name}, call {self.at}"
        return True

    def __str__(self) -> str:
        reason = "" if self.kind != "fail" else f" with {errno.errorcode[self.error]}"
        lasting = ", and all later ones" if self.lasting else ""
        return f"{self.kind}{reason} at {self.where or f'call {self.at} (not reached)'}{lasting}"


def full_disk(at: int) -> Plan:
    """No room from the ``at``-th call on that needs any."""
    return Plan("fail", at, (*GROWING, "posix_fallocate"), errno.ENOSPC, lasting=True)


def failing_flush(at: int, *, lasting: bool) -> Plan:
    """The disk does not keep what it has, once or from then on."""
    return Plan("fail", at, SYNCS, errno.EIO, lasting=lasting)


def failing_call(at: int) -> Plan:
    """One call fails."""
    return Plan("fail", at, None, errno.EIO)
