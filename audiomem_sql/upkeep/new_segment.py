"""A segment that is made of others, or of commits of the log: its rows, and what its catalog says of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from audiomem_sql.arrays import I64Array
from audiomem_sql.audio import PROFILES
from audiomem_sql.columns.batch import Row, batch_of
from audiomem_sql.columns.layouts import union
from audiomem_sql.columns.schema import Schema
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.limits import limits_of
from audiomem_sql.machine.malloc import trim
from audiomem_sql.machine.writer_lock import WriterLock
from audiomem_sql.protection.levels import level_named
from audiomem_sql.storage.log import LogRecord
from audiomem_sql.storage.segment import (
    FIRST_SEAL,
    NEVER,
    NO_HISTORY,
    NewFile,
    ReadableSegment,
    SchemaHistory,
    Segment,
    SegmentWriter,
    TableOptions,
    Version,
    numbered_options,
)
from audiomem_sql.versions import (
    Snapshot,
    TableFiles,
    Tombstones,
    VersionedBatch,
    decided_tokenizers,
    logged_sources,
    pack_sources,
)
from audiomem_sql.writing.placement import Place

if TYPE_CHECKING:
    from audiomem_sql.indexes.vectors import VectorCodec

_ROWS_AT_ONCE = 1 << 14


@dataclass(frozen=True, slots=True)
class NewSegment:
    """A segment about to be written at ``place``.

    versions: the commits that are in it. rows: ascending by rowid, then version. tombstones: the rows of
    segments before it that they deleted. schema: that of the rows, by default the newest. numbered: it
    is of a table in a store, whose manifest names it. table: the id of that, if it is another one.
    """

    place: Place
    snapshot: Snapshot
    versions: Sequence[Version]
    rows: Iterable[VersionedBatch]
    sources: dict[str, bytes]
    tags: dict[str, int]
    tombstones: Tombstones | None = None
    schema: Schema | None = None
    history: SchemaHistory = NO_HISTORY
    numbered: bool = False
    table: bytes | None = None

    def write(self, options: TableOptions, lock: WriterLock) -> None:
        """Write it, and make it part of the table.

        lock: follows the file if it becomes the base.
        """
        files = TableFiles(self.snapshot.segments[0].path)
        beside = self.place.path != files.base
        copies = level_named(options.protection).log_copies
        if beside:
            files.prepare_delta(self.snapshot, copies)
        writer = self.finished(options)
        try:
            replaces = self.place.replaces and isinstance(writer.placement, NewFile)
            if replaces:
                lock.follow(writer.temporary)
            if beside or replaces:  # pages that are appended look at the file themselves
                assert self.snapshot.table_file is not None
                self.snapshot.table_file.check_unchanged()
            writer.publish(replace=True)
        except BaseException:
            writer.abandon()
            raise
        if beside:
            assert writer.head is not None
            files.write_head(writer.head, copies)

    def finished(self, options: TableOptions) -> SegmentWriter:
        """The same, with the segment laid out, but not part of the table yet."""
        if limits_of(options.profile).sparing:
            for segment in self.snapshot.segments:
                segment.forget()
            trim()
        schema = self.schema or self.snapshot.schema
        writer = SegmentWriter(
            self.place.path,
            schema,
            self.place.write,
            table_id=self.table or self.snapshot.segments[0].catalog.table_id,
            codecs=codecs_of(self.snapshot, schema),
            table_options=numbered_options(options.to_catalog()) if self.numbered else options.to_catalog(),
            seal=self.place.seal,
            placement=self.place.placement,
            like=self.snapshot.segments[0].path,
        )
        try:
            if self.tombstones is not None:  # others keep their rows, and their words
                writer.follow(decided_tokenizers(self.snapshot.segments, schema))
            self._fill(writer)
        except BaseException:
            writer.abandon()
            raise
        return writer

    def _fill(self, writer: SegmentWriter) -> None:
        """Write rows and catalog. Of a single version no row says which it is of."""
        versioned = len(self.versions) > 1
        for part in self.rows:
            if versioned:
                writer.add(part.batch.rowids, part.batch.arrays, part.created, part.ended)
            else:
                writer.add(part.batch.rowids, part.batch.arrays)
        tombstones = self.tombstones
        filled = tombstones is not None and len(tombstones.rowids) > 0
        empty = np.empty(0, np.int64)
        writer.finish(
            self.versions,
            tombstones=tombstones.rowids if tombstones is not None and filled else None,
            tombstone_versions=(tombstones.versions if tombstones is not None and filled else empty)
            if versioned
            else None,
            sources=pack_sources(self.sources) if self.sources else None,
            tags=self.tags,
            history=self.history,
            given_rowid=given_rowid(self.snapshot),
        )


def given_rowid(snapshot: Snapshot) -> int:
    """The greatest rowid that must not be given again; 0 without AUTOINCREMENT."""
    alias = snapshot.schema.rowid_column
    rises = alias is not None and snapshot.schema.columns[alias].autoincrement
    return snapshot.high_rowid if rises else 0


def logged_segment(place: Place, snapshot: Snapshot, commits: Sequence[LogRecord]) -> NewSegment:
    """The segment of ``commits``, which are in the log of ``snapshot``."""
    numbers = {record.version for record in commits}
    return NewSegment(
        place,
        snapshot,
        versions=[version for version in snapshot.versions if version.number in numbers],
        rows=logged_rows(commits, snapshot.schema),
        tombstones=logged_tombstones(commits),
        sources=logged_sources(commits),
        tags={name: number for record in commits for name, number in record.tags.items()},  # 0: taken away
    )


def codecs_of(snapshot: Snapshot, schema: Schema) -> dict[int, VectorCodec]:
    """How the largest segment stores each column of vectors.

    Vectors that are merged with the same codec stay as they are.
    """
    codecs: dict[int, VectorCodec] = {}
    largest = max(snapshot.segments, key=lambda segment: segment.rows)
    for column in (*schema.vectors.values(), *schema.passages.values()):
        index = largest.with_schema(schema).vector_index(column)
        if index is not None and index.count:
            codecs[column] = index.codec
    return codecs


def stored_columns(snapshot: Snapshot, history: SchemaHistory) -> Schema:
    """The columns of a segment with all rows of ``history``."""
    return union(snapshot.schema, (schema for _, schema in history.schemas))


def logged_tombstones(commits: Sequence[LogRecord]) -> Tombstones:
    """The rows of segments that the commits deleted."""
    versions: dict[int, int] = {}
    live: set[int] = set()
    if not any(record.deleted for record in commits):
        return Tombstones(np.empty(0, np.int64), np.empty(0, np.int64))
    for record in commits:
        for rowid in record.deleted:
            if rowid in live:
                live.discard(rowid)
            else:
                versions.setdefault(rowid, record.version)
        live.update(rowid for rowid, _ in record.inserted)
    rowids = np.array(sorted(versions), np.int64)
    return Tombstones(rowids, np.array([versions[rowid] for rowid in sorted(versions)], np.int64))


def logged_rows(commits: Sequence[LogRecord], schema: Schema) -> Iterator[VersionedBatch]:
    """Every row that the commits made, ascending by rowid, then version."""
    if not any(record.deleted for record in commits):
        in_order = [row for record in commits for row in record.inserted]
        rowids = _array(rowid for rowid, _ in in_order)
        if (rowids[1:] > rowids[:-1]).all():  # their differences may be more than 64 bits hold
            counts = [len(record.inserted) for record in commits]
            created = np.repeat(_array(record.version for record in commits), counts)
            for start in range(0, len(in_order), _ROWS_AT_ONCE):
                stop = min(start + _ROWS_AT_ONCE, len(in_order))
                batch = batch_of(in_order[start:stop], schema)
                yield VersionedBatch(batch, created[start:stop], np.full(stop - start, NEVER, np.int64))
            return
    rows: list[tuple[int, int, Row]] = []
    ended: list[int] = []
    live: dict[int, int] = {}
    for record in commits:
        for rowid in record.deleted:
            number = live.pop(rowid, None)
            if number is not None:
                ended[number] = record.version
        for rowid, row in record.inserted:
            live[rowid] = len(rows)
            rows.append((rowid, record.version, row))
            ended.append(NEVER)
    order = sorted(range(len(rows)), key=lambda number: rows[number][:2])
    for start in range(0, len(order), _ROWS_AT_ONCE):
        numbers = order[start : start + _ROWS_AT_ONCE]
        batch = batch_of([(rows[number][0], rows[number][2]) for number in numbers], schema)
        yield VersionedBatch(
            batch, _array(rows[number][1] for number in numbers), _array(ended[number] for number in numbers)
        )


def _array(numbers: Iterable[int]) -> I64Array:
    return np.fromiter(numbers, np.int64)


@contextlib.contextmanager
def staged_log(
    snapshot: Snapshot, options: TableOptions, commits: Sequence[LogRecord], beside: str | None = None
) -> Iterator[ReadableSegment]:
    """Commits of the log as a segment in a temporary file, to be merged with others.

    beside: the path beside which the file is, by default the base.
    """
    path = snapshot.segments[0].path
    write = replace(options.write_options(), level=1, protection=level_named("none"), mode=None)
    write = replace(write, profile=PROFILES[options.profile])
    place = Place(path, NewFile(beside or path, path), FIRST_SEAL, write, replaces=False)
    writer = logged_segment(place, snapshot, commits).finished(options)
    try:
        opened = Segment.open(writer.temporary, BlockCache(0))
        try:
            yield opened
        finally:
            opened.close()
    finally:
        writer.abandon()
