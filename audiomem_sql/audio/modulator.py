"""Bytes to sound: pages as samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from audiomem_sql.audio.bands import CODEWORD
from audiomem_sql.audio.control import CONTROL, SEEDS, control_levels
from audiomem_sql.audio.frames import Bytes, Flags
from audiomem_sql.audio.slots import Slot
from audiomem_sql.audio.transform import DCT, Floats, packed, transforms
from audiomem_sql.audio.words import Words, from_gray, scrambling
from audiomem_sql.errors import LimitError
from audiomem_sql.protection.interleave import Interleave

if TYPE_CHECKING:
    from audiomem_sql.audio.spectrum import Spectrum

MARGIN = 0.02
"""By so much a coefficient stays away from the border between two levels, when it is written."""
FIXES = 8
"""How often a block is nudged away from borders before another seed is tried."""


class Modulator:
    """For one modulation."""

    def __init__(self, spectrum: Spectrum) -> None:
        self._spectrum = spectrum

    def modulate(self, pages: Bytes) -> Bytes:
        """Pages, uint8 (n, page_size), as samples, uint8 (n, profile.page_size), laid out as FlacWriter wants them."""
        out = np.empty((len(pages), self._spectrum.profile.page_size), np.uint8)
        for n, page in enumerate(pages):
            out[n] = self._modulate(page)
        return out

    def _modulate(self, page: Bytes) -> Bytes:
        words = [self._stored(slot, page[start:stop]) for slot, start, stop in self._spectrum.parts]
        seeds = np.zeros(self._spectrum.units, np.int64)
        coefficients = np.zeros((self._spectrum.units, DCT))
        units = np.arange(self._spectrum.units)
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
            bad = np.zeros(self._spectrum.units, np.bool_)
            bad[units] = self._unfit(part, some)
            samples[units] = part
        return packed(samples, self._spectrum.profile)

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
        return stored.view("<u8").reshape(self._spectrum.units, slot.words)

    def _place(
        self, words: list[Words], seeds: npt.NDArray[np.int64], units: npt.NDArray[np.int64], out: Floats
    ) -> None:
        """Fill ``out``, zeros (len(units), DCT), with the coefficients of ``units``."""
        out[:, self._spectrum.first : self._spectrum.first + CONTROL] = (
            control_levels(seeds[units], self._spectrum.mode) * self._spectrum.control_distance
        )
        for number, (slot, own) in enumerate(zip(self._spectrum.slots, words, strict=True)):
            scrambled = own[units] ^ scrambling(number, seeds[units], units, self._spectrum.units, slot.words)
            levels = from_gray(scrambled, slot.bits)
            shift = 0
            for start, bits in zip(slot.starts, slot.bits, strict=True):
                field = levels >> np.uint64(shift) & np.uint64((1 << bits) - 1)
                part = out[:, start : start + slot.words]
                np.subtract(field, ((1 << bits) - 1) / 2, out=part)
                part *= self._spectrum.distance
                shift += bits

    def _samples(self, coefficients: Floats) -> Floats:
        samples = transforms().idct(coefficients, type=2, norm="ortho", axis=-1)
        return np.asarray(np.rint(samples, out=samples))

    def _unfit(self, samples: Floats, coefficients: Floats) -> Flags:
        """Blocks that are too loud, or that would not be read as they are; the others are nudged until they are."""
        bad = np.asarray(
            (samples.max(axis=-1) > self._spectrum.peak) | (samples.min(axis=-1) < -self._spectrum.peak)
        )
        if self._spectrum.distance > 2 * DCT**0.5:  # more than rounding can do
            return bad
        room = self._spectrum.distance / 2 - MARGIN
        units = np.flatnonzero(~bad)
        wanted = coefficients
        nudged = np.zeros((0, DCT))
        for attempt in range(FIXES + 1):
            error = transforms().dct(samples[units], type=2, norm="ortho", axis=-1)
            error -= wanted[units]
            error[:, self._spectrum.nulls] = 0
            error[:, self._spectrum.first : self._spectrum.first + CONTROL] = 0
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
            loud = np.abs(samples[units]).max(axis=-1) > self._spectrum.peak
            bad[units[loud]] = True
            nudged, units = nudged[~loud], units[~loud]
            if not len(units):
                return bad
        return bad
