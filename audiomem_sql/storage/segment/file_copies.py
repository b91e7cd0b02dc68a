"""A table's file written anew, page by page, as it was made: to put damage right, or to announce a log.

Where frames cannot be appended – the pages are a spectrum, or another program encoded the file again – this
is how a page is added.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from audiomem_sql import audio
from audiomem_sql.arrays import U8Array
from audiomem_sql.errors import StorageError
from audiomem_sql.machine.durable import flush, storage_error, temporary_file
from audiomem_sql.machine.interrupts import apart, check_interrupt
from audiomem_sql.machine.progress import Progress
from audiomem_sql.storage.pages import HeadRecord, announce_page, pages_as_written
from audiomem_sql.storage.segment.table_file import TableFile

if TYPE_CHECKING:
    from audiomem_sql.audio import Tags

_PAGES_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Comments:
    """The Vorbis comments of a file: ours, and what others put in."""

    ours: Mapping[str, str]
    others: Tags = audio.NO_TAGS


def copied_file(
    file: TableFile,
    target: str,
    like: str,
    comments: Comments,
    *,
    head: HeadRecord | None,
    announcement: U8Array | None = None,
    progress: Progress | None = None,
) -> str:
    """Write the pages of ``file`` as they were made beside ``target``, durably; the temporary name.

    like: the file whose mode and owner it gets. head: the record for its front; None in format version 1.
    announcement: a page that comes behind the segments, uint8 (1, page_size). DamagedFileError, naming page
    and cell, for what parity does not bring back: then nothing is written.
    """
    newest = file.newest.file
    extra = 0 if announcement is None else len(announcement)
    count = file.stop + extra
    mode, profile = newest.mode, newest.profile
    spectrum = None if mode is None else audio.spectrum_of(profile, mode)
    lead = 0 if spectrum is None else spectrum.shape.lead
    frames = count if spectrum is None else spectrum.shape.first_frame(count) + lead
    first = file.segments[0].file.header if head is None else newest.header
    application = replace(first, kind=0, page_number=0).pack() + (b"" if head is None else head.pack())
    temporary = ""
    try:
        handle, temporary = temporary_file(target, like)
        with os.fdopen(handle, "w+b") as sink:
            writer = audio.FlacWriter(
                sink, profile, frames, application, dict(comments.ours), tags=comments.others
            )
            silence = np.zeros((lead, profile.page_size), np.uint8)
            writer.write_pages(silence)
            done = 0
            for pages in (*_pages(file), *([] if announcement is None else [announcement])):
                writer.write_pages(
                    pages if spectrum is None else spectrum.modulate(pages).reshape(-1, profile.page_size)
                )
                done += len(pages)
                if progress is not None:
                    progress(done, count)
            writer.write_pages(silence)
            writer.close()
            sink.flush()
            apart(flush, sink.fileno())
    except BaseException as error:
        if temporary:
            with contextlib.suppress(OSError):  # what stays is removed by the next writer
                os.unlink(temporary)
        if isinstance(error, OSError):
            raise storage_error(error, target) from error
        if isinstance(error, StorageError):
            error.at(file=target)
        raise
    return temporary


def _pages(file: TableFile) -> Iterator[U8Array]:
    """The pages of the file up to the end of the newest segment, uint8 (n, page_size) each."""
    source, at = file.newest.file.source, 0

    def raw(first: int, count: int) -> U8Array:
        return source.read_checked(first, count)[0]

    for segment in file.segments:
        own = segment.file
        yield from _pieces(at, own.first, raw)
        yield from _pieces(0, own.page_count, partial(pages_as_written, own))
        at = own.first + own.page_count


def _pieces(start: int, stop: int, read: Callable[[int, int], U8Array]) -> Iterator[U8Array]:
    for first in range(start, stop, _PAGES_AT_ONCE):
        check_interrupt()
        yield read(first, min(_PAGES_AT_ONCE, stop - first))


def announced_copy(
    file: TableFile, session: bytes, writer: str, comments: Comments, time: int
) -> tuple[str, HeadRecord]:
    """Write ``file`` with an announce page behind its segments: the temporary name, and the head record."""
    newest = file.newest.file
    record = file.head.announcing(session, file.next_generation)
    page = announce_page(record, newest.header, newest.layout, time, writer)
    return copied_file(file, file.path, file.path, comments, head=record, announcement=page), record
