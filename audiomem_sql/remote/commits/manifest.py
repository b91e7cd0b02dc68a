"""The manifest: what a table in a store consists of at one moment. It is never changed, only replaced.

Everything that numbers versions and rows is here, not in the segments, so a commit that lost a race gets
other numbers without being encoded again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

from audiomem_sql.remote.commits.store import Mark

#: Replacements that a manifest remembers by the ids of their commits.
RECENT = 64
#: Bytes of the records that stand in the manifest itself, together.
INLINE_BYTES = 64 << 10
#: Rowids, and keys, that a footprint lists; more are "any".
FOOTPRINT = 64
#: By how many versions a removed segment outlives its removal, unless the table says otherwise.
RETENTION = 100


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a commit wrote that another commit may have written, too.

    rowids: of rows that were there, or were given a rowid by their writer; None: any. keys: 64-bit hashes of
    the values of unique columns; None: any. schema: whether the columns changed.
    """

    rowids: tuple[int, ...] | None = ()
    keys: tuple[int, ...] | None = ()
    schema: bool = False

    @classmethod
    def of(cls, rowids: set[int], keys: set[int], *, schema: bool = False) -> Footprint:
        """One of any size, shortened to what a manifest holds."""
        return cls(
            tuple(sorted(rowids)) if len(rowids) <= FOOTPRINT else None,
            tuple(sorted(keys)) if len(keys) <= FOOTPRINT else None,
            schema,
        )

    @property
    def is_empty(self) -> bool:
        """Whether it only added rows that no one else can have written."""
        return self.rowids == () and self.keys == () and not self.schema

    def meets(self, other: Footprint) -> str:
        """What both wrote, in words; "" if nothing. Changes of the columns meet everything."""
        if self.schema or other.schema:
            return "the columns changed"
        if _meet(self.rowids, other.rowids):
            return "both changed the same rows"
        if _meet(self.keys, other.keys):
            return "both wrote the same key"
        return ""


def _meet(one: tuple[int, ...] | None, other: tuple[int, ...] | None) -> bool:
    if one == () or other == ():
        return False
    return one is None or other is None or not set(one).isdisjoint(other)


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """An immutable object with the rows of some versions.

    commit: the id of the commit that made it; 16 zeros for one that joins others. low_rowid, high_rowid: of
    its rows; low is above high where it has none. time: of its last version, in µs since 1970.
    """

    name: str
    size: int
    mark: Mark
    segment_id: bytes
    first_version: int
    last_version: int
    rows: int
    low_rowid: int
    high_rowid: int
    time: int
    commit: bytes
    storage_class: str = ""


@dataclass(frozen=True, slots=True)
class InlineEntry:
    """A commit that stands in the manifest: a record of the log, numbered here.

    first_rowid: of its new rows, ``new_rows`` of them.
    """

    version: int
    time: int
    first_rowid: int
    new_rows: int
    commit: bytes
    record: bytes


@dataclass(frozen=True, slots=True)
class Done:
    """One of the newest replacements.

    footprint: None for one that made no version. first_rowid: of the rows that the manifest numbered for it,
    ``new_rows`` of them.
    """

    commit: bytes
    seq: int
    version: int
    footprint: Footprint | None
    first_rowid: int = 1
    new_rows: int = 0

    def numbered(self, rowids: tuple[int, ...] | None, highest: int) -> bool:
        """Whether it may have given one of ``rowids`` to a row; None: of any up to ``highest``."""
        if rowids is None:
            return bool(self.new_rows) and highest >= self.first_rowid
        return any(0 <= rowid - self.first_rowid < self.new_rows for rowid in rowids)


@dataclass(frozen=True, slots=True)
class Retired:
    """An object that is no part of the table any more. version: the newest one when it was removed."""

    name: str
    size: int
    version: int


@dataclass(frozen=True, slots=True)
class PageEntry:
    """An immutable object with the entries of ``count`` segments, which stand before all others."""

    name: str
    size: int
    count: int


