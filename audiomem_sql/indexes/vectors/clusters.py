"""Lists of vectors that point the same way: spherical k-means (Dhillon and Modha 2001).

The lists are the same on every run. The code is only a matrix product away from what a library does, and as
fast, so writing needs no library.
"""

from __future__ import annotations

import numpy as np

from audiomem_sql.arrays import F32Array, I32Array
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.machine.spooled_arrays import ArrayRows, Rows

#: Vectors for each centre that training looks at, and how often; more changes nothing that recall would show.
SAMPLE = 64
ROUNDS = 8
#: Vectors that are compared with the centres at once.
CHUNK = 4096


def cluster(directions: Rows, lists: int) -> I32Array:
    """The list of each of n unit vectors, float32 (any, d) a piece: int32 (n,), from 0 to ``lists`` - 1.

    A list may be empty.
    """
    rng = np.random.default_rng(len(directions))
    chosen = np.sort(rng.permutation(len(directions))[: max(lists, SAMPLE * lists)])
    sample = directions.take(chosen)
    centres = sample[np.sort(rng.permutation(len(sample))[:lists])]
    for _ in range(ROUNDS):
        centres = _moved(centres, sample, nearest(sample, centres))
    del sample
    return np.concatenate([nearest(piece, centres) for piece in directions.pieces()])


def nearest(directions: F32Array, centres: F32Array) -> I32Array:
    """The centre with the greatest inner product for each vector, int32 (n,)."""
    numbers = np.empty(len(directions), np.int32)
    for start in range(0, len(directions), CHUNK):
        check_interrupt()
        numbers[start : start + CHUNK] = (directions[start : start + CHUNK] @ centres.T).argmax(axis=1)
    return numbers


def means_of(vectors: Rows, membership: I32Array, lists: int) -> F32Array:
    """The mean of each list of n vectors, float32 (lists, d); zeros for an empty one."""
    sums = np.zeros((lists, vectors.width))
    at = 0
    for piece in vectors.pieces():
        numbers = membership[at : at + len(piece)]
        at += len(piece)
        order = np.argsort(numbers, kind="stable")
        filled, starts = np.unique(numbers[order], return_index=True)
        sums[filled] += np.add.reduceat(piece[order], starts, axis=0, dtype=np.float64)
    counts = np.bincount(membership, minlength=lists)
    means: F32Array = (sums / np.maximum(counts, 1)[:, None]).astype(np.float32)
    return means


def _moved(centres: F32Array, sample: F32Array, membership: I32Array) -> F32Array:
    """Each centre at the mean direction of its vectors.

    One without any goes where vectors fit their centre worst.
    """
    means = means_of(ArrayRows(sample), membership, len(centres))
    lengths = np.linalg.norm(means, axis=1)
    lost = np.flatnonzero(lengths < 1e-6)
    if len(lost):
        fit = np.einsum("ij,ij->i", sample, centres[membership])
        worst = np.argsort(fit, kind="stable")[: len(lost)]
        means[lost] = sample[worst]
        lengths = np.linalg.norm(means, axis=1)
    moved: F32Array = means / np.maximum(lengths, 1e-6)[:, None]
    return moved
