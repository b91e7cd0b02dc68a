"""Where a received Reed-Solomon word is wrong, and by how much, for many words at a time.

From the syndromes: Berlekamp-Massey, begun with the erasures (Blahut 1983, section 7.5), finds the locator of
what is wrong, a search over all places finds its roots (Chien 1964), and Forney's formula (1965) gives the
values. Arrays hold coefficients by power, lowest first, as rows, and one word a column: every step is one
operation over all words.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from audiomem_sql.arrays import BoolArray, I64Array, U8Array
from audiomem_sql.protection.galois import inverse, multiply, power

_AT_ONCE = 1024  # words whose polynomials stay in the cache


@dataclass(frozen=True, slots=True, eq=False)
class Errata:
    """Corrections: value (n,) is to be added at place (n,) of word (n,). solved: bool (words,).

    Others have none.
    """

    word: I64Array
    place: I64Array
    value: U8Array
    solved: BoolArray


def find_errata(syndromes: U8Array, erased: BoolArray) -> Errata:
    """Corrections of words, by their syndromes and erased bytes.

    syndromes: uint8 (count, parities). erased: bool (count, n).
    """
    parts = []
    for start in range(0, len(syndromes), _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        part = _find(np.ascontiguousarray(syndromes[rows].T), erased[rows])
        parts.append(Errata(part.word + start, part.place, part.value, part.solved))
    return Errata(
        np.concatenate([part.word for part in parts]),
        np.concatenate([part.place for part in parts]),
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.solved for part in parts]),
    )


def _find(syndromes: U8Array, erased: BoolArray) -> Errata:
    parities, n = len(syndromes), erased.shape[1]
    erasures = erased.sum(axis=1)
    beyond = erasures > parities
    if beyond.any():  # nothing can be done for these; they go along as if nothing were erased
        erased = erased & ~beyond[:, None]
        erasures = np.where(beyond, 0, erasures)
    locator, degree = _locator(syndromes, _erasure_locator(erased, erasures, parities), erasures)
    solved = ~beyond & (2 * degree - erasures <= parities)
    degree = np.where(solved, degree, 0)
    locator = locator[: int(degree.max()) + 1]
    roots = _evaluate_everywhere(locator, n, parities) == 0
    solved &= roots.sum(axis=1) == degree
    roots &= solved[:, None]
    word, place = np.nonzero(roots)
    value = _values(syndromes, locator, word, n - 1 - place)
    return Errata(word, place, value, solved)


def _erasure_locator(erased: BoolArray, erasures: I64Array, parities: int) -> U8Array:
    """Product of (1 - X z) over the locations X of what is erased, uint8 (parities + 1, count)."""
    count, n = erased.shape
    out = np.zeros((parities + 1, count), np.uint8)
    out[0] = 1
    word, place = np.nonzero(erased)
    if not len(word):
        return out
    turn = np.arange(len(word)) - np.repeat(np.cumsum(erasures) - erasures, erasures)
    for step in range(int(erasures.max())):
        now = turn == step
        columns = word[now]
        factor = out[: step + 1, columns]
        out[1 : step + 2, columns] ^= multiply(factor, power(n - 1 - place[now])[None, :])
    return out


def _locator(syndromes: U8Array, start: U8Array, erasures: I64Array) -> tuple[U8Array, I64Array]:
    """Locators of errors and erasures, by Berlekamp-Massey, and their length.

    uint8 (parities + 1, count), and (count,).
    """
    parities = len(syndromes)
    locator, previous = start.copy(), start.copy()
    length = erasures.astype(np.int64)
    first = int(erasures.min())
    for step in range(first, parities):
        active = step >= erasures
        # No coefficient beyond the longest locator, or the longest that this step can make, is other than
        # zero.
        top = min(int(length.max()), step) + 1
        discrepancy = np.bitwise_xor.reduce(
            multiply(locator[:top], syndromes[step - top + 1 : step + 1][::-1]), axis=0
        )
        discrepancy[~active] = 0
        shifted = np.zeros_like(previous)
        shifted[1:] = previous[:-1]
        previous = np.where(active, shifted, previous)
        wrong = discrepancy != 0
        if not wrong.any():
            continue
        longer = wrong & (2 * length <= step + erasures)
        kept = multiply(locator, inverse(discrepancy)[None, :])
        locator = locator ^ multiply(previous, discrepancy[None, :])
        previous = np.where(longer, kept, previous)
        length = np.where(longer, step + 1 + erasures - length, length)
    return locator, length


@lru_cache(maxsize=4)
def _place_table(powers: int) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint64]]:
    """The values c z**i at z = 1 / alpha ** j: uint64 (powers, 256, 32), byte j of entry (i, c)."""
    i, j = np.arange(powers), np.arange(256)
    coefficients = np.arange(256, dtype=np.uint8)
    return multiply(coefficients[None, :, None], power(-i[:, None] * j[None, :])[:, None, :]).view(np.uint64)


def _evaluate_everywhere(locator: U8Array, n: int, parities: int) -> U8Array:
    """Values of polynomials at the inverse location of each place.

    uint8 (powers, count) → uint8 (count, n).
    """
    table = _place_table(parities + 1)
    out = np.zeros((locator.shape[1], table.shape[2]), np.uint64)
    for row, coefficients in zip(table[: len(locator)], locator, strict=True):
        out ^= row[coefficients]
    return out.view(np.uint8)[:, n - 1 :: -1]


def _values(syndromes: U8Array, locator: U8Array, word: I64Array, location: I64Array) -> U8Array:
    """Forney's formula at alpha ** location: X omega(1 / X) / locator'(1 / X), uint8 (len(word),)."""
    powers = len(locator)
    omega = np.zeros((max(powers - 1, 1), locator.shape[1]), np.uint8)
    for i in range(len(omega)):
        omega[i] = np.bitwise_xor.reduce(multiply(locator[: i + 1], syndromes[: i + 1][::-1]), axis=0)
    numerator = np.zeros(len(word), np.uint8)
    for i, coefficient in enumerate(omega):
        numerator ^= multiply(coefficient[word], power(-location * i))
    slope = np.zeros(len(word), np.uint8)
    for i in range(1, powers, 2):
        slope ^= multiply(locator[i][word], power(-location * (i - 1)))
    return multiply(multiply(numerator, power(location)), inverse(slope))
