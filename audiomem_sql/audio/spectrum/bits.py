"""64-bit words as they are carried: in fields of a few bits, Gray-coded, and scrambled."""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

import numpy as np

from audiomem_sql.arrays import U64Array
from audiomem_sql.protection import splitmix64

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
    """uint64 (units, words): the numbers of splitmix64 with the seed slot · 2⁵⁶ + seed · 2³²."""
    numbers = splitmix64.stream((slot << 56) + (seed << 32), units * words).reshape(units, words)
    numbers.flags.writeable = False
    return numbers
