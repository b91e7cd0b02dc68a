"""Writes the pages of one segment: catalog, data, and what stands in for both when they are damaged."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from typing import IO, BinaryIO

import numpy as np

from audiomem_sql.audio import FlacWriter, Profile
from audiomem_sql.audio.bands import Mode
from audiomem_sql.audio.spectrum import Spectrum
from audiomem_sql.page_layout import (
    MODULATION_PCM,
    MODULATION_SPECTRUM,
    PageHeader,
    PageKind,
    PageLayout,
    SegmentMap,
    cell_seed,
)
from audiomem_sql.protection.levels import Level
from audiomem_sql.protection.parity_encoder import BUDGET_BYTES, ParityEncoder, encode_bands
from audiomem_sql.types import U8Array

Progress = Callable[[int, int], None]
#: Pages laid out at once.
PAGES_AT_ONCE = 64


class PageWriter:
    """Writes the pages of one segment to a FLAC file, in file order.

    pages: how many there will be. catalog_pages: of one copy of the catalog, in a protected segment.
    """

    def __init__(
        self,
        sink: BinaryIO,
        profile: Profile,
        level: Level,
        segment_id: bytes,
        pages: int,
        comments: dict[str, str],
        catalog_pages: int = 0,
        mode: Mode | None = None,
    ) -> None:
        self._spectrum = None if mode is None else Spectrum(profile, mode)
        self.layout = page_layout(profile, level, mode)
        self._block_size = profile.block_size
        self._segment_id = segment_id
        self._pages = pages
        self._catalog_pages = catalog_pages
        self._next = 0
        self._lead = 0 if self._spectrum is None else self._spectrum.lead
        self._at_once = max(1, PAGES_AT_ONCE // (1 if self._spectrum is None else self._spectrum.frames))
        frames = pages if self._spectrum is None else self._spectrum.first_frame(pages) + self._lead
        self._flac = FlacWriter(sink, profile, frames, self._header(0, PageKind.CATALOG, 0).pack(), comments)
        self._silence()

    def _header(self, page: int, kind: PageKind, index: int) -> PageHeader:
        return PageHeader(
            kind=kind,
            protection=self.layout.level.code,
            modulation=MODULATION_PCM if self._spectrum is None else MODULATION_SPECTRUM,
            segment_id=self._segment_id,
            page_number=page,
            page_count=self._pages,
            block_size=self._block_size,
            index=self._catalog_pages or index,
        )

    def write(self, payload: bytes, kind: PageKind) -> None:
        """Append ``payload`` as whole pages; only the last piece of a kind may be no multiple of the page payload."""
        step = self._at_once * self.layout.payload_bytes
        for at in range(0, len(payload), step):
            piece = payload[at : at + step]
            first = at // self.layout.payload_bytes if kind == PageKind.CATALOG else 0
            headers = [
                self._header(self._next + i, kind, first + i if kind == PageKind.CATALOG else 0)
                for i in range(self.layout.pages_for(len(piece)))
            ]
            pages = self.layout.assemble(headers, piece, cell_seed(self._segment_id))
            if self._spectrum is not None:
                pages = self._spectrum.modulate(pages).reshape(-1, self._flac.profile.page_size)
            self._flac.write_pages(pages)
            self._next += len(headers)

    def close(self) -> None:
        """Finish the FLAC stream; the sink stays open."""
        self._silence()
        self._flac.close()

    def _silence(self) -> None:
        """What a broadcast begins and ends with."""
        for _ in range(self._lead):
            self._flac.write_pages(np.zeros((1, self._flac.profile.page_size), np.uint8))


def page_layout(profile: Profile, level: Level, mode: Mode | None) -> PageLayout:
    """The layout of pages in this sound; ``mode``: of the spectrum, None for pages that are the samples."""
    return PageLayout(profile.page_size if mode is None else Spectrum(profile, mode).page_size, level)


def lay_out(
    sink: BinaryIO,
    profile: Profile,
    level: Level,
    segment_id: bytes,
    catalog: bytes,
    data: IO[bytes],
    length: int,
    comments: dict[str, str],
    progress: Progress | None = None,
    mode: Mode | None = None,
) -> None:
    """Write a whole segment: the catalog, and the ``length`` bytes of ``data``, a file that can be read anywhere.

    mode: of the spectrum; None for pages that are the samples. progress: called with bytes of data done and in all.
    """
    layout = page_layout(profile, level, mode)
    catalog_pages, data_pages = layout.pages_for(len(catalog)), layout.pages_for(length)

    def write_data(writer: PageWriter) -> None:
        data.seek(0)
        done = 0
        while piece := data.read(min(PAGES_AT_ONCE * layout.payload_bytes, length - done)):
            writer.write(piece, PageKind.DATA)
            done += len(piece)
            if progress is not None:
                progress(done, length)

    if level.share is None:
        writer = PageWriter(
            sink, profile, level, segment_id, 2 * catalog_pages + data_pages, comments, mode=mode
        )
        writer.write(catalog, PageKind.CATALOG)
        write_data(writer)
        writer.write(catalog, PageKind.CATALOG)
        writer.close()
        return
    pages = SegmentMap.of(layout, catalog_pages, data_pages)
    writer = PageWriter(sink, profile, level, segment_id, pages.total, comments, catalog_pages, mode)
    with _Parity(pages, _Source(pages, catalog, data, length)) as parity:
        writer.write(catalog, PageKind.CATALOG)
        write_data(writer)
        writer.write(catalog, PageKind.CATALOG)
        parity.write(writer, 0, pages.first_parity)
        writer.write(catalog, PageKind.CATALOG)
        parity.write(writer, pages.first_parity, pages.parity)
        writer.write(catalog, PageKind.CATALOG)
    writer.close()


class _Source:
    """The payload of the source cells: a copy of the catalog, the data, three more copies; each from a page of its own."""

    def __init__(self, pages: SegmentMap, catalog: bytes, data: IO[bytes], length: int) -> None:
        self._size = pages.layout.cell_payload
        self._data, self._length = data, length
        self._copy = pages.catalog * pages.layout.payload_bytes
        self._catalog = catalog.ljust(self._copy, b"\0")
        self._behind = self._copy + pages.data * pages.layout.payload_bytes

    def cells(self, first: int, count: int) -> U8Array:
        """The payload of source cells ``first …``, uint8 (count, size)."""
        start, stop = first * self._size, (first + count) * self._size
        parts = []
        while start < stop:
            if self._copy <= start < self._behind:
                end = min(stop, self._behind)
                self._data.seek(start - self._copy)
                there = self._data.read(max(0, min(end - self._copy, self._length) - (start - self._copy)))
                parts.append(there.ljust(end - start, b"\0"))
            else:
                at = start if start < self._copy else (start - self._behind) % self._copy
                end = min(stop, start + self._copy - at)
                parts.append(self._catalog[at : at + end - start])
            start = end
        return np.frombuffer(b"".join(parts), np.uint8).reshape(count, self._size)


class _Parity:
    """The parity cells of a segment, in memory or, when they are many, in a file; a context manager."""

    def __init__(self, pages: SegmentMap, source: _Source) -> None:
        self._layout, self._size = pages.layout, pages.layout.cell_payload
        plan = pages.plan
        self._file: IO[bytes] | None = None
        if plan.rows * plan.groups * self._size <= BUDGET_BYTES:
            encoder = ParityEncoder(plan, self._size)
            for first, count in _pieces(plan.sources, PAGES_AT_ONCE * self._layout.cells):
                encoder.add(first, source.cells(first, count))
            self._cells = encoder.finish().reshape(-1, self._size)[: plan.parities]
            return
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        handle = self._file.fileno()
        size = self._size

        def write(first: int, cells: U8Array) -> None:
            os.pwrite(handle, cells.tobytes(), first * size)

        try:
            encode_bands(plan, size, source.cells, write)
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
        yield first, min(step, total - first)
