"""Clusters of vectors by k-means, the same on every run; what an index has for lists is another thing.

Centres begin where k-means++ puts them (Arthur and Vassilvitskii 2007). Of directions it is spherical
(Dhillon and Modha 2001), of other vectors Lloyd's (1982).
"""

from __future__ import annotations

import numpy as np

from audiomem_sql.arrays import F32Array, F64Array, I64Array
from audiomem_sql.machine.device import device_for
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.search.analyses.directions import Vectors

#: Vectors for each centre that training looks at, at least so many in all; and how often, at most.
_SAMPLE, _LEAST_SAMPLE, _ROUNDS = 256, 4096, 30
#: Vectors that are compared with the centres at once.
_CHUNK = 4096
_SEED = 20


def centres_of(
    vectors: Vectors, k: int, *, spherical: bool = True, sample: int = _SAMPLE, rounds: int = _ROUNDS
) -> F32Array:
    """``k`` centres of float32 (n, d) vectors, at most n: float32 (k, d).

    spherical: the vectors have length 1, and so have the centres.
    """
    rng = np.random.default_rng(_SEED)
    size = min(len(vectors), max(_LEAST_SAMPLE, sample * k))
    chosen = vectors[np.sort(rng.permutation(len(vectors))[:size])]
    centres = _first_centres(chosen, min(k, len(chosen)), rng)
    before: I64Array | None = None
    for _ in range(rounds):
        membership = nearest_centres(chosen, centres, spherical=spherical)[:, 0]
        if before is not None and (membership == before).all():
            break
        before = membership
        centres = _moved(chosen, membership, centres, spherical)
    return centres


def nearest_centres(
    vectors: F32Array, centres: F32Array, *, count: int = 1, spherical: bool = True
) -> I64Array:
    """The ``count`` nearest centres of each vector, the nearest first: int64 (n, count)."""
    count = min(count, len(centres))
    found = np.empty((len(vectors), count), np.int64)
    halves = None if spherical else np.einsum("ij,ij->i", centres, centres) / 2
    device = device_for(vectors.size)
    there = None if device is None else device.vectors(centres, halves)
    for start in range(0, len(vectors), _CHUNK):
        check_interrupt()
        if there is not None:
            found[start : start + _CHUNK] = there.greatest(vectors[start : start + _CHUNK], count)[1]
            continue
        scores = vectors[start : start + _CHUNK] @ centres.T
        if halves is not None:
            scores -= halves
        if count == 1:
            found[start : start + _CHUNK, 0] = scores.argmax(axis=1)
            continue
        some = np.argpartition(-scores, count - 1, axis=1)[:, :count]
        order = np.argsort(-np.take_along_axis(scores, some, axis=1), axis=1, kind="stable")
        found[start : start + _CHUNK] = np.take_along_axis(some, order, axis=1)
    return found


def _first_centres(vectors: F32Array, k: int, rng: np.random.Generator) -> F32Array:
    """``k`` of the vectors, each drawn with the square of its distance from those before it."""
    chosen = [int(rng.integers(len(vectors)))]
    nearest: F64Array = np.full(len(vectors), np.inf)
    while len(chosen) < k:
        check_interrupt()
        differences = vectors - vectors[chosen[-1]]
        nearest = np.minimum(nearest, np.einsum("ij,ij->i", differences, differences, dtype=np.float64))
        sums = np.cumsum(nearest)
        if sums[-1] <= 0:  # all others are equal to one of them
            chosen.extend(np.setdiff1d(np.arange(len(vectors)), chosen)[: k - len(chosen)].tolist())
            break
        chosen.append(min(int(np.searchsorted(sums, rng.random() * sums[-1], "right")), len(vectors) - 1))
    first: F32Array = vectors[np.array(chosen)]
    return first


def _moved(vectors: F32Array, membership: I64Array, centres: F32Array, spherical: bool) -> F32Array:
    """Each centre at the mean of its vectors; one without any stays where it is."""
    order = np.argsort(membership, kind="stable")
    filled, starts = np.unique(membership[order], return_index=True)
    sums = np.add.reduceat(vectors[order], starts, axis=0, dtype=np.float64)
    means = sums / np.bincount(membership, minlength=len(centres))[filled, None]
    if spherical:
        lengths = np.linalg.norm(means, axis=1)
        filled, means = filled[lengths > 1e-6], means[lengths > 1e-6]
        means /= np.linalg.norm(means, axis=1)[:, None]
    moved = centres.copy()
    moved[filled] = means
    return moved
