"""Opening a file as numbered pages.

A file as we wrote it is read by offset, without decoding; one whose frames have moved by the headers of its
frames; one that was encoded again is decoded. Which it is, is decided by its frames alone: the first and the
last (see ``locate``), or, where these are lost or do not agree, frames from all over the file (see
``census``).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from audiomem_sql.audio.finding.census import WINDOW, Census, censuses
from audiomem_sql.audio.finding.locate import Arrangement, Geometry, confirmed, geometry_at
from audiomem_sql.audio.flac.frames import (
    HEAD_BYTES,
    SYNC,
    VARIABLE_SYNC,
    Bytes,
    Numbers,
    frame_count,
    frame_offset,
    frame_offsets,
    header_size,
    number_runs,
)
from audiomem_sql.audio.flac.metadata import MAGIC, Metadata, read_metadata, stream_start, total_pages
from audiomem_sql.audio.flac.profiles import Profile
from audiomem_sql.audio.source import (
    Flags,
    PageSource,
    Probe,
)
from audiomem_sql.audio.spectrum.plans import BLOCK_SIZES, Mode
from audiomem_sql.bytes import ByteSource, open_source
from audiomem_sql.errors import DamagedFileError, NotAudioMemoryError

if TYPE_CHECKING:
    from audiomem_sql.audio.finding.aligned import Numbered
    from audiomem_sql.audio.spectrum.spectrum import Spectrum

__all__ = ["PageSource", "Probe", "VerbatimPages", "open_pages"]

PROBED_PAGES = 16
"""Pages at the front whose beginning is looked at before a file is told to be no table, …"""
SPREAD_PAGES = 64
"""… and, if all of those are lost, pages all over the file."""


class VerbatimPages(PageSource):
    """A ``PageSource`` over frames that hold their pages verbatim. Safe to use from many threads.

    Takes over ``file``. Reading any range of pages is one ``pread``. Header and subframe bytes are compared
    with those expected; CRC-16 is not computed, as each cell inside a page has a stronger checksum. A page
    that is not ok still holds the bytes that are where its samples belong.
    """

    verbatim = True
    in_place = True
    mode: Mode | None = None

    def __init__(self, file: ByteSource, geometry: Geometry, metadata: Metadata | None) -> None:
        self.path = file.name
        self.profile = geometry.profile
        self.page_size = geometry.profile.page_size
        self.application = metadata.application if metadata else None
        self.comments = metadata.comments if metadata else {}
        self.file = file
        self._geometry = geometry
        self.page_count, self.present = _count(file, geometry, total_pages(metadata, geometry.profile))

    def read_checked(self, first: int, count: int) -> tuple[Bytes, Flags]:
        """The same with a flag a page, for pages damaged or beyond the end.

        Only ``StorageError`` is raised.
        """
        return self._geometry.read(self.file, first, count)

    @property
    def starts_the_file(self) -> bool:
        """Whether the stream begins with the file, not behind a tag of another kind."""
        return self.file.read_at(0, len(MAGIC)) == MAGIC

    def offset(self, page: int) -> int:
        """The offset in the file of the frame with ``page``."""
        return self._geometry.offset(page)

    def span(self, first: int, count: int, start: int, stop: int) -> tuple[int, int]:
        """Where pages are in the file from byte ``start`` of the first to before ``stop`` of the last."""
        last = first + count - 1
        return self._geometry.place(first, start), self._geometry.place(last, stop - 1) + 1

    def places(self, pages: Numbers, bytes_: Numbers) -> Numbers:
        """Where bytes of pages are in the file: int64 (n,) of int64 (n,) pages and places in them."""
        return self._geometry.places(pages, bytes_)

    def read_part(self, first: int, count: int, start: int, stop: int) -> Bytes:
        """Pages, uint8 (count, page_size), with zeros outside of these bytes, as in :meth:`span`.

        Only ``StorageError`` is raised.
        """
        return self._geometry.read(self.file, first, count, self.span(first, count, start, stop))[0]

    def heads(self, first: int, count: int, size: int) -> Bytes:
        """The first ``size`` bytes of pages, uint8 (count, size), zeros where the file ends.

        size: at most the bytes of a channel in a page. The frames around them are not looked at.
        """
        parts = []
        for run, pages in number_runs(first, count):
            mark = header_size(self.profile, run) + 1
            numbers = np.arange(run, run + pages, dtype=np.int64)
            offsets = frame_offsets(self.profile, numbers) + (self.offset(0) + mark)
            parts.append(self.file.read_alike(offsets.tolist(), size))
        heads: Bytes = np.frombuffer(b"".join(parts), np.uint8).reshape(count, size)
        return heads

    def pages_up_to(self, size: int) -> int:
        """Whole pages in the first ``size`` bytes of the file, were it so long."""
        start = self._geometry.offset(0)
        return frame_count(self.profile, size - start)

    def close(self) -> None:
        """Let go of the file; twice is harmless."""
        self.file.close()


def open_pages(
    where: str | os.PathLike[str] | ByteSource, probe: Probe, numbered: Numbered = lambda head: None
) -> PageSource:
    """Open a FLAC file for reading pages: a path, or a source, which is taken over.

    ``probe`` is called with the first 64 payload bytes of channel 0 of page 0 – and, if it refuses those, of
    further pages, since page 0 may be the damaged one – and returns the block size the page was written with.

    Raises ``StorageError`` for what cannot be opened, ``NotAudioMemoryError`` for what is not FLAC or holds
    no pages, ``DamagedFileError`` for FLAC too damaged to find its pages. Whatever ``probe`` raises besides
    ``NotAudioMemoryError`` passes through.
    """
    file = open_source(where)
    try:
        return _open(file, probe, numbered)
    except BaseException:
        file.close()
        raise


def _open(file: ByteSource, probe: Probe, numbered: Numbered) -> PageSource:
    start = stream_start(file)
    metadata: Metadata | None = None
    fault: NotAudioMemoryError | DamagedFileError | None = None
    try:
        metadata = read_metadata(file, start)
    except (NotAudioMemoryError, DamagedFileError) as error:
        fault = error.with_traceback(None)  # which would keep all that the callers hold
    if metadata is not None and (geometry := geometry_at(file, metadata.audio_start)) is not None:
        total = total_pages(metadata, geometry.profile)
        if confirmed(file, geometry, total) and (accepted := _has_pages(file, geometry, probe)):
            return accepted.on(VerbatimPages(file, geometry, metadata))
    if (ours := _search(file, metadata, probe)) is not None:
        return ours
    if metadata is None:
        raise fault or NotAudioMemoryError("not a FLAC file", file=file.name)
    from audiomem_sql.audio.finding.decoded import DecodedPages

    with closing(file.reopen()) as again:  # whatever reads pages takes over its source
        try:
            decoded = DecodedPages(file, start, metadata, probe)
        except NotAudioMemoryError:
            from audiomem_sql.audio.finding.aligned import aligned

            if (heard := aligned(again, start, metadata, probe, numbered)) is not None:
                return heard
            raise
    return _Accepted(decoded.spectrum).on(decoded)


def _search(file: ByteSource, metadata: Metadata | None, probe: Probe) -> PageSource | None:
    """The pages that frames all over the file announce.

    None where there are none, or an encoder made them smaller.
    """
    # A stream with good metadata, in which a frame follows on it, is music or was encoded again: no need to
    # search it all.
    intact = metadata is not None and file.read_at(metadata.audio_start, 2) in (SYNC, VARIABLE_SYNC)
    frame = metadata.max_block_size * metadata.channels * metadata.bits_per_sample // 8 if metadata else 0
    for census in censuses(file, not intact, max(WINDOW, 2 * frame)):
        if not (accepted := _accepted(_places(census), census.profile, probe, file)):
            continue
        arrangement, run = census.arrangement(file)
        if arrangement is Arrangement.IN_PLACE:
            return accepted.on(VerbatimPages(file, run.geometry, metadata))
        if arrangement is Arrangement.DISPLACED:
            from audiomem_sql.audio.finding.scanned import ScannedPages

            scanned = ScannedPages(file, census.profile, metadata)
            if not scanned.made_smaller:
                return accepted.on(scanned)
        return None
    return None


@dataclass(frozen=True)
class _Accepted:
    """That pages are ours, and how they are modulated."""

    spectrum: Spectrum | None

    def on(self, sound: PageSource) -> PageSource:
        """The pages in the frames of ``sound``."""
        if self.spectrum is None:
            return sound
        from audiomem_sql.audio.finding.modulated import ModulatedPages

        return ModulatedPages(sound, self.spectrum)


def _has_pages(file: ByteSource, geometry: Geometry, probe: Probe) -> _Accepted | None:
    """Whether the page headers, too, say that frames are pages."""
    there = geometry.frames_in(file)
    numbers = dict.fromkeys(
        [*range(min(PROBED_PAGES, there)), *range(0, there, -(-there // SPREAD_PAGES) or 1)]
    )
    return _accepted(((geometry.offset(n), n) for n in numbers), geometry.profile, probe, file)


def _accepted(
    places: Iterable[tuple[int, int]], profile: Profile, probe: Probe, file: ByteSource
) -> _Accepted | None:
    """Whether the frames at these places, with these numbers, are pages of ``profile``.

    The first that ``probe`` accepts decides.
    """
    modulated = profile.block_size in BLOCK_SIZES
    for offset, n in places:
        head = file.read_at(offset + header_size(profile, n) + 1, HEAD_BYTES)
        if len(head) < HEAD_BYTES:
            continue
        with suppress(NotAudioMemoryError):
            return _Accepted(None) if probe(head) == profile.block_size else None
        if modulated:
            from audiomem_sql.audio.finding.modulated import modulation_of

            geometry = Geometry(profile, offset - frame_offset(profile, 0, n))

            def frames(first: int, count: int, geometry: Geometry = geometry) -> Bytes:
                return geometry.read(file, first, count)[0]

            if (spectrum := modulation_of(frames(n, 1)[0], profile, probe, n, frames)) is not None:
                return _Accepted(spectrum)
    return None


def _places(census: Census) -> Iterable[tuple[int, int]]:
    """Places and numbers of frames all over the file, of those that were found."""
    count = len(census.places)
    for index in range(0, count, -(-count // SPREAD_PAGES)):
        yield int(census.places[index]), int(census.numbers[index])


def _count(file: ByteSource, geometry: Geometry, total: int) -> tuple[int, int]:
    """Pages that there should be and that there are.

    Frames in place beyond ``total`` count: they refute STREAMINFO.
    """
    present = geometry.frames_in(file)
    if not total:
        cut_short = geometry.offset(present) < file.size and geometry.in_place(file, present)
        return present + cut_short, present
    if present > total:
        present = geometry.furthest(file, total - 1, present) + 1
    return max(total, present), present
