"""Reading a table in a store of which segments are missing or cannot be read: what the others hold.

The manifest says which versions each object has, so what is missing has known versions, and rows that others
changed are as in :mod:`audiomem_sql.upkeep.salvage`. Without the manifest nobody knows which objects the
newest version has, or which rowids they have, and nothing is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.batch import Row
from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import AudioMemError, DamagedFileError, StorageError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.urls import shown
from audiomem_sql.storage.log import LogRecord
from audiomem_sql.storage.segment import ReadableSegment, UnlistedSegment
from audiomem_sql.upkeep.salvage import SalvagedSnapshot, named
from audiomem_sql.upkeep.salvaged_deltas import check_of_use
from audiomem_sql.versions import (
    RemoteTableFiles,
    Snapshot,
    StoredHistory,
    StoredSnapshot,
    StoredTable,
    record_of,
)
from audiomem_sql.warn_once import warn_once

if TYPE_CHECKING:
    from audiomem_sql.remote.commits import Manifest
    from audiomem_sql.remote.commits.manifest import SegmentEntry


class SalvagedStoredSnapshot(SalvagedSnapshot, StoredSnapshot):
    """A snapshot of some of the segments and records of a manifest. missing: the versions of the others."""

    missing: tuple[range, ...] = ()

    @classmethod
    def of(
        cls,
        segments: Sequence[ReadableSegment],
        records: Sequence[LogRecord],
        manifest: Manifest,
        missing: Sequence[range],
        history: StoredHistory | None = None,
    ) -> SalvagedStoredSnapshot:
        """The newest version that is there."""
        there = [segment.catalog.last_version for segment in segments]
        newest = max([*there, *(record.version for record in records)])
        snapshot = cls(segments, records, replace(manifest, version=newest), history=history)
        snapshot.missing = tuple(missing)
        return snapshot

    @cached_property
    def gaps(self) -> tuple[range, ...]:
        """The versions that no readable object holds."""
        return self.missing

    def _other(self, version: int, schema: Schema | None) -> Snapshot:
        other = type(self)(self.segments, self.records, self.manifest, version, schema, self.old)
        other.missing = self.missing
        return other

    def _replayed(self) -> tuple[dict[int, Row], list[tuple[int, list[int]]]]:
        """A row that a record has is none of an older segment, be its deletion in one that is missing."""
        rows, gone = super()._replayed()
        made = {record.version: [rowid for rowid, _ in record.inserted] for record in self.records}
        return rows, [(version, [*rowids, *made.get(version, ())]) for version, rowids in gone]

    _views = StoredSnapshot._views  # its records are in the manifest, as those of any table in a store

    def _taken(self, segment: ReadableSegment) -> I64Array:
        created = segment.rowids()[segment.created() <= self.version]
        return np.concatenate([super()._taken(segment), created])


def load_salvaged_stored(files: RemoteTableFiles, cache: BlockCache) -> Snapshot:
    """The newest snapshot, or all that can be read of it; a DamageWarning says what is missing.

    What opening raised is raised if no segment can be read, as is what reading the manifest raises. Of a
    table that is one object nothing is missing: what is damaged in it is left out when it is read.
    """
    try:
        return files.load(cache)
    except AudioMemError as error:
        refused = error.with_traceback(None)
    table = files.stored or StoredTable(files.url, files.source_of)
    if files.stored is None and not _has_manifest(table):
        return _one_object(files, cache, refused)
    manifest = table.newest().manifest
    if manifest.shards:
        raise refused
    segments, unreadable, missing = _segments(table, manifest, cache)
    if not segments:
        raise refused
    try:
        records: list[LogRecord] = []
        schema = segments[-1].catalog.schemas[-1][1]
        for entry in manifest.inline:
            try:
                records.append(record_of(entry, schema))
            except DamagedFileError as error:
                missing.append(range(entry.version, entry.version + 1))
                unreadable.append(f"version {entry.version}, in the manifest: {error.what}")
        gaps = sorted(missing, key=lambda each: each.start)
        history = table.history_of(manifest, cache)
        snapshot = SalvagedStoredSnapshot.of(segments, records, manifest, gaps, history)
    except BaseException:
        for segment in segments:
            segment.close()
        raise
    _tell(files, snapshot, unreadable, manifest.version)
    return snapshot


def _has_manifest(table: StoredTable) -> bool:
    from audiomem_sql.remote.commits import Missing

    try:
        table.newest()
    except Missing:
        if table.reader.has_segments():
            raise
        return False
    return True


def _one_object(files: RemoteTableFiles, cache: BlockCache, refused: AudioMemError) -> Snapshot:
    """A file that was put into the store, without a catalog. Raises ``refused`` if its labels do not help."""
    try:
        segment = UnlistedSegment.of_source(files.source_of(files.url), cache)
    except AudioMemError:
        raise refused from None
    snapshot = SalvagedSnapshot([segment], None)
    warn_once(
        ("salvage", files.base, segment.identity),
        f"{files.base}: all catalogs are lost: rows are read by the labels of their blocks, and only the "
        f"newest version, {snapshot.newest}, can be had. Write what is left to a new table.",
    )
    return snapshot


def _segments(
    table: StoredTable, manifest: Manifest, cache: BlockCache
) -> tuple[list[ReadableSegment], list[str], list[range]]:
    """The segments that can be read, what is told of the others, and which versions these have."""
    segments: list[ReadableSegment] = []
    unreadable: list[str] = []
    missing: list[range] = []
    for entry in manifest.segments:
        try:
            segments.append(_segment(table, entry, manifest.table, cache))
        except (AudioMemError, OSError) as error:
            what = error.what if isinstance(error, AudioMemError) else str(error)
            unreadable.append(f"{shown(table.url_of(entry.name)).rpartition('/')[2]}: {what}")
            missing.append(range(entry.first_version, entry.last_version + 1))
    return segments, unreadable, missing


def _segment(table: StoredTable, entry: SegmentEntry, own: bytes, cache: BlockCache) -> ReadableSegment:
    """One segment, if need be without its catalog, or cut."""
    try:
        segment = table.open_segment(entry, cache, own)
        try:
            check_of_use(segment)
        except AudioMemError:
            segment.close()
            raise
        return segment
    except (DamagedFileError, StorageError) as error:
        first = error
    try:
        unlisted = UnlistedSegment.of_source(
            table.source_of(table.url_of(entry.name)), cache, table.numbering_of(entry, own, exact=False)
        )
    except AudioMemError:
        raise first from None
    try:
        check_of_use(unlisted)
    except AudioMemError:
        unlisted.close()
        raise first from None
    return unlisted


def _tell(
    files: RemoteTableFiles, snapshot: SalvagedStoredSnapshot, unreadable: Sequence[str], newest: int
) -> None:
    parts = []
    if snapshot.gaps:
        one = len(snapshot.gaps) == 1 and len(snapshot.gaps[0]) == 1
        parts.append(
            f"{named(snapshot.gaps)} of {newest} {'is' if one else 'are'} missing: rows that were added there"
            " are not shown, and rows that were deleted there may be"
        )
    if snapshot.unlisted:
        names = ", ".join(segment.path.rpartition("/")[2] for segment in snapshot.unlisted)
        notes = [f"; {note}" for segment in snapshot.unlisted for note in segment.notes]
        parts.append(
            f"all catalogs of {names} are lost: rows are read by the labels of their blocks, and only the "
            f"newest version, {snapshot.newest}, can be had{''.join(notes)}"
        )
    if unreadable:
        parts.append(f"not read: {'; '.join(unreadable)}")
    warn_once(
        ("salvage", files.base, snapshot.gaps, *unreadable),
        f"{files.base}: {'; '.join(parts) or 'something in its place cannot be read'}. "
        "Bring the objects back, heal them from a replica, or write what is left to a new table.",
    )
