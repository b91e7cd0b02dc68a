"""Finding our frames in a file, whatever its metadata says.

A *geometry* is a profile and the offset of frame 0; with both, every page has its place. It is read off frame headers that
are really there, and believed only when the end of the file agrees: a frame that another encoder made smaller moves all
that follow, so frames that are in place at the end are in place everywhere. That way a file keeps its pages when
STREAMINFO, the whole metadata or the first frames are lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fastcrc import crc16

from audiomem_sql.audio.frames import (
    MAX_HEADER_SIZE,
    SYNC,
    VERBATIM,
    frame_count,
    frame_header,
    frame_offset,
    parse_frame_header,
)
from audiomem_sql.audio.profiles import Profile
from audiomem_sql.audio.rawfile import RawFile

SEARCH_BYTES = 8 << 20
"""How much of a file is searched for a frame: five frames of the largest possible profile."""
END_FRAMES = 64
"""How many frames at the end may all be damaged before a geometry is no longer believed."""
CANDIDATES = 16
"""How many geometries of one file are tried."""


@dataclass(frozen=True)
class Geometry:
    """Where the frames are: frame n at ``frame_offset(profile, audio_start, n)``."""

    profile: Profile
    audio_start: int

    def offset(self, n: int) -> int:
        """Byte offset of frame ``n``."""
        return frame_offset(self.profile, self.audio_start, n)

    def frames_in(self, file: RawFile) -> int:
        """Whole frames between ``audio_start`` and the end of the file."""
        return frame_count(self.profile, file.size - self.audio_start)

    def in_place(self, file: RawFile, n: int) -> bool:
        """Whether the header of frame ``n``, and the verbatim mark after it, are where they should be."""
        expected = frame_header(self.profile, n) + bytes([VERBATIM])
        return file.read(self.offset(n), len(expected)) == expected

    def last_in_place(self, file: RawFile, stop: int) -> int | None:
        """The highest of the ``END_FRAMES`` frames before ``stop`` that is in place."""
        return next(
            (n for n in range(stop - 1, max(-1, stop - 1 - END_FRAMES), -1) if self.in_place(file, n)), None
        )


def geometry_at(file: RawFile, audio_start: int) -> Geometry | None:
    """The geometry that the frame at ``audio_start`` announces, if it is a frame 0 that we could have written."""
    raw = file.read(audio_start, MAX_HEADER_SIZE)
    parsed = parse_frame_header(raw)
    if parsed is None or parsed[1] != 0:
        return None
    geometry = Geometry(parsed[0], audio_start)
    return geometry if geometry.in_place(file, 0) else None


def confirmed(file: RawFile, geometry: Geometry, total: int) -> bool:
    """Whether the frames keep to the geometry up to the end. ``total`` is the page count of the metadata, 0 if not known."""
    whole = geometry.frames_in(file)
    if not whole:
        return False
    if total and geometry.offset(total) == file.size:
        return True
    for end in (whole, min(total, whole)):
        last = geometry.last_in_place(file, end)
        if last is not None:
            return not _shortened(file, geometry, last)
    return False


def _shortened(file: RawFile, geometry: Geometry, last: int) -> bool:
    """Whether what follows frame ``last``, the last in place, was not damaged or cut off but made smaller by an encoder.

    Then the next header comes early, or the file ends with a frame that is smaller than ours and yet complete.
    """
    n = last
    following = frame_header(geometry.profile, n + 1)
    if file.read(geometry.offset(n + 1), len(following)) == following:
        n += 1
        following = frame_header(geometry.profile, n + 1)
    start, stop = geometry.offset(n), geometry.offset(n + 1)
    frame = file.read(start, stop - start)
    if following in frame:
        return True
    return len(frame) < stop - start and crc16.umts(frame) == 0  # a CRC over its own footer is zero


def search(file: RawFile) -> Iterator[Geometry]:
    """Geometries that frames near the beginning of the file announce and the end confirms, in order of appearance."""
    head = file.read(0, SEARCH_BYTES)
    seen: set[Geometry] = set()
    at = head.find(SYNC)
    while at >= 0 and len(seen) < CANDIDATES:
        parsed = parse_frame_header(head[at : at + MAX_HEADER_SIZE])
        if parsed is not None:
            profile, n = parsed
            geometry = Geometry(profile, at - frame_offset(profile, 0, n))
            if geometry.audio_start >= 0 and geometry not in seen and geometry.in_place(file, n):
                seen.add(geometry)
                if confirmed(file, geometry, 0):
                    yield geometry
        at = head.find(SYNC, at + 1)
