"""Control coefficients: the seed and the mode of a block, and a pilot for its level, in three bits each.

With ``robustness=lossy`` they have one bit each, since a lossy encoder leaves noise of half a level here: the
mode is what blocks say on the average, and all blocks of a page have one seed, of which each says a bit.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from audiomem_sql.audio.flac.frames import Flags, Numbers
from audiomem_sql.audio.spectrum.plans import Mode
from audiomem_sql.audio.spectrum.transform import Floats

CONTROL = 7
"""Control coefficients of a block: four for the seed, two for the mode, one pilot."""
SEED_DIGITS, MODE_DIGITS = 4, 2
STRICT, LENIENT = 0.1, 0.4
"""How far from whole numbers control levels may be, in sound that is as it was written, and in any."""
SURE = 1.0
"""How far from the middle of its levels a bit is, on the average of blocks."""
SEED_BITS = 3 * SEED_DIGITS
SEEDS = 1 << SEED_BITS

GRAY3 = np.arange(8) ^ np.arange(8) >> 1
UNGRAY3 = np.argsort(GRAY3)


def control_levels(seeds: Numbers, mode: Mode, units: Numbers) -> Floats:
    """The control coefficients, float64 (n, CONTROL), in units of the distance of two levels.

    seeds: of blocks, int64 (n,); units: their numbers in their pages.
    """
    digits = np.empty((len(seeds), CONTROL), np.int64)
    for place in range(SEED_DIGITS):
        digits[:, place] = seeds >> 3 * place & 7
    for place in range(MODE_DIGITS):
        digits[:, SEED_DIGITS + place] = mode.code >> 3 * place & 7
    digits[:, -1] = GRAY3[7]
    if mode.lossy:
        digits[:, :-1] = GRAY3[7] * (mode.code >> np.arange(CONTROL - 1) & 1)
        digits[:, 0] = GRAY3[7] * (seeds >> units % SEED_BITS & 1)
    control: Floats = UNGRAY3[digits].astype(np.float64) - 3.5
    return control


def agreed_seed(control: Floats) -> int:
    """The seed of a page whose mode is lossy.

    control: coefficients of its blocks in those units, (units, CONTROL), 0 where silent.
    """
    bits = np.bincount(np.arange(len(control)) % SEED_BITS, control[:, 0], SEED_BITS) > 0
    return int((bits << np.arange(SEED_BITS)).sum())


def seeds_of(control: Floats) -> Numbers:
    """The seeds, int64 (…), by control coefficients in those units, (…, CONTROL)."""
    levels = GRAY3[np.clip(np.rint(control[..., :SEED_DIGITS] + 3.5), 0, 7).astype(np.int64)]
    return np.asarray((levels << 3 * np.arange(SEED_DIGITS)).sum(axis=-1))


def mode_of_control(control: Floats) -> Mode | None:
    """The mode by control coefficients, (n, CONTROL), of any loudness and sign.

    None if they agree on none.
    """
    control = control * np.sign(control[:, -1:])
    pilot = control[:, -1].mean() / 3.5
    if not pilot:
        return None
    levels = control / pilot + 3.5
    middle = levels.mean(axis=0)[1:-1]  # a lossy encoder leaves noise of half a level and more
    if (np.abs(middle - 3.5) > SURE).all() and (lossy := _lossy(middle > 3.5)) is not None:
        return lossy
    return voted(levels, LENIENT)


def _lossy(bits: Flags) -> Mode | None:
    """The mode whose code has these bits from 1 on; None if that is none for lossy encoders."""
    mode = Mode.coded(int((bits << np.arange(1, CONTROL - 1)).sum()))
    return mode if mode.lossy else None


def voted(levels: Floats, tolerance: float) -> Mode | None:
    """The mode that most blocks name whose control levels, (n, CONTROL), are all near whole numbers."""
    near = np.abs(levels - np.rint(levels)) < tolerance
    near &= (levels > -0.5) & (levels < 7.5)
    good = near.all(axis=1) & (np.abs(levels[:, -1] - 7) < tolerance)
    digits = GRAY3[np.clip(np.rint(levels), 0, 7).astype(np.int64)]
    codes = digits[:, SEED_DIGITS] | digits[:, SEED_DIGITS + 1] << 3
    ends: Flags = np.asarray((np.minimum(levels[:, 1:-1], 7 - levels[:, 1:-1]) < tolerance).all(axis=1))
    votes: Counter[Mode] = Counter()
    for code, end, bits in zip(codes[good].tolist(), ends[good], levels[good, 1:-1] > 3.5, strict=True):
        mode = _lossy(bits) if end else None
        if mode is not None or not Mode.coded(code).lossy:
            votes[mode or Mode.coded(code)] += 1
    return votes.most_common(1)[0][0] if votes else None
