"""A copy of one version of a sharded table as one file."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from audiomem_sql.columns.batch import Batch
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.progress import Progress
from audiomem_sql.machine.urls import is_url
from audiomem_sql.scan import in_rowid_order, scan
from audiomem_sql.shards import ShardedSnapshot
from audiomem_sql.storage.segment import SegmentWriter, TableOptions
from audiomem_sql.upkeep.backup import free_file
from audiomem_sql.upkeep.new_segment import codecs_of, given_rowid
from audiomem_sql.versions import TableFiles, decided_tokenizers, pack_sources

if TYPE_CHECKING:
    from audiomem_sql.table.open_table import OpenTable
    from audiomem_sql.upkeep.stream import Stream


def copy_to_file(
    snapshot: ShardedSnapshot,
    path: str | os.PathLike[str],
    options: TableOptions,
    progress: Progress | None = None,
) -> None:
    """Copy the version that ``snapshot`` shows, alone, to a new file at ``path``, durably.

    Vectors are those that there are. StorageError if there is something at ``path``; after an error nothing
    is there.
    """
    target, schema, number = free_file(path), snapshot.schema, snapshot.version
    version = next(each for each in snapshot.versions if each.number == number)
    writer = SegmentWriter(
        target,
        schema,
        options.write_options(),
        table_id=os.urandom(16),
        table_options=options.to_catalog(),
        like=None if snapshot.shard_files[0].files.is_remote else snapshot.path,
        codecs=codecs_of(snapshot, schema) or None,
    )
    try:
        writer.follow(decided_tokenizers(snapshot.segments, schema))
        for batch in rows_by_rowid(snapshot):
            writer.add(batch.rowids, batch.arrays)
            if progress is not None:
                progress(writer.rows, snapshot.rows)
        sources = snapshot.manifest.until(number).sources
        writer.finish(
            [replace(version, inserted=writer.rows, deleted=0)],
            sources=pack_sources(sources) if sources else None,
            tags={name: each for name, each in snapshot.tags.items() if each == number},
            given_rowid=given_rowid(snapshot),
        )
        writer.publish(replace=False)
    except BaseException:
        writer.abandon()
        raise


def rows_by_rowid(snapshot: ShardedSnapshot) -> Iterator[Batch]:
    """All rows by rowid; a batch of each shard is in memory at the same time."""
    columns = range(len(snapshot.schema))
    streams = []
    for shard in snapshot.shards:
        rows = scan(shard, columns)
        streams.append(_Stream(iter(rows if shard.ordered else in_rowid_order(rows))))
    while streams := [stream for stream in streams if stream.fill()]:
        last = min(stream.last for stream in streams)
        yield from in_rowid_order(stream.until(last) for stream in streams)


@dataclass(slots=True)
class _Stream:
    """The rows of a shard that are not given yet, by rowid. head: those that were read."""

    rows: Iterator[Batch]
    head: Batch | None = None

    def fill(self) -> bool:
        """Whether there are rows, which are read then."""
        while self.head is None or not len(self.head):
            self.head = next(self.rows, None)
            if self.head is None:
                return False
        return True

    @property
    def last(self) -> int:
        """The greatest rowid of those that were read."""
        assert self.head is not None
        return int(self.head.rowids[-1])

    def until(self, rowid: int) -> Batch:
        """Give the rows up to ``rowid``."""
        assert self.head is not None
        head, count = self.head, int(np.searchsorted(self.head.rowids, rowid, side="right"))
        self.head = Batch(head.rowids[count:], tuple(array.slice(count) for array in head.arrays))
        return Batch(head.rowids[:count], tuple(array.slice(0, count) for array in head.arrays))


def streamed(
    table: OpenTable, where: str | os.PathLike[str], seconds: float | None, progress: Progress | None
) -> Stream:
    """Write the version that ``table`` shows, alone, as a stream to a folder or a store.

    It is copied to one file as a stream has it, which is removed when the stream is written.
    """
    from audiomem_sql.upkeep.stream import SECONDS, write_stream

    snapshot = table.snapshot
    assert isinstance(snapshot, ShardedSnapshot)
    beside = None if is_url(where) else os.path.dirname(os.path.abspath(where))
    folder = beside if beside is not None and os.path.isdir(beside) else None
    options = replace(table.options, layout="remote", deltas="inside")
    with tempfile.TemporaryDirectory(dir=folder, prefix=".audiomem-stream-") as scratch:
        path = os.path.join(scratch, "copy.flac")
        copy_to_file(snapshot, path, options, progress)
        files = TableFiles.at(path)
        with contextlib.closing(files.load(BlockCache(0))) as copied:
            return write_stream(
                files,
                copied,
                where,
                options,
                table.name,
                seconds=SECONDS if seconds is None else seconds,
                progress=progress,
            )
