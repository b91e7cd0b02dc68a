"""Linear algebra over GF(2), eight columns at a time.

The "method of the four Russians" (Arlazarov, Dinic, Kronrod and Faradžev 1970; for elimination: Bard 2006):
what eight rows can add up to is worked out once, 256 sums, and every other row then takes one of them instead
of up to eight. Bit j of a packed row is bit j % 8 of byte j // 8.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audiomem_sql.arrays import BoolArray, I64Array, U8Array

_WORD_BITS = 64


@dataclass(frozen=True, slots=True, eq=False)
class Elimination:
    """What Gauss-Jordan elimination of a matrix A, bool (rows, columns), found.

    pivots: int64 (columns,), the row of the reduced matrix that begins with a column, -1 for a column without
    one. determined: bool (columns,), whether A x = s has only one value for unknown j. combination: packed
    bits (columns, ceil(rows / 8)): the rows of A that add up to unknown j, where it is determined.
    """

    pivots: I64Array
    determined: BoolArray
    combination: U8Array

    @property
    def rank(self) -> int:
        """Columns that have a pivot."""
        return int((self.pivots >= 0).sum())


def eliminate(matrix: BoolArray, combine: bool = True) -> Elimination:
    """Gauss-Jordan elimination of ``matrix``, bool (rows, columns).

    combine: whether to keep track of the combinations; without, ``combination`` has no columns.
    """
    rows, columns = matrix.shape
    left = -(-columns // _WORD_BITS) * 8
    right = -(-rows // _WORD_BITS) * 8 if combine else 0
    packed = np.zeros((rows, left + right), np.uint8)
    packed[:, : -(-columns // 8)] = np.packbits(matrix, axis=1, bitorder="little")
    if combine:
        own = np.arange(rows)
        packed[own, left + own // 8] = np.left_shift(1, own % 8).astype(np.uint8)
    pivots = np.full(columns, -1, np.int64)
    free = np.ones(rows, np.bool_)
    for panel in range(-(-columns // 8)):
        _eliminate_panel(packed, panel, columns, pivots, free)
    found = np.flatnonzero(pivots >= 0)
    # A row of the reduced matrix names one unknown, unless it also holds columns that have no pivot.
    loose = np.packbits(pivots < 0, bitorder="little")
    determined = np.zeros(columns, np.bool_)
    determined[found] = ~(packed[pivots[found], : len(loose)] & loose).any(axis=1)
    combination = np.zeros((columns, -(-rows // 8) if combine else 0), np.uint8)
    combination[found] = packed[pivots[found], left : left + combination.shape[1]]
    return Elimination(pivots, determined, combination)


def _eliminate_panel(packed: U8Array, panel: int, columns: int, pivots: I64Array, free: BoolArray) -> None:
    """Find pivots for columns 8 × panel … + 8 and clear these columns everywhere else."""
    value = packed[
        :, panel
    ].copy()  # the panel of every row, kept reduced; the rows themselves follow at the end
    chosen: list[tuple[int, int]] = []
    for bit in range(min(8, columns - 8 * panel)):
        holders = ((value >> bit) & 1).astype(np.bool_)
        candidates = holders & free
        row = int(candidates.argmax())
        if not candidates[row]:
            continue
        for other_bit, other in chosen:
            if packed[row, panel] >> other_bit & 1:
                packed[row] ^= packed[other]
        for _, other in chosen:
            if packed[other, panel] >> bit & 1:
                packed[other] ^= packed[row]
        holders[row] = False
        value[holders] ^= value[row]
        free[row] = False
        pivots[8 * panel + bit] = row
        chosen.append((bit, row))
    if not chosen:
        return
    at = panel // 8 * 8  # columns before this word are clear already
    words = packed[:, at:].view(np.uint64)
    sums = np.zeros((256, words.shape[1]), np.uint64)
    for bit, row in chosen:
        sums[np.arange(256) >> bit & 1 == 1] ^= words[row]
    index = packed[:, panel].copy()
    index[[row for _, row in chosen]] = 0
    words ^= sums[index]


def combine(selection: U8Array, vectors: U8Array) -> U8Array:
    """XOR of chosen vectors: packed bits (n, ceil(v / 8)), uint8 (v, size) → uint8 (n, size)."""
    count, size = vectors.shape
    width = -(-size // 8)
    padded = np.zeros((-(-count // 8) * 8, width * 8), np.uint8)
    padded[:count, :size] = vectors
    words = padded.view(np.uint64)
    out = np.zeros((len(selection), width), np.uint64)
    sums = np.zeros((256, width), np.uint64)
    for byte in range(selection.shape[1]):
        for bit in range(8):
            np.bitwise_xor(sums[: 1 << bit], words[8 * byte + bit], out=sums[1 << bit : 2 << bit])
        out ^= sums[selection[:, byte]]
    return out.view(np.uint8)[:, :size]
