"""Several commits of rows that are written to a file by the flushes of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from audiomem_sql.machine.durable import storage_error
from audiomem_sql.storage.segment import DELTAS, AppendedPages, TableOptions, Version
from audiomem_sql.versions import Snapshot, TableFiles
from audiomem_sql.writing.commit import Commit, PendingCommit, give_rows, now, place_of, segment_writer
from audiomem_sql.writing.commit_limits import check_history
from audiomem_sql.writing.placement import is_empty


def append_commits(
    files: TableFiles,
    snapshot: Snapshot,
    options: TableOptions,
    commits: Sequence[Commit],
) -> PendingCommit | None:
    """Write commits of rows one behind the other, all by the flushes of one; None if they cannot be appended.

    The writer's lock must be held. On any error the file is as it was.
    """
    file = snapshot.table_file
    assert file is not None
    if options.deltas != DELTAS[0] or is_empty(snapshot):
        return None
    place = place_of(files, snapshot, file, options, beside=False, append=True)
    if not isinstance(place.placement, AppendedPages):
        return None
    placement, seal = AppendedPages(file, together=True), place.seal
    number, time = snapshot.newest, snapshot.newest_time
    for place_in_all, commit in enumerate(commits):
        check_history(snapshot, commit.message)
        if place_in_all:
            placement, seal = placement.following((number, number), seal)
        writer = segment_writer(
            files, replace(place, placement=placement, seal=seal), snapshot, options, commit
        )
        number, time = number + 1, max(now(), time + 1)
        try:
            give_rows(writer, snapshot, commit)
            rows = writer.rows if commit.inserted is None else commit.inserted
            version = Version(number, time, rows, len(commit.deleted), commit.message)
            writer.finish([version], tombstones=commit.deleted, sources=commit.sources)
            if place_in_all == len(commits) - 1:
                writer.publish()
        except BaseException as error:
            writer.abandon()
            if isinstance(error, OSError):
                raise storage_error(error, place.path) from error
            raise
    return PendingCommit(number, place.path, appended=placement)
