"""Changes of a sharded table: one replacement of the manifest, and a part for each shard that they change.

A part is a change of the manifest of its shard. What else the manifest of a sharded table says is the
business of the rooms above, which make these changes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

from audiomem_sql.errors import BusyError
from audiomem_sql.remote.commits.changes import Change, Fold, NewSegment, Uploaded
from audiomem_sql.remote.commits.manifest import Footprint, Manifest, Retired


class SplitChange(ABC):
    """One change of a sharded table. commit: its id; new_rows: how many rows the manifest numbers for it."""

    commit: bytes
    new_rows: int = 0

    @property
    @abstractmethod
    def footprint(self) -> Footprint | None:
        """What it wrote; None if it makes no version."""

    @abstractmethod
    def check(self, head: Manifest) -> None:
        """BusyError, or another of our errors, if it cannot be made to ``head`` any more."""

    @abstractmethod
    def parts(self, head: Manifest) -> Mapping[int, Change]:
        """What is done to shards of ``head``, by their numbers; those that are not there yet are new ones."""

    def numbering(self, head: Manifest) -> Hashable:
        """What the bytes of segments depend on, if there is anything: others are uploaded when it changes."""
        return None

    def new_shard(self, number: int) -> Manifest:
        """A shard that is not there yet, without versions."""
        raise BusyError(f"there is no shard {number}", remedy="Read the newest version.")

    @abstractmethod
    def joined(self, head: Manifest, shards: Sequence[Manifest]) -> Manifest:
        """``head`` with the change. shards: all of them, with their parts of it."""

    def segment(self, head: Manifest) -> NewSegment | None:
        """None: parts have segments."""
        return None

    def apply(self, head: Manifest, uploaded: Uploaded | None) -> Manifest:
        """The change where no part has a segment."""
        return self.applied(head, {})

    def applied(self, head: Manifest, uploads: Mapping[int, Uploaded]) -> Manifest:
        """``head`` with the change. uploads: the segments of parts."""
        shards = list(head.shards)
        for number, part in sorted(self.parts(head).items()):
            if number == len(shards):
                shards.append(self.new_shard(number))
            shards[number] = part.apply(shards[number], uploads.get(number))
        retired = [
            Retired(entry.name, entry.size, head.version) for shard in shards for entry in shard.retired
        ]
        shards = [replace(shard, retired=(), next_rowid=1) for shard in shards]
        return self.joined(replace(head, retired=(*head.retired, *retired)), shards)

    def segments(self, head: Manifest, known: Callable[[int], bool]) -> dict[int, NewSegment]:
        """What must be in the store first, but for those that are ``known``."""
        made = {}
        for number, part in self.parts(head).items():
            shard = head.shards[number] if number < len(head.shards) else self.new_shard(number)
            if not known(number):
                segment = part.segment(shard)
                if segment is not None:
                    made[number] = segment
        return made


class Reserve(SplitChange):
    """Rowids for rows that are being written: the manifest gives them to nobody else."""

    def __init__(self, commit: bytes, count: int) -> None:
        self.commit = commit
        self.new_rows = count

    footprint = None

    def check(self, head: Manifest) -> None:
        """Always possible."""

    def parts(self, head: Manifest) -> Mapping[int, Change]:
        """None."""
        return {}

    def joined(self, head: Manifest, shards: Sequence[Manifest]) -> Manifest:
        """``head`` with fewer rowids to give."""
        return replace(head, next_rowid=head.next_rowid + self.new_rows)


@dataclass
class SplitFold(SplitChange):
    """Segments of some shards in the place of others: the same rows, no new version."""

    commit: bytes
    folds: Mapping[int, Fold]

    footprint = None

    def check(self, head: Manifest) -> None:
        """BusyError as of each fold."""
        for number, fold in self.folds.items():
            fold.check(head.shards[number])

    def parts(self, head: Manifest) -> Mapping[int, Change]:
        """The folds."""
        return self.folds

    def joined(self, head: Manifest, shards: Sequence[Manifest]) -> Manifest:
        """``head`` with the shards."""
        return replace(head, shards=tuple(shards))
