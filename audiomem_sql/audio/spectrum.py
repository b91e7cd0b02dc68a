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

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from audiomem_sql.audio.bands import CODEWORD, LOWEST, Band, Mode
from audiomem_sql.audio.frames import Bytes, Flags
from audiomem_sql.audio.profiles import MIN_PAGE_SIZE, Profile
from audiomem_sql.errors import DamagedFileError, LimitError, MissingExtraError, OptionError
from audiomem_sql.protection.interleave import Interleave
from audiomem_sql.protection.reed_solomon import ReedSolomon

Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.uint64]

DCT = 4096
"""Samples of a block, and its coefficients."""
BLOCK_SIZES = (16_384, 32_768, 49_152)
"""Samples of a channel in a page: the first that makes pages large enough."""
CONTROL = 7
"""Control coefficients of a block: four for the seed, two for the mode, one pilot; three bits each."""
SEED_DIGITS, MODE_DIGITS = 4, 2
STRICT, LENIENT = 0.1, 0.4
"""How far from whole numbers control levels may be, in sound that is as it was written, and in any."""
SEEDS = 8**SEED_DIGITS
NULLS = 5
"""Coefficients that the flat plan leaves at zero between its levels, so that wrong samples show."""
PAGE_STEP = 1024
PEAK = 10 ** (-0.1 / 20)
"""Largest sample, as a share of full scale: −0.1 dBFS."""
ROUNDING = 12**-0.5
"""Standard deviation of a coefficient whose samples were rounded."""
MARGIN = 0.02
"""By so much a coefficient stays away from the border between two levels, when it is written."""
FIXES = 8
"""How often a block is nudged away from borders before another seed is tried."""

PROBED = 2
"""Codewords of a band that tell whether the others are worth decoding."""

DISTANCE = {3: 2.3, 5: 3.4}
"""Between two levels in steps of a sample, by the coefficients that carry a 64-bit word, where samples arrive as they were."""
LOUD = (255 / 12) ** 0.5 / 32
"""Root mean square of a coefficient of a broadcast, in full scales: its samples are noise at −18 dBFS."""
BROADCAST_FIELDS = (26, 16, 12)
"""Coefficients that carry a word of a broadcast: the first that leaves room for a page; the first only with codes to correct it."""
MAX_FRAME = 200_000
"""Bytes of a frame at most: ffmpeg reads no FLAC whose first ten frames have more than 2 MiB."""
QUIET = 10 ** (-3.1 / 20)
"""Largest sample of a broadcast: 3 dB more do not clip it."""
LEAD_SECONDS = 1.0
"""A broadcast begins and ends with so much silence, in whole frames: nothing is lost with what is cut off there."""


@lru_cache(maxsize=1)
def transforms() -> Any:
    """``scipy.fft``; ``MissingExtraError`` where scipy is not installed."""
    try:
        from scipy import fft
    except ImportError:
        raise MissingExtraError(
            "modulation=spectrum needs scipy", remedy="pip install 'audiomem-sql[sound]'"
        ) from None
    return fft


@dataclass(frozen=True)
class Slot:
    """A band in a page.

    ``words`` of 64 bits in each block; field j of them is in the coefficients from ``starts[j]`` on, ``bits[j]`` bits each.
    ``stored`` bytes in a page, of which ``payload`` count; ``low``, ``high``: its range of coefficients.
    """

    band: Band
    low: int
    high: int
    words: int
    starts: tuple[int, ...]
    bits: tuple[int, ...]
    stored: int
    payload: int

    @property
    def code(self) -> ReedSolomon | None:
        """The code of the band; None for one without redundancy."""
        return ReedSolomon(CODEWORD, self.band.data_bytes) if self.band.data_bytes < CODEWORD else None

    @property
    def codewords(self) -> int:
        """Codewords in a page."""
        return self.stored // CODEWORD


@dataclass
class Health:
    """What reading showed of a band: ``error`` is the sum of squared deviations from the levels, in units of half the distance
    between two (1 is a border), over ``coefficients``; ``corrections``: bytes that its code corrected; ``lost``: codewords that it
    could not."""

    error: float = 0.0
    coefficients: int = 0
    corrections: int = 0
    lost: int = 0

    @property
    def magnitude(self) -> float | None:
        """Error-vector magnitude: root mean square deviation, 1 for the border between levels; None if not measured."""
        return (self.error / self.coefficients) ** 0.5 if self.coefficients else None

    def add(self, other: Health) -> None:
        """Count in what another reading showed."""
        self.error += other.error
        self.coefficients += other.coefficients
        self.corrections += other.corrections
        self.lost += other.lost


