"""What a kind of store must do: answer one request for a range of one object, and say what went wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

#: What the tag of a state begins with that is told by the time of its change.
MODIFIED = "modified "


@dataclass(frozen=True, slots=True)
class Pin:
    """What tells one state of an object from another.

    size: bytes. tag: the ETag, or what the store has in its place; empty if it has nothing.
    """

    size: int
    tag: str

    @property
    def is_lasting(self) -> bool:
        """Whether no other state of the object ever has this tag: an ETag, and no weak one (RFC 9110 §8.8).

        The time of a change does not say so: there may be two changes within a second.
        """
        return bool(self.tag) and not self.tag.startswith(("W/", MODIFIED))


class TransientFaultError(Exception):
    """A request failed in a way that another try may mend; never leaves this room.

    cause: in our words, without anything that the store said. brief: seldom mended, so tried for a short
    time only. cut: the answer or its connection ended early, as caches do it that have parts of two states.
    busy: the store has too much to do. wait: seconds for which it asks to be left alone.
    """

    wait = 0.0

    def __init__(self, cause: str, *, brief: bool = False, cut: bool = False, busy: bool = False) -> None:
        super().__init__(cause)
        self.cause = cause
        self.brief = brief
        self.cut = cut
        self.busy = busy


class NoRangesError(Exception):
    """The server answers with the whole object where a range was asked for; never leaves this room."""


class ObjectReader(Protocol):
    """One object of a store. Safe to use from several threads.

    name: how messages name it. place: scheme, bucket and key, part of its identity. survives_forks: it may be
    used in a child of the process that used it. Each method raises
    ``StorageError`` for what trying again does not mend, ``TransientFaultError`` for the rest, and
    ``NoRangesError``.
    """

    name: str
    place: tuple[str, ...]
    survives_forks: bool = False

    def first(self, length: int) -> tuple[Pin, bytes]:
        """The first bytes, up to ``length``, and the state of the object that they are of."""
        ...

    def get(self, start: int, stop: int, pin: Pin, *, fresh: bool = False) -> bytes:
        """Bytes ``start`` to ``stop`` - 1 of the object in the state ``pin``.

        fresh: past every cache on the way. StorageError if the object is in another state by now.
        """
        ...

    def whole(self, pin: Pin | None, most: int) -> tuple[Pin, bytes]:
        """All bytes, for a server without ranges. StorageError if they are more than ``most``."""
        ...
