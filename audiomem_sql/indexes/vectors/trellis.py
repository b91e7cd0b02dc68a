"""Trellis-coded quantisation: two quantisers of twice the step, and the codes before say which one is used.

A coordinate x, in steps, becomes one of the integers

    quantiser 0:  … -4 -2 0 2 4 …          quantiser 1:  … -3 -1 0 1 3 …

and is stored as its number k in its quantiser: code = 2 k, or 2 k - sign(k). So it costs what rounding to
twice the step costs. Which sequence of quantisers and numbers serves a whole vector best is found by a
Viterbi search: the squared error is a fifth less than that of rounding with as much entropy (Ungerboeck 1982;
Marcellin and Fischer 1990; with entropy codes, Fischer and Wang 1992; the two quantisers are those of
"dependent quantisation" in H.266).

The quantiser of coordinate j is a bit p[j], made of the lowest bits b of the numbers before by a recursion
over GF(2), with eight states:

    p[j] = p[j-1] + p[j-3] + b[j-2]        (everything before the first coordinate is 0)

To undo it, b is divided by the polynomial h(D) = 1 + D + D³. Since h(D)·h(D)·h(D²)·h(D⁴)… = h(D^2ⁿ), which
is 1 and powers of D that are too high to matter, dividing is multiplying by h(D), h(D²), h(D⁴), …, each of
which takes two exclusive ors of all coordinates at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audiomem_sql.arrays import F32Array, I8Array, I16Array, U8Array
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.machine.interrupts import check_interrupt

#: States of the trellis, and its polynomials: bit i is the factor of D^i (Ungerboeck's code of eight states).
STATES = 8
_OF_QUANTISERS, _OF_BITS = 0b1011, 0b0100
#: The largest number of a code of -127 to 127.
MAX_NUMBER = 64
#: Vectors whose paths are searched at once, and the memory that may take for longer vectors.
_VECTORS = 2048
_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Trellis:
    """The coordinates from ``first`` to before ``last`` of a vector, coded one after another."""

    first: int
    last: int

    @property
    def width(self) -> int:
        """Coordinates in the trellis."""
        return self.last - self.first

    def quantised(self, scaled: F32Array) -> F32Array:
        """The codes of float32 (n, d), whose coordinates are in steps: those of the nearest path.

        float32 (n, d), whole numbers, what lies outside the trellis rounded. A code that was decoded comes
        back as it was.
        """
        codes: F32Array = np.rint(scaled)
        most = max(1, min(_VECTORS, _BYTES // ((STATES + 16) * max(self.width, 1))))
        for start in range(0, len(scaled), most):
            check_interrupt()
            part = np.ascontiguousarray(scaled[start : start + most, self.first : self.last].T)
            codes[start : start + most, self.first : self.last] = _nearest_path(part).T
        return codes

    def numbers(self, codes: I8Array) -> I8Array:
        """int8 (d, …) of int8 (d, …): the numbers of codes in their quantisers, coordinate by coordinate."""
        if not self.width:
            return codes
        numbers = codes.copy()
        part = numbers[self.first : self.last]
        # Half of it, away from zero.
        part[:] = (part >> 1) + ((part > 0) & (part & 1))
        return numbers

    def restore(self, numbers: I8Array) -> None:
        """The codes of int8 (d, n) numbers, in their place.

        Raises DamagedFileError (without a place) for numbers that no code has.
        """
        part = numbers[self.first : self.last]
        if not part.size:
            return
        if part.max() > MAX_NUMBER or part.min() < -MAX_NUMBER:
            raise DamagedFileError("a vector has a code that its trellis does not have")
        quantisers = np.unpackbits(_quantisers(np.packbits(part & 1, axis=1)), axis=1, count=part.shape[1])
        away = quantisers.view(np.int8) * np.sign(part)
        part += part
        part -= away


#: All coordinates are rounded.
NO_TRELLIS = Trellis(0, 0)


def _quantisers(bits: U8Array) -> U8Array:
    """The quantiser of each coordinate, uint8 (d, any), of the lowest bits of numbers, a vector a bit."""
    quantisers = np.zeros_like(bits)
    quantisers[2:] = bits[:-2]
    power = 1
    while power < len(bits):
        # By h(D^power). The right side is copied before the left one is written.
        factor = quantisers.copy()
        factor[power:] ^= quantisers[:-power]
        factor[3 * power :] ^= quantisers[: -3 * power]
        quantisers = factor
        power *= 2
    return quantisers


def _branches() -> list[list[tuple[int, int]]]:
    """Of each state the two branches that lead there: the state that they come from, and their subset.

    The lowest bit of a state is the quantiser of the next coordinate. A subset is twice the quantiser and the
    lowest bit of the number.
    """
    branches: list[list[tuple[int, int]]] = [[] for _ in range(STATES)]
    for state in range(STATES):
        quantiser = state & 1
        for bit in (0, 1):
            after = (state >> 1) ^ quantiser * (_OF_QUANTISERS >> 1) ^ bit * (_OF_BITS >> 1)
            branches[after].append((state, 2 * quantiser + bit))
    return branches


_BRANCHES = _branches()
#: By twice a state and which of its branches: the state before, and the subset.
_BEFORE = np.array([before for own in _BRANCHES for before, _ in own])
_SUBSET = np.array([subset for own in _BRANCHES for _, subset in own])


def _nearest_path(scaled: F32Array) -> I16Array:
    """int16 (d, n): of float32 (d, n) the codes of the path with the least squared error, of each vector."""
    width, count = scaled.shape
    candidates = np.empty((width, 4, count), np.int16)
    second = np.empty((width, STATES, count), bool)
    costs = np.full((STATES, count), np.inf, np.float32)
    costs[0] = 0
    following = np.empty_like(costs)
    one, other = np.empty((2, count), np.float32)
    for at in range(width):
        nearest = _candidates(scaled[at])
        candidates[at] = nearest
        nearest -= scaled[at]
        nearest *= nearest
        for state, ((first, subset), (last, subset_of_last)) in enumerate(_BRANCHES):
            np.add(costs[first], nearest[subset], out=one)
            np.add(costs[last], nearest[subset_of_last], out=other)
            np.less(other, one, out=second[at, state])
            np.minimum(one, other, out=following[state])
        costs, following = following, costs
    codes = np.empty((width, count), np.int16)
    vectors = np.arange(count)
    state = costs.argmin(axis=0)
    for at in range(width - 1, -1, -1):
        branch = 2 * state + second[at].reshape(-1)[state * count + vectors]
        codes[at] = candidates[at].reshape(-1)[_SUBSET[branch] * count + vectors]
        state = _BEFORE[branch]
    return codes


def _candidates(scaled: F32Array) -> F32Array:
    """float32 (4, n): of each subset the code nearest to float32 (n,)."""
    nearest = np.empty((4, len(scaled)), np.float32)
    size = np.abs(scaled)
    # Even codes: multiples of 4, and those that lie between.
    np.rint(scaled / 4, out=nearest[0])
    np.rint((scaled - 2) / 4, out=nearest[1])
    # Odd ones by their size: 0, 3, 7, 11, … and 1, 5, 9, …
    np.rint((size + 1) / 4, out=nearest[2])
    np.rint((size - 1) / 4, out=nearest[3])
    nearest *= 4
    nearest[1] += 2
    nearest[2] -= 1
    nearest[2][size < 1.5] = 0
    nearest[3] += 1
    np.copysign(nearest[2:], scaled, out=nearest[2:])
    return nearest
