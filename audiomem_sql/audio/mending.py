"""Taking a few wrong samples out of a block.

A wrong sample adds one and the same cosine pattern, sampled at its place, to all coefficients; those that are known anyway
– zeros, and control coefficients, whose levels are far apart – show it. With m of them known, up to about m ÷ 4 wrong samples
are found one after another: the place whose pattern explains most of what is left, then the best values of all places so
far by least squares (orthogonal matching pursuit; Pati, Rezaiifar, Krishnaprasad 1993). What was found is taken out only if
all coefficients of the block are near levels without it, and the checksums above decide in any case.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from audiomem_sql.audio.spectrum import Floats, Spectrum

SUSPICIOUS = 5.0
"""A block is doubtful if its known coefficients deviate so many times more than rounding lets them, by their mean square."""

TRIED = 32
"""Places that are tried for the last of the wrong samples."""
NEAR = 0.04
"""Mean square distance from the next level, as a share of the distance between two: 0.016 when written, 0.083 of noise."""

REFINED = 3
"""How often the values of wrong samples are corrected by what all coefficients say."""


class Mender:
    """For one modulation."""

    def __init__(self, spectrum: Spectrum) -> None:
        from audiomem_sql.audio.spectrum import CONTROL, DCT, ROUNDING

        self._spectrum = spectrum
        self._control = np.arange(spectrum.first, spectrum.first + CONTROL)
        self.known: npt.NDArray[np.int64] = np.concatenate([self._control, spectrum.nulls])
        #: 64 are enough, spread over all.
        if len(self.known) > 64:
            step = np.linspace(0, len(self.known) - 1, 64).astype(np.int64)
            self.known = np.unique(np.concatenate([self._control, self.known[step]]))
        used = [np.arange(start, start + slot.words) for slot in spectrum.slots for start in slot.starts]
        self._carrying = np.concatenate(used)
        self.limit = SUSPICIOUS * ROUNDING**2
        time = np.arange(DCT)
        scale = np.where(self.known == 0, (1 / DCT) ** 0.5, (2 / DCT) ** 0.5)
        #: What a sample of 1 at each place adds to the known coefficients, (known, DCT).
        self.patterns: Floats = scale[:, None] * np.cos(
            np.pi * (2 * time[None] + 1) * self.known[:, None] / (2 * DCT)
        )
        self._lengths = np.sqrt((self.patterns**2).sum(axis=0))

    @staticmethod
    def of(spectrum: Spectrum) -> Mender:
        """The one of this modulation, made once."""
        return _mender(spectrum)

    def deviations(self, coefficients: Floats) -> Floats:
        """Of the known coefficients from what they must be, (n, known)."""
        from audiomem_sql.audio.spectrum import CONTROL

        known = coefficients[:, self.known]
        unit = self._spectrum.control_distance
        control = known[:, :CONTROL] / unit + 3.5
        known[:, :CONTROL] = (control - np.clip(np.rint(control), 0, 7)) * unit
        return np.asarray(known)

    def mend(self, coefficients: Floats) -> npt.NDArray[np.bool_]:
        """Take wrong samples out of ``coefficients``, (units, DCT), in place; which blocks stay doubtful, bool (units,)."""
        deviations = self.deviations(coefficients)
        doubtful: npt.NDArray[np.bool_] = np.asarray((deviations**2).mean(axis=1) > self.limit)
        for unit in np.flatnonzero(doubtful).tolist():
            doubtful[unit] = not self._mend(coefficients[unit], deviations[unit])
        return doubtful

    def _mend(self, coefficients: Floats, deviation: Floats) -> bool:
        places: list[int] = []
        left = deviation
        for _ in range(len(self.known) // 4):
            likely = np.abs(left @ self.patterns) / self._lengths
            likely[places] = 0
            ranked = np.argsort(likely)[: -TRIED - 1 : -1]
            for place in ranked.tolist():
                values, rest = self._explained([*places, place], deviation)
                if (rest**2).mean() <= self.limit and self._taken_out(coefficients, [*places, place], values):
                    return True
            places.append(int(ranked[0]))
            left = self._explained(places, deviation)[1]
        return False

    def _explained(self, places: list[int], deviation: Floats) -> tuple[Floats, Floats]:
        """The values at ``places`` that explain most of the deviations, and what they leave."""
        chosen = self.patterns[:, places]
        values: Floats = np.rint(np.linalg.lstsq(chosen, deviation, rcond=None)[0])
        return values, deviation - chosen @ values

    def _taken_out(self, coefficients: Floats, places: list[int], values: Floats) -> bool:
        """Take samples out if all coefficients are then near levels, as they are only if these were the wrong ones."""
        from audiomem_sql.audio.spectrum import DCT, transforms

        wrong, distance = np.zeros(DCT), self._spectrum.distance
        wrong[places] = values
        for _ in range(REFINED + 1):
            whole = coefficients - transforms().dct(wrong, type=2, norm="ortho")
            deviation = np.zeros(DCT)
            deviation[self._carrying] = whole[self._carrying] / distance + 0.5
            deviation -= np.rint(deviation)
            if (deviation[self._carrying] ** 2).mean() > NEAR:
                return False
            more = np.rint(transforms().idct(deviation * distance, type=2, norm="ortho")[places])
            if not more.any():
                break
            wrong[places] += more
        coefficients[:] = whole
        return True


@lru_cache(maxsize=16)
def _mender(spectrum: Spectrum) -> Mender:
    return Mender(spectrum)
