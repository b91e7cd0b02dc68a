"""Opening a file as numbered pages.

A file as we wrote it is read by offset, without decoding; one that was encoded again is decoded. Which of the two it is,
is decided by its frames alone (see ``locate``).
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import numpy as np

from audiomem_sql.audio.decoded import DecodedPages
from audiomem_sql.audio.frames import Bytes, frame_count, frame_size, header_size, number_runs, unpack_frames
from audiomem_sql.audio.locate import Geometry, confirmed, geometry_at, search
from audiomem_sql.audio.metadata import Metadata, read_metadata, stream_start
from audiomem_sql.audio.rawfile import RawFile
from audiomem_sql.audio.source import HEAD_BYTES, Flags, PageSource, Probe, missing_pages, unreadable_page
from audiomem_sql.errors import DamagedFileError, NotAudioMemoryError

__all__ = ["DecodedPages", "PageSource", "Probe", "VerbatimPages", "open_pages"]

PROBED_PAGES = 16
"""Pages whose beginning is looked at before a file is told to be no table."""


class VerbatimPages:
    """A ``PageSource`` over frames that hold their pages verbatim. Safe to use from many threads.

    Takes over ``file``. Reading any range of pages is one ``pread``. Header and subframe bytes are compared with those
    expected; CRC-16 is not computed, as each cell inside a page has a stronger checksum. A page that is not ok still
    holds the bytes that are where its samples belong.
    """

    verbatim = True

    def __init__(self, file: RawFile, geometry: Geometry, metadata: Metadata | None) -> None:
        self.path = file.path
        self.profile = geometry.profile
        self.application = metadata.application if metadata else None
        self.comments = metadata.comments if metadata else {}
        self._file = file
        self._geometry = geometry
        self.page_count, self.present = _count(file, geometry, _total_pages(metadata, geometry))

    def read(self, first: int, count: int) -> Bytes:
        """Pages ``first … first + count``, fresh uint8 (count, page_size).

        Raises ``TruncatedFileError`` for pages beyond the end, ``DamagedFileError`` naming a page whose frame header or
        subframe bytes are not those expected.
        """
        missing_pages(self, first, count)
        pages, ok = self.read_checked(first, count)
        if not ok.all():
            raise unreadable_page(self, first + int(np.argmin(ok)))
        return pages

    def read_checked(self, first: int, count: int) -> tuple[Bytes, Flags]:
        """The same with a flag a page, for pages damaged or beyond the end; only ``StorageError`` is raised."""
        start, stop = self._geometry.offset(first), self._geometry.offset(first + count)
        raw = np.frombuffer(self._file.read(start, stop - start), dtype=np.uint8)
        there = len(raw)
        if there < stop - start:
            raw = np.concatenate([raw, np.zeros(stop - start - there, dtype=np.uint8)])
        pages = np.empty((count, self.profile.page_size), dtype=np.uint8)
        ok = np.empty(count, dtype=np.bool_)
        for n, run in number_runs(first, count):
            at, size = self._geometry.offset(n) - start, frame_size(self.profile, n)
            frames = raw[at : at + run * size].reshape(run, size)
            rows = slice(n - first, n - first + run)
            ok[rows] = unpack_frames(self.profile, n, frames, pages[rows])
        if there < stop - start:
            whole = frame_count(self.profile, start + there - self._geometry.audio_start)
            ok[max(0, whole - first) :] = False
        return pages, ok

    def close(self) -> None:
        """Let go of the file; twice is harmless."""
        self._file.close()


def open_pages(path: str | os.PathLike[str], probe: Probe) -> PageSource:
    """Open a FLAC file for reading pages.

    ``probe`` is called with the first 64 payload bytes of channel 0 of page 0 – and, if it refuses those, of further
    pages, since page 0 may be the damaged one – and returns the block size the page was written with.

    Raises ``StorageError`` for what cannot be opened, ``NotAudioMemoryError`` for what is not FLAC or holds no pages,
    ``DamagedFileError`` for FLAC too damaged to find its pages. Whatever ``probe`` raises besides ``NotAudioMemoryError``
    passes through.
    """
    file = RawFile(path)
    try:
        return _open(file, probe)
    except BaseException:
        file.close()
        raise


def _open(file: RawFile, probe: Probe) -> PageSource:
    start = stream_start(file)
    metadata: Metadata | None = None
    fault: NotAudioMemoryError | DamagedFileError | None = None
    try:
        metadata = read_metadata(file, start)
    except (NotAudioMemoryError, DamagedFileError) as found:
        fault = found
    for geometry in _geometries(file, metadata):
        if confirmed(file, geometry, _total_pages(metadata, geometry)) and _has_pages(file, geometry, probe):
            return VerbatimPages(file, geometry, metadata)
    if metadata is None:
        raise fault or NotAudioMemoryError("not a FLAC file", file=file.path)
    return DecodedPages(file, start, metadata, probe)


def _geometries(file: RawFile, metadata: Metadata | None) -> Iterable[Geometry]:
    """Where the metadata ends, and then, if that leads nowhere, wherever frames are found."""
    if metadata is not None and (geometry := geometry_at(file, metadata.audio_start)) is not None:
        yield geometry
    yield from search(file)


def _has_pages(file: RawFile, geometry: Geometry, probe: Probe) -> bool:
    """Whether the page headers, too, say that frames are pages: the first that ``probe`` accepts decides."""
    for n in range(min(PROBED_PAGES, geometry.frames_in(file))):
        try:
            return probe(_head(file, geometry, n)) == geometry.profile.block_size
        except NotAudioMemoryError:
            continue
    return False


def _head(file: RawFile, geometry: Geometry, n: int) -> bytes:
    return file.read(geometry.offset(n) + header_size(geometry.profile, n) + 1, HEAD_BYTES)


def _total_pages(metadata: Metadata | None, geometry: Geometry) -> int:
    """Pages that STREAMINFO says there are; 0 if it does not know, or speaks of another sound."""
    profile = geometry.profile
    if metadata is None or (
        metadata.sample_rate,
        metadata.bits_per_sample,
        metadata.channels,
        metadata.max_block_size,
    ) != (profile.sample_rate, profile.bits_per_sample, profile.channels, profile.block_size):
        return 0
    return metadata.total_samples // profile.block_size


def _count(file: RawFile, geometry: Geometry, total: int) -> tuple[int, int]:
    """Pages that there should be and that there are. Frames in place beyond ``total`` count: they refute STREAMINFO."""
    present = geometry.frames_in(file)
    if not total:
        cut_short = geometry.offset(present) < file.size and geometry.in_place(file, present)
        return present + cut_short, present
    if present > total:
        last = geometry.last_in_place(file, present)
        present = max(total, last + 1 if last is not None else 0)
    return max(total, present), present
