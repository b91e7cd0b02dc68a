"""The contract of a store of objects that commits are made in: as little as the protocol needs.

Every operation ends in one of four ways: it gives its result; ``Refused``: the store says that the condition
does not hold, and nothing was written by *this* request, though an earlier attempt of the same request may
have been what made the condition false; ``Missing``; or ``Unanswered``: nobody can say whether it happened,
now or later. A new kind of store passes the tests of ``tests/remote/commits/contract.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from audiomem_sql.errors import StorageError


class Mark(NamedTuple):
    """What names the bytes of an object at one moment: its ETag, and its generation where there is one.

    Two contents of one key never have the same mark.
    """

    e_tag: str | None = None
    version: str | None = None


class Stored(NamedTuple):
    """An object that was read."""

    data: bytes
    mark: Mark


class Upload(NamedTuple):
    """Parts of an object that was not completed."""

    key: str
    upload_id: str


class Unanswered(StorageError):
    """No clear answer came: the request took place, will take place, or never does."""


class Refused(StorageError):
    """The condition of a write does not hold."""


class Missing(StorageError):
    """There is no object with this key."""


class ObjectStore(Protocol):
    """Objects by key. Safe to use from several threads. ``name``: how messages name it, without secrets."""

    name: str

    def get(self, key: str) -> Stored:
        """The whole object. Missing."""
        ...

    def get_if_none_match(self, key: str, mark: Mark) -> Stored | None:
        """The whole object, or None if it still has ``mark``. Missing."""
        ...

    def put_if_absent(self, key: str, data: bytes) -> Mark:
        """Write an object that is not there yet. Refused if it is."""
        ...

    def put_if_match(self, key: str, data: bytes, mark: Mark) -> Mark:
        """Replace an object that has ``mark``. Refused if it has another, or is not there."""
        ...

    def put_parts(self, key: str, parts: Iterable[bytes]) -> Mark:
        """Write an object of any size, without a condition; it is there when all parts are, or not at all."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        ...

    def keys(self, prefix: str) -> list[str]:
        """The keys that begin with ``prefix``, which ends with a slash, in any order."""
        ...

    def uploads(self, prefix: str) -> list[Upload]:
        """Half-uploaded objects whose keys begin with ``prefix``, as far as the store can tell."""
        ...

    def abort(self, upload: Upload) -> None:
        """Remove the parts of a half-uploaded object; whoever still uploads it gets an error."""
        ...
