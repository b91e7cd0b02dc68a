"""What can be done to a manifest: each change says whether it still can be, and what the next manifest is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from audiomem_sql.errors import BusyError, LimitError, QueryError
from audiomem_sql.remote.commits.manifest import (
    INLINE_BYTES,
    Footprint,
    InlineEntry,
    Manifest,
    PageEntry,
    Retired,
    SegmentEntry,
)
from audiomem_sql.remote.commits.paths import MAX_EPOCH
from audiomem_sql.remote.commits.store import Mark

_MOST_ROWID = (1 << 63) - 1
#: The commit of a segment that joins others.
NO_COMMIT = bytes(16)
_AGAIN = "Read the newest version, and make the change again."


@dataclass(frozen=True)
class NewSegment:
    """A segment that is not in the store yet. parts: its bytes, from the beginning at each call."""

    segment_id: bytes
    size: int
    rows: int
    parts: Callable[[], Iterable[bytes]]
    low_rowid: int = 1
    high_rowid: int = 0
    storage_class: str = ""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A segment, and where it is now."""

    made: NewSegment
    name: str
    mark: Mark


class Change(Protocol):
    """One change of a table."""

    @property
    def commit(self) -> bytes:
        """Its id, 16 bytes that no other has."""
        ...

    @property
    def new_rows(self) -> int:
        """How many rows the manifest numbers for it."""
        ...

    def check(self, head: Manifest) -> None:
        """BusyError, or another of our errors, if it cannot be made to ``head`` any more."""
        ...

    def segment(self, head: Manifest) -> NewSegment | None:
        """What must be in the store before it is made to ``head``."""
        ...

    def apply(self, head: Manifest, uploaded: Uploaded | None) -> Manifest:
        """``head`` with the change."""
        ...

    @property
    def footprint(self) -> Footprint | None:
        """What it wrote; None if it makes no version."""
        ...


@dataclass(frozen=True)
class Commit:
    """A new version.

    base: the newest version that its writer had seen, and schema as it was there. seen: commits after that
    which it has seen, too, because they are its own. new_rows: rows that the manifest numbers. high_rowid:
    the greatest rowid that the writer gave to a row itself. record: the commit as it stands in the manifest;
    encoded: the same as a segment, asked for if the record is None or has no room.
    """

    commit: bytes
    base: int
    time: int
    new_rows: int = 0
    footprint: Footprint = field(default_factory=Footprint)
    schema: int = 0
    high_rowid: int = 0
    record: bytes | None = None
    encoded: Callable[[], NewSegment] | None = None
    tags: tuple[str, ...] = ()
    seen: frozenset[bytes] = frozenset()

    @classmethod
    def on(cls, head: Manifest, commit: bytes, time: int, **others: Any) -> Commit:
        """A commit whose writer has seen ``head``."""
        known: dict[str, Any] = {"base": head.version, "schema": head.schema}
        return cls(commit=commit, time=time, **(known | others))

    def check(self, head: Manifest) -> None:
        """BusyError if another commit came first that wrote the same."""
        if head.schema != self.schema:
            raise _lost("the columns changed")
        between = head.commits_after(self.base)
        if between is None:
            if not self.footprint.is_empty:
                raise _lost(f"{head.version - self.base} commits came first, more than are remembered")
            return
        for done in between:
            if done.commit in self.seen:
                continue
            assert done.footprint is not None
            if done.numbered(self.footprint.rowids, self.high_rowid):
                raise _lost("a rowid of it was given to a row of the other")
            if what := self.footprint.meets(done.footprint):
                raise _lost(what)

    def segment(self, head: Manifest) -> NewSegment | None:
        """The commit as a segment, where its record has no room. LimitError if there is none."""
        if self.record is not None and head.inline_bytes + len(self.record) <= INLINE_BYTES:
            return None
        if self.encoded is None:
            raise LimitError("the manifest has no room for the commit", remedy="Fold its records first.")
        return self.encoded()

    def apply(self, head: Manifest, uploaded: Uploaded | None) -> Manifest:
        """``head`` with one version more."""
        version, time = head.version + 1, max(self.time, head.time + 1)
        next_rowid = max(head.next_rowid, self.high_rowid + 1)
        first = next_rowid
        next_rowid += self.new_rows
        if next_rowid > _MOST_ROWID:
            raise LimitError("no rowid is left for a new row")
        tags = dict(head.tags) | dict.fromkeys(self.tags, version)
        newer = replace(
            head,
            version=version,
            time=time,
            next_rowid=next_rowid,
            schema=head.schema + self.footprint.schema,
            tags=tags,
        )
        if uploaded is None:
            assert self.record is not None
            entry = InlineEntry(version, time, first, self.new_rows, self.commit, self.record)
            return replace(newer, inline=(*head.inline, entry))
        made = uploaded.made
        low, high = made.low_rowid, made.high_rowid
        if self.new_rows:
            low = min(low, first) if made.high_rowid >= made.low_rowid else first
            high = next_rowid - 1
        entry_of_segment = SegmentEntry(
            uploaded.name, made.size, uploaded.mark, made.segment_id, version, version,
            made.rows, low, high, time, self.commit, made.storage_class,
        )  # fmt: skip
        return replace(newer, segments=(*head.segments, entry_of_segment))


