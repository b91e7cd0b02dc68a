"""What is worked out once of a modulation.

Which coefficients of a page carry which bits, and how far apart the levels are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from audiomem_sql.audio.flac.profiles import MIN_PAGE_SIZE, Profile
from audiomem_sql.audio.spectrum.bits import Words, split, stream
from audiomem_sql.audio.spectrum.control import CONTROL
from audiomem_sql.audio.spectrum.plans import BLOCK_SIZES, CODEWORD, LOWEST, Mode
from audiomem_sql.audio.spectrum.slots import Slot
from audiomem_sql.audio.spectrum.transform import DCT, coefficient
from audiomem_sql.errors import OptionError

if TYPE_CHECKING:
    import numpy.typing as npt

"""Samples of a channel in a page: the first that makes pages large enough."""
NULLS = 5
"""Coefficients that the flat plan leaves at zero between its levels, so that wrong samples show."""
PAGE_STEP = 1024
PEAK = 10 ** (-0.1 / 20)
"""Largest sample, as a share of full scale: −0.1 dBFS."""
DISTANCE = {3: 2.3, 5: 3.4}
"""Between two levels in steps of a sample, by the coefficients that carry a 64-bit word, where samples arrive
as they were."""
LOUD = (255 / 12) ** 0.5 / 32
"""Root mean square of a coefficient of a broadcast, in full scales: its samples are noise at −18 dBFS."""
BROADCAST_FIELDS = (26, 16, 12)
"""Coefficients that carry a word of a broadcast: the first that leaves room for a page; the first only with
codes to correct it."""
LOSSY_FIELDS = 64
"""Coefficients that carry a word where lossy encoders are to be borne: one bit each."""
MAX_FRAMES = 32
"""Frames of a page at most."""
MAX_FRAME = 200_000
"""Bytes of a frame at most: ffmpeg reads no FLAC whose first ten frames have more than 2 MiB."""
QUIET = 10 ** (-3.1 / 20)
"""Largest sample of a broadcast: 3 dB more do not clip it."""
LEAD_SECONDS = 1.0
"""A broadcast begins and ends with so much silence, in whole frames: nothing is lost with what is cut off
there."""


@dataclass(frozen=True, eq=False)
class Shape:
    """The modulation of one shape of sound in one mode: numbers only. Safe to share.

    Of a page
        page_size: bytes that it carries; ``frames`` of it, and ``units``, its blocks; ``slots``: its bands.
    Of a block
        first: its first control coefficient; per_word: coefficients that carry a 64-bit word, of ``bits``
        each.
    Of a coefficient
        distance: of two levels, in steps of a sample; amplitude: root mean square of one that carries bits;
        control_distance: of two levels of a control coefficient; peak: the largest sample, all in those
        steps. level: what holds twice the number of a level. precision: of transforms, since the levels of a
        broadcast are far apart.
    lead: frames of silence before the first page, and behind the last.
    """

    profile: Profile
    mode: Mode
    per_word: int
    bits: tuple[int, ...]
    distance: float
    amplitude: float
    control_distance: float
    peak: int
    level: type[np.signedinteger[Any]]
    precision: type[np.floating[Any]]
    lead: int
    first: int
    frames: int
    units: int
    slots: tuple[Slot, ...]
    page_size: int

    @classmethod
    def of(cls, profile: Profile, mode: Mode, *, checked: bool = True, per_word: int = 0) -> Shape:
        """The shape of ``profile`` in ``mode``.

        checked: OptionError for pages that are too small. per_word: 0 for what suits the mode.
        """
        full_scale = 1 << profile.bits_per_sample - 1
        per_word = per_word or _per_word(profile, mode)
        bits = split(per_word)
        spread = float(np.sqrt(((4.0 ** np.array(bits) - 1) / 12).mean()))  # a coefficient's, in levels
        distance = LOUD * full_scale / spread if mode.broadcast else DISTANCE[per_word]
        amplitude = spread * distance
        frames, units, slots, page_size = _page(profile, mode, per_word)
        if checked and page_size < MIN_PAGE_SIZE:
            raise OptionError(f"a page of {page_size} bytes; the smallest is {MIN_PAGE_SIZE}")
        return cls(
            profile=profile,
            mode=mode,
            per_word=per_word,
            bits=bits,
            distance=distance,
            amplitude=amplitude,
            control_distance=amplitude / (63 / 12) ** 0.5,
            peak=int((QUIET if mode.broadcast else PEAK) * full_scale),
            level=np.int8 if max(bits) < 7 else np.int32,
            precision=np.float32 if mode.broadcast else np.float64,
            lead=ceil(LEAD_SECONDS * profile.sample_rate / profile.block_size) if mode.broadcast else 0,
            first=coefficient(LOWEST, profile),
            frames=frames,
            units=units,
            slots=slots,
            page_size=page_size,
        )

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
        """XOR words, uint64 (n, words), with the streams of blocks ``units``, int64 (n,), of a page.

        The same again undoes it.
        """
        plain = self._stream(0)
        words ^= plain[units]
        for row in np.flatnonzero(seeds).tolist():
            words[row] ^= plain[units[row]] ^ self._stream(int(seeds[row]))[units[row]]

    def _stream(self, seed: int) -> Words:
        """What the words of a page are XORed with, uint64 (units, words)."""
        parts = [stream(number, seed, self.units, slot.words) for number, slot in enumerate(self.slots)]
        return np.concatenate(parts, axis=1)


@lru_cache(maxsize=32)
def spectrum_profile(base: Profile, mode: Mode) -> Profile:
    """The profile in which ``base`` is modulated.

    It has its rate, depth and channels, and a block size for pages of 8 KiB or more.
    """
    for per_word in _word_widths(base, mode):
        for profile in modulated_profiles(base)[: 1 if mode.lossy else None]:
            if Shape.of(profile, mode, checked=False, per_word=per_word).page_size >= MIN_PAGE_SIZE:
                return profile
    names = ", ".join(band.name for band in mode.plan.bands)
    raise OptionError(
        f"profile {base.name} has no room for a page in the bands {names}",
        remedy="Choose another band plan or profile.",
    )


def modulated_profiles(base: Profile) -> list[Profile]:
    """The profiles in which ``base`` may be modulated, smaller frames first."""
    profiles = [
        Profile(base.name, base.sample_rate, base.bits_per_sample, base.channels, block)
        for block in BLOCK_SIZES
    ]
    return [profile for profile in profiles if profile.page_size <= MAX_FRAME]


def _word_widths(profile: Profile, mode: Mode) -> tuple[int, ...]:
    """Numbers of coefficients that may carry a word, most robust first."""
    if mode.lossy:
        return (LOSSY_FIELDS,)
    if not mode.broadcast:
        return (3,) if profile.bits_per_sample == 24 else (5,)
    return BROADCAST_FIELDS if mode.bands else BROADCAST_FIELDS[1:]


def _per_word(profile: Profile, mode: Mode) -> int:
    """Coefficients that carry a word: the first number with which a frame has room for a page."""
    widths = _word_widths(profile, mode)
    for per_word in widths[:-1]:
        for modulated in modulated_profiles(profile):
            if Shape.of(modulated, mode, checked=False, per_word=per_word).page_size >= MIN_PAGE_SIZE:
                return per_word
    return widths[-1]


def _page(profile: Profile, mode: Mode, per_word: int) -> tuple[int, int, tuple[Slot, ...], int]:
    """Frames, blocks, bands and bytes of a page.

    It has as many frames as make it large enough, where it may have several.
    """
    blocks = profile.channels * (profile.block_size // DCT)
    spans = mode.lossy and profile.block_size == BLOCK_SIZES[0]  # frames are short then
    for frames in range(1, MAX_FRAMES + 1 if spans else 2):
        slots = _slots(profile, mode, per_word, blocks * frames)
        page_size = sum(slot.payload for slot in slots) // PAGE_STEP * PAGE_STEP
        if page_size >= MIN_PAGE_SIZE:
            break
    return frames, blocks * frames, slots, page_size


def _slots(profile: Profile, mode: Mode, per_word: int, units: int) -> tuple[Slot, ...]:
    """The bands of a page of so many blocks."""
    slots = []
    bits, first = split(per_word), coefficient(LOWEST, profile)
    limit = coefficient(mode.limit(profile.sample_rate), profile)
    for band in mode.plan.bands:
        if band.name == "control":
            continue
        low = max(coefficient(band.low, profile), first + CONTROL)
        high = min(coefficient(band.high, profile), limit, DCT)
        words = (high - low - (0 if mode.bands else NULLS)) // per_word
        if words < 1:
            continue
        left = high - low - words * per_word
        starts = tuple(low + j * words + j * left // per_word for j in range(per_word))
        stored = payload = words * 8 * units
        if band.data_bytes < CODEWORD:
            payload = stored // CODEWORD * band.data_bytes
        slots.append(Slot(band, low, high, words, starts, bits, stored, payload))
    return tuple(slots)