@dataclass
class Reading:
    """Pages as they were demodulated.

    pages: uint8 (n, page_size). doubtful: bool (n, units), blocks whose samples are not those that were written. health: by the
    name of the band.
    """

    pages: Bytes
    doubtful: Flags
    health: dict[str, Health] = field(default_factory=dict)


def spectrum_profile(base: Profile, mode: Mode) -> Profile:
    """The shape of sound in which ``base`` is modulated: its rate, depth and channels, and a block size for pages of 8 KiB or more."""
    for per_word in _words(base, mode):
        for shape in shapes(base):
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
        self.units = profile.channels * (profile.block_size // DCT)
        full_scale = 1 << profile.bits_per_sample - 1
        self.per_word = per_word or _per_word(profile, mode)
        self.bits = split(self.per_word)
        #: Root mean square of a coefficient that carries bits, in levels.
        spread = float(np.sqrt(((4.0 ** np.array(self.bits) - 1) / 12).mean()))
        self.distance = LOUD * full_scale / spread if mode.broadcast else DISTANCE[self.per_word]
        self.peak = int((QUIET if mode.broadcast else PEAK) * full_scale)
        #: Frames of silence before the first page, and behind the last.
        self.lead = ceil(LEAD_SECONDS * profile.sample_rate / profile.block_size) if mode.broadcast else 0
        #: The same in steps of a sample.
        self.amplitude = spread * self.distance
        self.control_distance = self.amplitude / (63 / 12) ** 0.5
        self.first = coefficient(LOWEST, profile)
        self.slots = self._slots()
        capacity = sum(slot.payload for slot in self.slots)
        self.page_size = capacity // PAGE_STEP * PAGE_STEP
        if checked and self.page_size < MIN_PAGE_SIZE:
            raise OptionError(f"a page of {self.page_size} bytes; the smallest is {MIN_PAGE_SIZE}")

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

    # -- bytes to sound -------------------------------------------------------------------------------------------

    def modulate(self, pages: Bytes) -> Bytes:
        """Pages, uint8 (n, page_size), as samples, uint8 (n, profile.page_size), laid out as FlacWriter wants them."""
        out = np.empty((len(pages), self.profile.page_size), np.uint8)
        for n, page in enumerate(pages):
            out[n] = self._modulate(page)
        return out

    def _modulate(self, page: Bytes) -> Bytes:
        words = [self._stored(slot, page[start:stop]) for slot, start, stop in self.parts]
        seeds = np.zeros(self.units, np.int64)
        coefficients = np.zeros((self.units, DCT))
        units = np.arange(self.units)
        self._place(words, seeds, units, coefficients)
        samples = self._samples(coefficients)
        bad = self._unfit(samples, coefficients)
        while bad.any():
            units = np.flatnonzero(bad)
            seeds[units] += 1
            if seeds.max() >= SEEDS:
                raise LimitError("no scrambling keeps these bytes below full scale")  # 2 ** -4096 by chance
            some = np.zeros((len(units), DCT))
            self._place(words, seeds, units, some)
            part = self._samples(some)
            bad = np.zeros(self.units, np.bool_)
            bad[units] = self._unfit(part, some)
            samples[units] = part
        return self._packed(samples)

    def _stored(self, slot: Slot, payload: Bytes) -> Words:
        """What a band stores of its part of a page: uint64 (units, words), little-endian."""
        stored = np.zeros(slot.stored, np.uint8)
        code = slot.code
        if code is None:
            stored[: len(payload)] = payload
        else:
            data = np.zeros(slot.payload, np.uint8)
            data[: len(payload)] = payload
            weave = Interleave(slot.codewords, code.k)
            words = code.encode(weave.decode(data[None]))
            stored[: slot.codewords * CODEWORD] = Interleave(slot.codewords).encode(words)[0]
        return stored.view("<u8").reshape(self.units, slot.words)

    def _place(
        self, words: list[Words], seeds: npt.NDArray[np.int64], units: npt.NDArray[np.int64], out: Floats
    ) -> None:
        """Fill ``out``, zeros (len(units), DCT), with the coefficients of ``units``."""
        out[:, self.first : self.first + CONTROL] = self._control(seeds[units])
        for number, (slot, own) in enumerate(zip(self.slots, words, strict=True)):
            scrambled = own[units] ^ self._scramble(number, seeds[units], units)
            levels = _from_gray(scrambled, slot.bits)
            shift = 0
            for start, bits in zip(slot.starts, slot.bits, strict=True):
                field = levels >> np.uint64(shift) & np.uint64((1 << bits) - 1)
                part = out[:, start : start + slot.words]
                np.subtract(field, ((1 << bits) - 1) / 2, out=part)
                part *= self.distance
                shift += bits

    def _control(self, seeds: npt.NDArray[np.int64]) -> Floats:
        """The control coefficients, (n, CONTROL)."""
        digits = np.empty((len(seeds), CONTROL), np.int64)
        for place in range(SEED_DIGITS):
            digits[:, place] = seeds >> 3 * place & 7
        for place in range(MODE_DIGITS):
            digits[:, SEED_DIGITS + place] = self.mode.code >> 3 * place & 7
        digits[:, -1] = _GRAY3[7]
        control: Floats = (_UNGRAY3[digits] - 3.5) * self.control_distance
        return control

    def _scramble(self, slot: int, seeds: npt.NDArray[np.int64], units: npt.NDArray[np.int64]) -> Words:
        """What the words of a band are XORed with, uint64 (n, words)."""
        words = self.slots[slot].words
        if not seeds.any():
            found: Words = _stream(slot, 0, self.units, words)[units]
            return found
        rows = [
            _stream(slot, int(seed), self.units, words)[unit] for seed, unit in zip(seeds, units, strict=True)
        ]
        return np.stack(rows)

    def _samples(self, coefficients: Floats) -> Floats:
        samples = transforms().idct(coefficients, type=2, norm="ortho", axis=-1)
        return np.asarray(np.rint(samples, out=samples))

    def _unfit(self, samples: Floats, coefficients: Floats) -> Flags:
        """Blocks that are too loud, or that would not be read as they are; the others are nudged until they are."""
        bad = np.asarray((samples.max(axis=-1) > self.peak) | (samples.min(axis=-1) < -self.peak))
        if self.distance > 2 * DCT**0.5:  # more than rounding can do
            return bad
        room = self.distance / 2 - MARGIN
        units = np.flatnonzero(~bad)
        wanted = coefficients
        nudged = np.zeros((0, DCT))
        for attempt in range(FIXES + 1):
            error = transforms().dct(samples[units], type=2, norm="ortho", axis=-1)
            error -= wanted[units]
            error[:, self.nulls] = 0
            error[:, self.first : self.first + CONTROL] = 0
            off = np.maximum(error.max(axis=-1), -error.min(axis=-1)) > room
            if not off.any():
                return bad
            if attempt == FIXES:
                bad[units[off]] = True
                return bad
            nudged = wanted[units] if not attempt else nudged
            nudged, units, error = nudged[off], units[off], error[off]
            beyond = np.abs(error) - room
            nudged -= np.sign(error) * np.where(beyond > 0, beyond + 0.1, 0)
            samples[units] = self._samples(nudged.copy())
            loud = np.abs(samples[units]).max(axis=-1) > self.peak
            bad[units[loud]] = True
            nudged, units = nudged[~loud], units[~loud]
            if not len(units):
                return bad
        return bad

    def _packed(self, samples: Floats) -> Bytes:
        """Samples, (units, DCT), as big-endian bytes, uint8 (profile.page_size,)."""
        width = self.profile.bytes_per_sample
        whole = samples.reshape(-1).astype(">i4")
        return np.ascontiguousarray(whole.view(np.uint8).reshape(-1, 4)[:, 4 - width :]).reshape(-1)

    # -- sound to bytes -------------------------------------------------------------------------------------------

    def spectra(self, sound: Bytes) -> Floats:
        """The coefficients, (n, units, DCT), of samples as bytes, uint8 (n, profile.page_size)."""
        return np.asarray(
            transforms().dct(
                unpacked(sound, self.profile).reshape(len(sound), self.units, DCT),
                type=2,
                norm="ortho",
                axis=-1,
            )
        )

    def demodulate(self, sound: Bytes, *, measured: bool = False, correct: bool = False) -> Reading:
        """Samples as bytes, uint8 (n, profile.page_size), as pages; bytes that are wrong are not noticed here.

        measured: health is worked out from some blocks. correct: bands with a code are decoded, whether or not anything
        looks wrong; otherwise only on pages with a doubtful block.
        """
        reading = Reading(
            np.empty((len(sound), self.page_size), np.uint8), np.zeros((len(sound), self.units), np.bool_)
        )
        for n in range(len(sound)):
            coefficients = self.spectra(sound[n : n + 1])[0]
            self.read_coefficients(coefficients, n, reading, measured=measured, correct=correct)
        return reading

    def read_coefficients(
        self, coefficients: Floats, n: int, reading: Reading, *, measured: bool = False, correct: bool = False
    ) -> None:
        """Page ``n`` of ``reading`` from coefficients, (units, DCT), which are changed where wrong samples are taken out."""
        from audiomem_sql.audio.mending import Mender

        seeds = self._seeds(coefficients)
        doubtful = np.zeros(self.units, np.bool_)
        if not self.mode.broadcast:
            doubtful = Mender.of(self).mend(coefficients)
            if doubtful.any():
                seeds = self._seeds(coefficients)
        reading.doubtful[n] = doubtful
        pilots = coefficients[:, self.first + CONTROL - 1] / self.control_distance
        heard = np.abs(pilots - 3.5) < LENIENT  # silence has no health
        for number, (slot, start, stop) in enumerate(self.parts):
            words = self._words(slot, coefficients)
            words ^= self._scramble(number, seeds, np.arange(self.units))
            stored = np.ascontiguousarray(words.astype("<u8", copy=False)).view(np.uint8).reshape(-1)
            code = slot.code
            health = reading.health.setdefault(slot.band.name, Health()) if measured or code else Health()
            if measured and heard[n % self.units]:
                self._measure(slot, coefficients[n % self.units], health)
            if code is None:
                reading.pages[n, start:stop] = stored[: stop - start]
                continue
            length = slot.codewords * CODEWORD
            if correct or doubtful.any():
                weave = Interleave(slot.codewords)
                erased = np.repeat(doubtful, slot.words * 8)[:length]
                lost = None
                if doubtful.any() and erased.sum() < slot.codewords * code.parities:
                    lost = weave.decode(erased[None])
                received = weave.decode(stored[None, :length])
                if lost is None and not code.decode(received[:PROBED]).intact.any():
                    received = received[:0]  # noise: not worth working through
                found = code.decode(received, lost)
                if not len(received):
                    health.lost += slot.codewords
                    reading.pages[n, start:stop] = stored[: stop - start]
                    continue
                health.corrections += int(found.corrections.sum())
                health.lost += int((~found.intact).sum())
                data = Interleave(slot.codewords, code.k).encode(found.words[:, : code.k])[0]
            else:
                data = stored[: slot.payload]
            reading.pages[n, start:stop] = data[: stop - start]

    def _seeds(self, coefficients: Floats) -> npt.NDArray[np.int64]:
        digits = coefficients[:, self.first : self.first + SEED_DIGITS] / self.control_distance + 3.5
        levels = _GRAY3[np.clip(np.rint(digits), 0, 7).astype(np.int64)]
        return np.asarray((levels << 3 * np.arange(SEED_DIGITS)).sum(axis=-1))

    def _words(self, slot: Slot, coefficients: Floats) -> Words:
        """The words of a band, uint64 (units, words), still scrambled."""
        words = np.zeros((len(coefficients), slot.words), np.uint64)
        shift = 0
        for start, bits in zip(slot.starts, slot.bits, strict=True):
            level = coefficients[:, start : start + slot.words] * (1 / self.distance)
            level += ((1 << bits) - 1) / 2
            np.rint(level, out=level)
            np.clip(level, 0, (1 << bits) - 1, out=level)
            words |= level.astype(np.uint64) << np.uint64(shift)
            shift += bits
        return _to_gray(words, slot.bits)

    def _measure(self, slot: Slot, coefficients: Floats, health: Health) -> None:
        for start, bits in zip(slot.starts, slot.bits, strict=True):
            level = coefficients[start : start + slot.words] / self.distance + ((1 << bits) - 1) / 2
            deviation = level - np.clip(np.rint(level), 0, (1 << bits) - 1)
            health.error += 4 * float((deviation**2).sum())
            health.coefficients += slot.words


def unpacked(sound: Bytes, profile: Profile) -> Floats:
    """Big-endian samples, uint8 (n, …), as float64 (n, …) in steps of a sample."""
    width = profile.bytes_per_sample
    whole = np.zeros((sound.size // width, 4), np.uint8)
    whole[:, :width] = sound.reshape(-1, width)
    return np.asarray((whole.view(">i4")[:, 0] >> 32 - 8 * width).astype(np.float64)).reshape(len(sound), -1)


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
        mode = _voted(coefficients[:, first : first + CONTROL] / distance + 3.5, STRICT)
        if mode is not None and mode.broadcast == broadcast:
            return mode
    return None


def mode_of_control(control: Floats) -> Mode | None:
    """The mode by control coefficients, (n, CONTROL), of any loudness and sign; None if they agree on none."""
    pilot = control[:, -1].mean() / 3.5
    return None if not pilot else _voted(control / pilot + 3.5, LENIENT)


def _voted(levels: Floats, tolerance: float) -> Mode | None:
    """The mode that most blocks name whose control levels, (n, CONTROL), are all near whole numbers."""
    near = np.abs(levels - np.rint(levels)) < tolerance
    near &= (levels > -0.5) & (levels < 7.5)
    good = near.all(axis=1) & (np.abs(levels[:, -1] - 7) < tolerance)
    digits = _GRAY3[np.clip(np.rint(levels), 0, 7).astype(np.int64)]
    codes = digits[:, SEED_DIGITS] | digits[:, SEED_DIGITS + 1] << 3
    votes: dict[int, int] = {}
    for code in codes[good].tolist():
        votes[code] = votes.get(code, 0) + 1
    return Mode.coded(max(votes, key=lambda code: votes[code])) if votes else None


def spectrum_of(profile: Profile, mode: Mode) -> Spectrum:
    """The modulation of a shape of sound as it is; ``DamagedFileError`` if that mode does not fit it."""
    try:
        return _spectrum(profile, mode)
    except OptionError as fault:
        raise DamagedFileError(f"the modulation cannot be that of this sound: {fault.what}") from None


@lru_cache(maxsize=16)
def _spectrum(profile: Profile, mode: Mode) -> Spectrum:
    return Spectrum(profile, mode)


def coefficient(frequency: float, profile: Profile) -> int:
    """The first coefficient at or above a frequency in Hz, at most ``DCT``."""
    return min(DCT, int(np.ceil(frequency * 2 * DCT / profile.sample_rate)))


def split(fields: int) -> tuple[int, ...]:
    """64 bits in so many fields, the larger ones last."""
    least, more = divmod(64, fields)
    return tuple(least + (place >= fields - more) for place in range(fields))


_GRAY3 = np.arange(8) ^ np.arange(8) >> 1
_UNGRAY3 = np.argsort(_GRAY3)


@lru_cache(maxsize=32)
def _masks(bits: tuple[int, ...], shift: int) -> np.uint64:
    """The bits of a word whose neighbour ``shift`` above is in the same field."""
    mask, at = 0, 0
    for width in bits:
        mask |= (1 << max(0, width - shift)) - 1 << at
        at += width
    return np.uint64(mask)


def _to_gray(words: Words, bits: tuple[int, ...]) -> Words:
    return words ^ words >> np.uint64(1) & _masks(bits, 1)


def _from_gray(words: Words, bits: tuple[int, ...]) -> Words:
    shift = 1
    while shift < max(bits):
        words = words ^ words >> np.uint64(shift) & _masks(bits, shift)
        shift *= 2
    return words


@lru_cache(maxsize=64)
def _stream(slot: int, seed: int, units: int, words: int) -> Words:
    """uint64 (units, words): numbers of splitmix64 (Steele, Lea, Flood 2014) from the state slot · 2⁵⁶ + seed · 2³² on."""
    state = np.uint64((slot << 56) + (seed << 32)) + np.arange(
        1, units * words + 1, dtype=np.uint64
    ) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ state >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ state >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    stream = (state ^ state >> np.uint64(31)).reshape(units, words)
    stream.flags.writeable = False
    return stream
