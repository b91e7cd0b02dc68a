"""Reading the pages of a segment file, and the payload stream that they carry.

The payloads of all cells, one after another, are a stream of bytes, and everything above this module names
places in that stream. Every byte that leaves it has passed a CRC-32C, or was recovered from such ones (see
``recovery``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from audiomem_sql import audio
from audiomem_sql.arrays import BoolArray, I64Array, U8Array, distinct
from audiomem_sql.bytes import ByteSource
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.protection.levels import Level
from audiomem_sql.storage.pages.cell_spans import CellSpans, read_together
from audiomem_sql.storage.pages.damage import PageDamage
from audiomem_sql.storage.pages.header import MODULATION_BANDS, PageHeader, PageKind
from audiomem_sql.storage.pages.headers import REMEDY, copies_in
from audiomem_sql.storage.pages.identity import Pages, unreadable
from audiomem_sql.storage.pages.layout import PageLayout
from audiomem_sql.storage.pages.native_cells import intact_cells
from audiomem_sql.storage.pages.opening import opened
from audiomem_sql.storage.pages.recovery import Corrections, Recovery
from audiomem_sql.storage.pages.scattered import read_scattered
from audiomem_sql.storage.pages.segment_map import CellStarts, SegmentMap
from audiomem_sql.storage.pages.shared_pages import SharedPages
from audiomem_sql.storage.pages.streams import Streams

if TYPE_CHECKING:
    from audiomem_sql.audio import BandReading, Mode, PageSource, Profile

#: Pages that tell whether it was worth while to look for pages anew.
_SAMPLED_PAGES = 64


class PagedFile:
    """A segment file opened for reading: pages by number, payload by place.

    Safe to use from several threads.
    """

    def __init__(
        self,
        pages: PageSource | SharedPages,
        header: PageHeader,
        level: Level,
        first: int = 0,
        earlier: tuple[tuple[int, bytes], ...] = (),
        cover: PagedFile | None = None,
    ) -> None:
        """The segment whose page 0 is page ``first`` of the file.

        pages: of the file; shared ones are released by :meth:`close`. earlier: (first page in the file,
        segment id) of what is in front of it and covered by its parity. cover: the segment whose parity
        covers this one, which then has none of its own.
        """
        self._shared = (pages if isinstance(pages, SharedPages) else SharedPages(pages)).take()
        self._closed = False
        self.path = self.source.path
        self.header = header
        #: The page of the file that is page 0 of the segment.
        self.first = first
        #: Whether cells are filled by bands.
        self.by_bands = header.modulation == MODULATION_BANDS
        self.layout = PageLayout(self.source.page_size, level, version=header.format_version)
        if self.by_bands:
            assert self.source.mode is not None
            shape = audio.spectrum_of(self.source.profile, self.source.mode).shape
            self.layout = PageLayout.banded(shape, level, header.format_version)
        self._spans = CellSpans(self.layout, first)
        self._starts = CellStarts(
            header.segment_id, self.layout.cells, tuple((at - first, identity) for at, identity in earlier)
        )
        self._seed = self._starts.seed(0)
        #: Where the pages of a segment with parity of its own are; None without.
        self.map: SegmentMap | None = None
        self._recovery: Recovery | None = None
        #: How many cells later the segment that covers this one counts cells.
        self._covered_by = 0
        if cover is not None:
            self._recovery = cover._recovery
            self._covered_by = (cover.first - first) * self.layout.cells
        elif level.share is not None:
            self.map = SegmentMap.told(self.layout, header, first)
            self._recovery = Recovery(self._shared, self.map, self._starts, first)
        #: Pages of the segment, its trailer included: the page headers say so under a CRC, STREAMINFO does
        #: not.
        self.page_count = header.page_count if self.map is None else self.map.total
        self.place = Pages(first, first + self.page_count, header.segment_id)
        self._streams = Streams(self.layout, header, self.map, by_bands=self.by_bands)

    @classmethod
    def open(cls, where: str | ByteSource) -> PagedFile:
        """Open the newest segment of the file at a path, or in a source, which is taken over.

        Raises NotAudioMemoryError for what is no table, FormatVersionError for a newer format,
        DamagedFileError when no page header can be read where one must be.
        """
        found = opened(where)
        return cls(found.source, found.header, found.level, found.first)

    @property
    def source(self) -> PageSource:
        """The pages of the file."""
        return self._shared.source

    @property
    def shared(self) -> SharedPages:
        """The pages of the file, for other segments of it."""
        return self._shared

    @property
    def is_protected(self) -> bool:
        """Whether parity stands for the cells of the segment, its own or that of a later one."""
        return self._recovery is not None

    @property
    def corrections(self) -> Corrections:
        """What the parity of the segment repaired since the file was opened."""
        return Corrections() if self._recovery is None or self.map is None else self._recovery.corrections

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
        return self.source.frames_for(self.first + self.page_count)

    @property
    def own_pages(self) -> int:
        """Pages of the segment without its trailer."""
        return self.page_count if self.map is None else self.map.own

    @property
    def is_far(self) -> bool:
        """Whether reading takes requests, so that it is worth while to tell what will be read next."""
        return self.source.file.prefers_short_reads

    @property
    def present(self) -> int:
        """Pages from the first one of the segment up to the end of the file."""
        return max(0, self.source.present - self.first)

    def band_readings(self, pages: int) -> list[BandReading]:
        """How well each band of a modulation is heard, lower ones first, measured on ``pages`` pages, too."""
        return self.source.band_readings(pages)

    @property
    def truncated(self) -> bool:
        """Whether pages are missing at the end of the file."""
        return self.present < self.page_count

    @property
    def missing(self) -> range:
        """The pages that are beyond the end of the file."""
        return range(min(self.present, self.page_count), self.page_count)

    def page_header(self, page: int) -> PageHeader | None:
        """The header of ``page``, from the first of its copies that is intact; None if there is none."""
        pages, _ = self.source.read_checked(self.first + page, 1)
        return next((header for header in self._headers(pages[0], page) if header is not None), None)

    def _headers(self, content: U8Array, page: int) -> Iterator[PageHeader | None]:
        """Each copy of the header of ``page``; None for one that is not intact, or another page's."""
        for header in copies_in(content[: self.layout.header_bytes].tobytes()):
            own = header is not None and header.page_number == page
            yield header if header and own and header.segment_id == self.header.segment_id else None

    # -- streams

    def catalog_copies(self) -> tuple[int, ...] | None:
        """The first cell of each copy of the catalog, where the page headers say so.

        None where only the catalog's own pages do.
        """
        return self._streams.catalogs

    def data_cells(self) -> range | None:
        """The cells of the data stream, where the page headers say so."""
        return self._streams.data

    def fits(self, catalog_bytes: int, data_bytes: int) -> bool:
        """Whether a catalog and a data stream of so many bytes are as long as the segment says."""
        return self._streams.fits(catalog_bytes, data_bytes)

    def holds(self, cells: I64Array) -> BoolArray:
        """Whether cells, by their numbers in the segment, may hold something, bool (n,).

        Where cells are filled by bands, a catalog leaves those of the higher ones empty.
        """
        return self._streams.holds(cells)

    def page_at(self, stream: int, place: int) -> int:
        """The page that holds byte ``place`` of the stream that begins at cell ``stream``."""
        return self._streams.page_at(stream, place)

    def last_pages(self, stream: int, places: I64Array, lengths: I64Array) -> I64Array:
        """The last page of stretches of a stream, by places and lengths in bytes; -1 for empty ones."""
        return self._streams.last_pages(stream, places, lengths)

    def places_in(self, stream: int, cells: I64Array) -> I64Array:
        """Where cells are in the stream that begins at cell ``stream``: bytes, int64 (n,).

        cells: by their numbers in the segment. Any place behind the stream for those behind it.
        """
        return self._streams.places_in(stream, cells)

    def read(self, stream: int, start: int, length: int) -> bytes:
        """``length`` bytes of payload from place ``start`` of the stream that begins at cell ``stream``.

        One positioned read of the file (of each band, where cells are filled by bands), and more only where a
        cell must be recovered. Raises DamagedFileError naming page and cell, and, without protection,
        TruncatedFileError naming the pages that are missing.
        """
        if length == 0:
            return b""
        size = self.layout.cell_payload
        low, high = start // size, -(-(start + length) // size)
        if start < 0 or length < 0 or high > self._streams.room(stream):
            raise DamagedFileError(
                f"a reference leads to page {(stream + high - 1) // self.layout.cells} of {self.page_count}",
                file=self.path,
                remedy=REMEDY,
            )
        cells, place = range(stream + low, stream + high), (self.layout, self._seed, self.first)
        payload = None if self.by_bands else intact_cells(self.source, *place, cells)
        if payload is None:
            numbers = self._streams.cells(stream, low, high - low)
            lost = self._recovery is None or not self._recovery.is_in_proportion
            payload = self._whole(numbers, missing_is_error=lost)
        return payload.reshape(-1)[start - low * size :][:length].tobytes()

    def _whole(self, numbers: I64Array, *, missing_is_error: bool) -> U8Array:
        """The payload of cells of the segment. DamagedFileError for one that cannot be recovered."""
        payload, intact = self._stream_cells(numbers, missing_is_error=missing_is_error)
        if not intact.all():
            cell = int(numbers[np.flatnonzero(~intact)[0]])
            raise unreadable(self.source, self.place, *divmod(cell, self.layout.cells))
        return payload

    def stream_cells(self, stream: int, first: int, count: int) -> tuple[U8Array, BoolArray]:
        """Cells ``first …`` of the stream that begins at cell ``stream``.

        Their payload, uint8 (count, size), and which are intact or recovered, bool (count,). Zeros stand for
        those that are neither, also where pages are missing.
        """
        numbers = self._streams.cells(stream, first, count)
        payload, intact = self._stream_cells(numbers, missing_is_error=False)
        payload[~intact] = 0
        return payload, intact

    def _stream_cells(self, numbers: I64Array, *, missing_is_error: bool) -> tuple[U8Array, BoolArray]:
        """Cells by their numbers in the segment: payload, and which are intact or recovered."""
        per_page = self.layout.cells
        parts = []
        for start, stop in read_together(numbers // per_page, by_bands=self.by_bands):
            own = numbers[start:stop]
            first = int(own[0]) // per_page
            count = int(own[-1]) // per_page + 1 - first
            if missing_is_error:
                audio.missing_pages(self.source, self.first + first, count)
            pages = self._spans.pages(self.source, own, first, count)
            parts.append(self._decoded(pages, own, first))
        payload, intact = parts[0]
        if len(parts) > 1:
            payload = np.concatenate([part for part, _ in parts])
            intact = np.concatenate([good for _, good in parts])
        if not intact.all():
            if self._spans.read_anew(self.source, numbers[~intact]):
                return self._stream_cells(numbers, missing_is_error=missing_is_error)
            self._mend(payload, intact, numbers)
            if not intact.all() and self._look_again():
                return self._stream_cells(numbers, missing_is_error=missing_is_error)
        return payload, intact

    def read_many(self, stream: int, ranges: Sequence[tuple[int, int]]) -> list[memoryview] | None:
        """Ranges of a stream, (place, length) each, by one read; None where :meth:`read` has more to do."""
        return read_scattered(self.source, self._streams, self._spans, self._seed, stream, ranges)

    def prefetch(self, stream: int, ranges: Iterable[tuple[int, int]]) -> None:
        """Tell which bytes of a stream will be read next, (place, length) each: a store is asked once."""
        if self.is_far:
            self._spans.prefetch(self.source, self._streams.runs(stream, ranges))

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
            recovered = self._recovery.cells(numbers[bad] - self._covered_by)
            payload[bad[recovered.there]] = recovered.payload[recovered.there]
            intact[bad] = recovered.there
            return
        pages = numbers // self.layout.cells
        for page in distinct(pages[bad]).tolist():
            here = np.flatnonzero((pages == page) & ~intact)
            for reading in self.source.alternatives(self.first + page):
                other, passed = self._cells(reading[np.newaxis], page)
                own = numbers[here] - page * self.layout.cells
                better = passed[own]
                payload[here[better]], intact[here[better]] = other[own[better]], True

    def _whole_cells(self, source: PageSource) -> int:
        """Cells that are intact in some pages all over the file, as ``source`` reads them."""
        step = max(1, self.page_count // _SAMPLED_PAGES)
        whole = 0
        for page in range(step // 2, self.page_count, step):
            content, _ = source.read_checked(self.first + page, 1)
            whole += int(self._cells(content, page)[1].sum())
        return whole

    def _look_again(self) -> bool:
        return self._shared.look_again(self.first + self.page_count, self._whole_cells)

    def kind_of(self, page: int) -> PageKind:
        """What a page of the segment carries."""
        if self.map is not None:
            return self.map.kind_of(page)[0]
        return self._streams.kind_of(page)

    def payload_of_page(self, page: int) -> bytes:
        """The payload of all cells of ``page``. DamagedFileError for one that cannot be recovered."""
        cells = self.layout.cells
        numbers = np.arange(page * cells, (page + 1) * cells)
        return self._whole(numbers, missing_is_error=False).tobytes()

    def _cells(self, pages: U8Array, first: int) -> tuple[U8Array, BoolArray]:
        """All cells of ``pages``, which begin with page ``first``: payload, and which are intact."""
        return self.layout.level.cells.decode(
            self.layout.cells_of(pages), self._seed, first * self.layout.cells
        )

    def damage(self, step: int = 64, progress: Callable[[int], None] | None = None) -> Iterator[PageDamage]:
        """Every page with damage, in order, but :attr:`missing` ones; progress: counts pages looked at."""
        there = min(self.present, self.page_count)
        for first in range(0, there, step):
            check_interrupt()
            count = min(step, there - first)
            pages, frames = self.source.read_checked(self.first + first, count)
            bad = ~self._cells(pages, first)[1].reshape(count, -1)
            spoiled = self.layout.spoiled_parity(pages)
            for row in range(count):
                headers = sum(header is None for header in self._headers(pages[row], first + row))
                parity = bool(spoiled[row]) and not bad[row].any()
                if headers or bad[row].any() or parity or not frames[row]:
                    cells = tuple(np.flatnonzero(bad[row]).tolist())
                    yield PageDamage(first + row, not frames[row], headers, cells, parity)
            if progress is not None:
                progress(first + count)

    def recover(self, cells: I64Array) -> tuple[BoolArray, BoolArray]:
        """Whether cells, by their numbers in the segment, can be recovered, and by the outer code: bool (n,).

        Without protection, too: the code of a frequency band may have corrected what was heard.
        """
        if self._recovery is not None:
            recovered = self._recovery.cells(cells - self._covered_by)
            return recovered.there, recovered.outer
        intact = np.zeros(len(cells), np.bool_)
        self._mend(np.empty((len(cells), self.layout.cell_payload), np.uint8), intact, cells)
        return intact, np.zeros(len(cells), np.bool_)

    def close(self) -> None:
        """Close the file, unless other segments of it are read; twice is harmless."""
        if not self._closed:
            self._closed = True
            self._shared.release()
