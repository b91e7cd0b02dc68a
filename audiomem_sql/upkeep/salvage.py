"""Reading a table of which files are missing or cannot be read: what the others hold.

Each segment lists the commits that are in it, so a gap in the chain has known versions. Of a version before
the gap nothing is lost. A version after it is put together from what there is: rows that only the missing
commits added are not shown, and rows that only they deleted are; a row that they replaced is shown as it was
before, unless a later commit replaced it, too.

A segment whose catalogs are all lost is read by the labels of its blocks (see ``UnlistedSegment``). Then
only the newest version can be had.

Without a base the deltas are read alone: they hold all that they need, but for the rows of before.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np

from audiomem_sql.columns.stored_values import row_check
from audiomem_sql.errors import AudioMemError, QueryError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.storage.log import LogContent, check_rows, read_log
from audiomem_sql.storage.segment import (
    ReadableSegment,
    SalvagedFile,
    UnlistedSegment,
    Version,
    salvaged_file,
)
from audiomem_sql.upkeep.salvaged_deltas import SalvagedDeltas, check_of_use
from audiomem_sql.versions import SegmentView, Snapshot, TableFiles
from audiomem_sql.warn_once import warn_once


class SalvagedSnapshot(Snapshot):
    """A snapshot of segments that need not follow each other, and of a log that need not follow them."""

    #: Whether the first segment is the base.
    based = True

    @cached_property
    def gaps(self) -> tuple[range, ...]:
        """The versions that no file holds."""
        ends = [(s.catalog.first_version, s.catalog.last_version) for s in self.segments]
        if not self.based:
            ends.insert(0, (0, 0))
        if self.log is not None and self.log.after >= ends[-1][1]:
            ends.append((self.log.after + 1, self.log.version))
        return tuple(
            range(before[1] + 1, after[0]) for before, after in pairwise(ends) if after[0] > before[1] + 1
        )

    @cached_property
    def unlisted(self) -> tuple[UnlistedSegment, ...]:
        """The segments that have no catalog."""
        return tuple(segment for segment in self.segments if isinstance(segment, UnlistedSegment))

    @cached_property
    def versions(self) -> list[Version]:
        """Every commit that is known, oldest first."""
        unknown = {version.number for segment in self.unlisted for version in segment.catalog.versions[:-1]}
        return [version for version in super().versions if version.number not in unknown]

    def check_kept(self, version: int) -> None:
        """QueryError unless ``version`` is one of those that are kept, and in none of the gaps."""
        if self.unlisted and version != self.newest:
            raise QueryError(
                f"version {version} cannot be told: the catalog of {self.unlisted[0].path} is lost",
                file=self.segments[0].path,
                remedy=f"Only the newest version, {self.newest}, can be read.",
            )
        super().check_kept(version)
        if any(version in gap for gap in self.gaps):
            raise self.not_kept(f"version {version} is missing")

    def check_moment(self, version: int, moment: int) -> None:
        """QueryError if versions that are missing may be newer than ``version`` at a time.

        version: the newest that is there up to ``moment``, µs since 1970.
        """
        followed = any(version + 1 == gap.start for gap in self.gaps)
        if followed and any(other.number == version and other.time < moment for other in self.versions):
            raise self.not_kept(f"the version of that time may be version {version + 1}, which is missing")

    def not_kept(self, what: str) -> QueryError:
        """The error that ``what``, with the versions that there are."""
        return QueryError(
            what,
            file=self.segments[0].path,
            remedy=f"Versions {self.versions[0].number} to {self.newest} are there, "
            f"without {named(self.gaps)}.",
        )

    def _views(self) -> tuple[SegmentView, ...]:
        # A rowid that was made again was deleted before, be it by a commit that is missing: the newest row is
        # right.
        views: list[SegmentView] = []
        inserted = [
            rowid for record in self.logged if record.version <= self.version for rowid, _ in record.inserted
        ]
        later = np.array(sorted({*self._gone, *inserted}), np.int64)
        for segment in reversed(self.segments):
            if segment.catalog.first_version > self.version:
                continue
            views.append(SegmentView(segment, self._hidden_rows(segment, later)))
            rowids, versions = segment.tombstones()
            created = segment.rowids()[segment.created() <= self.version]
            later = np.union1d(later, np.concatenate([rowids[versions <= self.version], created]))
        return tuple(reversed(views))


class BaselessSnapshot(SalvagedSnapshot):
    """The same without a base: all versions before the first delta that is there are missing."""

    based = False


def named(gaps: Sequence[range]) -> str:
    """``version 4``, ``versions 4 to 6 and 9``."""
    texts = [str(gap.start) if len(gap) == 1 else f"{gap.start} to {gap[-1]}" for gap in gaps]
    many = len(gaps) > 1 or any(len(gap) > 1 for gap in gaps)
    return f"version{'s' if many else ''} {' and '.join(texts)}"


def load_salvaged(files: TableFiles, cache: BlockCache) -> Snapshot:
    """The newest snapshot, or all that can be read of it.

    A DamageWarning says what is missing. What opening the base raises is raised here if no delta can be read
    either.
    """
    try:
        return files.load(cache)
    except AudioMemError as error:
        refused = error.with_traceback(None)
    base = SalvagedFile(is_based=False)
    failed: AudioMemError | None = None
    try:
        base = salvaged_file(files.base, cache, check_of_use)
    except AudioMemError as error:
        failed = error.with_traceback(None)
    opened, unreadable = list(base.segments), list(base.unreadable)
    try:
        segments = list(base.segments)
        segments += SalvagedDeltas(files, segments, cache, opened, unreadable).read()
        if not segments:
            assert failed is not None
            raise failed
        log = _log(files, segments[-1], unreadable)
        if failed is not None:
            unreadable.insert(0, f"the base: {failed.what}")
        snapshot = (SalvagedSnapshot if base.is_based else BaselessSnapshot)(segments, log)
        if not (unreadable or snapshot.gaps or snapshot.unlisted):
            unreadable.append(refused.what)
    except BaseException:
        for segment in opened:
            segment.close()
        raise
    _tell(files, snapshot, unreadable)
    return snapshot


def _log(files: TableFiles, newest: ReadableSegment, unreadable: list[str]) -> LogContent | None:
    """The log, if its commits come behind those of ``newest``."""
    try:
        log = read_log(files.log, newest.catalog.table_id, unreadable=unreadable)
        if log is None or log.version <= newest.catalog.last_version:
            return None
        if _is_of_another_history(log, newest):
            unreadable.append(f"{files.log}: it continues another history of the table")
            return None
        schema = newest.catalog.schemas[-1][1]
        check_rows(files.log, log, newest.catalog.last_version, len(schema), row_check(schema))
        return log
    except (AudioMemError, OSError) as error:
        unreadable.append(str(error))
        return None


def _is_of_another_history(log: LogContent, newest: ReadableSegment) -> bool:
    """Whether the log begins at a version that ``newest`` has, but of another segment."""
    before, last = log.predecessor, newest.catalog.last_version
    if before is None or before.version > last:
        return False  # what is between them is missing
    return (before.version, before.segment_id) != (last, newest.catalog.segment_id)


def _named(segment: UnlistedSegment, snapshot: SalvagedSnapshot) -> str:
    """The file of a segment, and where it begins if that has others, too."""
    name = os.path.basename(segment.path)
    alone = sum(other.path == segment.path for other in snapshot.segments) == 1
    return name if alone else f"{name} from page {segment.file.first} on"


def _tell(files: TableFiles, snapshot: SalvagedSnapshot, unreadable: Sequence[str]) -> None:
    parts = []
    if snapshot.gaps:
        oldest = min(snapshot.versions[0].number, snapshot.gaps[0].start)
        parts.append(
            f"{named(snapshot.gaps)} of {oldest} to {snapshot.newest} are missing: "
            "rows that they added are not shown, and rows that they deleted may be"
            if len(snapshot.gaps) > 1 or len(snapshot.gaps[0]) > 1
            else f"{named(snapshot.gaps)} of {oldest} to {snapshot.newest} is missing: "
            "rows that it added are not shown, and rows that it deleted may be"
        )
    if snapshot.unlisted:
        names = [_named(segment, snapshot) for segment in snapshot.unlisted]
        lost = sum(len(segment.lost) for segment in snapshot.unlisted)
        notes = [
            f"; of {name}, {note}"
            for name, segment in zip(names, snapshot.unlisted, strict=True)
            for note in segment.notes
        ]
        parts.append(
            f"all catalogs of {', '.join(names)} are lost: rows are read by the labels of their blocks"
            + (f", of which {lost:,} cannot be read" if lost else "")
            + f", and only the newest version, {snapshot.newest}, can be had"
            + "".join(notes)
        )
    if unreadable:
        parts.append(f"not read: {'; '.join(unreadable)}")
    warn_once(
        (
            "salvage",
            files.base,
            snapshot.gaps,
            *[segment.identity for segment in snapshot.unlisted],
            *unreadable,
        ),
        f"{files.base}: {'; '.join(parts)}. "
        "Restore the files from a copy, or write what is left to a new table.",
    )
