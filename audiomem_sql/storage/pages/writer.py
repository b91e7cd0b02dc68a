"""Writes the pages of one segment: headers, cells and parity of the inner code, as frames of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from audiomem_sql import audio
from audiomem_sql.arrays import U8Array
from audiomem_sql.protection.levels import Level
from audiomem_sql.storage.pages.head_record import HeadRecord
from audiomem_sql.storage.pages.header import (
    MODULATION_BANDS,
    MODULATION_PCM,
    MODULATION_SPECTRUM,
    PageHeader,
    PageKind,
)
from audiomem_sql.storage.pages.layout import PageLayout, cell_seed

if TYPE_CHECKING:
    from audiomem_sql.audio import Mode, Profile, Spectrum, Tags

#: Pages laid out at once.
PAGES_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class FileSpec:
    """How a segment file is made, besides what is in it.

    comments: ours, by their names; tags: what others put in. mode: of the spectrum; None for pages that are
    the samples. by_bands: cells are filled by bands. head: of the state that the file is in with the segment;
    its number of sealed pages is told by the writer.
    """

    profile: Profile
    level: Level
    segment_id: bytes
    comments: Mapping[str, str]
    tags: Tags = audio.NO_TAGS
    mode: Mode | None = None
    by_bands: bool = False
    head: HeadRecord | None = None

    @property
    def modulation(self) -> int:
        """As page headers say it."""
        if self.by_bands:
            return MODULATION_BANDS
        return MODULATION_PCM if self.mode is None else MODULATION_SPECTRUM

    @property
    def spectrum(self) -> Spectrum | None:
        """What modulates the pages."""
        return None if self.mode is None else audio.spectrum_of(self.profile, self.mode)

    @property
    def layout(self) -> PageLayout:
        """Of the pages."""
        spectrum = self.spectrum
        if spectrum is None:
            return PageLayout(self.profile.page_size, self.level)
        if self.by_bands:
            return PageLayout.banded(spectrum.shape, self.level)
        return PageLayout(spectrum.shape.page_size, self.level)


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages of a segment that is written.

    own: up to and including the second copy of the catalog. index: as in ``PageHeader``. total: with the
    trailer; 0 for ``own``. before: pages in front of it in the same file. first: for a segment that is
    appended to a file, the number of its first frame.
    """

    own: int
    index: int
    total: int = 0
    before: int = 0
    flags: int = 0
    first: int | None = None


class PageWriter:
    """Writes the pages of one segment, in file order, to a FLAC file or behind one."""

    def __init__(self, sink: BinaryIO, file: FileSpec, pages: Pages) -> None:
        self._file = file
        self._spectrum = file.spectrum
        self.layout = file.layout
        self._pages = pages
        self._next = 0
        self._lead = 0 if self._spectrum is None else self._spectrum.shape.lead
        self._at_once = max(
            1, PAGES_AT_ONCE // (1 if self._spectrum is None else self._spectrum.shape.frames)
        )
        count = pages.before + (pages.total or pages.own)
        frames = count if self._spectrum is None else self._spectrum.shape.first_frame(count) + self._lead
        application = self.header(0, PageKind.CATALOG).pack()
        if file.head is not None:
            application += replace(file.head, sealed=(pages.first or 0) + count).pack()
        self._flac = audio.FlacWriter(
            sink, file.profile, frames, application, dict(file.comments), tags=file.tags, first=pages.first
        )
        self._silence()

    def header(self, page: int, kind: PageKind) -> PageHeader:
        """The header of a page."""
        return PageHeader(
            kind=kind,
            protection=self.layout.level.code,
            modulation=self._file.modulation,
            segment_id=self._file.segment_id,
            page_number=page,
            page_count=self._pages.own,
            block_size=self._file.profile.block_size,
            index=self._pages.index,
            flags=self._pages.flags,
        )

    def write(self, payload: bytes, kinds: PageKind | Sequence[PageKind]) -> None:
        """Append ``payload`` as whole pages, all of one kind or each of its own.

        Only the last piece of a kind may be no multiple of the page payload.
        """
        step = self._at_once * self.layout.payload_bytes
        for at in range(0, len(payload), step):
            piece = payload[at : at + step]
            first = at // self.layout.payload_bytes
            headers = [
                self.header(self._next + i, kinds if isinstance(kinds, PageKind) else kinds[first + i])
                for i in range(self.layout.pages_for(len(piece)))
            ]
            self.write_as_they_are(self.layout.assemble(headers, piece, cell_seed(self._file.segment_id)))
            self._next += len(headers)

    def write_as_they_are(self, pages: U8Array) -> None:
        """Append whole pages, uint8 (n, page_size)."""
        if self._spectrum is not None:
            pages = self._spectrum.modulate(pages).reshape(-1, self._file.profile.page_size)
        self._flac.write_pages(pages)

    def close(self) -> None:
        """Finish the FLAC stream; the sink stays open."""
        self._silence()
        self._flac.close()

    def _silence(self) -> None:
        """What a broadcast begins and ends with."""
        for _ in range(self._lead):
            self._flac.write_pages(np.zeros((1, self._file.profile.page_size), np.uint8))