@dataclass(frozen=True)
class Fold:
    """A segment in the place of others, and of records: the same rows, no new version.

    names: of the segments; commits: ids of the records. Their versions follow each other. oldest: the oldest
    version that the new one keeps, if not all: a vacuum.
    """

    commit: bytes
    names: tuple[str, ...]
    commits: tuple[bytes, ...]
    joined: NewSegment
    oldest: int = 0
    footprint: None = None
    new_rows: int = 0

    def check(self, head: Manifest) -> None:
        """BusyError if something of it was replaced already, or a tag names a version that it leaves out."""
        runs = self._runs(head)
        if len(runs) < len(self.names) + len(self.commits):
            raise BusyError("another vacuum or merge came first", remedy="Begin it again.")
        assert runs[-1][1] - runs[0][0] + 1 == sum(last - first + 1 for first, last in runs)
        assert not self.oldest or runs[0] == head.runs()[0]
        assert self.oldest <= runs[-1][1]
        if early := sorted(name for name, version in head.tags.items() if version < self.oldest):
            raise BusyError(f"versions that it removes have a tag now: {early[0]}", remedy="Begin it again.")

    def _runs(self, head: Manifest) -> list[tuple[int, int]]:
        """The first and last versions of what it replaces and is still there."""
        segments = (s for s in head.segments if s.name in self.names)
        records = (entry for entry in head.inline if entry.commit in self.commits)
        runs = [(segment.first_version, segment.last_version) for segment in segments]
        return sorted([*runs, *((entry.version, entry.version) for entry in records)])

    def segment(self, head: Manifest) -> NewSegment | None:
        """The new segment."""
        return self.joined

    def apply(self, head: Manifest, uploaded: Uploaded | None) -> Manifest:
        """``head`` with the one in the place of the many."""
        assert uploaded is not None
        runs = self._runs(head)
        first, last = runs[0][0], runs[-1][1]
        old = [entry for entry in head.segments if entry.name in self.names]
        times = [entry.time for entry in head.inline if entry.commit in self.commits]
        entry = SegmentEntry(
            uploaded.name, self.joined.size, uploaded.mark, self.joined.segment_id,
            max(first, self.oldest), last, self.joined.rows, self.joined.low_rowid, self.joined.high_rowid,
            max([*times, *(other.time for other in old)]), NO_COMMIT, self.joined.storage_class,
        )  # fmt: skip
        kept = [entry for entry in head.segments if entry.name not in self.names]
        before = sum(other.first_version < first for other in kept)
        pages = _pages_before(head, before)
        gone = [Retired(segment.name, segment.size, head.version) for segment in old]
        gone += [Retired(page.name, page.size, head.version) for page in head.pages[len(pages) :]]
        oldest = max(head.oldest, self.oldest)
        unused = [entry for entry in head.history if entry.last_version <= oldest]
        gone += [Retired(entry.name, entry.size, head.version) for entry in unused]
        return replace(
            head,
            segments=(*kept[:before], entry, *kept[before:]),
            inline=tuple(entry for entry in head.inline if entry.commit not in self.commits),
            retired=(*head.retired, *gone),
            pages=pages,
            history=head.history[len(unused) :],
            oldest=oldest,
        )


