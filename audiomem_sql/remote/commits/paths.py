"""The keys of a table in a store."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: The name, in a manifest, of the object that has the table's own key.
BASE = "base"
#: What the keys of sharded tables end with, whose objects are all below the key.
SHARDED = ".shards"
_NAME = re.compile(r"([0-9a-f]{8})-[0-9a-f]{32}\.(?:flac|page)")
#: The last epoch that a name can say.
MAX_EPOCH = (1 << 32) - 1


def is_name(text: object) -> bool:
    """Whether ``text`` is a name that a manifest may have for an object."""
    return isinstance(text, str) and (text == BASE or _NAME.fullmatch(text) is not None)


def new_name(epoch: int, unique: bytes, kind: str) -> str:
    """A name for an object that is uploaded under ``epoch``. unique: 16 bytes; kind: "flac" or "page"."""
    return f"{epoch:08x}-{unique.hex()}.{kind}"


def epoch_of(name: str) -> int | None:
    """The epoch that an object was uploaded under; None for what has a name of another kind."""
    match = _NAME.fullmatch(name)
    return None if match is None else int(match.group(1), 16)


@dataclass(frozen=True, slots=True)
class TablePaths:
    """The keys of the table ``key``, such as ``data/kb.flac``, or ``data/kb.shards``, which has no object."""

    key: str

    @property
    def folder(self) -> str:
        """What all other keys of the table begin with."""
        return f"{self.key}/" if self.key.lower().endswith(SHARDED) else f"{self.key}.d/"

    @property
    def manifest(self) -> str:
        """The only object that is ever replaced."""
        return f"{self.folder}manifest"

    @property
    def segments(self) -> str:
        """What the keys of immutable objects begin with."""
        return f"{self.folder}seg/"

    def object(self, name: str) -> str:
        """The key of what a manifest calls ``name``."""
        return self.key if name == BASE else self.segments + name
