"""Sound to bytes: samples as pages."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from audiomem_sql.audio.flac.frames import Bytes, Flags, Numbers
from audiomem_sql.audio.spectrum.bits import Words, to_gray
from audiomem_sql.audio.spectrum.control import CONTROL, LENIENT, agreed_seed, seeds_of
from audiomem_sql.audio.spectrum.health import Health
from audiomem_sql.audio.spectrum.mending import Mender
from audiomem_sql.audio.spectrum.plans import CODEWORD
from audiomem_sql.audio.spectrum.shape import Shape
from audiomem_sql.audio.spectrum.transform import BLOCKS, DCT, GROUP, transforms, unpacked
from audiomem_sql.protection.interleave import Interleave

NARROW = 16
"""Bits of fields that are put together before they go into a word."""
HEARD = 0.25
"""Share of the loudness of its coefficients below which a block is silent: cut off, or never there."""
PROBED = 2
"""Codewords of a band that tell whether the others are worth decoding."""


@dataclass
class Reading:
    """Pages as they were demodulated.

    pages: uint8 (n, page_size). doubtful: bool (n, units), blocks whose samples are not those that were
    written. health: by the name of the band.
    """

    pages: Bytes
    doubtful: Flags
    health: dict[str, Health] = field(default_factory=dict)


class Demodulator:
    """For one modulation."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        #: Half the number of levels of each coefficient, (DCT,).
        self._half = ((shape.tops + 1) >> 1).astype(shape.level)

    @cached_property
    def _mender(self) -> Mender:
        return Mender(self._shape)

    def spectra(self, sound: Bytes) -> Any:
        """The coefficients, (n, units, DCT), of samples as bytes, uint8 (n, profile.page_size)."""
        shape = self._shape
        samples = unpacked(sound, shape.profile, shape.precision).reshape(len(sound), shape.units, DCT)
        return transforms().dct(samples, type=2, norm="ortho", axis=-1, overwrite_x=True)

    def demodulate(
        self, sound: Bytes, *, measured: bool = False, correct: bool = False, bands: int | None = None
    ) -> Reading:
        """Samples as bytes, uint8 (n, profile.page_size), as pages.

        Bytes that are wrong are not noticed here.

        measured: health is worked out from some blocks. correct: bands with a code are decoded, whether or
        not anything looks wrong; otherwise only on pages with a doubtful block. bands: so many are decoded,
        by default all.
        """
        shape = self._shape
        reading = Reading(
            np.empty((len(sound), shape.page_size), np.uint8), np.zeros((len(sound), shape.units), np.bool_)
        )
        step = max(1, GROUP // shape.units)
        for first in range(0, len(sound), step):
            some = slice(first, first + step)
            stored = self._stored(sound[some], first, reading, measured=measured)
            for (_, start, stop), own in zip(shape.parts, stored, strict=True):
                reading.pages[some, start:stop] = own[:, : stop - start]
            self._correct(stored[:bands], first, reading, correct=correct)
        return reading

    def _stored(self, sound: Bytes, first: int, reading: Reading, *, measured: bool) -> list[Bytes]:
        """What each band stores, uint8 (n, stored), of the pages ``first`` ….

        Which blocks are doubtful is noted in ``reading``.
        """
        shape = self._shape
        count = len(sound) * shape.units
        levels, control = np.empty((count, DCT), shape.level), np.empty((count, CONTROL))
        heard: Flags = np.ones(count, np.bool_)
        step = max(1, BLOCKS // shape.units)
        watched = []
        for at in range(0, len(sound), step):
            some = slice(at, min(at + step, len(sound)))
            rows = slice(some.start * shape.units, some.stop * shape.units)
            coefficients = self.spectra(sound[some]).reshape(-1, DCT)
            if not shape.mode.broadcast:
                doubtful = self._mender.mend(coefficients)
                reading.doubtful[first:][some] = doubtful.reshape(-1, shape.units)
            watched.append(coefficients[self._watched(first + at, len(coefficients))])
            control[rows] = coefficients[:, shape.first : shape.first + CONTROL] / shape.control_distance
            if shape.mode.lossy:
                used = coefficients[:, shape.slots[0].low : shape.slots[-1].high]
                heard[rows] = (used**2).mean(axis=1) > (HEARD * shape.amplitude) ** 2
            levels[rows] = self._levels(coefficients)
        if measured:
            self._measure(np.concatenate(watched), reading)
        words = self._words(levels)
        if shape.mode.lossy:
            reading.doubtful[first : first + len(sound)] = ~heard.reshape(len(sound), shape.units)
            pages = (control * heard[:, None]).reshape(len(sound), shape.units, CONTROL)
            seeds = np.repeat([agreed_seed(page) for page in pages], shape.units)
        else:
            seeds = seeds_of(control)
        shape.scramble(words, seeds, np.resize(np.arange(shape.units), count))
        return [
            np.ascontiguousarray(words[:, columns].astype("<u8", copy=False))
            .view(np.uint8)
            .reshape(len(sound), -1)
            for columns in shape.columns
        ]

    def _levels(self, coefficients: Any) -> Any:
        """The next level of each coefficient, (n, DCT), which are changed; 0 is the lowest.

        Those of narrow fields may be beyond.
        """
        shape = self._shape
        coefficients *= 1 / shape.distance
        np.floor(coefficients, out=coefficients)
        half = 1 << max(shape.bits) - 1
        np.clip(coefficients, -half, half - 1, out=coefficients)
        levels = coefficients.astype(shape.level)
        levels += self._half
        return levels

    def _correct(self, stored: list[Bytes], first: int, reading: Reading, *, correct: bool) -> None:
        """Decode the bands that have a code: of pages ``first`` … with a doubtful block, or of all."""
        shape = self._shape
        for (slot, start, stop), own in zip(shape.parts, stored, strict=False):
            code = slot.code
            if code is None:
                continue
            health = reading.health.setdefault(slot.band.name, Health())
            doubtful = reading.doubtful[first : first + len(own)]
            pages = np.flatnonzero(doubtful.any(axis=1) | correct)
            if not len(pages):
                continue
            weave, length = Interleave(slot.codewords), slot.codewords * CODEWORD
            erased: Flags = np.repeat(doubtful[pages], slot.words * 8, axis=1)[:, :length]
            erased[erased.sum(axis=1) >= slot.codewords * code.parities] = False  # too many to be of use
            probed = weave.decode(own[pages, :length]).reshape(len(pages), slot.codewords, CODEWORD)[
                :, :PROBED
            ]
            alike = code.decode(probed.reshape(-1, CODEWORD)).intact.reshape(len(pages), -1).any(axis=1)
            alike |= erased.any(axis=1)
            health.lost += slot.codewords * int((~alike).sum())  # noise: not worth working through
            pages, erased = pages[alike], erased[alike]
            found = code.decode(weave.decode(own[pages, :length]), weave.decode(erased))
            health.corrections += int(found.corrections.sum())
            health.lost += int((~found.intact).sum())
            data = Interleave(slot.codewords, code.k).encode(found.words[:, : code.k])
            reading.pages[first + pages, start:stop] = data[:, : stop - start]

    def _words(self, levels: Any) -> Words:
        """The words of all bands side by side, uint64 (n, words), still scrambled, by levels, (n, DCT)."""
        shape = self._shape
        words = np.zeros((len(levels), shape.columns[-1].stop), np.uint64)
        field = np.empty(words.shape, shape.level)
        for together in _narrow(shape.fields):
            first = together[0][1]
            joined: Any = np.zeros(words.shape, np.uint16 if len(together) > 1 else np.uint64)
            for place, shift in together:
                for slot, columns in zip(shape.slots, shape.columns, strict=True):
                    start = slot.starts[place]
                    field[:, columns] = levels[:, start : start + slot.words]
                if shape.fields[place][1] < max(shape.bits):
                    np.clip(field, 0, (1 << shape.fields[place][1]) - 1, out=field)
                joined |= field.astype(joined.dtype) << joined.dtype.type(shift - first)
            words |= joined.astype(np.uint64, copy=False) << np.uint64(first)
        return to_gray(words, shape.bits)

    def _watched(self, first: int, count: int) -> Numbers:
        """One of the ``count`` blocks of every page from ``first`` on, another one each time."""
        pages = np.arange(count // self._shape.units)
        return pages * self._shape.units + (first + pages) % self._shape.units

    def _measure(self, some: Any, reading: Reading) -> None:
        """Count in blocks, (n, DCT), those that are no silence."""
        shape = self._shape
        pilots = some[:, shape.first + CONTROL - 1] / shape.control_distance
        some = some[
            pilots > 0 if shape.mode.lossy else np.abs(pilots - 3.5) < LENIENT
        ]  # silence has no health
        level = some / shape.distance + shape.tops / 2
        deviation = 2 * (level - np.clip(np.rint(level), 0, shape.tops))
        errors = (deviation**2).sum(axis=0, dtype=np.float64)
        for slot in shape.slots:
            health = reading.health.setdefault(slot.band.name, Health())
            health.error += float((errors * shape.carries)[slot.low : slot.high].sum())
            health.coefficients += len(some) * slot.words * len(slot.bits)


def _narrow(fields: tuple[tuple[int, int], ...]) -> list[list[tuple[int, int]]]:
    """(place, shift) of the fields, in runs that have ``NARROW`` bits together, or a field that has more."""
    runs: list[list[tuple[int, int]]] = []
    width = NARROW
    for place, (shift, bits) in enumerate(fields):
        width += bits
        if width > NARROW:
            runs.append([])
            width = bits
        runs[-1].append((place, shift))
    return runs
