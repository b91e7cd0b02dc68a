"""What is wrong with a table's file outside its segments: its front, what stands behind them, their order."""

from __future__ import annotations

import os
from collections.abc import Iterator

from audiomem_sql.storage.segment import TableFile
from audiomem_sql.versions import Snapshot, TableFiles, is_replaced, read_head_file

#: The page, what it is, and what brings it back, as in :class:`audiomem_sql.upkeep.verify.Problem`.
Fault = tuple[int | None, str, str | None]

#: What pages behind the newest segment are that the front of the file does not account for.
ERASED = "zeros, where no writer leaves any: what was there is erased, or the front is an older one"


def file_faults(file: TableFile | None) -> Iterator[Fault]:
    """Every such fault.

    A front that is only behind is none: a crash leaves it, and the next commit heals it.
    """
    if file is None:
        return
    front, newest = file.front, file.newest
    ends = f"version {newest.catalog.last_version} of segment {newest.catalog.segment_id.hex()}"
    if front is not None and front.table_id != newest.catalog.table_id:
        yield None, f"the front of the file is of another table, {front.table_id.hex()}", "file"
    elif (
        front is not None
        and front.segment_id != newest.catalog.segment_id
        and (file.mixed or front.generation >= file.generation)
    ):
        told = f"version {front.last_version} of segment {front.segment_id.hex()}"
        what = f"the front of the file is of another state: it ends with {told}, but the file with {ends}"
        yield None, what, "file"
    if file.torn:
        first = file.stop + (file.announced is not None)
        last = newest.file.source.present - 1
        what = "pages of a segment that was never finished; the next fold removes them"
        yield first, f"from here to page {last}: {what}", "file"
    if file.erased:
        yield file.stop, f"from here on are {ERASED}", None
    elif not file.torn:
        yield from _unreadable_end(file)
    generation = 0
    for segment in file.segments:
        seal = segment.catalog.seal
        if seal is not None and seal.generation <= generation:
            what = f"segment {segment.catalog.segment_id.hex()} has generation {seal.generation}"
            yield segment.file.first, f"{what}, and the one before it {generation}", None
        generation = 0 if seal is None else seal.generation


def _unreadable_end(file: TableFile) -> Iterator[Fault]:
    """Pages behind the newest segment that have no header.

    A crash leaves them. Without metadata the file does not say that they were no segment. A broadcast that
    was encoded again may have silence there.
    """
    source = file.newest.file.source
    first, last = file.stop + (file.announced is not None), source.present - 1
    is_sound = source.mode is not None and source.mode.broadcast and not source.verbatim
    if first > last or is_sound or file.format_version == 1:
        return
    if file.front is not None:
        what = "pages without a header; the next fold removes them"
        yield first, f"from here to page {last}: {what}", "file"
        return
    version = file.newest.catalog.last_version
    what = f"pages without a header, behind version {version}: if they held newer versions, these are lost"
    yield first, f"from here to page {last}: {what}", None


def folder_faults(snapshot: Snapshot, files: TableFiles) -> Iterator[tuple[str, str, str | None]]:
    """Every fault in the folder of deltas outside the segments: the file, what it is, what brings it back."""
    head = read_head_file(files.head)
    if head is not None and head.damaged:
        yield files.head, f"{head.damaged} of {head.copies} copies of the record are damaged", "file"
    used = {segment.path for segment in snapshot.segments}
    for number, path in files.deltas():
        if path in used or number > snapshot.newest or is_replaced(path, snapshot):
            continue
        if os.path.lexists(path):  # a merge may have deleted it meanwhile
            what = f"is no part of the table, which has a version {number} without it"
            yield path, f"{what}: it is of another history, or damaged", None
