"""Lists of vectors that are near each other: k-means.

Of directions it is spherical (Dhillon and Modha 2001): centres have length 1, and a vector goes to the centre
with the greatest cosine. Of other vectors it is Lloyd's (1982), by Euclidean distance.

The lists are the same on every run. The code is only a matrix product away from what a library does, and as
fast, so writing needs no library.
"""

from __future__ import annotations

import numpy as np

from audiomem_sql.arrays import F32Array, I32Array
from audiomem_sql.machine.device import device_for
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.machine.spooled_arrays import ArrayRows, Rows

#: Vectors for each centre that training looks at, and how often; more changes nothing that recall would show.
SAMPLE = 64
ROUNDS = 8
#: Vectors that are compared with the centres at once.
CHUNK = 4096


def cluster(directions: Rows, lists: int, *, spherical: bool = True) -> I32Array:
    """The list of each of n vectors, float32 (any, d) a piece: int32 (n,), from 0 to ``lists`` - 1.

    A list may be empty. spherical: the vectors have length 1.
    """
    rng = np.random.default_rng(len(directions))
    chosen = np.sort(rng.permutation(len(directions))[: max(lists, SAMPLE * lists)])
    sample = directions.take(chosen)
    centres = sample[np.sort(rng.permutation(len(sample))[:lists])]
    for _ in range(ROUNDS):
        centres = _moved(centres, sample, nearest(sample, centres, spherical=spherical), spherical)
    del sample
    return np.concatenate([nearest(piece, centres, spherical=spherical) for piece in directions.pieces()])


def nearest(directions: F32Array, centres: F32Array, *, spherical: bool = True) -> I32Array:
    """The nearest centre of each vector, int32 (n,): that with the greatest inner product, or by distance."""
    numbers = np.empty(len(directions), np.int32)
    halves = None if spherical else np.einsum("ij,ij->i", centres, centres) / 2
    device = device_for(directions.size)
    there = None if device is None else device.vectors(centres, halves)
    for start in range(0, len(directions), CHUNK):
        check_interrupt()
        if there is not None:
            numbers[start : start + CHUNK] = there.greatest(directions[start : start + CHUNK], 1)[1][:, 0]
            continue
        products = directions[start : start + CHUNK] @ centres.T
        if halves is not None:
            products -= halves
        numbers[start : start + CHUNK] = products.argmax(axis=1)
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


def _moved(centres: F32Array, sample: F32Array, membership: I32Array, spherical: bool) -> F32Array:
    """Each centre at the mean of its vectors, of length 1 where that is ``spherical``.

    One without any goes where vectors fit their centre worst.
    """
    means = means_of(ArrayRows(sample), membership, len(centres))
    lengths = np.linalg.norm(means, axis=1)
    empty = np.bincount(membership, minlength=len(centres)) == 0
    lost = np.flatnonzero(empty | (lengths < 1e-6) if spherical else empty)
    if len(lost):
        near = centres[membership]
        fit = np.einsum("ij,ij->i", sample, near)
        if not spherical:
            fit -= (np.einsum("ij,ij->i", sample, sample) + np.einsum("ij,ij->i", near, near)) / 2
        worst = np.argsort(fit, kind="stable")[: len(lost)]
        means[lost] = sample[worst]
        lengths = np.linalg.norm(means, axis=1)
    if not spherical:
        return means
    moved: F32Array = means / np.maximum(lengths, 1e-6)[:, None]
    return moved
