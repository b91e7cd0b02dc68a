"""New tables in stores: empty ones, and those that take all versions of another table."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import OptionError
from audiomem_sql.machine.progress import Progress
from audiomem_sql.machine.urls import shown
from audiomem_sql.shards import is_sharded
from audiomem_sql.storage.segment import SegmentWriter, TableOptions, Version
from audiomem_sql.upkeep.stored_segments import whole_file
from audiomem_sql.versions import Snapshot, make_table
from audiomem_sql.writing.commit import now
from audiomem_sql.writing.stored_commit import SegmentFiles, new_writer

if TYPE_CHECKING:
    from audiomem_sql.remote.commits import Committer


def create_stored(url: str, schema: Schema, options: TableOptions) -> None:
    """An empty table at ``url``, where nothing is. Errors as of ``make_table``."""
    from audiomem_sql.remote.commits import Commit, Footprint

    time = now()
    with SegmentFiles() as files:

        def begin(committer: Committer, table: bytes) -> None:
            made = files.made(_empty(files, schema, options, table, time))
            change = Commit.on(
                committer.refresh(),
                committer.new_id(),
                time,
                footprint=Footprint(schema=True),
                encoded=lambda: made,
            )
            committer.make(change)

        make_table(url, _marker(files, schema, options), begin)


def copy_to_store(
    snapshot: Snapshot, url: str, options: TableOptions, progress: Progress | None = None
) -> None:
    """A table at ``url``, where nothing is, with all versions up to that of ``snapshot``."""
    from audiomem_sql.remote.commits import Import

    _check_name(url)
    with SegmentFiles() as files:

        def begin(committer: Committer, table: bytes) -> None:
            writer = whole_file(snapshot, options, files.target, table, progress)
            last = snapshot.version
            versions = [version for version in snapshot.versions if version.number <= last]
            committer.make(
                Import(
                    committer.new_id(),
                    files.made(writer),
                    versions[0].number,
                    last,
                    versions[-1].time,
                    max(snapshot.high_rowid, 0) + 1,
                    {name: number for name, number in snapshot.tags.items() if number <= last},
                )
            )

        make_table(url, _marker(files, snapshot.schema, options), begin)


def _check_name(url: str) -> None:
    """OptionError for the name of a sharded table: it would be taken for one."""
    if is_sharded(url):
        raise OptionError(
            "only sharded tables are called .shards",
            file=shown(url),
            remedy="Choose another name, such as kb.flac.",
        )


def _marker(files: SegmentFiles, schema: Schema, options: TableOptions) -> bytes:
    """The object at the table's own key: an empty table that others refuse, as a manifest has its numbers."""
    writer = _empty(files, schema, options, os.urandom(16), now())
    with open(writer.temporary, "rb") as file:
        return file.read()


def _empty(
    files: SegmentFiles, schema: Schema, options: TableOptions, table: bytes, time: int
) -> SegmentWriter:
    writer = new_writer(files.target, schema, options, table)
    writer.finish([Version(1, time, 0, 0)])
    return writer
