"""New sharded tables in stores."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import BusyError, DamagedFileError, InFile, StorageError
from audiomem_sql.machine.progress import Progress
from audiomem_sql.machine.urls import below, shown
from audiomem_sql.remote import RemoteOptions
from audiomem_sql.remote.commits import (
    Commit,
    Committer,
    Footprint,
    Import,
    Manifest,
    Missing,
    NewSegment,
    SplitChange,
    table_store,
)
from audiomem_sql.shards import (
    MANIFEST,
    Pin,
    ShardedSnapshot,
    ShardedVersion,
    ShardEntry,
    ShardZones,
    shard_name,
    spread,
    with_content,
)
from audiomem_sql.shards import Manifest as Content
from audiomem_sql.storage.segment import TableOptions, Version
from audiomem_sql.upkeep.stored_segments import whole_file
from audiomem_sql.versions import AlreadyThereError, check_keeps_conditions
from audiomem_sql.writing.commit import now
from audiomem_sql.writing.stored_commit import SegmentFiles, new_writer


class EmptyShards:
    """Segments of shards without rows. ids: those of the shards."""

    def __init__(self, schema: Schema, options: TableOptions, ids: Sequence[bytes], time: int) -> None:
        self.ids = ids
        self.time = time
        self._schema = schema
        self._options = options
        self._files = SegmentFiles()

    def __enter__(self) -> EmptyShards:
        return self

    def __exit__(self, *error: object) -> None:
        self._files.__exit__(None, None, None)

    def segment(self, number: int) -> NewSegment:
        """The segment of one."""
        writer = new_writer(self._files.target, self._schema, self._options, self.ids[number])
        writer.finish([Version(1, self.time, 0, 0)])
        return self._files.made(writer)


class NewShards(SplitChange):
    """The first version of a table."""

    def __init__(
        self,
        commit: bytes,
        empty: EmptyShards,
        schema: Schema,
        options: Mapping[str, object],
        key: tuple[int, ...],
        zones: tuple[int, ...],
    ) -> None:
        self.commit = commit
        self._empty = empty
        self._schema = schema
        self._options = options
        self._key = key
        self._zones = zones

    @property
    def footprint(self) -> Footprint:
        """Its columns."""
        return Footprint(schema=True)

    def check(self, head: Manifest) -> None:
        """BusyError if the table has versions."""
        if head.version:
            raise BusyError("another program made the table first", remedy="Open it.")

    def new_shard(self, number: int) -> Manifest:
        """One without versions."""
        return Manifest(self._empty.ids[number])

    def parts(self, head: Manifest) -> Mapping[int, Commit]:
        """The first commit of each shard."""
        time = self._empty.time
        return {
            number: Commit(self.commit, 0, time, encoded=lambda number=number: self._empty.segment(number))  # type: ignore[misc]
            for number in range(len(self._empty.ids))
        }

    def joined(self, head: Manifest, shards: Sequence[Manifest]) -> Manifest:
        """``head`` with the shards."""
        content = Content(
            table_id=head.table,
            schema=self._schema,
            options=self._options,
            key=self._key,
            tables=((1, spread(len(shards))),),
            shards=tuple(
                ShardEntry(shard_name(number), shard.table, Pin(shard.version, shard.time))
                for number, shard in enumerate(shards)
            ),
            versions=(ShardedVersion(Version(1, self._empty.time, 0, 0)),),
            zones=ShardZones.empty(self._schema, self._zones, len(shards)),
        )
        head = replace(head, version=1, time=self._empty.time, schema=head.schema + 1)
        return with_content(head, content, shards)


def create_stored_shards(
    url: str,
    count: int,
    schema: Schema,
    options: TableOptions,
    key: tuple[int, ...],
    zones: tuple[int, ...],
) -> None:
    """An empty sharded table at ``url``. AlreadyThereError, and nothing is changed, if something is there."""
    committer = _committer(url)
    with InFile(shown(url)):
        _begin(committer)
        ids = [os.urandom(16) for _ in range(count)]
        with EmptyShards(schema, options, ids, now()) as empty:
            _make(committer, NewShards(committer.new_id(), empty, schema, options.to_catalog(), key, zones))


class ImportedShards(SplitChange):
    """All versions of another sharded table, as the first segments of one that has none.

    segments: of each shard all of its versions. content: what the other table's manifest says.
    """

    def __init__(
        self, commit: bytes, content: Content, segments: Sequence[NewSegment], firsts: Sequence[int]
    ) -> None:
        self.commit = commit
        self._content = content
        self._segments = segments
        self._firsts = firsts
        self._pins = content.pins_at(content.newest)

    footprint = None

    def check(self, head: Manifest) -> None:
        """BusyError if the table has versions."""
        if head.version:
            raise BusyError("another program made the table first", remedy="Open it.")

    def new_shard(self, number: int) -> Manifest:
        """One without versions."""
        return Manifest(self._content.shards[number].table_id)

    def parts(self, head: Manifest) -> Mapping[int, Import]:
        """All versions of each shard."""
        return {
            number: Import(self.commit, segment, first, pin.version, pin.time, 1)
            for number, (segment, first, pin) in enumerate(
                zip(self._segments, self._firsts, self._pins, strict=True)
            )
        }

    def joined(self, head: Manifest, shards: Sequence[Manifest]) -> Manifest:
        """``head`` with the shards, and all that is said of their versions."""
        content = self._content
        first = content.versions[0].version.number
        head = replace(
            head,
            version=content.newest,
            time=content.versions[-1].version.time,
            next_rowid=max(content.high_rowid, 0) + 1,
            schema=head.schema + 1,
            oldest=first if first > 1 else 0,
            tags=dict(content.tags),
        )
        return with_content(head, content, shards)


def import_shards(
    snapshot: ShardedSnapshot, url: str, options: TableOptions, progress: Progress | None = None
) -> None:
    """A sharded table at ``url``, where nothing is, with all versions up to the newest of ``snapshot``.

    It is written to there. AlreadyThereError, and nothing is changed, if something is there.
    """
    committer = _committer(url)
    with InFile(shown(url)), SegmentFiles() as files:
        with contextlib.suppress(Missing):
            _check_free(committer)
        entries, segments, firsts = [], [], []
        for number, entry in enumerate(snapshot.manifest.shards):
            shard, table = snapshot.shard(number), os.urandom(16)
            segments.append(files.made(whole_file(shard, options, files.target, table)))
            firsts.append(shard.versions[0].number)
            entries.append(replace(entry, file=shard_name(number), table_id=table))
            if progress is not None:
                progress(number + 1, len(snapshot.manifest.shards))
        content = replace(snapshot.manifest, shards=tuple(entries), copies=0)
        _begin(committer)
        _make(committer, ImportedShards(committer.new_id(), content, segments, firsts))


def _committer(url: str) -> Committer:
    check_keeps_conditions(below(url, MANIFEST))
    limits = RemoteOptions.of_environment()
    store, place = table_store(url.rstrip("/"), limits.timeout)
    return Committer(store, place, seconds=max(limits.budget, 1.0))


def _make(committer: Committer, change: SplitChange) -> None:
    try:
        committer.make(change)
    except BusyError:
        raise AlreadyThereError("there is a table already", remedy="Open it.") from None


def _begin(committer: Committer) -> None:
    """Put the manifest of a table without versions where nothing is, or somebody began and was killed."""
    reader = committer.reader
    try:
        _check_free(committer)
    except Missing:
        if reader.has_segments():  # it was lost: an empty table in its place would hide the rows
            raise
        try:
            committer.create(committer.new_id())
        except StorageError:
            _check_free(committer)


def _check_free(committer: Committer) -> None:
    """AlreadyThereError for a table, or the manifest of something else; Missing without a manifest."""
    there = AlreadyThereError("a sharded table is there already", remedy="Open it, or choose another name.")
    try:
        version = committer.refresh().version
    except DamagedFileError as error:  # the manifest of a copy of a folder, or of nothing that is known
        raise there from error
    if version:
        raise there
