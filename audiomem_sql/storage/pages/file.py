"""Reading the pages of a segment file, and the payload stream that they carry.

The payloads of all cells, one after another, are a stream of bytes, and everything above this module names
places in that stream. Every byte that leaves it has passed a CRC-32C, or was recovered from such ones (see
``recovery``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from audiomem_sql.arrays import BoolArray, I64Array, U8Array
from audiomem_sql.audio import (
    BandReading,
    Mode,
    PageSource,
    Profile,
    missing_pages,
    rescan,
    spectrum_of,
)
from audiomem_sql.bytes import ByteSource
from audiomem_sql.errors import AudioMemError, DamagedFileError
from audiomem_sql.protection.levels import Level
from audiomem_sql.storage.pages.headers import REMEDY, copies_in
from audiomem_sql.storage.pages.layout import (
    MODULATION_BANDS,
    PageHeader,
    PageLayout,
    SegmentMap,
    cell_seed,
)
from audiomem_sql.storage.pages.opening import opened
from audiomem_sql.storage.pages.recovery import Corrections, Recovery
from audiomem_sql.storage.pages.streams import Streams

#: Pages that tell whether it was worth while to look for pages anew.
_SAMPLED_PAGES = 64
#: Pages that are read at once where few cells of each are wanted.
_READ_PAGES = 64


@dataclass(frozen=True, slots=True)
class PageDamage:
    """What is wrong with a page.

    ``headers``: copies of its header that are not intact; ``cells``: those whose CRC-32C does not match;
    ``frame``: the FLAC frame around it is not intact, or does not decode; ``parity``: the inner code's parity
    is not that of the page.
    """

    page: int
    frame: bool
    headers: int
    cells: tuple[int, ...]
    parity: bool = False


class PagedFile:
    """A segment file opened for reading: pages by number, payload by place.

    Safe to use from several threads.
    """

    def __init__(self, source: PageSource, header: PageHeader, level: Level) -> None:
        self.source = source
        self.path = source.path
        self.header = header
        #: Whether cells are filled by bands.
        self.by_bands = header.modulation == MODULATION_BANDS
        self.layout = PageLayout(source.page_size, level)
        if self.by_bands:
            assert source.mode is not None
            self.layout = PageLayout.banded(spectrum_of(source.profile, source.mode).shape, level)
        #: Pages of the segment: the page headers say so under a CRC, STREAMINFO does not.
        self.page_count = header.page_count
        self._seed = cell_seed(header.segment_id)
        self._looking = threading.Lock()
        self._looked = False
        self._replaced: list[PageSource] = []
        #: Where the pages of a protected segment are; None without protection.
        self.map: SegmentMap | None = None
        self._recovery: Recovery | None = None
        if level.share is not None:
            self.map = SegmentMap(self.layout, header.page_count, header.index)
            self._recovery = Recovery(source, self.map, self._seed)
        self._streams = Streams(self.layout, header, self.map, by_bands=self.by_bands)

    @classmethod
    def open(cls, where: str | ByteSource) -> PagedFile:
        """Open the file at a path, or in a source, which is taken over.

        Raises NotAudioMemoryError for what is no table, FormatVersionError for a newer format,
        DamagedFileError when no page header can be read where one must be.
        """
        source, header, level = opened(where)
        try:
            return cls(source, header, level)
        except BaseException:
            source.close()
            raise

    @property
    def corrections(self) -> Corrections:
        """What was repaired since the file was opened."""
        return Corrections() if self._recovery is None else self._recovery.corrections

    @property
    def profile(self) -> Profile:
        """The sample rate, depth, channels and block size of the sound."""
        return self.source.profile

    @property
    def mode(self) -> Mode | None:
        """How pages are modulated; None for those that are the samples themselves."""
        return self.source.mode

    @property
    def sound(self) -> PageSource:
        """The frames of the file as pages of samples."""
        return self.source.sound

    @property
    def frame_count(self) -> int:
        """Frames of the file when it is whole, with the silence before and behind its pages."""
        return self.source.frames_for(self.page_count)

    @property
    def present(self) -> int:
        """Pages up to the end of the file."""
        return self.source.present

    def band_readings(self, pages: int) -> list[BandReading]:
        """How well each band is heard, lower ones first, measured on ``pages`` pages, too.

        None without modulation.
        """
        return self.source.band_readings(pages)

    @property
    def truncated(self) -> bool:
        """Whether pages are missing at the end of the file."""
        return self.source.present < self.page_count

    @property
    def missing(self) -> range:
        """The pages that are beyond the end of the file."""
        return range(min(self.source.present, self.page_count), self.page_count)

    def page_header(self, page: int) -> PageHeader | None:
        """The header of ``page``, from the first of its copies that is intact; None if there is none."""
        pages, _ = self.source.read_checked(page, 1)
        return next((header for header in self._headers(pages[0], page) if header is not None), None)

    def _headers(self, content: U8Array, page: int) -> Iterator[PageHeader | None]:
        """Each copy of the header of ``page``; None for one that is not intact, or another page's."""
        for header in copies_in(content[: self.layout.header_bytes].tobytes()):
            own = header is not None and header.page_number == page
            yield header if header and own and header.segment_id == self.header.segment_id else None

    # -- streams

    def catalog_copies(self) -> tuple[int, ...] | None:
        """The first page of each copy of the catalog, where the page headers say so.

        None where only the catalog's own pages do.
        """
        return self._streams.catalogs

    def data_pages(self) -> range | None:
        """The pages of the data stream, where the page headers say so."""
        return self._streams.data

    def holds(self, cells: I64Array) -> BoolArray:
        """Whether cells, by their numbers in the segment, may hold something, bool (n,).

        Where cells are filled by bands, a catalog leaves those of the higher ones empty.
        """
        return self._streams.holds(cells)

    def page_at(self, first_page: int, place: int) -> int:
        """The page that holds byte ``place`` of the stream that begins at ``first_page``."""
        return self._streams.page_at(first_page, place)

    def places_in(self, first_page: int, cells: I64Array) -> I64Array:
        """Where cells are in the stream that begins at ``first_page``: bytes, int64 (n,).

        cells: by their numbers in the segment. For those behind the stream any place behind it; those before
        it are left out.
        """
        return self._streams.places_in(first_page, cells)

    def read(self, first_page: int, start: int, length: int) -> bytes:
        """``length`` bytes of payload from place ``start`` of the stream that begins at ``first_page``.

        One positioned read of the file (of each band, where cells are filled by bands), and more only where a
        cell must be recovered. Raises DamagedFileError naming page and cell, and, without protection,
        TruncatedFileError naming the pages that are missing.
        """
        if length == 0:
            return b""
        size = self.layout.cell_payload
        low, high = start // size, -(-(start + length) // size)
        pages = self._streams.pages_from(first_page)
        if start < 0 or length < 0 or high > pages * self.layout.cells:
            raise DamagedFileError(
                f"a reference leads to page {first_page + (high - 1) // self.layout.cells} "
                f"of {self.page_count}",
                file=self.path,
                remedy=REMEDY,
            )
        numbers = self._streams.cells(first_page, low, high - low)
        payload, intact = self._stream_cells(numbers, missing_is_error=self._recovery is None)
        if not intact.all():
            cell = int(numbers[np.flatnonzero(~intact)[0]])
            raise DamagedFileError(
                "CRC-32C mismatch: these bytes are not the ones that were written",
                file=self.path,
                place=f"page {cell // self.layout.cells}, cell {cell % self.layout.cells}",
                remedy=REMEDY,
            )
        return payload.reshape(-1)[start - low * size :][:length].tobytes()

    def stream_cells(self, first_page: int, first: int, count: int) -> tuple[U8Array, BoolArray]:
        """Cells ``first …`` of the stream that begins at ``first_page``.

        Their payload, uint8 (count, size), and which are intact or recovered, bool (count,). Zeros stand for
        those that are neither, also where pages are missing.
        """
        numbers = self._streams.cells(first_page, first, count)
        payload, intact = self._stream_cells(numbers, missing_is_error=False)
        payload[~intact] = 0
        return payload, intact

    def _stream_cells(self, numbers: I64Array, *, missing_is_error: bool) -> tuple[U8Array, BoolArray]:
        """Cells by their numbers in the segment: payload, and which are intact or recovered."""
        per_page = self.layout.cells
        parts = []
        for start, stop in self._runs(numbers // per_page):
            own = numbers[start:stop]
            first = int(own[0]) // per_page
            count = int(own[-1]) // per_page + 1 - first
            if missing_is_error:
                missing_pages(self.source, first, count)
            pages, _ = self.source.read_checked(first, count)
            parts.append(self._decoded(pages, own, first))
        payload, intact = parts[0]
        if len(parts) > 1:
            payload = np.concatenate([part for part, _ in parts])
            intact = np.concatenate([good for _, good in parts])
        if not intact.all():
            self._mend(payload, intact, numbers)
            if not intact.all() and self._look_again():
                return self._stream_cells(numbers, missing_is_error=missing_is_error)
        return payload, intact

    def _runs(self, pages: I64Array) -> Iterator[tuple[int, int]]:
        """(first, behind the last) of cells on ``pages``, int64 (n,), that are read at once."""
        if not self.by_bands:
            yield 0, len(pages)
            return
        steps = np.diff(pages)
        ends = [0, *(np.flatnonzero((steps < 0) | (steps > 1)) + 1).tolist(), len(pages)]
        for start, stop in pairwise(ends):
            limits = np.arange(pages[start], pages[stop - 1] + 1, _READ_PAGES)
            bounds = [*(np.searchsorted(pages[start:stop], limits) + start).tolist(), stop]
            yield from pairwise(bounds)

    def _decoded(self, pages: U8Array, numbers: I64Array, first: int) -> tuple[U8Array, BoolArray]:
        """The cells ``numbers`` of ``pages``, which begin with page ``first``.

        Their payload, and which are intact.
        """
        codec, start = self.layout.level.cells, first * self.layout.cells
        cells = self.layout.cells_of(pages)
        low, high = int(numbers[0]) - start, int(numbers[-1]) - start + 1
        if high - low == len(numbers):
            return codec.decode(cells[low:high], self._seed, start + low)
        return codec.decode_each(cells[numbers - start], self._seed, numbers)

    def _mend(self, payload: U8Array, intact: BoolArray, numbers: I64Array) -> None:
        """Recover cells that are not intact, in place; ``numbers``: theirs in the segment."""
        bad = np.flatnonzero(~intact)
        if self._recovery is not None:
            found = self._recovery.cells(numbers[bad])
            payload[bad[found.there]] = found.payload[found.there]
            intact[bad] = found.there
            return
        pages = numbers // self.layout.cells
        for page in np.unique(pages[bad]).tolist():
            here = np.flatnonzero((pages == page) & ~intact)
            for reading in self.source.alternatives(page):
                other, passed = self._cells(reading[np.newaxis], page)
                own = numbers[here] - page * self.layout.cells
                better = passed[own]
                payload[here[better]], intact[here[better]] = other[own[better]], True

    def _whole_cells(self, source: PageSource) -> int:
        """Cells that are intact in some pages all over the file, as ``source`` reads them."""
        step = max(1, self.page_count // _SAMPLED_PAGES)
        whole = 0
        for page in range(step // 2, self.page_count, step):
            content, _ = source.read_checked(page, 1)
            whole += int(self._cells(content, page)[1].sum())
        return whole

    def _look_again(self) -> bool:
        """Look for the pages anew, once: bytes may have been put in and taken out.

        True if that found more of them.
        """
        with self._looking:
            if self._looked or not self.source.in_place:
                return False
            self._looked = True
            try:
                source = rescan(
                    self.source.file.reopen(), self.source.profile, self.page_count, self.source.mode
                )
            except AudioMemError:
                return False
            if self._whole_cells(source) > self._whole_cells(self.source):
                self._replaced.append(self.source)
                self.source = source
                if self._recovery is not None:
                    self._recovery.look_at(source)
                return True
            source.close()
            return False

    def _cells(self, pages: U8Array, first: int) -> tuple[U8Array, BoolArray]:
        """All cells of ``pages``, which begin with page ``first``: payload, and which are intact."""
        return self.layout.level.cells.decode(
            self.layout.cells_of(pages), self._seed, first * self.layout.cells
        )

    def damage(self, step: int = 64, progress: Callable[[int], None] | None = None) -> Iterator[PageDamage]:
        """Every page with damage, in order; those that are :attr:`missing` are not among them.

        progress: called with the number of pages looked at.
        """
        there = min(self.source.present, self.page_count)
        for first in range(0, there, step):
            count = min(step, there - first)
            pages, frames = self.source.read_checked(first, count)
            bad = ~self._cells(pages, first)[1].reshape(count, -1)
            spoiled = self._spoiled_parity(pages)
            for row in range(count):
                headers = sum(header is None for header in self._headers(pages[row], first + row))
                parity = bool(spoiled[row]) and not bad[row].any()
                if headers or bad[row].any() or parity or not frames[row]:
                    cells = tuple(np.flatnonzero(bad[row]).tolist())
                    yield PageDamage(first + row, not frames[row], headers, cells, parity)
            if progress is not None:
                progress(first + count)

    def _spoiled_parity(self, pages: U8Array) -> BoolArray:
        """Whether the inner code's parity is not that of the cells, bool (n,)."""
        code = self.layout.code
        if code is None:
            return np.zeros(len(pages), bool)
        body = self.layout.body(pages)
        return np.asarray((code.encode(body[:, : code.data_bytes]) != body).any(axis=1))

    def recover(self, cells: I64Array) -> tuple[BoolArray, BoolArray]:
        """Whether damaged cells, by their numbers in the segment, can be recovered, and by the outer code.

        Bool (n,) each.

        Without protection, too: the code of a frequency band may have corrected what was heard.
        """
        if self._recovery is not None:
            found = self._recovery.cells(cells)
            return found.there, found.outer
        intact = np.zeros(len(cells), np.bool_)
        self._mend(np.empty((len(cells), self.layout.cell_payload), np.uint8), intact, cells)
        return intact, np.zeros(len(cells), np.bool_)

    def close(self) -> None:
        """Close the file."""
        for source in (self.source, *self._replaced):
            source.close()
