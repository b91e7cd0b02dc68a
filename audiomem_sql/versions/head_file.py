"""The head file ``X.flac.d/head`` of a table whose deltas are files beside it, with ``deltas=beside``.

It holds one head record: which segment is the newest, and which log goes with it. The table's file is not
touched by commits then, so this is what tells that the newest delta is missing, or the log.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from audiomem_sql.errors import DamagedFileError
from audiomem_sql.machine.durable import flush, replace_durably, storage_error, temporary_file
from audiomem_sql.machine.file_access import open_regular
from audiomem_sql.storage.pages import HeadRecord
from audiomem_sql.storage.segment import ReadableSegment, TableFile

_MOST_BYTES = 4096
_RESTORE = "Restore the table with its folder from one copy, or read what is left with salvage=True."


def read_head(path: str) -> HeadRecord | None:
    """The record; None if there is no such file. DamagedFileError for anything else in its place."""
    try:
        with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
            record = HeadRecord.unpack(file.read(_MOST_BYTES))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise storage_error(error, path) from error
    if record is None:
        raise DamagedFileError("is damaged: it says which delta is the newest", file=path, remedy=_RESTORE)
    return record


def write_head(path: str, record: HeadRecord, like: str) -> None:
    """Put the record in the place of the one that is there, durably.

    like: the file whose mode and owner it gets.
    """
    temporary = ""
    try:
        handle, temporary = temporary_file(path, like)
        with os.fdopen(handle, "wb") as sink:
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

    One that is older than the newest segment was left by a crash before it was replaced. DamagedFileError if
    it says that a newer segment was there.
    """
    base, newest = file.newest.catalog, segments[-1].catalog
    before = 0 if base.seal is None else base.seal.generation
    if head is None or (head.generation <= before and head.segment_id != base.segment_id):
        return replace(file, beside=None)
    if head.table_id != base.table_id:
        raise DamagedFileError(
            f"is of table {head.table_id.hex()}, but {file.path} is table {base.table_id.hex()}",
            file=path,
            remedy=_RESTORE,
        )
    if (head.segment_id, head.digest) == (newest.segment_id, segments[-1].digest):
        return replace(file, beside=head)
    generation = 0 if newest.seal is None else newest.seal.generation
    if head.generation < generation:
        return replace(file, beside=None)
    raise DamagedFileError(
        f"the newest delta is missing or another one: the table ended with version {head.last_version}, "
        f"segment {head.segment_id.hex()}, and what is there with version {newest.last_version}, segment "
        f"{newest.segment_id.hex()}",
        file=file.path,
        remedy=_RESTORE,
    )


def check_links(segments: Sequence[ReadableSegment]) -> None:
    """DamagedFileError unless each segment continues the one before it; version 1 does not say."""
    for before, after in pairwise(segments):
        seal = after.catalog.seal
        if seal is None or seal.before is None or before.path == after.path:
            continue
        if after.catalog.first_version != before.catalog.last_version + 1:
            continue  # what is missing between them is told elsewhere
        link = seal.before
        if (link.segment_id, link.digest) != (before.catalog.segment_id, before.digest):
            raise DamagedFileError(
                f"continues segment {link.segment_id.hex()}, but {before.path} ends with segment "
                f"{before.catalog.segment_id.hex()}: one of them is of another history",
                file=after.path,
                remedy=_RESTORE,
            )
