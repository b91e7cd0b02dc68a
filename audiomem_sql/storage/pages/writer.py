"""Writes the pages of one segment: catalog, data, and what stands in for both when they are damaged."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, BinaryIO, Protocol

import numpy as np

from audiomem_sql.arrays import U8Array
from audiomem_sql.audio import NO_TAGS, FlacWriter, Mode, Profile, Spectrum, Tags, spectrum_of
from audiomem_sql.machine.progress import Progress
from audiomem_sql.protection.levels import Level
from audiomem_sql.protection.parity_encoder import BUDGET_BYTES, ParityEncoder, encode_bands
from audiomem_sql.storage.pages.layout import (
    MODULATION_BANDS,
    MODULATION_PCM,
    MODULATION_SPECTRUM,
    PageHeader,
    PageKind,
    PageLayout,
    SegmentMap,
    cell_seed,
    check_pages,
)


class Stream(Protocol):
    """Bytes that can be read anywhere."""

    def seek(self, place: int, /) -> int:
        """Read from this place on."""

    def read(self, size: int, /) -> bytes:
        """So many bytes, fewer where they end."""


#: Pages laid out at once.
PAGES_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class FileSpec:
    """How a segment file is made, besides what is in it.

    comments: ours, by their names; tags: what others put in. mode: of the spectrum; None for pages that are
    the samples. by_bands: cells are filled by bands.
    """

    profile: Profile
    level: Level
    segment_id: bytes
    comments: Mapping[str, str]
    tags: Tags = NO_TAGS
    mode: Mode | None = None
    by_bands: bool = False

    @property
    def modulation(self) -> int:
        """As page headers say it."""
        if self.by_bands:
            return MODULATION_BANDS
        return MODULATION_PCM if self.mode is None else MODULATION_SPECTRUM

    @property
    def spectrum(self) -> Spectrum | None:
        """What modulates the pages."""
        return None if self.mode is None else spectrum_of(self.profile, self.mode)

    @property
    def layout(self) -> PageLayout:
        """Of the pages."""
        spectrum = self.spectrum
        if spectrum is None:
            return PageLayout(self.profile.page_size, self.level)
        if self.by_bands:
            return PageLayout.banded(spectrum.shape, self.level)
        return PageLayout(spectrum.shape.page_size, self.level)


class PageWriter:
    """Writes the pages of one segment to a FLAC file, in file order.

    pages: how many there will be. catalog_pages: of one copy of the catalog, in a protected segment, and in
    one whose cells are filled by bands.
    """

    def __init__(self, sink: BinaryIO, file: FileSpec, pages: int, catalog_pages: int = 0) -> None:
        self._file = file
        self._spectrum = file.spectrum
        self.layout = file.layout
        self._pages = pages
        self._catalog_pages = catalog_pages
        self._next = 0
        self._lead = 0 if self._spectrum is None else self._spectrum.shape.lead
        self._at_once = max(
            1, PAGES_AT_ONCE // (1 if self._spectrum is None else self._spectrum.shape.frames)
        )
        frames = pages if self._spectrum is None else self._spectrum.shape.first_frame(pages) + self._lead
        first = self._header(0, PageKind.CATALOG, 0).pack()
        self._flac = FlacWriter(sink, file.profile, frames, first, dict(file.comments), tags=file.tags)
        self._silence()

    def _header(self, page: int, kind: PageKind, index: int) -> PageHeader:
        return PageHeader(
            kind=kind,
            protection=self.layout.level.code,
            modulation=self._file.modulation,
            segment_id=self._file.segment_id,
            page_number=page,
            page_count=self._pages,
            block_size=self._file.profile.block_size,
            index=self._catalog_pages or index,
        )

    def write(self, payload: bytes, kind: PageKind) -> None:
        """Append ``payload`` as whole pages.

        Only the last piece of a kind may be no multiple of the page payload.
        """
        step = self._at_once * self.layout.payload_bytes
        for at in range(0, len(payload), step):
            piece = payload[at : at + step]
            first = at // self.layout.payload_bytes if kind == PageKind.CATALOG else 0
            headers = [
                self._header(self._next + i, kind, first + i if kind == PageKind.CATALOG else 0)
                for i in range(self.layout.pages_for(len(piece)))
            ]
            pages = self.layout.assemble(headers, piece, cell_seed(self._file.segment_id))
            if self._spectrum is not None:
                pages = self._spectrum.modulate(pages).reshape(-1, self._file.profile.page_size)
            self._flac.write_pages(pages)
            self._next += len(headers)

    def close(self) -> None:
        """Finish the FLAC stream; the sink stays open."""
        self._silence()
        self._flac.close()

    def _silence(self) -> None:
        """What a broadcast begins and ends with."""
        for _ in range(self._lead):
            self._flac.write_pages(np.zeros((1, self._file.profile.page_size), np.uint8))


class SegmentStreams:
    """The two streams of a segment, as the cells of their pages stand.

    The catalog, and ``length`` bytes of ``data``.
    """

    def __init__(self, layout: PageLayout, catalog: bytes, data: Stream, length: int) -> None:
        self.layout = layout
        self.length = length
        self.catalog_pages = layout.catalog_pages_for(len(catalog))
        self.data_pages = layout.pages_for(length)
        self._data = data
        self.catalog = layout.order.arranged(
            0,
            self.catalog_pages,
            self.catalog_pages,
            layout.cell_payload,
            lambda at, size: catalog[at : at + size],
        )

    def _read(self, at: int, size: int) -> bytes:
        self._data.seek(at)
        return self._data.read(max(0, min(size, self.length - at)))

    def data(self, first: int, count: int) -> U8Array:
        """Payload of the cells of data pages ``first …``, uint8 (n, size)."""
        return self.layout.order.arranged(first, count, self.data_pages, self.layout.cell_payload, self._read)

    def cells(self, first: int, count: int) -> U8Array:
        """Payload of source cells ``first …``, uint8 (count, size).

        They are a copy of the catalog, the data, and three copies more.
        """
        own, size = self.layout.cells, self.layout.cell_payload
        copy, data = len(self.catalog), self.data_pages * own
        stop = first + count
        parts = []
        while first < stop:
            if copy <= first < copy + data:
                end = min(stop, copy + data)
                page = (first - copy) // own
                whole = self.data(page, -(-(end - copy) // own) - page)
                skip = first - copy - page * own
                parts.append(whole[skip : skip + end - first])
            else:
                at = first if first < copy else (first - copy - data) % copy
                end = min(stop, first + copy - at)
                parts.append(self.catalog[at : at + end - first])
            first = end
        return np.concatenate(parts) if len(parts) != 1 else parts[0].reshape(-1, size)


def lay_out(
    sink: BinaryIO,
    file: FileSpec,
    catalog: bytes,
    data: Stream,
    length: int,
    progress: Progress | None = None,
    budget: int = BUDGET_BYTES,
) -> None:
    """Write a whole segment: the catalog, and the ``length`` bytes of ``data``.

    progress: called with bytes of data done and in all. budget: bytes of parity that are held at once.
    """
    layout = file.layout
    streams = SegmentStreams(layout, catalog, data, length)
    copy = streams.catalog.tobytes()

    def write_data(writer: PageWriter) -> None:
        for first, count in _pieces(streams.data_pages, PAGES_AT_ONCE):
            writer.write(streams.data(first, count).tobytes(), PageKind.DATA)
            if progress is not None:
                progress(min(length, (first + count) * layout.payload_bytes), length)

    if file.level.share is None:
        total = 2 * streams.catalog_pages + streams.data_pages
        told = streams.catalog_pages if file.by_bands else 0
        check_pages(total, told)
        writer = PageWriter(sink, file, total, told)
        writer.write(copy, PageKind.CATALOG)
        write_data(writer)
        writer.write(copy, PageKind.CATALOG)
        writer.close()
        return
    pages = SegmentMap.of(layout, streams.catalog_pages, streams.data_pages)
    writer = PageWriter(sink, file, pages.total, streams.catalog_pages)
    with _Parity(pages, streams, budget) as parity:
        writer.write(copy, PageKind.CATALOG)
        write_data(writer)
        writer.write(copy, PageKind.CATALOG)
        parity.write(writer, 0, pages.first_parity)
        writer.write(copy, PageKind.CATALOG)
        parity.write(writer, pages.first_parity, pages.parity)
        writer.write(copy, PageKind.CATALOG)
    writer.close()


class _Parity:
    """The parity cells of a segment, in memory or, when they are many, in a file; a context manager."""

    def __init__(self, pages: SegmentMap, source: SegmentStreams, budget: int) -> None:
        self._layout, self._size = pages.layout, pages.layout.cell_payload
        plan = pages.plan
        self._file: IO[bytes] | None = None
        if plan.rows * plan.groups * self._size <= budget:
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
        yield first, min(step, total - first)
