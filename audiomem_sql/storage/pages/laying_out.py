"""Writes a whole segment: catalog, data, and what stands in for both when they are damaged."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import IO, BinaryIO

from audiomem_sql.arrays import U8Array
from audiomem_sql.audio import small_profile
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.machine.progress import Progress
from audiomem_sql.protection.parity_encoder import BUDGET_BYTES, ParityEncoder, encode_bands
from audiomem_sql.storage.pages.header import MAX_INDEX, PageFlag, PageHeader, PageKind
from audiomem_sql.storage.pages.layout import PageLayout
from audiomem_sql.storage.pages.segment_map import SegmentMap, check_pages
from audiomem_sql.storage.pages.source_cells import (
    NO_PAGES,
    EarlierPages,
    SegmentStreams,
    SourceCells,
    Stream,
)
from audiomem_sql.storage.pages.writer import PAGES_AT_ONCE, FileSpec, Pages, PageWriter

#: A file of at most so many small pages has small ones; a protected segment with more pages is never compact,
#: because it has room for two more copies of its catalog.
SMALL_PAGES = 8
COMPACT_PAGES = 1024


def lay_out(
    sink: BinaryIO,
    file: FileSpec,
    catalog: bytes,
    data: Stream,
    length: int,
    progress: Progress | None = None,
    budget: int = BUDGET_BYTES,
    *,
    earlier: EarlierPages = NO_PAGES,
    first: int | None = None,
) -> PageHeader:
    """Write a whole segment: the catalog, and the ``length`` bytes of ``data``; the header of its page 0.

    progress: called with bytes of data done and in all. budget: bytes of parity that are held at once.
    earlier: pages of other segments that come first in the file, and are covered by the parity. first: the
    segment is appended to a file, its first frame has this number, and the sink is where that begins; nothing
    but frames is written (see ``FlacWriter``). In both cases the profile must be that of the other pages.
    """
    if not earlier.count and first is None:
        file = fitted(file, len(catalog), length)
    layout = file.layout
    compact = _is_compact(layout, file, len(catalog), length)
    streams = SegmentStreams(layout, catalog, data, length, compact=compact)
    flags = PageFlag.COMPACT if compact else PageFlag(0)
    pages = None
    if file.level.share is not None:
        flags |= PageFlag.WHOLE if earlier.count else 0
        flags |= PageFlag.APPENDED if first is not None else 0
        pages = SegmentMap.of(
            layout,
            streams.index,
            streams.pages,
            earlier.count,
            compact=compact,
            appended=first is not None,
        )
    total = streams.pages if pages is None else pages.total
    check_pages(earlier.count + total, streams.index)
    writer = PageWriter(sink, file, Pages(streams.pages, streams.index, total, earlier.count, flags, first))
    for at, count in _pieces(earlier.count, PAGES_AT_ONCE):
        writer.write_as_they_are(earlier.read(at, count))
    if pages is None:
        _write_own(writer, streams, progress)
    else:
        with _Parity(pages, SourceCells(layout, earlier, streams), budget) as parity:
            _write_own(writer, streams, progress)
            copy = b"" if compact else streams.catalog.tobytes()
            parity.write(writer, 0, pages.first_parity)
            writer.write(copy, PageKind.CATALOG)
            parity.write(writer, pages.first_parity, pages.parity)
            writer.write(copy, PageKind.CATALOG)
    writer.close()
    return writer.header(0, PageKind.CATALOG)


def _write_own(writer: PageWriter, streams: SegmentStreams, progress: Progress | None) -> None:
    """The catalog, the data and the catalog."""
    layout, length = streams.layout, streams.length
    for first, count in _pieces(streams.pages, PAGES_AT_ONCE):
        cells = streams.cells(first * layout.cells, count * layout.cells)
        writer.write(cells.tobytes(), streams.kinds(first, count))
        done = ((first + count) * layout.cells - len(streams.catalog)) * layout.cell_payload
        if progress is not None and done > 0:
            progress(min(length, done), length)


def fitted(file: FileSpec, catalog: int, length: int) -> FileSpec:
    """``file`` with small pages, if what it holds, so many bytes of catalog and data, fits into a few.

    And if the file is the smaller for it.
    """
    small = replace(file, profile=small_profile(file.profile))
    if file.mode is not None or small.profile == file.profile:
        return file

    def size(file: FileSpec) -> tuple[int, int]:
        """Own pages, and bytes of all pages."""
        layout = file.layout
        cells = 2 * layout.cells_for(catalog) + layout.cells_for(length)
        own = -(-cells // layout.cells)
        share = file.level.share
        return own, (own if share is None else share.total_pages(own)) * layout.page_size

    own, small_size = size(small)
    return small if own <= SMALL_PAGES and small_size < size(file)[1] else file


def _is_compact(layout: PageLayout, file: FileSpec, catalog: int, length: int) -> bool:
    """Whether streams begin at cells, because that saves pages."""
    index = layout.cells_for(catalog)
    own = -(-(2 * index + layout.cells_for(length)) // layout.cells)
    if file.mode is not None or index > MAX_INDEX:
        return False
    if file.level.share is not None:
        return own <= COMPACT_PAGES
    return own < 2 * layout.catalog_pages_for(catalog) + layout.pages_for(length)


class _Parity:
    """The parity cells of a segment, in memory or, when they are many, in a file; a context manager."""

    def __init__(self, pages: SegmentMap, source: SourceCells, budget: int) -> None:
        self._layout, self._size = pages.layout, pages.layout.cell_payload
        plan = pages.plan
        self._file: IO[bytes] | None = None
        if plan.rows * plan.groups * self._size <= budget:
            encoder = ParityEncoder(plan, self._size)
            for first, count in _pieces(plan.sources, PAGES_AT_ONCE * self._layout.cells):
                encoder.add(first, source.cells(first, count))
            self._cells = encoder.finish().reshape(-1, self._size)[: plan.parities]
            return
        import tempfile

        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        handle = self._file.fileno()
        size = self._size

        def write(first: int, cells: U8Array) -> None:
            os.pwrite(handle, cells.tobytes(), first * size)

        try:
            encode_bands(plan, size, source.cells, write, budget)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> _Parity:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()

    def write(self, writer: PageWriter, start: int, stop: int) -> None:
        """Append parity pages ``start`` to ``stop`` - 1."""
        for first, count in _pieces(stop - start, PAGES_AT_ONCE):
            writer.write(self._payload(start + first, count), PageKind.PARITY)

    def _payload(self, first: int, count: int) -> bytes:
        """The payload of ``count`` parity pages."""
        cell, cells = first * self._layout.cells, count * self._layout.cells
        if self._file is None:
            return self._cells[cell : cell + cells].tobytes()
        self._file.seek(cell * self._size)
        return self._file.read(cells * self._size)


def _pieces(total: int, step: int) -> Iterator[tuple[int, int]]:
    """(first, count) of runs of at most ``step`` that make up ``total``."""
    for first in range(0, total, step):
        check_interrupt()
        yield first, min(step, total - first)
