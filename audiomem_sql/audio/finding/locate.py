"""Where our frames are in a file, whatever its metadata says.

A *geometry* is a profile and the offset of frame 0; with both, every page has its place. It is read off frame
headers that are really there. When the last frame of the file is where arithmetic puts it, all are: a frame
that another encoder made smaller, and bytes that were put in or taken out, move all that follow. When the end
does not answer, ``census`` asks the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from fastcrc import crc16

from audiomem_sql.audio.finding.sync import find_headers
from audiomem_sql.audio.flac.frames import (
    MAX_HEADER_SIZE,
    NUMBER_STEPS,
    VERBATIM,
    Bytes,
    Flags,
    Numbers,
    frame_count,
    frame_header,
    frame_offset,
    frame_offsets,
    frame_size,
    header_size,
    number_runs,
    parse_frame_header,
    unpack_frames,
)
from audiomem_sql.audio.flac.profiles import Profile
from audiomem_sql.bytes import ByteSource

PROBES = 64
"""Frames looked at in a stretch of any length."""
AFTER = 256 << 10
"""How far behind the last frame in place the next is looked for."""


class Arrangement(Enum):
    """How the frames of a file lie."""

    IN_PLACE = "where arithmetic puts them, as far as they are intact"
    DISPLACED = "ours, but bytes were put in or taken out"
    ENCODED = "made by another encoder, some smaller than ours"


@dataclass(frozen=True)
class Geometry:
    """Where the frames are: frame n at ``frame_offset(profile, audio_start, n)``.

    ``audio_start`` is below 0 where so much is gone before the frames in question.
    """

    profile: Profile
    audio_start: int

    def offset(self, n: int) -> int:
        """Byte offset of frame ``n``."""
        return frame_offset(self.profile, self.audio_start, n)

    def frames_in(self, file: ByteSource) -> int:
        """Whole frames between ``audio_start`` and the end of the file."""
        return frame_count(self.profile, file.size - self.audio_start)

    def in_place(self, file: ByteSource, n: int) -> bool:
        """Whether the header of frame ``n``, and the verbatim mark after it, are where they should be."""
        expected = frame_header(self.profile, n) + bytes([VERBATIM])
        return n >= 0 and file.read_at(self.offset(n), len(expected)) == expected

    def furthest(self, file: ByteSource, low: int, stop: int) -> int:
        """The highest frame from ``low`` to before ``stop`` that is found in place.

        ``low`` itself is not looked at.

        Looks at ``PROBES`` frames from the end on, then at as many above the first that answers, and so on:
        what it finds is the last if about one in ``PROBES`` is intact up to there.
        """
        while stop - low > 1:
            step = -(-(stop - 1 - low) // PROBES)
            hit = next((n for n in range(stop - 1, low, -step) if self.in_place(file, n)), low)
            low, stop = hit, min(stop, hit + step)
        return low

    def place(self, n: int, byte: int) -> int:
        """Byte offset in the file of ``byte`` of the page in frame ``n``."""
        channel = byte // self.profile.channel_size
        return self.offset(n) + header_size(self.profile, n) + byte + channel + 1

    def places(self, pages: Numbers, bytes_: Numbers) -> Numbers:
        """:meth:`place` of many bytes, int64 (n,)."""
        lengths = 1 + np.searchsorted(NUMBER_STEPS, pages, side="right")
        headers = lengths + (header_size(self.profile, 0) - 1)
        within = headers + bytes_ + bytes_ // self.profile.channel_size + 1
        return np.asarray(frame_offsets(self.profile, pages) + (self.audio_start + within))

    def read(
        self, file: ByteSource, first: int, count: int, part: tuple[int, int] | None = None
    ) -> tuple[Bytes, Flags]:
        """Pages, uint8 (count, page_size), and whether each is in its frame, bool (count,).

        False where header or subframe bytes are not those expected.

        Zeros for what is not in the file. One ``pread``; raises only ``StorageError``. part: the only bytes
        of the file to be read; the others count as zeros, and the frames as not intact.
        """
        start, stop = self.offset(first), self.offset(first + count)
        low, high = part or (max(start, 0), stop)
        raw = np.frombuffer(file.read_at(low, high - low), dtype=np.uint8)
        before, there = min(low - start, stop - start), len(raw)
        if there < stop - start:
            read, raw = raw, np.empty(stop - start, np.uint8)
            raw[:before], raw[before : before + there], raw[before + there :] = 0, read, 0
        pages = np.empty((count, self.profile.page_size), dtype=np.uint8)
        ok = np.empty(count, dtype=np.bool_)
        for n, run in number_runs(first, count):
            at, size = self.offset(n) - start, frame_size(self.profile, n)
            frames = raw[at : at + run * size].reshape(run, size)
            rows = slice(n - first, n - first + run)
            ok[rows] = unpack_frames(self.profile, n, frames, pages[rows])
        if before + there < stop - start:
            whole = frame_count(self.profile, start + before + there - self.audio_start)
            ok[max(0, whole - first) :] = False
        return pages, ok


def geometry_at(file: ByteSource, audio_start: int) -> Geometry | None:
    """The geometry that the frame at ``audio_start`` announces.

    None unless it is a frame 0 that we could have written.
    """
    raw = file.read_at(audio_start, MAX_HEADER_SIZE)
    parsed = parse_frame_header(raw)
    if parsed is None or parsed[1] != 0:
        return None
    geometry = Geometry(parsed[0], audio_start)
    return geometry if geometry.in_place(file, 0) else None


def confirmed(file: ByteSource, geometry: Geometry, total: int) -> bool:
    """Whether the end of the file keeps to the geometry.

    ``total`` is the page count of the metadata, 0 if not known.
    """
    whole = geometry.frames_in(file)
    if not whole:
        return False
    if total and geometry.offset(total) == file.size:
        return True
    return any(
        geometry.in_place(file, end - 1) and behind(file, geometry, end - 1) is Arrangement.IN_PLACE
        for end in (whole, min(total, whole))
    )


def behind(file: ByteSource, geometry: Geometry, last: int) -> Arrangement:
    """What became of the frames behind ``last``, the last one in place.

    They were damaged or cut off, displaced, or made smaller.
    """
    n = last
    header = frame_header(geometry.profile, n + 1)
    if file.read_at(geometry.offset(n + 1), len(header)) == header:
        n += 1  # in place, but not verbatim: an encoder made just this one smaller
    start, stop = geometry.offset(n), geometry.offset(n + 1)
    data = padded(file, start, stop - start + AFTER)
    places, numbers, _ = find_headers(data, geometry.profile)
    following = (numbers == n + 1) & (places < stop - start)
    end = int(places[following][0]) if following.any() else max(0, file.size - start)
    if end < stop - start and complete(data[:end].tobytes()):
        return Arrangement.ENCODED
    starts = places + start - frame_offsets(geometry.profile, numbers)
    moved = (numbers > n) & (starts != geometry.audio_start)
    return Arrangement.DISPLACED if moved.any() else Arrangement.IN_PLACE


def complete(frame: bytes) -> bool:
    """Whether ``frame`` ends with its CRC-16: the CRC over all of it is then zero."""
    return len(frame) > 0 and crc16.umts(frame) == 0


def padded(file: ByteSource, start: int, length: int) -> Bytes:
    """``length`` bytes from ``start`` on, and ``MAX_HEADER_SIZE`` more, uint8.

    So headers are found up to ``length``. Zeros stand for what is beyond the end of the file, as far as those
    go.
    """
    data = file.read_at(start, length + MAX_HEADER_SIZE)
    data += bytes(min(MAX_HEADER_SIZE, length + MAX_HEADER_SIZE - len(data)))
    return np.frombuffer(data, dtype=np.uint8)
