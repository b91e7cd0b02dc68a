"""Pages of a file whose frames are ours but have moved.

The file is read once from end to end for frame headers. What they agree on are runs of frames (see ``runs``),
inside which arithmetic holds again. Pages between two runs are put together from both sides
(see ``cut_frames``).
"""

from __future__ import annotations

import os
from bisect import bisect_right
from contextlib import suppress
from itertools import pairwise

import numpy as np

from audiomem_sql.audio.finding.cut_frames import CutFrames
from audiomem_sql.audio.finding.locate import Geometry, complete, padded
from audiomem_sql.audio.finding.modulated import ModulatedPages
from audiomem_sql.audio.finding.runs import Run, believed_runs
from audiomem_sql.audio.finding.sync import find_headers
from audiomem_sql.audio.flac.frames import (
    Bytes,
    Flags,
    Numbers,
    frame_count,
    frame_offset,
    frame_size,
)
from audiomem_sql.audio.flac.metadata import Metadata, read_metadata, stream_start, total_pages
from audiomem_sql.audio.flac.profiles import Profile
from audiomem_sql.audio.source import (
    PageSource,
)
from audiomem_sql.audio.spectrum.plans import Mode
from audiomem_sql.audio.spectrum.spectrum import spectrum_of
from audiomem_sql.bytes import ByteSource, open_source
from audiomem_sql.errors import DamagedFileError, NotAudioMemoryError

CHUNK = 4 << 20
"""Bytes read at once."""
SPARE_HEADERS = 64
"""A chunk may have so many headers more than twice the frames that fit in; there are more only in a file made
to be bad."""
CUTS_COMPARED = 64
"""Shortened frames that are looked at to tell another encoder from damage."""


class ScannedPages(PageSource):
    """A ``PageSource`` over frames that are found by their headers. Safe to use from many threads.

    Takes over ``file``. Opening reads all of it, and keeps a few numbers for each place where bytes were put
    in or are missing. Its ``page_count`` is the one given, or else what STREAMINFO says, unless frames refute
    it; ``present`` counts the pages up to the end of the file, among them those that are missing in the
    middle.

    Raises ``DamagedFileError`` where no frame of ``profile`` is found, ``StorageError``.
    """

    verbatim = True
    in_place = False
    mode: Mode | None = None

    def __init__(
        self, file: ByteSource, profile: Profile, metadata: Metadata | None, page_count: int = 0
    ) -> None:
        self.path = file.name
        self.profile = profile
        self.page_size = profile.page_size
        self.application = metadata.application if metadata else None
        self.comments = metadata.comments if metadata else {}
        self.file = file
        total = page_count or total_pages(metadata, profile)
        limit = max(page_count, 2 * frame_count(profile, file.size) + SPARE_HEADERS)
        self._runs = believed_runs(profile, *_scan(file, profile, limit))
        if not self._runs:
            raise DamagedFileError(
                "no intact frame header is left", file=file.name, remedy="Restore the file from a copy"
            )
        end = self._runs[-1]
        there = max(end.last + 1, end.geometry.frames_in(file))
        cut_short = end.geometry.offset(there) < file.size and end.geometry.in_place(file, there)
        known = total > end.last
        self.present = min(total, there) if known else there
        self.page_count = total if known else there + cut_short
        self._firsts = [run.first for run in self._runs]
        self._outer = _ends(file, self._runs, metadata, total if known else 0)

    @property
    def made_smaller(self) -> bool:
        """Whether it was another encoder that moved the frames: most that end too early are complete."""
        votes = []
        for run, following in pairwise(self._runs):
            start, stop = run.geometry.offset(run.last), following.geometry.offset(following.first)
            if following.first == run.last + 1 and stop - start < frame_size(self.profile, run.last):
                votes.append(complete(self.file.read_at(start, stop - start)))
            if len(votes) == CUTS_COMPARED:
                break
        return 2 * sum(votes) > len(votes)

    def read_checked(self, first: int, count: int) -> tuple[Bytes, Flags]:
        """The same with a flag a page, for pages damaged or beyond the end; only ``StorageError`` is raised.

        A page that was cut holds what is before the cut and what is behind it where that can be told, see
        ``cut_frames``.
        """
        pages = np.zeros((count, self.profile.page_size), dtype=np.uint8)
        ok = np.zeros(count, dtype=np.bool_)
        at = first
        while at < first + count:
            index = max(0, bisect_right(self._firsts, at) - 1)
            run = self._runs[index]
            following = self._runs[index + 1] if index + 1 < len(self._runs) else None
            if following is None or at < run.last:
                stop = first + count if following is None else min(first + count, run.last)
                rows = slice(at - first, stop - first)
                pages[rows], ok[rows] = run.geometry.read(self.file, at, stop - at)
            else:
                stop = min(first + count, following.first)
                cut = CutFrames(self.file, run.geometry, run.last, following.geometry, following.first)
                for n in range(at, stop):
                    pages[n - first], ok[n - first] = cut.page(n)
            at = stop
        return pages, ok

    def alternatives(self, page: int) -> Bytes:
        """``page`` as seen from the intact frames before and after it, uint8 (n, page_size).

        None where both see the same.

        A part of it that was neither overwritten nor cut is right in one of them, if bytes were put in or
        taken out only once between those frames.
        """
        index = max(0, bisect_right(self._firsts, page) - 1)
        run = self._runs[index]
        geometries = [run.geometry]
        if not index and page <= run.first:
            geometries += self._outer[:1]
        if page >= run.last:
            following = self._runs[index + 1 : index + 2]
            geometries += [following[0].geometry] if following else self._outer[1:]
        different = list(dict.fromkeys(geometries))
        if len(different) < 2:
            return super().alternatives(page)
        return np.concatenate([geometry.read(self.file, page, 1)[0] for geometry in different])

    def close(self) -> None:
        """Let go of the file; twice is harmless."""
        self.file.close()


