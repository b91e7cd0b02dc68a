"""The head file ``X.flac.d/head`` of a table whose deltas are files beside it, with ``deltas=beside``.

It holds one head record: which segment is the newest, and which log goes with it. The table's file is not
touched by commits then, so this is what tells that the newest delta is missing, or the log.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from audiomem_sql.errors import DamagedFileError
from audiomem_sql.machine.durable import flush, replace_durably, storage_error, temporary_file
from audiomem_sql.machine.file_access import open_regular
from audiomem_sql.storage.pages import HeadRecord
from audiomem_sql.storage.segment import Catalog, ReadableSegment, TableFile
from audiomem_sql.versions.chain import check_table

#: Bytes from one copy of the record to the next; a sector of a disk is lost as a whole.
_STRIDE = 4096
_MOST_COPIES = 8
_RESTORE = "Restore the table with its folder from one copy, or read what is left with salvage=True."


@dataclass(frozen=True, slots=True)
class HeadFile:
    """What the head file says. damaged: how many of the copies of its record are not intact."""

    record: HeadRecord
    copies: int
    damaged: int


def read_head_file(path: str) -> HeadFile | None:
    """The head file; None if there is none. DamagedFileError for anything else in its place."""
    try:
        with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
            content = file.read(_MOST_COPIES * _STRIDE)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise storage_error(error, path) from error
    copies = max(1, -(-len(content) // _STRIDE))
    records = [HeadRecord.unpack(content[start * _STRIDE :]) for start in range(copies)]
    intact = [record for record in records if record is not None]
    if not intact:
        raise DamagedFileError(
            "is damaged: it says which delta is the newest, and which log goes with it",
            file=path,
            remedy=_RESTORE,
        )
    return HeadFile(intact[0], copies, copies - len(intact))


def read_head(path: str) -> HeadRecord | None:
    """The record of the head file; None if there is none. DamagedFileError for anything else in its place."""
    found = read_head_file(path)
    return None if found is None else found.record


def write_head(path: str, record: HeadRecord, like: str, copies: int = 1) -> None:
    """Put the record in the place of the one that is there, durably.

    like: the file whose mode and owner it gets. copies: of the record; with protection there are several.
    """
    temporary = ""
    try:
        handle, temporary = temporary_file(path, like)
        with os.fdopen(handle, "wb") as sink:
            for number in range(copies):
                sink.seek(number * _STRIDE)
                sink.write(record.pack())
            sink.flush()
            flush(sink.fileno())
        replace_durably(temporary, path)
    except BaseException as error:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        if isinstance(error, OSError):
            raise storage_error(error, path) from error
        raise


def head_of(segment: ReadableSegment, generation: int | None = None) -> HeadRecord:
    """The record of the state in which ``segment`` is the newest, and no log goes with it."""
    catalog = segment.catalog
    own = 0 if catalog.seal is None else catalog.seal.generation
    return HeadRecord(
        own if generation is None else generation,
        catalog.table_id,
        segment.file.page_count,
        catalog.segment_id,
        segment.digest,
        catalog.last_version,
    )


def with_head(
    file: TableFile, segments: Sequence[ReadableSegment], head: HeadRecord | None, path: str
) -> TableFile:
    """The table's file with what the head file at ``path`` says of the log.

    A crash may have come before it was replaced: then it names the segment that the newest one continues, or
    one that was merged into it. DamagedFileError if it is missing although there are deltas, or if it is of
    another state: a newer delta was there, or one of them is of another history.
    """
    base, newest = file.newest.catalog, segments[-1].catalog
    if head is not None and head.table_id != base.table_id:
        raise DamagedFileError(
            f"is of table {head.table_id.hex()}, but {file.path} is table {base.table_id.hex()}",
            file=path,
            remedy=_RESTORE,
        )
    has_deltas = segments[-1].path != file.path and newest.seal is not None
    if head is None or (head.generation <= _generation(base) and head.segment_id != base.segment_id):
        if has_deltas:  # the head is written before the first delta
            raise _no_head(file, segments[-1], head, path)
        return replace(file, beside=None)
    if (head.segment_id, head.digest) == (newest.segment_id, segments[-1].digest):
        return replace(file, beside=head)
    if has_deltas and head.generation < _generation(newest) and _is_behind(head, newest):
        return replace(file, beside=None)
    raise DamagedFileError(
        f"the newest delta is missing or another one: the table ended with version {head.last_version}, "
        f"segment {head.segment_id.hex()}, and what is there with version {newest.last_version}, segment "
        f"{newest.segment_id.hex()}",
        file=file.path,
        remedy=_RESTORE,
    )


def _generation(catalog: Catalog) -> int:
    return 0 if catalog.seal is None else catalog.seal.generation


def _is_behind(head: HeadRecord, newest: Catalog) -> bool:
    """Whether ``head`` is of the state before ``newest`` was written, which a crash leaves."""
    before = None if newest.seal is None else newest.seal.before
    if before is not None and (head.segment_id, head.digest) == (before.segment_id, before.digest):
        return True
    return newest.first_version <= head.last_version <= newest.last_version  # merged into it


def _no_head(
    file: TableFile, newest: ReadableSegment, head: HeadRecord | None, path: str
) -> DamagedFileError:
    """The error of deltas of which no head file says which is the newest."""
    what = (
        "is missing"
        if head is None
        else f"is of an older state, with version {head.last_version} of segment {head.segment_id.hex()}"
    )
    return DamagedFileError(
        f"{what}: {file.path} has deltas up to version {newest.catalog.last_version}, "
        f"segment {newest.catalog.segment_id.hex()}, and nothing says whether that is the newest",
        file=path,
        remedy=_RESTORE,
    )


def check_links(segments: Sequence[ReadableSegment]) -> None:
    """DamagedFileError unless each delta is of the table and continues the segment before it.

    Version 1 does not say what one continues.
    """
    for before, after in pairwise(segments):
        check_table(before, after, segments[0].path)
        if before.path == after.path or after.catalog.first_version != before.catalog.last_version + 1:
            continue  # checked with the file, or: what is missing between them is told elsewhere
        fault = broken_link(before, after)
        if fault:
            raise DamagedFileError(fault, file=after.path, remedy=_RESTORE)


def broken_link(before: ReadableSegment, after: ReadableSegment) -> str:
    """Why ``after`` does not continue ``before``, in words; empty if it does, or if neither says."""
    seal = after.catalog.seal
    other = "one of them is of another history"
    ends = f"{before.path} ends with segment {before.catalog.segment_id.hex()}"
    if seal is None:
        newer = before.catalog.seal is not None
        return f"is in format version 1, but {before.path} in a newer one: {other}" if newer else ""
    link = seal.before
    if link is None:
        return f"continues nothing, but {ends}: {other}"
    if (link.segment_id, link.digest) != (before.catalog.segment_id, before.digest):
        return f"continues segment {link.segment_id.hex()}, but {ends}: {other}"
    return ""
