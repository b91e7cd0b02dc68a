"""Sound to bytes: samples as pages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from audiomem_sql.audio.bands import CODEWORD
from audiomem_sql.audio.control import CONTROL, LENIENT, seeds_of
from audiomem_sql.audio.frames import Bytes, Flags
from audiomem_sql.audio.health import Health
from audiomem_sql.audio.mending import Mender
from audiomem_sql.audio.slots import Slot
from audiomem_sql.audio.transform import DCT, Floats, transforms, unpacked
from audiomem_sql.audio.words import Words, scrambling, to_gray
from audiomem_sql.protection.interleave import Interleave

if TYPE_CHECKING:
    from audiomem_sql.audio.spectrum import Spectrum

PROBED = 2
"""Codewords of a band that tell whether the others are worth decoding."""


@dataclass
class Reading:
    """Pages as they were demodulated.

    pages: uint8 (n, page_size). doubtful: bool (n, units), blocks whose samples are not those that were written. health: by the
    name of the band.
    """

    pages: Bytes
    doubtful: Flags
    health: dict[str, Health] = field(default_factory=dict)


class Demodulator:
    """For one modulation."""

    def __init__(self, spectrum: Spectrum) -> None:
        self._spectrum = spectrum

    def spectra(self, sound: Bytes) -> Floats:
        """The coefficients, (n, units, DCT), of samples as bytes, uint8 (n, profile.page_size)."""
        return np.asarray(
            transforms().dct(
                unpacked(sound, self._spectrum.profile).reshape(len(sound), self._spectrum.units, DCT),
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
            np.empty((len(sound), self._spectrum.page_size), np.uint8),
            np.zeros((len(sound), self._spectrum.units), np.bool_),
        )
        for n in range(len(sound)):
            coefficients = self.spectra(sound[n : n + 1])[0]
            self.read_coefficients(coefficients, n, reading, measured=measured, correct=correct)
        return reading

    def read_coefficients(
        self, coefficients: Floats, n: int, reading: Reading, *, measured: bool = False, correct: bool = False
    ) -> None:
        """Page ``n`` of ``reading`` from coefficients, (units, DCT), which are changed where wrong samples are taken out."""
        seeds = self._seeds(coefficients)
        doubtful = np.zeros(self._spectrum.units, np.bool_)
        if not self._spectrum.mode.broadcast:
            doubtful = Mender.of(self._spectrum).mend(coefficients)
            if doubtful.any():
                seeds = self._seeds(coefficients)
        reading.doubtful[n] = doubtful
        pilots = coefficients[:, self._spectrum.first + CONTROL - 1] / self._spectrum.control_distance
        heard = np.abs(pilots - 3.5) < LENIENT  # silence has no health
        for number, (slot, start, stop) in enumerate(self._spectrum.parts):
            words = self._words(slot, coefficients)
            words ^= scrambling(
                number, seeds, np.arange(self._spectrum.units), self._spectrum.units, slot.words
            )
            stored = np.ascontiguousarray(words.astype("<u8", copy=False)).view(np.uint8).reshape(-1)
            code = slot.code
            health = reading.health.setdefault(slot.band.name, Health()) if measured or code else Health()
            if measured and heard[n % self._spectrum.units]:
                self._measure(slot, coefficients[n % self._spectrum.units], health)
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
        first = self._spectrum.first
        return seeds_of(coefficients[:, first : first + CONTROL] / self._spectrum.control_distance)

    def _words(self, slot: Slot, coefficients: Floats) -> Words:
        """The words of a band, uint64 (units, words), still scrambled."""
        words = np.zeros((len(coefficients), slot.words), np.uint64)
        shift = 0
        for start, bits in zip(slot.starts, slot.bits, strict=True):
            level = coefficients[:, start : start + slot.words] * (1 / self._spectrum.distance)
            level += ((1 << bits) - 1) / 2
            np.rint(level, out=level)
            np.clip(level, 0, (1 << bits) - 1, out=level)
            words |= level.astype(np.uint64) << np.uint64(shift)
            shift += bits
        return to_gray(words, slot.bits)

    def _measure(self, slot: Slot, coefficients: Floats, health: Health) -> None:
        for start, bits in zip(slot.starts, slot.bits, strict=True):
            level = coefficients[start : start + slot.words] / self._spectrum.distance + ((1 << bits) - 1) / 2
            deviation = level - np.clip(np.rint(level), 0, (1 << bits) - 1)
            health.error += 4 * float((deviation**2).sum())
            health.coefficients += slot.words
