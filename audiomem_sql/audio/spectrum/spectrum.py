"""Bytes ⇄ frequencies: pages as the coefficients of a cosine transform.

The samples of a channel are cut into blocks of 4,096. Each block is the inverse of an orthonormal DCT-II (Ahmed, Natarajan,
Rao 1974), computed by scipy.fft; its coefficient k is the amplitude at k × rate ÷ 8,192 Hz. Coefficients carry 64-bit words, a few
bits each, as Gray-coded levels at equal distances. Samples are rounded to integers, which disturbs every coefficient by 0.29
on average; the distance of levels leaves room for that, and the writer decodes what it wrote before it keeps it.

Bytes are scrambled, so that amplitudes are those of noise whatever the bytes are. A block that would come too close to
full scale is scrambled with the next seed; the seed is in its control coefficients.

What carries nothing – coefficients below 20 Hz, those left over in a band – is zero, and control coefficients are far apart.
A wrong sample shows there, and a few of them can be located and taken out (``mending``).
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from audiomem_sql.audio.flac.frames import HEAD_BYTES, Bytes
from audiomem_sql.audio.flac.profiles import MIN_PAGE_SIZE, Profile
from audiomem_sql.audio.spectrum.bits import Words, split, stream
from audiomem_sql.audio.spectrum.control import CONTROL, STRICT, voted
from audiomem_sql.audio.spectrum.demodulator import Demodulator, Reading
from audiomem_sql.audio.spectrum.modulator import Modulator
from audiomem_sql.audio.spectrum.plans import CODEWORD, LOWEST, Mode
from audiomem_sql.audio.spectrum.slots import Slot
from audiomem_sql.audio.spectrum.transform import DCT, coefficient, transforms, unpacked
from audiomem_sql.errors import DamagedFileError, OptionError

BLOCK_SIZES = (16_384, 32_768, 49_152)
"""Samples of a channel in a page: the first that makes pages large enough."""
NULLS = 5
"""Coefficients that the flat plan leaves at zero between its levels, so that wrong samples show."""
PAGE_STEP = 1024
HEAD_BANDS = 2
"""Bands in which a page begins: the first has at least a copy of its header."""
PEAK = 10 ** (-0.1 / 20)
"""Largest sample, as a share of full scale: −0.1 dBFS."""
DISTANCE = {3: 2.3, 5: 3.4}
"""Between two levels in steps of a sample, by the coefficients that carry a 64-bit word, where samples arrive as they were."""
LOUD = (255 / 12) ** 0.5 / 32
"""Root mean square of a coefficient of a broadcast, in full scales: its samples are noise at −18 dBFS."""
BROADCAST_FIELDS = (26, 16, 12)
"""Coefficients that carry a word of a broadcast: the first that leaves room for a page; the first only with codes to correct it."""
LOSSY_FIELDS = 64
"""Coefficients that carry a word where lossy encoders are to be borne: one bit each."""
MAX_FRAMES = 32
"""Frames of a page at most."""
MAX_FRAME = 200_000
"""Bytes of a frame at most: ffmpeg reads no FLAC whose first ten frames have more than 2 MiB."""
QUIET = 10 ** (-3.1 / 20)
"""Largest sample of a broadcast: 3 dB more do not clip it."""
LEAD_SECONDS = 1.0
"""A broadcast begins and ends with so much silence, in whole frames: nothing is lost with what is cut off there."""


@lru_cache(maxsize=32)
def spectrum_profile(base: Profile, mode: Mode) -> Profile:
    """The shape of sound in which ``base`` is modulated: its rate, depth and channels, and a block size for pages of 8 KiB or more."""
    for per_word in _words(base, mode):
        for shape in shapes(base)[: 1 if mode.lossy else None]:
            if Spectrum(shape, mode, checked=False, per_word=per_word).page_size >= MIN_PAGE_SIZE:
                return shape
    raise OptionError(
        f"profile {base.name} has no room for a page in the bands {', '.join(band.name for band in mode.plan.bands)}",
        remedy="Choose another band plan or profile.",
    )


def shapes(base: Profile) -> list[Profile]:
    """The shapes of sound in which ``base`` may be modulated, smaller frames first."""
    found = [
        Profile(base.name, base.sample_rate, base.bits_per_sample, base.channels, block)
        for block in BLOCK_SIZES
    ]
    return [shape for shape in found if shape.page_size <= MAX_FRAME]


def _words(shape: Profile, mode: Mode) -> tuple[int, ...]:
    """Coefficients that may carry a word, most robust first."""
    if mode.lossy:
        return (LOSSY_FIELDS,)
    if not mode.broadcast:
        return (3,) if shape.bits_per_sample == 24 else (5,)
    return BROADCAST_FIELDS if mode.bands else BROADCAST_FIELDS[1:]


def _per_word(shape: Profile, mode: Mode) -> int:
    """Coefficients that carry a word: the first number with which a frame has room for a page."""
    words = _words(shape, mode)
    for per_word in words[:-1]:
        for each in shapes(shape):
            if Spectrum(each, mode, checked=False, per_word=per_word).page_size >= MIN_PAGE_SIZE:
                return per_word
    return words[-1]


class Spectrum:
    """The modulation of one shape of sound in one mode. ``page_size``: bytes that a page carries. Safe to share."""

    def __init__(self, profile: Profile, mode: Mode, *, checked: bool = True, per_word: int = 0) -> None:
        self.profile = profile
        self.mode = mode
        full_scale = 1 << profile.bits_per_sample - 1
        self.per_word = per_word or _per_word(profile, mode)
        self.bits = split(self.per_word)
        #: Root mean square of a coefficient that carries bits, in levels.
        spread = float(np.sqrt(((4.0 ** np.array(self.bits) - 1) / 12).mean()))
        self.distance = LOUD * full_scale / spread if mode.broadcast else DISTANCE[self.per_word]
        self.peak = int((QUIET if mode.broadcast else PEAK) * full_scale)
        #: What holds twice the number of a level.
        self.level: type[np.signedinteger[Any]] = np.int8 if max(self.bits) < 7 else np.int32
        #: Of transforms: the levels of a broadcast are far apart.
        self.precision: type[np.floating[Any]] = np.float32 if mode.broadcast else np.float64
        #: Frames of silence before the first page, and behind the last.
        self.lead = ceil(LEAD_SECONDS * profile.sample_rate / profile.block_size) if mode.broadcast else 0
        #: The same in steps of a sample.
        self.amplitude = spread * self.distance
        self.control_distance = self.amplitude / (63 / 12) ** 0.5
        self.first = coefficient(LOWEST, profile)
        blocks = profile.channels * (profile.block_size // DCT)
        for frames in range(1, MAX_FRAMES + 1 if self._spans(profile, mode) else 2):
            #: Frames of a page, and its blocks.
            self.frames, self.units = frames, blocks * frames
            self.slots = self._slots()
            capacity = sum(slot.payload for slot in self.slots)
            self.page_size = capacity // PAGE_STEP * PAGE_STEP
            if self.page_size >= MIN_PAGE_SIZE:
                break
        if checked and self.page_size < MIN_PAGE_SIZE:
            raise OptionError(f"a page of {self.page_size} bytes; the smallest is {MIN_PAGE_SIZE}")

    @staticmethod
    def _spans(profile: Profile, mode: Mode) -> bool:
        """Whether a page may have several frames, which are short then."""
        return mode.lossy and profile.block_size == BLOCK_SIZES[0]

    @property
    def sound_size(self) -> int:
        """Bytes of the samples of a page."""
        return self.frames * self.profile.page_size

    def first_frame(self, page: int) -> int:
        """The number of the frame in which a page begins."""
        return self.lead + page * self.frames

    def pages_in(self, frames: int) -> int:
        """Pages that begin in the first frames of a file, and of which more than half is there."""
        return max(0, frames - self.lead + (self.frames - 1) // 2) // self.frames

    def _slots(self) -> tuple[Slot, ...]:
        slots = []
        limit = coefficient(self.mode.limit(self.profile.sample_rate), self.profile)
        for band in self.mode.plan.bands:
            if band.name == "control":
                continue
            low = max(coefficient(band.low, self.profile), self.first + CONTROL)
            high = min(coefficient(band.high, self.profile), limit, DCT)
            words = (high - low - (0 if self.mode.bands else NULLS)) // self.per_word
            if words < 1:
                continue
            left = high - low - words * self.per_word
            starts = tuple(low + j * words + j * left // self.per_word for j in range(self.per_word))
            stored = payload = words * 8 * self.units
            if band.data_bytes < CODEWORD:
                payload = stored // CODEWORD * band.data_bytes
            slots.append(Slot(band, low, high, words, starts, self.bits, stored, payload))
        return tuple(slots)

    @cached_property
    def carrying(self) -> npt.NDArray[np.int64]:
        """Coefficients that carry bits."""
        used = [np.arange(start, start + slot.words) for slot in self.slots for start in slot.starts]
        return np.concatenate(used)

    @cached_property
    def nulls(self) -> npt.NDArray[np.int64]:
        """Coefficients that are always zero."""
        used = np.zeros(DCT, np.bool_)
        used[self.first : self.first + CONTROL] = True
        for slot in self.slots:
            for start in slot.starts:
                used[start : start + slot.words] = True
        return np.flatnonzero(~used)

    @cached_property
    def parts(self) -> tuple[tuple[Slot, int, int], ...]:
        """(slot, first byte, byte behind the last) of a page, by bands."""
        parts, at = [], 0
        for slot in self.slots:
            stop = min(at + slot.payload, self.page_size)
            parts.append((slot, at, stop))
            at = stop
        return tuple(parts)

    @cached_property
    def columns(self) -> tuple[slice, ...]:
        """Where the words of each slot are, when those of a block stand side by side."""
        ends = np.cumsum([slot.words for slot in self.slots]).tolist()
        return tuple(slice(end - slot.words, end) for end, slot in zip(ends, self.slots, strict=True))

    @cached_property
    def fields(self) -> tuple[tuple[int, int], ...]:
        """(lowest bit, bits) of the fields of a word."""
        return tuple((sum(self.bits[:place]), bits) for place, bits in enumerate(self.bits))

    @cached_property
    def tops(self) -> Any:
        """The highest level of each coefficient, ``level`` (DCT,); 0 for those that carry no bits."""
        tops = np.zeros(DCT, self.level)
        for slot in self.slots:
            for start, bits in zip(slot.starts, slot.bits, strict=True):
                tops[start : start + slot.words] = (1 << bits) - 1
        return tops

    @cached_property
    def carries(self) -> Any:
        """1 for each coefficient that carries bits, otherwise 0, ``precision`` (DCT,)."""
        return (self.tops > 0).astype(self.precision)

    def scramble(self, words: Words, seeds: npt.NDArray[np.int64], units: npt.NDArray[np.int64]) -> None:
        """XOR words, uint64 (n, words), with the streams of blocks ``units``, int64 (n,), of a page. The same again undoes it."""
        plain = self._stream(0)
        words ^= plain[units]
        for row in np.flatnonzero(seeds).tolist():
            words[row] ^= plain[units[row]] ^ self._stream(int(seeds[row]))[units[row]]

    def _stream(self, seed: int) -> Words:
        """What the words of a page are XORed with, uint64 (units, words)."""
        parts = [stream(number, seed, self.units, slot.words) for number, slot in enumerate(self.slots)]
        return np.concatenate(parts, axis=1)

    @cached_property
    def _modulator(self) -> Modulator:
        return Modulator(self)

    @cached_property
    def _demodulator(self) -> Demodulator:
        return Demodulator(self)

    def modulate(self, pages: Bytes) -> Bytes:
        """Pages, uint8 (n, page_size), as samples, uint8 (n, sound_size): frame by frame, laid out as FlacWriter wants them."""
        return self._modulator.modulate(pages)

    def spectra(self, sound: Bytes) -> Any:
        """The coefficients, (n, units, DCT), of samples as bytes, uint8 (n, sound_size)."""
        return self._demodulator.spectra(sound)

    def head(self, sound: Bytes) -> bytes:
        """The first ``HEAD_BYTES`` of a page, of whose bands no more than needed are decoded; sound: uint8, sound_size of them."""
        reading = self._demodulator.demodulate(sound.reshape(1, -1), correct=True, bands=HEAD_BANDS)
        return reading.pages[0, :HEAD_BYTES].tobytes()

    def demodulate(self, sound: Bytes, *, measured: bool = False, correct: bool = False) -> Reading:
        """Samples as bytes, uint8 (n, sound_size), as pages; see ``Demodulator``."""
        return self._demodulator.demodulate(sound, measured=measured, correct=correct)


def identify(sound: Bytes, profile: Profile) -> Mode | None:
    """The mode of a page, uint8 (page_size,) of ``profile``, by the control coefficients of its blocks; None if they agree on none.

    Two bits of a mode say nothing of the rate or depth, so ``profile`` must be what the sound has.
    """
    if profile.block_size not in BLOCK_SIZES:
        return None
    blocks = unpacked(sound[None], profile).reshape(-1, DCT)
    coefficients = transforms().dct(blocks, type=2, norm="ortho", axis=-1)
    first = coefficient(LOWEST, profile)
    for broadcast in (False, True):
        distance = Spectrum(profile, Mode(0, broadcast), checked=False).control_distance
        mode = voted(coefficients[:, first : first + CONTROL] / distance + 3.5, STRICT)
        if mode is not None and mode.broadcast == broadcast:
            return mode
    return None


def spectrum_of(profile: Profile, mode: Mode) -> Spectrum:
    """The modulation of a shape of sound as it is; ``DamagedFileError`` if that mode does not fit it."""
    try:
        return _spectrum(profile, mode)
    except OptionError as fault:
        raise DamagedFileError(f"the modulation cannot be that of this sound: {fault.what}") from None


@lru_cache(maxsize=16)
def _spectrum(profile: Profile, mode: Mode) -> Spectrum:
    return Spectrum(profile, mode)
