"""Which log goes with a file, and what it means if another one is there, or none.

The file says so itself: in its samples by an announce page, and by the head record at its front. A log names
the segment that it continues, and a segment the log that became it. So a log of another history, an older
file beside a newer log, or a file without its log is told; what is read is a state that was.
"""

from __future__ import annotations

from collections.abc import Sequence

from audiomem_sql.errors import DamagedFileError
from audiomem_sql.storage.log import LogContent
from audiomem_sql.storage.segment import ReadableSegment, TableFile

_RESTORE = "Restore file and log from the same copy"
_SALVAGE = "`audiomem salvage` saves what can be read without it."


def announced_session(file: TableFile) -> bytes | None:
    """The session id of the log that goes with ``file``; None if none does.

    DamagedFileError if the front of the file says that it was longer.
    """
    front = file.front
    if front is not None and not file.mixed and front.generation > file.generation:
        if front.segment_id != file.newest.catalog.segment_id:
            raise DamagedFileError(
                f"the end of the file is missing or of an older state: it ended with version "
                f"{front.last_version}, and has versions up to {file.newest.catalog.last_version}",
                file=file.path,
                remedy=f"Restore it from a copy. {_SALVAGE}",
            )
        return front.session if front.is_open else None  # an announcement is lost, or was taken back
    if file.beside is not None:
        return file.beside.session if file.beside.is_open else None
    return None if file.announced is None else file.announced.session


def log_of_file(
    file: TableFile, segments: Sequence[ReadableSegment], log: LogContent | None, path: str
) -> LogContent | None:
    """``log`` if it goes with the file; None if none does, or if it is a leftover of commits that are in it.

    segments: of the file, and its deltas. path: of the log. DamagedFileError, which names
    both sides, for a log of another state, and if the log that must be there is not.
    """
    session, newest = announced_session(file), segments[-1]
    last = newest.catalog.last_version
    if log is None:
        if session is None:
            return None
        where = f"page {file.stop + 1} on, where a part of them is, which is damaged"
        torn = f"; nor is all of the segment from {where}" if file.torn else ""
        raise DamagedFileError(
            f"version {last + 1} and those after it are in {path}, which is not here{torn}",
            file=file.path,
            remedy=f"Copy both files together, or close the table before you copy it. {_SALVAGE}",
        )
    if log.session is None:
        return _plain_log(file, newest, log, path)
    if session is not None and log.session != session:
        raise DamagedFileError(
            f"the log is of session {log.session.hex()}, but {file.path} goes with session {session.hex()}",
            file=path,
            remedy=f"{_RESTORE}. {_SALVAGE}",
        )
    if continues(log, newest):
        return log
    if session is None and _is_folded(segments, log):
        return None
    assert log.predecessor is not None
    raise DamagedFileError(
        f"the log continues version {log.predecessor.version} of segment "
        f"{log.predecessor.segment_id.hex()}, but {file.path} ends with version {last} of segment "
        f"{newest.catalog.segment_id.hex()}: it is of another history, or they were copied at different "
        "moments",
        file=path,
        remedy=f"{_RESTORE}, or move the log away if its commits are not wanted.",
    )


def continues(log: LogContent, newest: ReadableSegment) -> bool:
    """Whether ``log`` begins where ``newest`` ends."""
    before = log.predecessor
    return before is not None and (before.segment_id, before.digest, before.version) == (
        newest.catalog.segment_id,
        newest.digest,
        newest.catalog.last_version,
    )


def _is_folded(segments: Sequence[ReadableSegment], log: LogContent) -> bool:
    """Whether the commits of ``log`` are in one of the segments."""
    for segment in segments:
        seal = segment.catalog.seal
        folded = None if seal is None else seal.folded
        if folded is not None and (folded.session, folded.version, folded.digest) == log.folded:
            return True
    return False


def _plain_log(file: TableFile, newest: ReadableSegment, log: LogContent, path: str) -> LogContent | None:
    """The same of a log of format version 1, which names nothing: beside a newer file it is a leftover."""
    if file.format_version == 1:
        return log
    if log.version <= newest.catalog.last_version:
        return None
    raise DamagedFileError(
        f"the log of format version 1 goes up to version {log.version}, but {file.path} is in a newer "
        f"format, and ends with version {newest.catalog.last_version}",
        file=path,
        remedy=f"{_RESTORE}, or move the log away if its commits are not wanted.",
    )
