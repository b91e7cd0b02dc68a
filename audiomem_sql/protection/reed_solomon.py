"""Reed-Solomon codes over GF(2^8), many codewords at a time.

RS(n, k) is systematic: a codeword is k bytes of data, then n - k of parity, the remainder of the data times x
** (n - k) by the product of (x - alpha ** i), i in 0 … n - k - 1 (Reed and Solomon 1960). It corrects e wrong
bytes and f erased ones (wrong ones whose place is known) if 2 e + f <= n - k. Byte for byte that of the
Python package reedsolo with its defaults. n < 255 is a shortened code.

Both directions come down to tables: what a byte at a place adds to the parity is looked up and XORed.
Received data is encoded anew; if its parity is the received one, the codeword is intact. Only for the others
the syndromes are worked out, and ``errata`` finds what is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from audiomem_sql.arrays import BoolArray, I64Array, U8Array
from audiomem_sql.protection.errata import find_errata
from audiomem_sql.protection.galois import ORDER, generator, multiply, power

_AT_ONCE = 1 << 17  # bytes of parity that are summed up in the cache
_PLACES = 32  # tables are made for multiples of so many
_FEW = 8  # codewords for which one look-up of all places is faster than one for each place


def _parity_table(parities: int, k: int) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint64]]:
    """What byte b at data place p of k adds to so many bytes of parity.

    uint64 (k, 256, width): the bytes, and zeros up to the width. Codes that have as many parities share a
    table: that of fewer places is the end of a longer one.
    """
    table = _parity_tables(parities, min(ORDER - parities, -(-k // _PLACES) * _PLACES))
    return table[len(table) - k :]


@lru_cache(maxsize=8)
def _parity_tables(parities: int, k: int) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint64]]:
    divisor = generator(parities)[1:]
    width = -(-parities // 8)
    rows = np.zeros((8, k, width * 8), np.uint8)  # of the bytes that are powers of two
    row = divisor
    for place in range(k - 1, -1, -1):  # x ** (n - 1 - p), from the lowest power on
        rows[0, place, :parities] = row
        row = np.append(row[1:], np.uint8(0)) ^ multiply(divisor, row[:1])
    for bit in range(1, 8):
        rows[bit] = multiply(rows[0], power(bit))
    table = np.zeros((k, 256, width), np.uint64)
    for bit, of_bit in enumerate(rows.view(np.uint64)):
        known = 1 << bit
        np.bitwise_xor(table[:, :known], of_bit[:, None], table[:, known : 2 * known])
    table.flags.writeable = False
    return table


@lru_cache(maxsize=8)
def _syndrome_matrix(parities: int) -> U8Array:
    """Syndrome i of a remainder is the sum of its bytes times row i: uint8 (parities, parities)."""
    i = np.arange(parities)
    return power(i[:, None] * (parities - 1 - i)[None, :])


@dataclass(frozen=True, slots=True, eq=False)
class Corrected:
    """What became of received codewords.

    codewords: uint8 (count, n), those that are not ``intact`` as they were received. intact: bool (count,),
    whether the word is a codeword now. corrections: int64 (count,), bytes that were changed.
    """

    codewords: U8Array
    intact: BoolArray
    corrections: I64Array


@dataclass(frozen=True, slots=True)
class ReedSolomon:
    """RS(n, k).

    Arrays of codewords are uint8 (count, n); one that is laid out by places (the transpose of a C array, as
    ``interleave`` gives) is taken without a copy. Raises ValueError for parameters that are no code.
    """

    n: int = 255
    k: int = 223

    def __post_init__(self) -> None:
        if not 0 < self.k < self.n <= ORDER:
            raise ValueError(f"RS({self.n}, {self.k}) is not a code over GF(2^8)")

    @property
    def parities(self) -> int:
        """Bytes of parity in a codeword: that many erasures, or half as many errors, can be corrected."""
        return self.n - self.k

    def parity(self, data: U8Array) -> U8Array:
        """Parity, uint8 (count, n - k), of data, uint8 (count, k).

        The data may be shorter: zeros that are not there stand before it.
        """
        count, shortened = len(data), self.k - data.shape[1]
        table = _parity_table(self.parities, self.k)[shortened:]
        if count <= _FEW:
            added = table[np.arange(len(table))[:, None], data.T]
            summed: U8Array = np.bitwise_xor.reduce(added, axis=0).view(np.uint8)
            return summed[:, : self.parities]
        out = np.empty((count, table.shape[2]), np.uint64)
        step = _AT_ONCE // (8 * table.shape[2])
        looked_up = np.empty((min(count, step), table.shape[2]), np.uint64)
        for start in range(0, count, step):
            total = out[start : start + step]
            part = looked_up[: len(total)]
            places = data[start : start + step].T
            if places.strides[1] != 1:  # each place in one piece
                places = np.ascontiguousarray(places)
            total[:] = 0
            for entries, values in zip(table, places, strict=True):
                # "clip" never clips a byte; it spares numpy the copy that "raise" makes
                entries.take(values, 0, part, "clip")
                np.bitwise_xor(total, part, total)
        return out.view(np.uint8)[:, : self.parities]

    def encode(self, data: U8Array) -> U8Array:
        """Codewords, uint8 (count, n), of data, uint8 (count, k)."""
        codewords = np.empty((self.n, len(data)), np.uint8).T
        codewords[:, : self.k] = data
        codewords[:, self.k :] = self.parity(data)
        return codewords

    def syndromes(self, codewords: U8Array) -> U8Array:
        """Syndromes, uint8 (count, n - k): the word as a polynomial, at alpha ** i.

        All zero for a codeword.
        """
        return self._syndromes(self._remainder(codewords))

    def check(self, codewords: U8Array) -> BoolArray:
        """Whether each word, uint8 (count, n), is a codeword."""
        return np.logical_not(self._remainder(codewords).any(axis=1))

    def decode(self, codewords: U8Array, erased: BoolArray | None = None) -> Corrected:
        """Correct what can be corrected.

        codewords: uint8 (count, n). erased: bool (count, n), or (n,) for all alike: bytes known to be wrong,
        whose value does not matter. A word with more errors than the code corrects is reported as not intact,
        or, rarely, becomes another codeword (about 1 in t! for errors alone; what was erased leaves less to
        tell by): a CRC above tells.
        """
        remainder = self._remainder(codewords)
        bad = np.flatnonzero(remainder.any(axis=1))
        intact = np.ones(len(codewords), np.bool_)
        corrections = np.zeros(len(codewords), np.int64)
        if not len(bad):
            return Corrected(codewords, intact, corrections)
        if erased is None:
            gone = np.zeros((len(bad), self.n), np.bool_)
        elif erased.ndim == 1:
            gone = np.broadcast_to(erased, (len(bad), self.n))
        else:
            gone = erased[bad]
        errata = find_errata(self._syndromes(remainder[bad]), gone)
        out = codewords.copy(order="K")
        word = bad[errata.word]
        out[word, errata.place] ^= errata.value
        # Whatever the algebra said, the syndromes decide: no word passes that is no codeword.
        intact[bad] = errata.solved
        solved = bad[errata.solved]
        still = ~self.check(out[solved]) if len(solved) else np.zeros(0, np.bool_)
        intact[solved[still]] = False
        out[solved[still]] = codewords[solved[still]]
        np.add.at(corrections, word, errata.value != 0)
        corrections[~intact] = 0
        return Corrected(out, intact, corrections)

    def _remainder(self, codewords: U8Array) -> U8Array:
        """Received parity minus that of the received data, uint8 (count, n - k)."""
        return self.parity(codewords[:, : self.k]) ^ codewords[:, self.k :]

    def _syndromes(self, remainder: U8Array) -> U8Array:
        matrix = _syndrome_matrix(self.parities)
        out = np.zeros((self.parities, len(remainder)), np.uint8)
        for place, byte in enumerate(remainder.T):
            out ^= multiply(matrix[:, place, None], byte[None, :])
        return out.T
