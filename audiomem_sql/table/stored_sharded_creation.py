"""New sharded tables in stores."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import BusyError, DamagedFileError, InFile, StorageError
from audiomem_sql.machine.urls import below, shown
from audiomem_sql.remote import RemoteOptions
from audiomem_sql.remote.commits import (
    Commit,
    Committer,
    Footprint,
    Manifest,
    Missing,
    NewSegment,
    SplitChange,
    table_store,
)
from audiomem_sql.shards import (
    MANIFEST,
    Pin,
    ShardedVersion,
    ShardEntry,
    ShardZones,
    shard_name,
    spread,
    with_content,
)
from audiomem_sql.shards import Manifest as Content
from audiomem_sql.storage.segment import TableOptions, Version
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
    check_keeps_conditions(below(url, MANIFEST))
    limits = RemoteOptions.of_environment()
    store, place = table_store(url.rstrip("/"), limits.timeout)
    committer = Committer(store, place, seconds=max(limits.budget, 1.0))
    with InFile(shown(url)):
        _begin(committer)
        ids = [os.urandom(16) for _ in range(count)]
        with EmptyShards(schema, options, ids, now()) as empty:
            try:
                committer.make(NewShards(committer.new_id(), empty, schema, options.to_catalog(), key, zones))
            except BusyError:
                raise AlreadyThereError("there is a table already", remedy="Open it.") from None


def _begin(committer: Committer) -> None:
    """Put the manifest of a table without versions where nothing is, or somebody began and was killed."""
    reader = committer.reader
    there = AlreadyThereError("a sharded table is there already", remedy="Open it, or choose another name.")
    try:
        if committer.refresh().version:
            raise there
    except Missing:
        if reader.has_segments():  # it was lost: an empty table in its place would hide the rows
            raise
        try:
            committer.create(committer.new_id())
        except StorageError:
            if committer.refresh().version:
                raise there from None
    except DamagedFileError as error:  # the manifest of a copy of a folder, or of nothing that is known
        raise there from error
