"""Vectors on a plane: near each other where the vectors are.

It begins with the two principal axes. Then neighbours attract each other and random rows repel each other,
with the forces of UMAP (McInnes et al. 2018, section 3.2), all rows at once. Of many rows a part is laid out,
and each other row goes to its nearest ones. The same vectors make the same map.
"""

from __future__ import annotations

import numpy as np

from audiomem_sql.arrays import F32Array, F64Array, I64Array, distinct
from audiomem_sql.columns.vector_index import COSINE, L2
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.search.analyses.nearest_of_many import nearest_of_many

#: Rows that are laid out by forces.
LAID_OUT = 5000
_NEIGHBOURS, _PLACED_BY, _ROUNDS, _REPELLERS = 15, 5, 200, 5
#: The curve of UMAP's attraction for min_dist 0.1: 1 / (1 + A d^(2 B)).
_A, _B = 1.577, 0.895
_MOST_STEP = 4.0
#: The first map is so wide.
_WIDTH = 10.0
#: How much of its way to the middle each row goes in a round: groups that nothing connects stay on the map.
_GRAVITY = 0.1


def layout(vectors: F32Array, *, spherical: bool = True) -> F64Array:
    """Places on a plane of float32 (n, d) vectors: float64 (n, 2), within -1 and 1.

    spherical: the vectors have length 1.
    """
    count = len(vectors)
    if count < 3:
        return np.column_stack([np.linspace(-1, 1, count) if count > 1 else np.zeros(count), np.zeros(count)])
    metric = COSINE if spherical else L2
    chosen = distinct(np.linspace(0, count - 1, min(LAID_OUT, count)).astype(np.int64))
    places = _by_forces(vectors[chosen], metric)
    if len(chosen) < count:
        placed = np.empty((count, 2))
        placed[chosen] = places
        others = np.setdiff1d(np.arange(count), chosen)
        near, distances = _neighbours(vectors[chosen], vectors[others], _PLACED_BY, metric)
        weights = 1 / np.maximum(distances.astype(np.float64), 1e-6)
        placed[others] = (places[near] * weights[:, :, None]).sum(axis=1) / weights.sum(axis=1)[:, None]
        places = placed
    return _within(places)


def _neighbours(vectors: F32Array, queries: F32Array, k: int, metric: str) -> tuple[I64Array, F32Array]:
    """The ``k`` nearest vectors of each query: their places int64 (m, k), and distances."""

    def pieces() -> list[tuple[I64Array, F32Array]]:
        return [(np.arange(len(vectors)), vectors)]

    return nearest_of_many(lambda: iter(pieces()), queries, min(k, len(vectors)), metric)


def _by_forces(vectors: F32Array, metric: str) -> F64Array:
    places = _principal(vectors)
    near, distances = _neighbours(vectors, vectors, _NEIGHBOURS + 1, metric)
    one, other, weights = _edges(near, distances)
    rng = np.random.default_rng(1)
    for number in range(_ROUNDS):
        check_interrupt()
        step = 1 - number / _ROUNDS
        places = places + step * _moves(places, one, other, weights, rng)
    return places


def _principal(vectors: F32Array) -> F64Array:
    """The coordinates of the vectors on their two principal axes, float64 (n, 2), ``_WIDTH`` wide."""
    centred = vectors - vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    covariance = (centred.T @ centred).astype(np.float64)
    axes = np.linalg.eigh(covariance)[1][:, ::-1][:, :2]
    axes *= np.where(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])] < 0, -1, 1)
    places = centred.astype(np.float64) @ axes
    if places.shape[1] < 2:
        places = np.column_stack([places[:, 0], np.zeros(len(places))])
    jitter = np.random.default_rng(0).normal(0, 1e-3, places.shape)  # equal vectors must be able to part
    spread: F64Array = places / max(float(np.abs(places).max()), 1e-12) * _WIDTH + jitter
    return spread


def _edges(near: I64Array, distances: F32Array) -> tuple[I64Array, I64Array, F64Array]:
    """Pairs of neighbours and how much they attract each other, from 0 to 1; each pair once either way."""
    count, k = near.shape
    rows = np.repeat(np.arange(count), k)
    spans = distances - np.where(np.isfinite(distances), distances, np.inf).min(axis=1)[:, None]
    scale = np.maximum(np.sort(spans, axis=1)[:, k // 2], 1e-6)[:, None]
    strengths = np.exp(-np.maximum(spans, 0) / scale).ravel().astype(np.float64)
    other = near.ravel()
    kept = (other >= 0) & (other != rows)
    rows, other, strengths = rows[kept], other[kept], strengths[kept]
    keys = np.concatenate([rows * count + other, other * count + rows])
    distinct, back = np.unique(keys, return_inverse=True)
    misses = np.ones(len(distinct))
    np.multiply.at(misses, back, 1 - np.concatenate([strengths, strengths]))
    one, two = np.divmod(distinct, count)
    return one, two, 1 - misses  # of a union: a + b - ab


def _moves(
    places: F64Array, one: I64Array, other: I64Array, weights: F64Array, rng: np.random.Generator
) -> F64Array:
    """How far each row goes in one round, float64 (n, 2)."""
    count = len(places)
    moves = np.zeros_like(places)
    apart = places[one] - places[other]
    squares = np.einsum("ij,ij->i", apart, apart)
    safe = np.maximum(squares, 1e-9)
    pull = weights * -2 * _A * _B * safe ** (_B - 1) / (1 + _A * safe**_B)
    repelled = np.repeat(np.arange(count), _REPELLERS)
    away = places[repelled] - places[rng.integers(0, count, len(repelled))]
    away_squares = np.einsum("ij,ij->i", away, away)
    push = 2 * _B / ((0.001 + away_squares) * (1 + _A * np.maximum(away_squares, 1e-9) ** _B))
    degrees = np.maximum(np.bincount(one, weights, count), 1e-9)
    for axis in range(2):
        pulls = np.clip(pull * apart[:, axis], -_MOST_STEP, _MOST_STEP)
        pushes = np.clip(push * away[:, axis], -_MOST_STEP, _MOST_STEP)
        moves[:, axis] = np.bincount(one, pulls, count) / degrees
        moves[:, axis] += np.bincount(repelled, pushes, count) / _REPELLERS
    return np.clip(moves - _GRAVITY * places, -_MOST_STEP, _MOST_STEP)


def _within(places: F64Array) -> F64Array:
    """The places moved and scaled, so that nearly all are well within -1 and 1, and all are within."""
    low, high = np.percentile(places, 1, axis=0), np.percentile(places, 99, axis=0)
    middle, half = (low + high) / 2, max(float((high - low).max()) / 2, 1e-12)
    scaled = (places - middle) / half * 0.9
    length = np.abs(scaled).max(axis=1)
    beyond = np.where(
        length > 0.9, (0.9 + 0.1 * np.tanh((length - 0.9) / 0.1)) / np.maximum(length, 1e-12), 1
    )
    result: F64Array = scaled * beyond[:, None]
    return result
