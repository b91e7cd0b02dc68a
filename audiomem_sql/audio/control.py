"""Control coefficients: the seed and the mode of a block, and a pilot for its level, in three bits each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from audiomem_sql.audio.bands import Mode
from audiomem_sql.audio.transform import Floats

CONTROL = 7
"""Control coefficients of a block: four for the seed, two for the mode, one pilot; three bits each."""
SEED_DIGITS, MODE_DIGITS = 4, 2
STRICT, LENIENT = 0.1, 0.4
"""How far from whole numbers control levels may be, in sound that is as it was written, and in any."""
SEEDS = 8**SEED_DIGITS

GRAY3 = np.arange(8) ^ np.arange(8) >> 1
UNGRAY3 = np.argsort(GRAY3)


def control_levels(seeds: npt.NDArray[np.int64], mode: Mode) -> Floats:
    """The control coefficients, float64 (n, CONTROL), in units of the distance of two levels, for seeds, int64 (n,)."""
    digits = np.empty((len(seeds), CONTROL), np.int64)
    for place in range(SEED_DIGITS):
        digits[:, place] = seeds >> 3 * place & 7
    for place in range(MODE_DIGITS):
        digits[:, SEED_DIGITS + place] = mode.code >> 3 * place & 7
    digits[:, -1] = GRAY3[7]
    control: Floats = UNGRAY3[digits].astype(np.float64) - 3.5
    return control


def seeds_of(control: Floats) -> npt.NDArray[np.int64]:
    """The seeds, int64 (…), by control coefficients in those units, (…, CONTROL)."""
    levels = GRAY3[np.clip(np.rint(control[..., :SEED_DIGITS] + 3.5), 0, 7).astype(np.int64)]
    return np.asarray((levels << 3 * np.arange(SEED_DIGITS)).sum(axis=-1))


def mode_of_control(control: Floats) -> Mode | None:
    """The mode by control coefficients, (n, CONTROL), of any loudness and sign; None if they agree on none."""
    pilot = control[:, -1].mean() / 3.5
    return None if not pilot else voted(control / pilot + 3.5, LENIENT)


def voted(levels: Floats, tolerance: float) -> Mode | None:
    """The mode that most blocks name whose control levels, (n, CONTROL), are all near whole numbers."""
    near = np.abs(levels - np.rint(levels)) < tolerance
    near &= (levels > -0.5) & (levels < 7.5)
    good = near.all(axis=1) & (np.abs(levels[:, -1] - 7) < tolerance)
    digits = GRAY3[np.clip(np.rint(levels), 0, 7).astype(np.int64)]
    codes = digits[:, SEED_DIGITS] | digits[:, SEED_DIGITS + 1] << 3
    votes: dict[int, int] = {}
    for code in codes[good].tolist():
        votes[code] = votes.get(code, 0) + 1
    return Mode.coded(max(votes, key=lambda code: votes[code])) if votes else None
