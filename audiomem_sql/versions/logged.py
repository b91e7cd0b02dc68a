"""The commits of a table: those in the log, and what they do."""

from __future__ import annotations

from collections.abc import Sequence

from audiomem_sql.columns.batch import Row
from audiomem_sql.storage.log import LogContent, LogRecord
from audiomem_sql.storage.segment import ReadableSegment, Version


def logged_commits(segments: Sequence[ReadableSegment], log: LogContent | None) -> list[LogRecord]:
    """The commits in the log that are not in a segment yet."""
    if log is None:
        return []
    stored = segments[-1].catalog.last_version
    return [record for record in log.records[: log.count] if record.version > stored]


def replay(commits: Sequence[LogRecord], version: int) -> tuple[dict[int, Row], set[int]]:
    """(rows by rowid, rowids deleted from the segments) after the commits up to ``version``."""
    rows: dict[int, Row] = {}
    gone: set[int] = set()
    for record in commits:
        if record.version > version:
            break
        for rowid in record.deleted:
            if rows.pop(rowid, None) is None:
                gone.add(rowid)
        rows.update(record.inserted)
    return rows, gone


def known_versions(segments: Sequence[ReadableSegment], logged: Sequence[LogRecord]) -> list[Version]:
    """Every commit of the files, in the order of their numbers."""
    stored = [version for segment in segments for version in segment.catalog.versions]
    return stored + [
        Version(record.version, record.time, len(record.inserted), len(record.deleted), record.message)
        for record in logged
    ]
