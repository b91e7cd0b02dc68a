"""A segment that is made of others, or of commits of the log: its rows, and what its catalog says of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from audiomem_sql.arrays import I64Array
from audiomem_sql.audio import PROFILES
from audiomem_sql.columns.batch import Row, batch_of
from audiomem_sql.columns.layouts import union
from audiomem_sql.columns.schema import Schema
from audiomem_sql.indexes.vectors import VectorCodec
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
)
from audiomem_sql.versions import (
    Snapshot,
    TableFiles,
    Tombstones,
    VersionedBatch,
    logged_sources,
    pack_sources,
)
from audiomem_sql.writing.placement import Place

_ROWS_AT_ONCE = 1 << 14


@dataclass(frozen=True, slots=True)
class NewSegment:
    """A segment about to be written at ``place``."""

    place: Place
    snapshot: Snapshot
    versions: Sequence[Version]
    sources: dict[str, bytes]
    tags: dict[str, int]

    def write(
        self,
        options: TableOptions,
        rows: Iterable[VersionedBatch],
        tombstones: Tombstones | None,
        *,
        versioned: bool,
        schema: Schema | None = None,
        history: SchemaHistory = NO_HISTORY,
        lock: WriterLock | None = None,
    ) -> None:
        """Write the rows, and make the segment part of the table.

        schema: that of ``rows``, by default the newest. lock: follows the file if it becomes the base.
        """
        files = TableFiles(self.snapshot.segments[0].path)
        beside = self.place.path != files.base
        if beside:
            files.make_folder()
        writer = self.finished(options, rows, tombstones, versioned=versioned, schema=schema, history=history)
        try:
            if lock is not None and self.place.replaces:
                lock.follow(writer.temporary)
                assert self.snapshot.table_file is not None
                self.snapshot.table_file.check_unchanged()
            writer.publish(replace=True)
        except BaseException:
            writer.abandon()
            raise
        if beside:
            assert writer.head is not None
            files.write_head(writer.head)

    def finished(
        self,
        options: TableOptions,
        rows: Iterable[VersionedBatch],
        tombstones: Tombstones | None,
        *,
        versioned: bool,
        schema: Schema | None = None,
        history: SchemaHistory = NO_HISTORY,
    ) -> SegmentWriter:
        """The same, with the segment laid out, but not part of the table yet."""
        if limits_of(options.profile).sparing:
            for segment in self.snapshot.segments:
                segment.forget()
            trim()
        table_id = self.snapshot.segments[0].catalog.table_id
        schema = schema or self.snapshot.schema
        writer = SegmentWriter(
            self.place.path,
            schema,
            self.place.write,
            table_id=table_id,
            codecs=codecs_of(self.snapshot, schema),
            table_options=options.to_catalog(),
            seal=self.place.seal,
            placement=self.place.placement,
            like=self.snapshot.segments[0].path,
        )
        try:
            for part in rows:
                if versioned:
                    writer.add(part.batch.rowids, part.batch.arrays, part.created, part.ended)
                else:
                    writer.add(part.batch.rowids, part.batch.arrays)
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
                history=history,
            )
        except BaseException:
            writer.abandon()
            raise
        return writer


def codecs_of(snapshot: Snapshot, schema: Schema) -> dict[int, VectorCodec]:
    """How the largest segment stores each column of vectors.

    Vectors that are merged with the same codec stay as they are.
    """
    codecs: dict[int, VectorCodec] = {}
    largest = max(snapshot.segments, key=lambda segment: segment.rows)
    for column in schema.vectors.values():
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


def logged_tags(commits: Sequence[LogRecord]) -> dict[str, int]:
    """The names of versions that the commits gave, or took away (0)."""
    return {name: number for record in commits for name, number in record.tags.items()}


@contextlib.contextmanager
def staged_log(
    snapshot: Snapshot, options: TableOptions, commits: Sequence[LogRecord], beside: str | None = None
) -> Iterator[ReadableSegment]:
    """Commits of the log as a segment in a temporary file, to be merged with others.

    beside: the path beside which the file is, by default the base.
    """
    path = snapshot.segments[0].path
    numbers = {record.version for record in commits}
    write = replace(options.write_options(), level=1, protection=level_named("none"), mode=None)
    write = replace(write, profile=PROFILES[options.profile])
    segment = NewSegment(
        Place(path, NewFile(beside or path, path), FIRST_SEAL, write, replaces=False),
        snapshot,
        versions=[version for version in snapshot.versions if version.number in numbers],
        sources=logged_sources(commits),
        tags=logged_tags(commits),
    )
    writer = segment.finished(
        options,
        logged_rows(commits, snapshot.schema),
        logged_tombstones(commits),
        versioned=len(commits) > 1,
    )
    try:
        opened = Segment.open(writer.temporary, BlockCache(0))
        try:
            yield opened
        finally:
            opened.close()
    finally:
        writer.abandon()
