"""64-bit words as they are carried: in fields of a few bits, Gray-coded, and scrambled."""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

import numpy as np

from audiomem_sql.arrays import U64Array

Words: TypeAlias = U64Array


def split(fields: int) -> tuple[int, ...]:
    """64 bits in so many fields, the larger ones last."""
    least, more = divmod(64, fields)
    return tuple(least + (place >= fields - more) for place in range(fields))


@lru_cache(maxsize=32)
def _masks(bits: tuple[int, ...], shift: int) -> np.uint64:
    """The bits of a word whose neighbour ``shift`` above is in the same field."""
    mask, at = 0, 0
    for width in bits:
        mask |= (1 << max(0, width - shift)) - 1 << at
        at += width
    return np.uint64(mask)


def to_gray(words: Words, bits: tuple[int, ...]) -> Words:
    """Every field of the words in Gray code."""
    return words ^ words >> np.uint64(1) & _masks(bits, 1)


def from_gray(words: Words, bits: tuple[int, ...]) -> Words:
    """The reverse of ``to_gray``."""
    shift = 1
    while shift < max(bits):
        words = words ^ words >> np.uint64(shift) & _masks(bits, shift)
        shift *= 2
    return words


@lru_cache(maxsize=64)
def stream(slot: int, seed: int, units: int, words: int) -> Words:
    """uint64 (units, words): numbers of splitmix64 (Steele, Lea, Flood 2014) from the state slot · 2⁵⁶ + seed · 2³² on."""
    state = np.uint64((slot << 56) + (seed << 32)) + np.arange(
        1, units * words + 1, dtype=np.uint64
    ) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ state >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ state >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    numbers = (state ^ state >> np.uint64(31)).reshape(units, words)
    numbers.flags.writeable = False
    return numbers