@dataclass(frozen=True)
class Manifest:
    """The state of a table.

    seq: one more with each replacement. epoch: one more with each collection. schema: how often the columns
    changed. oldest: the oldest version that is kept. segments: all that the newest version is read from, also
    those in ``pages``, which hold the first ones. history: segments whose rows all ended, the last ones with
    ``last_version``; only versions before that are read from them. writer: who alone may write, if anyone.
    retention: see ``Retired``, in versions.

    shards: of a sharded table, which has no segments and records of its own: those of each shard, with
    versions of its own. content: what else the manifest of a sharded table says, see ``shards/manifest.py``.
    """

    table: bytes
    seq: int = 0
    epoch: int = 1
    version: int = 0
    time: int = 0
    next_rowid: int = 1
    schema: int = 0
    oldest: int = 0
    retention: int = RETENTION
    segments: tuple[SegmentEntry, ...] = ()
    inline: tuple[InlineEntry, ...] = ()
    tags: Mapping[str, int] = field(default_factory=dict)
    recent: tuple[Done, ...] = ()
    retired: tuple[Retired, ...] = ()
    pages: tuple[PageEntry, ...] = ()
    history: tuple[SegmentEntry, ...] = ()
    writer: bytes | None = None
    shards: tuple[Manifest, ...] = ()
    content: bytes = b""

    @property
    def paged(self) -> int:
        """How many segments are in pages."""
        return sum(page.count for page in self.pages)

    @property
    def inline_bytes(self) -> int:
        """Bytes of all records."""
        own = sum(len(entry.record) for entry in self.inline)
        return own + sum(shard.inline_bytes for shard in self.shards)

    @cached_property
    def names(self) -> frozenset[str]:
        """The objects that may still be read."""
        return frozenset(self._all_names())

    def _all_names(self) -> list[str]:
        segments = [entry.name for entry in (*self.segments, *self.history)]
        names = segments + [entry.name for entry in self.retired] + [page.name for page in self.pages]
        return names + [name for shard in self.shards for name in shard._all_names()]

    def version_of(self, commit: bytes) -> int | None:
        """The version that ``commit`` made, or found, as far as the manifest remembers."""
        for done in self.recent:
            if done.commit == commit:
                return done.version
        for segment in self.segments:
            if segment.commit == commit:
                return segment.last_version
        for entry in self.inline:
            if entry.commit == commit:
                return entry.version
        return None

    def first_rowid_of(self, commit: bytes) -> int | None:
        """The rowid of the first row that it numbered for ``commit``, as far as it remembers."""
        for done in self.recent:
            if done.commit == commit:
                return done.first_rowid
        firsts = [entry.first_rowid for entry in self.inline if entry.commit == commit]
        firsts += [entry.low_rowid for entry in self.segments if entry.commit == commit]
        return firsts[0] if firsts else None

    def remembers(self, seq: int, version: int) -> bool:
        """Whether it has the id of every commit that was made after ``seq``, and after ``version``."""
        if self.recent and self.recent[0].seq <= seq:
            return True
        if self.shards:  # their segments and records have versions of their own
            return False
        joined = [segment for segment in self.segments if segment.last_version > version]
        return all(any(segment.commit) for segment in joined)

    def commits_after(self, version: int) -> list[Done] | None:
        """The commits that made the versions after ``version``; None where some are not remembered."""
        newer = [done for done in self.recent if done.footprint is not None and done.version > version]
        return newer if len(newer) == self.version - version else None

    def runs(self) -> list[tuple[int, int]]:
        """The first and last version of all segments and records, in their order."""
        ranges = [(entry.first_version, entry.last_version) for entry in self.segments]
        return sorted([*ranges, *((entry.version, entry.version) for entry in self.inline)])

    def contradiction(self) -> str:
        """What is wrong with it, in words; "" if nothing is."""
        if self.shards:
            return self._contradiction_of_shards()
        runs = self.runs()
        if any(first > last for first, last in runs):
            return "a segment ends before it begins"
        if any(one[1] + 1 != other[0] for one, other in pairwise(runs)):
            return "versions are missing, or there twice"
        if (runs[-1][1] if runs else 0) != self.version:
            return "the newest version is in no segment and no record"
        if runs and runs[0][0] != max(self.oldest, 1):
            return "its oldest version is missing"
        ordered = sorted(self.segments, key=lambda entry: entry.first_version)
        if list(self.segments) != ordered or self.paged > len(self.segments):
            return "segments are out of order"
        if any(not 0 < version <= self.version for version in self.tags.values()):
            return "a tag names a version that there is not"
        ends = [max(self.oldest, 1), *(entry.last_version for entry in self.history), self.version + 1]
        if any(one >= other for one, other in pairwise(ends)) and self.history:
            return "segments of old versions are out of order"
        return self._named_twice()

    def _contradiction_of_shards(self) -> str:
        if self.segments or self.inline or self.pages or self.history or not self.content:
            return "rows are in no shard, or it does not say where they belong"
        for number, shard in enumerate(self.shards):
            if shard.shards or shard.retired or shard.history or (what := shard.contradiction()):
                return f"of shard {number}: {what or 'it has what belongs to the table'}"
        if any(not 0 < version <= self.version for version in self.tags.values()):
            return "a tag names a version that there is not"
        return self._named_twice()

    def _named_twice(self) -> str:
        return "" if len(self.names) == len(self._all_names()) else "an object is named twice"
