"""What is wrong with the log of a table: its bytes as they are on the disk now, and what its commits say."""

from __future__ import annotations

import time
from collections.abc import Iterator

from audiomem_sql.columns.stored_values import row_check
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.storage.log import LogRecord, check_rows, commits_behind, flawed_versions, read_log
from audiomem_sql.versions import Snapshot, StoredSnapshot, TableFiles, logged_sources

#: What it is, and what brings it back, as in :class:`audiomem_sql.upkeep.verify.Problem`.
Fault = tuple[str, str | None]
#: How often, and how many seconds apart, a log is read before its end counts as torn, or its copies as
#: different.
_LOG_READINGS = 5
_LOG_INTERVAL = 0.02


def log_faults(snapshot: Snapshot, files: TableFiles, *, whole: bool) -> Iterator[Fault]:
    """Every fault in the log. whole: the segments are well, so that they can be asked."""
    yield from _log_file(snapshot, files)
    for fault in _logged(snapshot, whole=whole):
        yield fault, None


def _log_file(snapshot: Snapshot, files: TableFiles) -> Iterator[Fault]:
    """What is wrong with the log as it is on the disk now."""
    log = snapshot.log
    if log is None:
        return
    base, commit_count = snapshot.segments[0], log.count
    flawed: list[tuple[int | None, int]] = []
    for _ in range(_LOG_READINGS):  # a commit that is being written looks torn
        try:
            content = read_log(files.log, base.catalog.table_id)
            if content is not None:
                schema = snapshot.schemas[-1][1]
                stored = snapshot.segments[-1].catalog.last_version
                check_rows(files.log, content, stored, len(schema), row_check(schema))
        except DamagedFileError as error:
            fault = f"{error.place}: {error.what}" if error.place else error.what
            yield fault, None
            return
        if content is None or content.salt != log.salt:
            return  # another process turned it into a delta
        flawed_now = flawed_versions(files.log, content)
        if content.count >= commit_count and not content.torn and not flawed_now:
            return
        if flawed_now == flawed and not content.torn and content.count >= commit_count:
            break
        log, flawed = content, flawed_now
        time.sleep(_LOG_INTERVAL)
    for version, copies in flawed:
        name = "the header of the log" if version is None else f"version {version}"
        fault = f"{name}: {copies} of {log.copies} copies are damaged; repairable by the others"
        yield fault, "parity"
    if not log.torn and log.count >= commit_count:
        return
    fault = f"byte {log.end}: what stands behind version {log.version} is no whole commit"
    if commits_behind(files.log, log):
        fault += ", but whole commits stand behind it, which are lost"
    else:
        fault += "; it is passed over, and the next commit takes its place"
    yield fault, None


def _logged(snapshot: Snapshot, *, whole: bool) -> Iterator[str]:
    """Commits in the log that do not fit what was there before them.

    whole: the segments are well, so that they can be asked.
    """
    if not snapshot.logged:
        return
    if isinstance(snapshot, StoredSnapshot):
        yield from _recorded(snapshot, whole=whole)
        return
    stored = snapshot.at(snapshot.segments[-1].catalog.last_version)
    live: set[int] = set()
    deleted: set[int] = set()
    for record in snapshot.logged:
        place = f"version {record.version}: "
        for rowid in record.deleted:
            exists = rowid in live or (rowid not in deleted and (not whole or stored.contains(rowid)))
            if not exists:
                yield f"{place}row {rowid} is deleted, but was not there"
            live.discard(rowid)
            deleted.add(rowid)
        for rowid, _ in record.inserted:
            if rowid in live or (whole and rowid not in deleted and stored.contains(rowid)):
                yield f"{place}row {rowid} is there twice"
            live.add(rowid)
        yield from _sources(record)


def _recorded(snapshot: StoredSnapshot, *, whole: bool) -> Iterator[str]:
    """The same of the records in a manifest, which stand between the segments."""
    oldest = snapshot.versions[0].number
    for record in snapshot.records:
        if whole and record.version > oldest:
            before, place = snapshot.at(record.version - 1), f"version {record.version}: "
            for rowid in record.deleted:
                if not before.contains(rowid):
                    yield f"{place}row {rowid} is deleted, but was not there"
            for rowid, _ in record.inserted:
                if rowid not in record.deleted and before.contains(rowid):
                    yield f"{place}row {rowid} is there twice"
        yield from _sources(record)


def _sources(record: LogRecord) -> Iterator[str]:
    try:
        logged_sources([record])
    except DamagedFileError as error:
        yield f"version {record.version}: {error.what}"
