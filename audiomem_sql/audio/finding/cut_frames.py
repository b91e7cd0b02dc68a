"""Pages between two frame headers that do not lie as arithmetic wants.

Bytes were put in, or are missing, somewhere between. What is before that place is right as seen from the
header before (*front*), what is behind it as seen from the header after (*back*). The place itself is told by

- the CRC-16 of a frame, which is right for a frame that is whole on either side, and, where bytes were put
  in, for the cut page with the right ones taken out (about one time in three also with others);
- the bytes that are known: those of frame headers and the marks of the subframes.

Between two known bytes the place of missing bytes cannot be told here; both readings are offered to who can
tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from audiomem_sql.audio.finding.locate import Geometry, complete
from audiomem_sql.audio.flac.frames import (
    MAX_HEADER_SIZE,
    VERBATIM,
    Bytes,
    Flags,
    Numbers,
    frame_header,
    frame_size,
    header_size,
    unpack_frames,
)
from audiomem_sql.bytes import ByteSource

if TYPE_CHECKING:
    import numpy.typing as npt

CRC16_POLYNOMIAL = 0x18005
CRC16_PERIOD = (1 << 15) - 1
"""x to this power is 1, modulo the polynomial, which is (x + 1)(x¹⁵ + x + 1)."""


@dataclass(frozen=True)
class _View:
    """``size`` bytes of a file from ``offset`` on, zeros outside ``first`` to ``stop``."""

    offset: int
    size: int
    first: int
    stop: int

    @property
    def start(self) -> int:
        """Where in the view the bytes of the file begin."""
        return max(0, self.first - self.offset)

    @property
    def end(self) -> int:
        """Where in the view the bytes of the file end."""
        return max(0, min(self.size, self.stop - self.offset))

    @property
    def range(self) -> tuple[int, int]:
        """Offset and length of the bytes of the file."""
        return self.offset + self.start, max(0, self.end - self.start)

    def filled(self, data: bytes) -> Bytes:
        """The view, uint8 (size,), with ``data`` as its bytes of the file."""
        view = np.zeros(self.size, dtype=np.uint8)
        view[self.start : self.start + len(data)] = np.frombuffer(data, dtype=np.uint8)
        return view


@dataclass(frozen=True)
class CutFrames:
    """Frame ``last`` is in place by ``before``, frame ``first``, the next that was found, by ``after``."""

    file: ByteSource
    before: Geometry
    last: int
    after: Geometry
    first: int

    def page(self, n: int) -> tuple[Bytes, bool]:
        """Page ``n``, uint8 (page_size,), and whether its frame is intact, CRC-16 included.

        ``last <= n < first``.
        """
        profile = self.before.profile
        size = frame_size(profile, n)
        start, stop = self.before.offset(self.last), self.after.offset(self.first)
        length = size + header_size(profile, n + 1)
        front_view = _View(self.before.offset(n), length, start, stop)
        back_view = _View(self.after.offset(n), length, start, stop + MAX_HEADER_SIZE)
        front_bytes, back_bytes = self.file.read([front_view.range, back_view.range])
        front, front_end = front_view.filled(front_bytes), front_view.end
        back, back_start = back_view.filled(back_bytes), back_view.start
        places, values = self._known(n)
        front_known, back_known = front[places] == values, back[places] == values
        front_known &= places < front_end
        back_known &= places >= back_start
        front[places] = back[places] = values
        front, back = front[:size], back[:size]
        inside = places < size
        if complete(front.tobytes()):
            return self._payload(n, front), bool(front_known[inside].all())
        if complete(back.tobytes()):
            return self._payload(n, back), bool(back_known[inside].all())
        front_end, back_start = min(front_end, size), min(back_start, size)
        cut = self._cut(n, front, back, places, front_known, back_known)
        frame = np.zeros(size, dtype=np.uint8)
        # Where only one of the two has a byte of the file, that one is taken on either side of the cut.
        frame_end = min(max(cut, back_start), front_end)
        frame_start = max(min(cut, front_end), back_start)
        frame[:frame_end] = front[:frame_end]
        frame[frame_start:] = back[frame_start:]
        return self._payload(n, frame), False

    def _known(self, n: int) -> tuple[Numbers, Bytes]:
        """Places in frame ``n`` and the header after it, and the bytes that have to be there."""
        profile = self.before.profile
        header, following, size = (
            frame_header(profile, n),
            frame_header(profile, n + 1),
            frame_size(profile, n),
        )
        marks = len(header) + np.arange(profile.channels) * (1 + profile.channel_size)
        places = np.concatenate([np.arange(len(header)), marks, size + np.arange(len(following))])
        values = header + bytes([VERBATIM]) * profile.channels + following
        return places, np.frombuffer(values, dtype=np.uint8)

    def _cut(
        self,
        n: int,
        front: Bytes,
        back: Bytes,
        places: Numbers,
        front_known: Flags,
        back_known: Flags,
    ) -> int:
        """Up to which byte of frame ``n`` the front is the better guess."""
        size = len(front)
        scores = np.concatenate([[0], np.cumsum(front_known)]) + np.concatenate(
            [np.cumsum(back_known[::-1])[::-1], [0]]
        )
        best = (scores == scores.max()).nonzero()[0]
        least, most = int(best[0]), int(best[-1])
        if least == 0 and most == len(places):  # nothing known is left of either
            return size if n - self.last < self.first - n else 0
        if least == 0:
            return 0
        if most == len(places):
            return size
        low, high = min(int(places[least - 1]) + 1, size), min(int(places[most]), size)
        if self.after.audio_start > self.before.audio_start:
            cuts = cuts_by_crc(front, back)
            cuts = cuts[(cuts >= low) & (cuts <= high)]
            if len(cuts):
                return int(cuts[0])
        return (low + high) // 2

    def _payload(self, n: int, frame: Bytes) -> Bytes:
        page = np.empty((1, self.before.profile.page_size), dtype=np.uint8)
        unpack_frames(self.before.profile, n, frame[None], page)
        payload: Bytes = page[0]
        return payload


def cuts_by_crc(front: Bytes, back: Bytes) -> Numbers:
    """Each c, int64 rising, for which ``front[:c] + back[c:]`` is a frame with the right CRC-16.

    Both uint8 (n,).

    The CRC is linear: it is the sum of what each byte contributes at its place, so all n + 1 are known from
    sums up to c.
    """
    mixed = np.bitwise_xor.accumulate(_contributions(front) ^ _contributions(back))
    total = np.bitwise_xor.reduce(_contributions(back))
    sums = np.concatenate([[total], total ^ mixed])
    cuts: Numbers = (sums == 0).nonzero()[0]
    return cuts


def _contributions(frame: Bytes) -> npt.NDArray[np.uint16]:
    """What each byte adds to the remainder of the frame, uint16 (n,)."""
    powers = np.arange(8 * (len(frame) - 1), -1, -8) % CRC16_PERIOD
    sums = np.zeros(len(frame), dtype=np.uint16)
    for bit in range(8):
        sums ^= (frame >> bit & 1) * _POWERS[(powers + bit) % CRC16_PERIOD]
    return sums


def _powers() -> npt.NDArray[np.uint16]:
    """x⁰, x¹, … modulo the polynomial, over one period."""
    powers, power = [], 1
    for _ in range(CRC16_PERIOD):
        powers.append(power)
        power <<= 1
        if power >> 16:
            power ^= CRC16_POLYNOMIAL
    return np.array(powers, dtype=np.uint16)


_POWERS = _powers()
