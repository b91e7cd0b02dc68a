"""The methods of a table that copy it, while others go on writing to it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from audiomem_sql import upkeep
from audiomem_sql.errors import OptionError
from audiomem_sql.machine.progress import Progress
from audiomem_sql.shards import ShardedSnapshot
from audiomem_sql.table.sharded_creation import check_one_file, is_folder_name
from audiomem_sql.table.upkeep import Upkeep
from audiomem_sql.versions import Snapshot, TableFiles

if TYPE_CHECKING:
    from audiomem_sql.upkeep import Repair, Stream


def repair_copy(
    snapshot: Snapshot, files: TableFiles, target: str, progress: Progress | None = None
) -> list[Repair]:
    """Write a table as it was made to ``target``, which must be free; what was done, a file each."""
    if isinstance(snapshot, ShardedSnapshot):
        from audiomem_sql.table.sharded_copies import repaired_copy

        return repaired_copy(snapshot, target, progress)
    check_one_file(target)
    return upkeep.repair_copy(snapshot, files, target, progress)


class Copying:
    """What makes a table elsewhere of one of its versions."""

    _upkeep: Upkeep

    def backup(
        self,
        path: str | os.PathLike[str],
        version: int | str | None = None,
        *,
        writable: bool = False,
        progress: Progress | None = None,
    ) -> int:
        """Copy the table to ``path``, which must be free, as one file; the version that the copy has.

        A sharded table is copied to a folder of as many shards; to a file, without the versions before, if
        ``path`` ends in ``.flac``. version: a number or a tag, by default the newest; earlier versions are in
        the copy, later ones are not. Nobody is kept from writing meanwhile. The file gets its name when it is
        whole and durable. writable: a copy of a sharded table at a URL is written to there, and is not
        replaced by newer copies; other copies are in any case. progress: called with work done and work in
        all.
        """
        return self._upkeep.backup(path, version, progress, writable=writable)

    def stream(
        self,
        where: str | os.PathLike[str],
        version: int | str | None = None,
        *,
        seconds: float | None = None,
        progress: Progress | None = None,
    ) -> Stream:
        """Write the table as a stream that players of HLS play, and :func:`audiomem_sql.open` reads.

        where: a folder that is empty or not there, or a URL in a store, such as ``s3://bucket/kb``. version:
        a number or a tag, by default the newest; earlier versions are in the stream, later ones are not.
        seconds: of a media segment, about; by default six. What is streamed is one segment with
        ``layout=remote``, whatever the table is made of; nobody is kept from writing meanwhile. progress:
        called with work done and work in all. OptionError for impossible seconds, StorageError for a place
        that is not free or cannot be written; then there is no stream there.
        """
        if is_folder_name(where):
            raise OptionError(
                "only sharded tables are called .shards, and a stream is none",
                file=os.fsdecode(where),
                remedy="Choose another name.",
            )
        return self._upkeep.stream(where, version, seconds, progress)
