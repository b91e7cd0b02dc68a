"""Broadcasts whose samples are not the ones that were written: louder, cut, resampled, encoded with loss.

The stream is decoded, and searched for the place where its blocks begin: only there the coefficients lie on
levels. What level there is, and with which sign, the coefficients say too. From both follow samples as they
were, as near as can be; the bytes in them are right, because levels of a broadcast are far apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from audiomem_sql.audio.finding.modulated import ModulatedPages
from audiomem_sql.audio.flac.decoder import UNKNOWN_LENGTH, Decoder
from audiomem_sql.audio.flac.frames import Bytes, Flags
from audiomem_sql.audio.flac.metadata import Metadata
from audiomem_sql.audio.flac.profiles import BLOCK_STEP, CUSTOM, Profile, match, usual_depth
from audiomem_sql.audio.source import (
    PageSource,
    Probe,
)
from audiomem_sql.audio.spectrum.bits import split
from audiomem_sql.audio.spectrum.control import CONTROL, mode_of_control
from audiomem_sql.audio.spectrum.plans import BLOCK_SIZES, LOWEST, Mode
from audiomem_sql.audio.spectrum.shape import (
    BROADCAST_FIELDS,
    LOSSY_FIELDS,
    modulated_profiles,
)
from audiomem_sql.audio.spectrum.spectrum import Spectrum, spectrum_of
from audiomem_sql.audio.spectrum.transform import DCT, Floats, coefficient, packed, transforms
from audiomem_sql.bytes import ByteSource
from audiomem_sql.errors import DamagedFileError, MissingExtraError, NotAudioMemoryError, OptionError

if TYPE_CHECKING:
    import numpy.typing as npt

Numbered = Callable[[bytes], "int | None"]
"""Given the first ``HEAD_BYTES`` of a page, returns its number, or None."""

PLACES = (0.5, 0.25, 0.75, 0.1, 0.9)
"""Where in a file blocks are looked for, as shares of its length."""
LISTENED, FINER = 120, 600
"""Coefficients from 100 Hz on that tell whether a block begins here or nearby, and those that tell it to the
sample."""
BESIDE = 4
"""So many samples before and behind are looked at then."""
AGREED = 0.055
"""Mean square distance from the next level, in units of the distance of two, at most; without levels it is
1/12."""
AT_ONCE = 256
"""Places that are tried together."""
UNITS = 32
"""Blocks by which the level is measured."""
SAME = 2e-4
"""A level that is so near that of the writer is that one."""
NUMBERED_PAGES = 8
"""Pages to either side of a place that are asked where page 0 begins; half of them, once one has answered.
A file may have several runs of pages that are numbered from 0: as many in front of a run are asked for
another."""
MAX_CHANNELS_HEARD = 2


def aligned(
    file: ByteSource, start: int, metadata: Metadata, probe: Probe, numbered: Numbered
) -> ModulatedPages | None:
    """The pages of a broadcast, whatever was done to its samples.

    None if there are none, or scipy is not installed.

    What ``probe`` raises besides ``NotAudioMemoryError`` passes through.
    """
    try:
        transforms()
        shape = match(metadata.sample_rate, 24, metadata.channels, BLOCK_SIZES[0])
    except (MissingExtraError, OptionError):
        return None
    decoder = Decoder(file.reopen(), start)
    try:
        heard = _listen(decoder, shape, probe, numbered)
    except DamagedFileError:
        heard = None
    except BaseException:
        decoder.close()
        raise
    if heard is None:
        decoder.close()
        return None
    spectrum, arrangement = heard
    return ModulatedPages(AlignedSound(decoder, spectrum, arrangement, metadata), spectrum)


@dataclass(frozen=True)
class Arrangement:
    """Sample 0 of frame 0, which may lie before the file.

    What to multiply each channel with, (channels,); samples there are.
    """

    origin: int
    gains: Floats
    length: int


class AlignedSound(PageSource):
    """A ``PageSource`` of sound as it was before something was done to it, but for noise.

    Takes over ``decoder``.
    """

    verbatim = False
    in_place = False
    mode: Mode | None = None

    def __init__(
        self, decoder: Decoder, spectrum: Spectrum, arrangement: Arrangement, metadata: Metadata
    ) -> None:
        self.file = decoder.file
        self.path = decoder.file.name
        self.profile = spectrum.shape.profile
        self.page_size = self.profile.page_size
        self.application = metadata.application
        self.comments = metadata.comments
        self.arrangement = arrangement
        self._decoder = decoder
        #: As many as were cut off are counted, so that what counts pages from the end finds them.
        self.present = max(
            spectrum.shape.lead, -((arrangement.origin - arrangement.length) // self.profile.block_size)
        )
        self.page_count = self.present + spectrum.shape.lead

    def read_checked(self, first: int, count: int) -> tuple[Bytes, Flags]:
        """The same with a flag a frame: False where samples are missing, which are zeros."""
        pages = np.zeros((count, self.page_size), np.uint8)
        ok = np.zeros(count, np.bool_)
        for row in range(count):
            pages[row], ok[row] = self._frame(first + row)
        return pages, ok

    def _frame(self, n: int) -> tuple[Bytes, bool]:
        profile, there = self.profile, self.arrangement.length
        start = self.arrangement.origin + n * profile.block_size
        low, high = max(0, start), min(there, start + profile.block_size)
        samples = np.zeros((profile.channels, profile.block_size))
        try:
            if low < high:
                heard = self._decoder.samples(low, high - low).T
                samples[:, low - start : low - start + heard.shape[1]] = heard
        except DamagedFileError:
            return np.zeros(self.page_size, np.uint8), False
        samples *= self.arrangement.gains[:, None]
        limit = float(1 << profile.bits_per_sample - 1)
        steps = np.clip(np.rint(samples * (limit / (1 << 31))), -limit, limit - 1)
        return packed(steps, profile), high - low == profile.block_size

    def close(self) -> None:
        """Let go of the file; twice is harmless."""
        self._decoder.close()


def _listen(
    decoder: Decoder, shape: Profile, probe: Probe, numbered: Numbered
) -> tuple[Spectrum, Arrangement] | None:
    length = decoder.length()
    if length >= UNKNOWN_LENGTH:
        return None
    for share in PLACES:
        with suppress(DamagedFileError):  # there may be another place that can be decoded
            at = max(0, min(int(length * share), length - 2 * DCT))
            heard = decoder.samples(at, 2 * DCT).T / float(1 << 31)
            if heard.shape[1] < 2 * DCT or not heard.any():
                continue
            begin = _block_start(heard[:MAX_CHANNELS_HEARD], shape)
            if begin is not None and (
                arranged := _pages(decoder, shape, at + begin, length, probe, numbered)
            ):
                return arranged
    return None


def _block_start(heard: Floats, shape: Profile) -> int | None:
    """Where in samples, (channels, 2 × DCT), a block begins; None if nowhere."""
    windows = np.lib.stride_tricks.sliding_window_view(heard.astype(np.float32), DCT, axis=1)
    parts = [
        _distances(windows[:, start : start + AT_ONCE], shape, LISTENED) for start in range(0, DCT, AT_ONCE)
    ]
    distances = np.concatenate(parts)
    if distances.min() > AGREED:
        return None
    likeliest = int(np.argmin(distances))
    near = np.arange(max(0, likeliest - BESIDE), min(DCT, likeliest + BESIDE) + 1)
    finer = _distances(windows[:, near], shape, FINER)
    return int(near[np.argmin(finer)])


def _distances(windows: npt.NDArray[np.float32], shape: Profile, listened: int) -> Floats:
    """Mean square distance of coefficients from the levels that fit best.

    windows: (channels, n, DCT) → (n,).
    """
    first, low = coefficient(LOWEST, shape), coefficient(100.0, shape)
    spectra = transforms().dct(windows, type=2, norm="ortho", axis=-1)
    pilots = np.abs(spectra[..., first + CONTROL - 1, None]) / 3.5 * (63 / 12) ** 0.5 + 1e-9
    part = spectra[..., low : low + listened] / pilots
    distances = []
    for fields in (*BROADCAST_FIELDS, LOSSY_FIELDS):
        level = part * ((4.0 ** np.array(split(fields)) - 1) / 12).mean() ** 0.5 + 0.5
        distances.append(((level - np.rint(level)) ** 2).mean(axis=(0, 2)))
    return np.asarray(np.min(distances, axis=0))


def _pages(
    decoder: Decoder, shape: Profile, begin: int, length: int, probe: Probe, numbered: Numbered
) -> tuple[Spectrum, Arrangement] | None:
    """How the sound is modulated and where its pages are, if a block begins at sample ``begin``."""
    first = coefficient(LOWEST, shape)
    count = min(UNITS, (length - begin) // DCT)
    heard = decoder.samples(begin, count * DCT).T / float(1 << 31)
    spectra = transforms().dct(heard.reshape(shape.channels, -1, DCT), type=2, norm="ortho", axis=-1)
    pilots = np.abs(spectra[..., first + CONTROL - 1]).mean(axis=0)
    spectra = spectra[:, pilots > pilots.max() / 2]  # not what is silent, or cut in the middle
    mode = mode_of_control(spectra[..., first : first + CONTROL].reshape(-1, CONTROL))
    if mode is None or not mode.broadcast:
        return None
    # that of the writer: what was done to the samples may have changed the depth
    depth = usual_depth(shape)
    base = Profile(CUSTOM, shape.sample_rate, depth, shape.channels, BLOCK_SIZES[0])
    for profile in modulated_profiles(base):
        try:
            spectrum = spectrum_of(
                match(profile.sample_rate, depth, profile.channels, profile.block_size), mode
            )
        except (DamagedFileError, OptionError):
            continue
        gains = _gains(spectrum, spectra)
        origin = _origin(decoder, spectrum, begin, gains, length, probe, numbered)
        if origin is not None:
            return spectrum, Arrangement(origin, gains, length)
    return None


def _gains(spectrum: Spectrum, spectra: Floats) -> Floats:
    """The factor of each channel, (channels,), with which its coefficients lie on levels.

    spectra: (channels, units, DCT).
    """
    full_scale = float(1 << spectrum.shape.profile.bits_per_sample - 1)
    used = spectrum.shape.carrying
    distance, bits = spectrum.shape.distance / full_scale, max(spectrum.shape.bits)
    pilot = spectra[..., spectrum.shape.first + CONTROL - 1].mean(axis=1)
    carrying = spectra[..., used].reshape(len(spectra), -1)
    gains = np.sign(pilot) * spectrum.shape.amplitude / full_scale / np.sqrt((carrying**2).mean(axis=1))
    top = ((1 << bits) - 1) / 2
    for _ in range(4):  # what the levels say that it is now nearest to
        wanted = (np.clip(np.rint(carrying * gains[:, None] / distance + top), 0, 2 * top) - top) * distance
        gains = (wanted**2).sum(axis=1) / (wanted * carrying).sum(axis=1)
    return np.asarray(np.where(np.abs(gains - 1) < SAME, 1.0, gains))


def _origin(
    decoder: Decoder,
    spectrum: Spectrum,
    begin: int,
    gains: Floats,
    length: int,
    probe: Probe,
    numbered: Numbered,
) -> int | None:
    """Sample 0 of frame 0, by the page headers of some pages; None where there are none."""
    block = spectrum.shape.profile.block_size
    length_of_page = spectrum.shape.frames * block

    def run_of(at: int) -> int | None:
        """Where the run begins to which the page belongs that begins at sample ``at``; None if none does."""
        if not 0 <= at < length - BLOCK_STEP:
            return None
        sound = AlignedSound(decoder, spectrum, Arrangement(at, gains, length), _NOTHING)
        heard, whole = sound.read_checked(0, spectrum.shape.frames)
        if whole.all():
            head = spectrum.head(heard)
            with suppress(NotAudioMemoryError):
                if probe(head) == block and (number := numbered(head)) is not None:
                    return at - number * length_of_page
        return None

    def voted(phase: int, pages: range) -> Counter[int]:
        places = (begin + phase * DCT + page * length_of_page for page in pages)
        return Counter(run for run in map(run_of, places) if run is not None)

    def first_of_all(run: int) -> int:
        """Where the run begins that has no other in front of it."""
        page = 1
        while page <= NUMBERED_PAGES:
            before = run_of(run - page * length_of_page)
            page += 1
            if before is not None and before < run:
                run, page = before, 1
        return run

    # Mostly nothing was cut off, and little put before.
    off = [
        (begin + phase * DCT - spectrum.shape.lead * block) % length_of_page
        for phase in range(length_of_page // DCT)
    ]
    phases = sorted(range(len(off)), key=lambda phase: min(off[phase], length_of_page - off[phase]))
    for pages in (range(-1, 1), range(-NUMBERED_PAGES, NUMBERED_PAGES)):
        for phase in phases:
            if voted(phase, pages):
                votes = voted(phase, range(-NUMBERED_PAGES // 2, NUMBERED_PAGES // 2))
                return first_of_all(votes.most_common(1)[0][0]) - spectrum.shape.lead * block
    return None


_NOTHING = Metadata(0, 0, 0, 0, 0, 0, b"", 0)
