"""Pages that lie in the spectrum of the sound: a ``PageSource`` on top of another one."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping

import numpy as np

from audiomem_sql.audio.flac.frames import Bytes, Flags
from audiomem_sql.audio.flac.profiles import Profile, usual_depth
from audiomem_sql.audio.source import (
    PageSource,
    Probe,
)
from audiomem_sql.audio.spectrum.health import ROUNDING, BandReading, Health
from audiomem_sql.audio.spectrum.plans import CODEWORD, Mode
from audiomem_sql.audio.spectrum.spectrum import Spectrum, identify, spectrum_of
from audiomem_sql.audio.spectrum.transform import DCT
from audiomem_sql.errors import DamagedFileError, MissingExtraError, NotAudioMemoryError
from audiomem_sql.observe import hooks

FRAMES_AT_ONCE = 64
"""Frames that are demodulated together, or one page."""
REMEMBERED = 64
"""Pages that are kept once they are demodulated: a query asks for many small places of one page, a scan in
the order of the rows for some cells of a page after the other, and, by importance, for others of the same
pages later, …"""
DOUBTFUL_BYTES = 32 << 20
"""… and bytes of pages with wrong samples, which take long."""


class ModulatedPages(PageSource):
    """A ``PageSource`` over ``sound``, whose pages are demodulated. Safe to use from many threads.

    Which frames are a page is known here and to ``Shape.first_frame``. A page of several frames is there if
    more than half of them are.

    Takes over ``sound``. ``health`` is what reading showed of each band so far, by name.
    """

    def __init__(self, sound: PageSource, spectrum: Spectrum) -> None:
        self.file = sound.file
        self.path = sound.path
        self.profile = sound.profile
        self.page_size = spectrum.shape.page_size
        self.page_count = spectrum.shape.pages_in(sound.page_count - spectrum.shape.lead)
        self.present = min(spectrum.shape.pages_in(sound.present), self.page_count)
        self.verbatim = sound.verbatim
        self.in_place = sound.in_place
        self.application = sound.application
        self.comments = sound.comments
        self.spectrum = spectrum
        self.shape = spectrum.shape
        self.mode: Mode | None = spectrum.shape.mode
        self.health: dict[str, Health] = {slot.band.name: Health() for slot in spectrum.shape.slots}
        self._sound = sound
        #: Whether codes are asked at once: where a lossy encoder was at work, a page without errors is the
        #: exception.
        self._corrects = spectrum.shape.mode.lossy and not sound.verbatim
        self._lock = threading.Lock()
        self._pages: OrderedDict[int, tuple[Bytes, bool, Flags]] = OrderedDict()
        self._hard: OrderedDict[int, tuple[Bytes, bool, Flags]] = OrderedDict()

    def read_checked(self, first: int, count: int) -> tuple[Bytes, Flags]:
        """Pages, and whether each is as it was written.

        False where the frame is not intact, or a block of it is not what was written.
        """
        pages = np.zeros((count, self.page_size), np.uint8)
        ok = np.zeros(count, np.bool_)
        with self._lock:
            known = {}
            for kept in (self._pages, self._hard):
                for n in range(first, first + count):
                    if n in kept:
                        known[n] = kept[n]
                        kept.move_to_end(n)
        start = first
        while start < first + count:
            if start in known:
                pages[start - first], ok[start - first] = known[start][:2]
                start += 1
                continue
            stop = start + 1
            while stop < first + count and stop not in known:
                stop += 1
            rows = slice(start - first, stop - first)
            pages[rows], ok[rows] = self._demodulated(start, stop - start)
            start = stop
        return pages, ok

    def _demodulated(self, first: int, count: int) -> tuple[Bytes, Flags]:
        if count > (most := max(1, FRAMES_AT_ONCE // self.shape.frames)):
            parts = [
                self._demodulated(at, min(most, first + count - at))
                for at in range(first, first + count, most)
            ]
            return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
        sound, ok = self._heard(first, count)
        reading = self.spectrum.demodulate(sound, measured=True, correct=self._corrects)
        good = ok & ~reading.doubtful.any(axis=1)
        with self._lock:
            self._count(reading.health)
            for row in range(count):
                if reading.doubtful[row].any() or row >= count - REMEMBERED:
                    kept = self._hard if reading.doubtful[row].any() else self._pages
                    kept[first + row] = reading.pages[row].copy(), bool(good[row]), reading.doubtful[row]
            while len(self._hard) * self.page_size > DOUBTFUL_BYTES:
                self._hard.popitem(last=False)
            while len(self._pages) > REMEMBERED:
                self._pages.popitem(last=False)
        return reading.pages, good

    def _heard(self, first: int, count: int) -> tuple[Bytes, Flags]:
        """The sound of pages, uint8 (count, sound_size), and whether all frames of each are intact."""
        frames = self.shape.frames
        sound, ok = self._sound.read_checked(self.shape.first_frame(first), count * frames)
        whole: Flags = np.asarray(ok.reshape(count, frames).all(axis=1))
        return sound.reshape(count, -1), whole

    def alternatives(self, page: int) -> Bytes:
        """What the codes of the bands make of the page, and other readings of its sound."""
        with self._lock:
            decoded_already = page in self._hard or self._corrects
        usual, _ = self._heard(page, 1)
        others = []
        for frame in range(self.shape.frames):
            for other in self._sound.alternatives(self.shape.first_frame(page) + frame):
                others.append(usual[0].copy())
                others[-1][frame * len(other) : (frame + 1) * len(other)] = other
        if decoded_already and not others:
            return np.empty((0, self.page_size), np.uint8)
        sounds = np.stack([usual[0], *others])
        if len(sounds) == 1 and all(slot.code is None for slot in self.shape.slots):
            return np.empty((0, self.page_size), np.uint8)
        reading = self.spectrum.demodulate(sounds, correct=True)
        with self._lock:
            self._count(reading.health)
        return reading.pages

    @property
    def sound(self) -> PageSource:
        """The frames that are demodulated."""
        return self._sound

    def frames_for(self, pages: int) -> int:
        """Frames of so many pages, with the silence before and behind them."""
        return self.shape.first_frame(pages) + self.shape.lead

    def pages_in(self, frames: int) -> int:
        """Those whose last frame is among them."""
        return max(0, frames - self.shape.lead) // self.shape.frames

    def band_readings(self, pages: int) -> list[BandReading]:
        """The bands, lower ones first, with the health that reading showed so far.

        ``pages`` pages all over the file are measured, too.
        """
        hertz = self.profile.sample_rate / (2 * DCT)
        health = self.measured(pages)
        return [
            BandReading(
                name=slot.band.name,
                low=slot.low * hertz,
                high=slot.high * hertz,
                bits=sum(slot.bits) / len(slot.bits),
                redundancy=CODEWORD / slot.band.data_bytes,
                page_bytes=stop - start,
                rounding=ROUNDING / self.shape.distance,
                health=health[slot.band.name],
            )
            for slot, start, stop in self.shape.parts
        ]

    def measured(self, pages: int) -> dict[str, Health]:
        """The health of each band that reading showed so far, by name.

        ``pages`` pages all over the file are measured, too.
        """
        healths = {name: Health() for name in self.health}
        for page in sorted({n * self.present // pages for n in range(pages)} if self.present else ()):
            sound, _ = self._heard(page, 1)
            for name, health in self.spectrum.demodulate(sound, measured=True, correct=True).health.items():
                healths[name].add(health)
        with self._lock:
            for name, health in self.health.items():
                healths[name].add(health)
        return healths

    def _count(self, found: Mapping[str, Health]) -> None:
        for name, health in found.items():
            self.health[name].add(health)
            if health.corrections or health.lost:
                hooks.corrected(self.path, "band", health.corrections, health.lost)

    def doubtful(self, page: int) -> Flags:
        """The bytes of a page whose block of samples is not what was written, bool (page_size,)."""
        self.read_checked(page, 1)
        with self._lock:
            known = self._hard.get(page)
        lost = np.zeros(self.page_size, np.bool_)
        if known is None:
            return lost
        for slot, start, stop in self.shape.parts:
            if slot.band.data_bytes == CODEWORD:  # a band with a code has made what it can of it
                lost[start:stop] = np.repeat(known[2], slot.words * 8)[: stop - start]
        return lost

    def close(self) -> None:
        """Let go of the file; twice is harmless."""
        self._sound.close()


def modulation_of(
    sound: Bytes, profile: Profile, probe: Probe, frame: int, frames: Callable[[int, int], Bytes]
) -> Spectrum | None:
    """The modulation of a frame; None if there is no page of ours in it, and without scipy.

    sound: frame number ``frame``, uint8 (page_size,) of ``profile``. frames: the samples of others, by the
    first and how many, where a page has several.

    What ``probe`` raises besides ``NotAudioMemoryError`` passes through.
    """
    try:
        mode = identify(sound, profile)
    except MissingExtraError:
        return None
    if mode is None or (mode.broadcast and profile.bits_per_sample != usual_depth(profile)):
        return None  # a broadcast that lost bits is listened to (``aligned``)
    try:
        spectrum = spectrum_of(profile, mode)
        if spectrum.shape.frames > 1:
            page = max(0, frame - spectrum.shape.lead) // spectrum.shape.frames
            sound = frames(spectrum.shape.first_frame(page), spectrum.shape.frames)
        return spectrum if probe(spectrum.head(sound)) == profile.block_size else None
    except (NotAudioMemoryError, DamagedFileError):
        return None
