"""Makes damaged segment files what they were, byte for byte, as far as their protection reaches."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from audiomem_sql.arrays import I64Array, U8Array, distinct
from audiomem_sql.audio import STREAM_HEAD_BYTES, VerbatimPages, has_blank_padding
from audiomem_sql.errors import DamagedFileError, StorageError, UnsupportedError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.durable import flush, replace_durably, storage_error
from audiomem_sql.machine.file_access import create_regular, open_regular
from audiomem_sql.machine.progress import Progress
from audiomem_sql.storage.pages import HeadRecord, announce_page, announcement_as_written
from audiomem_sql.storage.segment import (
    Comments,
    ReadableSegment,
    TableFile,
    copied_file,
    open_table_file,
    repaired_of_file,
)
from audiomem_sql.versions import (
    Snapshot,
    TableFiles,
    announced_session,
    head_of,
    read_head_file,
    write_head,
)
from audiomem_sql.writing.commit import now

_COMPARED = 1 << 20
_MD5_BYTES = 16
#: Who announces a log where the announcement was lost.
_WRITER = "audiomem repair"


@dataclass(frozen=True, slots=True)
class Repair:
    """What was done to a file: cells that the page's own parity brought back, and the other cells'.

    Changed: it differed.
    """

    file: str
    inner: int
    outer: int
    changed: bool


def repaired(
    file: TableFile,
    target: str,
    like: str,
    progress: Progress | None = None,
    *,
    has_copies: bool = False,
) -> tuple[str, Repair]:
    """Write ``file`` as it was made, with all its segments: its temporary name, and what was done.

    target: the path beside which it is written. like: the base, whose mode and owner it gets. has_copies: it
    is read from several places. UnsupportedError without protection or copies; DamagedFileError, naming page
    and cell, for what cannot be recovered: then nothing is written. The new file is on the disk when this
    returns. progress: called with pages done and in all.
    """
    if not has_copies and not all(segment.file.is_protected for segment in file.segments):
        raise UnsupportedError(
            "has protection none: damage is found, but there is nothing to repair it with",
            file=file.path,
            remedy="Restore it from a copy. `audiomem vacuum --protection archive` protects what is whole.",
        )
    head, announcement = _state(file)
    ours, others = repaired_of_file(file.path, [segment.catalog.comments for segment in file.segments])
    temporary = copied_file(
        file,
        target,
        like,
        Comments(ours, others),
        head=head,
        announcement=announcement,
        progress=progress,
    )
    try:
        corrections = [segment.file.corrections for segment in file.segments]
        return temporary, Repair(
            file.path,
            sum(each.inner for each in corrections),
            sum(each.outer for each in corrections),
            has_copies or _is_changed(file, temporary, head),
        )
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError):
            raise storage_error(error, target) from error
        raise


def _state(file: TableFile) -> tuple[HeadRecord | None, U8Array | None]:
    """The head record that the file had, and the announce page behind its segments."""
    if file.format_version == 1:
        return None, None
    newest = file.newest
    front = file.front
    if front is not None and (front.segment_id, front.digest) != (newest.catalog.segment_id, newest.digest):
        front = None
    session = announced_session(replace(file, beside=None))  # what the head file says is not in the samples
    if session is None:
        return file.head if front is None else replace(front, appending=False), None
    record = file.announced or front
    assert record is not None
    pages = newest.file
    page = announcement_as_written(pages.source, file.stop, pages.layout.level)
    if page is None:
        page = announce_page(record, pages.header, pages.layout, now(), _WRITER)
    return record, page


def _is_changed(file: TableFile, temporary: str, head: HeadRecord | None) -> bool:
    """Whether ``temporary`` differs from ``file`` in more than metadata of which other bytes mean the same.

    Appended pages leave the MD5 of STREAMINFO zero and the SEEKTABLE as it was, and in format version 1 the
    blocks had another order; a file that is written anew has them as we write them now.
    """
    if _same(temporary, file.path):
        return False
    source = file.newest.file.source
    stated = file.state.front[STREAM_HEAD_BYTES - _MD5_BYTES : STREAM_HEAD_BYTES]
    with open(temporary, "rb") as other:
        true = other.read(STREAM_HEAD_BYTES)[-_MD5_BYTES:]
    kept = stated == bytes(_MD5_BYTES) if head is not None else stated == true
    if not isinstance(source, VerbatimPages) or not kept or file.front != head:
        return True
    if not has_blank_padding(file.path):
        return True
    start, size = source.offset(0), os.path.getsize(temporary)
    length = source.offset(source.present) - start
    if os.path.getsize(file.path) != start + length or size < length:  # there is something behind the end
        return True
    return not _same(temporary, file.path, size - length, start)


def repair_copy(
    snapshot: Snapshot, files: TableFiles, target: str, progress: Progress | None = None
) -> list[Repair]:
    """Write a table as it was made to ``target``, which must be free, with its deltas and its log.

    Returns what was done, a file each.
    """
    copy = TableFiles.at(target)
    if copy.exists() or copy.deltas() or any(map(os.path.lexists, (copy.log, copy.head))):
        raise StorageError("the file exists already", file=copy.base, remedy="Choose another name.")
    repairs = []
    with table_files(snapshot) as sources:
        for source in reversed(sources):  # the base last: without it there is no table
            path = copy.base
            if source.path != files.base:
                copy.make_folder(files.base)
                path = os.path.join(copy.folder, os.path.basename(source.path))
            temporary, repair = repaired(source, path, files.base, progress)
            repairs.append(repair)
            if source is sources[0] and snapshot.log is not None:
                _copy_log(files, copy)
            if source is sources[0]:
                _copy_head(snapshot, copy)
            replace_durably(temporary, path)
    return repairs[::-1]


@contextlib.contextmanager
def table_files(snapshot: Snapshot) -> Iterator[list[TableFile]]:
    """The files of a table, the base first; those of deltas are open while this lasts."""
    base = snapshot.table_file
    assert base is not None
    opened: list[TableFile] = []
    try:
        for segment in snapshot.segments:
            if segment not in base.segments:
                opened.append(open_table_file(segment.path, BlockCache(0)))
        yield [base, *opened]
    finally:
        for each in opened:
            each.close()


def _copy_head(snapshot: Snapshot, copy: TableFiles) -> None:
    """Write the head file of a table that has deltas in files beside it."""
    file, newest = snapshot.table_file, snapshot.segments[-1]
    assert file is not None
    head = file.beside
    if head is None and newest.path != file.path and newest.catalog.seal is not None:
        head = head_of(newest)
    if head is not None:
        copy.make_folder(file.path)
        write_head(copy.head, head, file.path, newest.file.layout.level.log_copies)


def repair_head(files: TableFiles) -> Repair | None:
    """Write the head file among the deltas again if copies of its record are damaged; what was done."""
    head = read_head_file(files.head)
    if head is None or not head.damaged:
        return None
    files.write_head(head.record, head.copies)
    return Repair(files.head, 0, 0, changed=True)


def _copy_log(files: TableFiles, copy: TableFiles) -> None:
    """Copy the log of a table; nothing may have its name."""
    import shutil

    try:
        with (
            os.fdopen(open_regular(files.log, os.O_RDONLY), "rb") as source,
            os.fdopen(create_regular(copy.log, files.base), "wb") as target,
        ):
            shutil.copyfileobj(source, target)
            target.flush()
            flush(target.fileno())
    except OSError as error:
        raise storage_error(error, copy.log) from error


def _same(path: str, other: str, start: int = 0, other_start: int = 0) -> bool:
    """Whether two files hold the same bytes from ``start`` and ``other_start`` on."""
    with open(path, "rb") as one_file, open(other, "rb") as other_file:
        one_file.seek(start)
        other_file.seek(other_start)
        while True:
            one_bytes, other_bytes = one_file.read(_COMPARED), other_file.read(_COMPARED)
            if one_bytes != other_bytes:
                return False
            if not one_bytes:
                return True


@dataclass(frozen=True, slots=True)
class Loss:
    """Rows that damage costs: ``start`` to ``stop`` - 1 of a segment, in ``column`` (None: the rowids)."""

    column: str | None
    start: int
    stop: int


def losses(segment: ReadableSegment, cells: Sequence[int]) -> Iterator[Loss]:
    """What is lost with cells of the data stream that nothing brings back.

    cells: their numbers in the file. A lost dictionary costs its column in all rows. A lost Bloom filter
    costs no row.
    """
    size = segment.file.layout.cell_payload
    starts = distinct(segment.file.places_in(segment.data_cell, np.array(cells, np.int64)))
    if not len(starts):
        return
    columns = [*range(len(segment.schema)), -1, -2, -3]
    for column in columns:
        if column >= 0 and column == segment.schema.rowid_column:
            continue
        entry = segment.entry(column)
        if entry is None:
            continue
        name = segment.column_name(column)
        extent = entry.dictionary
        if extent is not None and _touched(starts, size, extent.offset, extent.offset + extent.stored):
            yield Loss(name, 0, segment.rows)
            continue
        blocks = entry.blocks
        ends = blocks.offsets + blocks.stored
        hit = np.searchsorted(starts, blocks.offsets - size, side="right") < np.searchsorted(
            starts, ends, side="left"
        )
        touched = {*np.flatnonzero(hit & (blocks.stored > 0)).tolist(), *blocks.lost}
        for number in sorted(touched):
            with contextlib.suppress(DamagedFileError):
                segment.block(column, number)
                continue  # only the label behind it is lost
            yield Loss(name, int(blocks.starts[number]), int(blocks.starts[number + 1]))


def _touched(starts: I64Array, size: int, low: int, high: int) -> bool:
    return bool(((starts + size > low) & (starts < high)).any())
