"""Taking a few wrong samples out of a block.

A wrong sample adds one and the same cosine pattern, sampled at its place, to all coefficients; those that are
known anyway – zeros, and control coefficients, whose levels are far apart – show it. With m of them known, up
to about m ÷ 4 wrong samples are found one after another: always the place with which most is explained
(orthogonal least squares; Chen, Billings, Luo 1989). What was found is taken out only if all coefficients of
the block are near levels without it, and the checksums above decide in any case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audiomem_sql.audio.spectrum.control import CONTROL
from audiomem_sql.audio.spectrum.shape import Shape
from audiomem_sql.audio.spectrum.transform import DCT, Floats, transforms

if TYPE_CHECKING:
    import numpy.typing as npt

ROUNDING = 12**-0.5
"""Standard deviation of a coefficient whose samples were rounded."""
SUSPICIOUS = 5.0
"""A block is doubtful if its known coefficients deviate so many times more than rounding lets them, by their
mean square."""

TRIED = 32
"""Places that are tried for the last of the wrong samples."""
WATCHED = 48
"""Known coefficients that are looked at, where there are more, and …"""
MOST = 8
"""… wrong samples that are looked for: more time is not spent on a block that is lost."""
NEAR = 0.04
"""Mean square distance from the next level, as a share of the distance between two: 0.016 when written, 0.083
of noise."""

REFINED = 3
"""How often the values of wrong samples are corrected by what all coefficients say."""


class Mender:
    """For one modulation."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._control = np.arange(shape.first, shape.first + CONTROL)
        nulls = shape.nulls
        if len(nulls) > WATCHED - CONTROL:
            nulls = nulls[np.linspace(0, len(nulls) - 1, WATCHED - CONTROL).astype(np.int64)]
        self.known: npt.NDArray[np.int64] = np.concatenate([self._control, nulls])
        self._carrying = shape.carrying
        self.limit = SUSPICIOUS * ROUNDING**2
        time = np.arange(DCT)
        scale = np.where(self.known == 0, (1 / DCT) ** 0.5, (2 / DCT) ** 0.5)
        #: What a sample of 1 at each place adds to the known coefficients, (known, DCT).
        self.patterns: Floats = scale[:, None] * np.cos(
            np.pi * (2 * time[None] + 1) * self.known[:, None] / (2 * DCT)
        )

    def deviations(self, coefficients: Floats) -> Floats:
        """Of the known coefficients from what they must be, (n, known)."""
        known = coefficients[:, self.known]
        unit = self._shape.control_distance
        control = known[:, :CONTROL] / unit + 3.5
        known[:, :CONTROL] = (control - np.clip(np.rint(control), 0, 7)) * unit
        return np.asarray(known)

    def mend(self, coefficients: Floats) -> npt.NDArray[np.bool_]:
        """Take wrong samples out of ``coefficients``, (units, DCT), in place.

        Which blocks stay doubtful, bool (units,).
        """
        deviations = self.deviations(coefficients)
        doubtful: npt.NDArray[np.bool_] = np.asarray((deviations**2).mean(axis=1) > self.limit)
        for unit in np.flatnonzero(doubtful).tolist():
            doubtful[unit] = not self._mend(coefficients[unit], deviations[unit])
        return doubtful

    def _mend(self, coefficients: Floats, deviation: Floats) -> bool:
        places: list[int] = []
        left, patterns = deviation, self.patterns  # without what the places so far explain
        for step in range(min(MOST, len(self.known) // 4)):
            power = np.maximum((patterns**2).sum(axis=0), 1e-9)
            explained = (left @ patterns) ** 2 / power
            explained[places] = 0
            enough = (left**2).sum() - explained <= self.limit * (len(left) - step - 1)
            for position in np.flatnonzero(enough)[np.argsort(explained[enough])[: -TRIED - 1 : -1]].tolist():
                chosen = [*places, position]
                values = np.rint(np.linalg.lstsq(self.patterns[:, chosen], deviation, rcond=None)[0])
                if self._taken_out(coefficients, chosen, values):
                    return True
            best = int(np.argmax(explained))
            axis = patterns[:, best] / power[best] ** 0.5
            left = left - axis * (axis @ left)
            patterns = patterns - axis[:, None] * (axis @ patterns)
            places.append(best)
        return False

    def _taken_out(self, coefficients: Floats, places: list[int], values: Floats) -> bool:
        """Take samples out if all coefficients are then near levels.

        They are only if these samples were the wrong ones.
        """
        wrong, distance = np.zeros(DCT), self._shape.distance
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
