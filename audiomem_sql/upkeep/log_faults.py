"""What is wrong with the log of a table: its bytes as they are on the disk now, and what its commits say."""

from __future__ import annotations

import time
from collections.abc import Iterator

from audiomem_sql.columns.stored_values import row_check
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.storage.log import check_rows, commits_behind, flawed_versions, read_log
from audiomem_sql.versions import Snapshot, TableFiles, logged_sources

#: What it is, and what brings it back, as in :class:`audiomem_sql.upkeep.verify.Problem`.
Fault = tuple[str, str | None]
#: How often, and how many seconds apart, a log is read before its end counts as torn, or its copies as different.
_LOG_READINGS = 5
_LOG_INTERVAL = 0.02


def log_faults(snapshot: Snapshot, files: TableFiles, *, whole: bool) -> Iterator[Fault]:
    """Every fault in the log. whole: the segments are well, so that they can be asked."""
    yield from _log_file(snapshot, files)
    for what in _logged(snapshot, whole=whole):
        yield what, None


def _log_file(snapshot: Snapshot, files: TableFiles) -> Iterator[Fault]:
    """What is wrong with the log as it is on the disk now."""
    log = snapshot.log
    if log is None:
        return
    base, seen = snapshot.segments[0], log.count
    flawed: list[tuple[int | None, int]] = []
    for _ in range(_LOG_READINGS):  # a commit that is being written looks torn
        try:
            found = read_log(files.log, base.catalog.table_id)
            if found is not None:
                schema = snapshot.schemas[-1][1]
                stored = snapshot.segments[-1].catalog.last_version
                check_rows(files.log, found, stored, len(schema), row_check(schema))
        except DamagedFileError as error:
            what = f"{error.place}: {error.what}" if error.place else error.what
            yield what, None
            return
        if found is None or found.salt != log.salt:
            return  # another process turned it into a delta
        again = flawed_versions(files.log, found)
        if found.count >= seen and not found.torn and not again:
            return
        if again == flawed and not found.torn and found.count >= seen:
            break
        log, flawed = found, again
        time.sleep(_LOG_INTERVAL)
    for version, copies in flawed:
        name = "the header of the log" if version is None else f"version {version}"
        what = f"{name}: {copies} of {log.copies} copies are damaged; repairable by the others"
        yield what, "parity"
    if not log.torn and log.count >= seen:
        return
    what = f"byte {log.end}: what stands behind version {log.version} is no whole commit"
    if commits_behind(files.log, log):
        what += ", but whole commits stand behind it, which are lost"
    else:
        what += "; it is passed over, and the next commit takes its place"
    yield what, None


def _logged(snapshot: Snapshot, *, whole: bool) -> Iterator[str]:
    """Commits in the log that do not fit what was there before them.

    whole: the segments are well, so that they can be asked.
    """
    if not snapshot.logged:
        return
    stored = snapshot.at(snapshot.segments[-1].catalog.last_version)
    live: set[int] = set()
    gone: set[int] = set()
    for record in snapshot.logged:
        place = f"version {record.version}: "
        for rowid in record.deleted:
            there = rowid in live or (rowid not in gone and (not whole or stored.contains(rowid)))
            if not there:
                yield f"{place}row {rowid} is deleted, but was not there"
            live.discard(rowid)
            gone.add(rowid)
        for rowid, _ in record.inserted:
            if rowid in live or (whole and rowid not in gone and stored.contains(rowid)):
                yield f"{place}row {rowid} is there twice"
            live.add(rowid)
        try:
            logged_sources([record])
        except DamagedFileError as error:
            yield f"{place}{error.what}"