def _pages_before(head: Manifest, position: int) -> tuple[PageEntry, ...]:
    """The pages that hold only segments before ``position``."""
    kept, end = 0, 0
    for page in head.pages:
        end += page.count
        kept += end <= position
    return head.pages[:kept]


@dataclass(frozen=True)
class Import:
    """All versions of another table, as the first segment of one that has none.

    first, last: the versions; time: of the last. next_rowid: above every rowid that was given. tags: of
    versions.
    """

    commit: bytes
    joined: NewSegment
    first: int
    last: int
    time: int
    next_rowid: int
    tags: Mapping[str, int] = field(default_factory=dict)
    footprint: None = None
    new_rows: int = 0

    def check(self, head: Manifest) -> None:
        """BusyError if the table has versions."""
        if head.version:
            raise BusyError("another program made the table first", remedy="Open it.")

    def segment(self, head: Manifest) -> NewSegment | None:
        """The segment with all versions."""
        return self.joined

    def apply(self, head: Manifest, uploaded: Uploaded | None) -> Manifest:
        """``head`` with the versions."""
        assert uploaded is not None
        made = self.joined
        entry = SegmentEntry(
            uploaded.name, made.size, uploaded.mark, made.segment_id, self.first, self.last, made.rows,
            made.low_rowid, made.high_rowid, self.time, NO_COMMIT, made.storage_class,
        )  # fmt: skip
        return replace(
            head,
            version=self.last,
            time=self.time,
            next_rowid=self.next_rowid,
            schema=head.schema + 1,
            oldest=self.first if self.first > 1 else 0,
            segments=(entry,),
            tags=dict(self.tags),
        )


@dataclass(frozen=True)
class Retag:
    """Names for versions. tags: version by name; None removes the name."""

    commit: bytes
    tags: Mapping[str, int | None]
    footprint: None = None
    new_rows: int = 0

    def check(self, head: Manifest) -> None:
        """QueryError for a version that is not kept."""
        for name, version in self.tags.items():
            if version is not None and not max(head.oldest, 1) <= version <= head.version:
                raise QueryError(
                    f"version {version} is not kept, and cannot be tagged {name}",
                    remedy=f"Versions {max(head.oldest, 1)} to {head.version} are kept.",
                )

    def segment(self, head: Manifest) -> NewSegment | None:
        """None."""
        return None

    def apply(self, head: Manifest, uploaded: Uploaded | None) -> Manifest:
        """``head`` with the tags."""
        tags = dict(head.tags) | dict(self.tags)
        return replace(head, tags={name: version for name, version in tags.items() if version is not None})


@dataclass(frozen=True)
class NewEpoch:
    """The beginning of a collection: what was uploaded before it, and is not named, never will be.

    It also forgets the objects that were removed more versions ago than the table's retention.
    """

    commit: bytes
    footprint: None = None
    new_rows: int = 0

    def check(self, head: Manifest) -> None:
        """LimitError after 4 billion collections."""
        if head.epoch >= MAX_EPOCH:
            raise LimitError("the table had as many collections as it can count")

    def segment(self, head: Manifest) -> NewSegment | None:
        """None."""
        return None

    def apply(self, head: Manifest, uploaded: Uploaded | None) -> Manifest:
        """``head`` in the next epoch."""
        kept = tuple(entry for entry in head.retired if head.version - entry.version <= head.retention)
        return replace(head, epoch=head.epoch + 1, retired=kept)


@dataclass(frozen=True)
class Lease:
    """Who alone may write from now on; None: anyone. Taking it from another writer is allowed."""

    commit: bytes
    writer: bytes | None
    footprint: None = None
    new_rows: int = 0

    def check(self, head: Manifest) -> None:
        """Always possible."""

    def segment(self, head: Manifest) -> NewSegment | None:
        """None."""
        return None

    def apply(self, head: Manifest, uploaded: Uploaded | None) -> Manifest:
        """``head`` with another writer."""
        return replace(head, writer=self.writer)


def _lost(what: str) -> BusyError:
    return BusyError(f"another commit came first, and the two do not go together: {what}", remedy=_AGAIN)
