"""Makes damaged segment files what they were, byte for byte, as far as their protection reaches."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from audiomem_sql.arrays import I64Array
from audiomem_sql.errors import StorageError, UnsupportedError
from audiomem_sql.machine.durable import flush, replace_durably, storage_error, temporary_file
from audiomem_sql.machine.file_access import create_regular, open_regular
from audiomem_sql.machine.progress import Progress
from audiomem_sql.storage.pages import FileSpec, lay_out
from audiomem_sql.storage.segment import ReadableSegment, raw_catalog, repaired_comments
from audiomem_sql.versions import Snapshot, TableFiles

#: Bytes of the data stream that are read at once, and held in memory before a file is used.
_AT_ONCE = 4 << 20
_SPOOL_BYTES = 64 << 20
_COMPARED = 1 << 20


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
    segment: ReadableSegment, target: str, like: str, progress: Progress | None = None
) -> tuple[str, Repair]:
    """Write the file of ``segment`` as it was made: its temporary name, and what was done.

    target: the path beside which it is written. like: the base, whose mode and owner it gets.
    UnsupportedError without protection; DamagedFileError, naming page and cell, for what cannot be recovered:
    then nothing is written. The file is on the disk when this returns. progress: called with bytes of data
    done and in all.
    """
    file, catalog = segment.file, segment.catalog
    if file.map is None:
        raise UnsupportedError(
            "has protection none: damage is found, but there is nothing to repair it with",
            file=segment.path,
            remedy="Restore it from a copy. `audiomem vacuum --protection archive` protects what is whole.",
        )
    blob = raw_catalog(file, 0)
    comments, tags = repaired_comments(segment.path, catalog.comments)
    handle, temporary = -1, ""
    try:
        with tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES) as data:
            for start in range(0, catalog.data_bytes, _AT_ONCE):
                data.write(file.read(segment.data_page, start, min(_AT_ONCE, catalog.data_bytes - start)))
                if progress is not None:
                    progress(start, catalog.data_bytes)
            handle, temporary = temporary_file(target, like)
            with os.fdopen(handle, "w+b") as sink:
                spec = FileSpec(
                    file.profile,
                    file.layout.level,
                    catalog.segment_id,
                    comments,
                    tags,
                    file.mode,
                    file.by_bands,
                )
                lay_out(sink, spec, blob, data, catalog.data_bytes)
                sink.flush()
                flush(sink.fileno())
        corrections = file.corrections
        changed = not _same(temporary, segment.path)
        return temporary, Repair(segment.path, corrections.inner, corrections.outer, changed)
    except BaseException as error:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        if isinstance(error, OSError):
            raise storage_error(error, target) from error
        raise


def repair_copy(
    snapshot: Snapshot, files: TableFiles, target: str, progress: Progress | None = None
) -> list[Repair]:
    """Write a table as it was made to ``target``, which must be free, with its deltas and its log.

    Returns what was done, a file each.
    """
    copy = TableFiles.at(target)
    if copy.exists() or copy.deltas() or os.path.lexists(copy.log):
        raise StorageError("the file exists already", file=copy.base, remedy="Choose another name.")
    repairs = []
    for segment in reversed(snapshot.segments):  # the base last: without it there is no table
        path = copy.base
        if segment.path != files.base:
            copy.make_folder(files.base)
            path = os.path.join(copy.folder, os.path.basename(segment.path))
        temporary, repair = repaired(segment, path, files.base, progress)
        repairs.append(repair)
        if segment is snapshot.segments[0] and snapshot.logged:
            _copy_log(files, copy)
        replace_durably(temporary, path)
    return repairs[::-1]


def _copy_log(files: TableFiles, copy: TableFiles) -> None:
    """Copy the log of a table; nothing may have its name."""
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


def _same(path: str, other: str) -> bool:
    """Whether two files hold the same bytes."""
    with open(path, "rb") as one_file, open(other, "rb") as other_file:
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
    starts = np.unique(segment.file.places_in(segment.data_page, np.array(cells, np.int64)))
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
        for number in np.flatnonzero(hit & (blocks.stored > 0)).tolist():
            yield Loss(name, int(blocks.starts[number]), int(blocks.starts[number + 1]))


def _touched(starts: I64Array, size: int, low: int, high: int) -> bool:
    return bool(((starts + size > low) & (starts < high)).any())