def rescan(
    where: str | os.PathLike[str] | ByteSource,
    profile: Profile,
    page_count: int = 0,
    mode: Mode | None = None,
) -> PageSource:
    """Open a file by the headers of its frames, wherever they are; for files whose pages fail by arithmetic.

    where: a path, or a source, which is taken over. page_count: how many pages the file had, if that is
    known. mode: of pages that are modulated.

    Raises ``StorageError`` for what cannot be opened, ``DamagedFileError`` where no frame of ``profile`` is
    found.
    """
    file = open_source(where)
    try:
        metadata: Metadata | None = None
        with suppress(NotAudioMemoryError, DamagedFileError):
            metadata = read_metadata(file, stream_start(file))
        spectrum = None if mode is None else spectrum_of(profile, mode)
        frames = page_count
        if spectrum is not None and page_count:
            frames = spectrum.shape.first_frame(page_count) + spectrum.shape.lead
        pages = ScannedPages(file, profile, metadata, frames)
        return pages if spectrum is None else ModulatedPages(pages, spectrum)
    except BaseException:
        file.close()
        raise


def _ends(file: ByteSource, runs: list[Run], metadata: Metadata | None, total: int) -> list[Geometry]:
    """Where frames are as seen from the end of the metadata, and from the end of the file."""
    profile = runs[0].geometry.profile
    start = metadata.audio_start if metadata else runs[0].geometry.audio_start
    end = file.size - frame_offset(profile, 0, total) if total else runs[-1].geometry.audio_start
    return [Geometry(profile, start), Geometry(profile, end)]


def _scan(file: ByteSource, profile: Profile, limit: int) -> tuple[Numbers, Numbers]:
    """Places and numbers (int64) of all frame headers with numbers below ``limit``, in order."""
    places, numbers = [], []
    for start in range(0, file.size, CHUNK):
        length = min(CHUNK, file.size - start)
        place, number, _ = find_headers(padded(file, start, length), profile)
        kept = (number < limit).nonzero()[0][: 2 * length // frame_size(profile, 0) + SPARE_HEADERS]
        places.append(place[kept] + start)
        numbers.append(number[kept])
    return np.concatenate(places), np.concatenate(numbers)
