"""splitmix64: 64-bit numbers that look random, the same on every machine.

Source: G. L. Steele, D. Lea and C. H. Flood, *Fast splittable pseudorandom number generators*, 2014. The
format depends on it: it scrambles the bytes of a modulated page, orders the matrix of the outer code, and
mixes the keys of a Bloom filter.
"""

from __future__ import annotations

import numpy as np

from audiomem_sql.arrays import U64Array

GAMMA = np.uint64(0x9E3779B97F4A7C15)
"""What the state grows by in each step: the odd number next to 2⁶⁴ divided by the golden ratio."""
_FACTORS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))


def splitmix64(seeds: U64Array) -> U64Array:
    """The first number of the generator with each of ``seeds``: a hash of the seed.

    uint64 (n,) → uint64 (n,).
    """
    return _finalised(seeds + GAMMA)


def stream(seed: int, count: int) -> U64Array:
    """The first ``count`` numbers of the generator with ``seed``, uint64 (count,)."""
    return _finalised(np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * GAMMA)


def _finalised(states: U64Array) -> U64Array:
    mixed = (states ^ states >> _SHIFTS[0]) * _FACTORS[0]
    mixed = (mixed ^ mixed >> _SHIFTS[1]) * _FACTORS[1]
    return mixed ^ mixed >> _SHIFTS[2]
