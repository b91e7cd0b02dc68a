"""Vectors like those of texts: clusters of clusters, with variances that fall by direction."""

from __future__ import annotations

import numpy as np

from audiomem_sql.arrays import F32Array


def clustered(count: int, dimensions: int = 96, seed: int = 7) -> F32Array:
    """float32 (count, dimensions), of length 1."""
    rng = np.random.default_rng(1)  # the clusters are always the same
    mixing = rng.standard_normal((dimensions, dimensions)) * np.arange(1, dimensions + 1) ** -0.4
    centres = rng.standard_normal((40, dimensions)) @ mixing.T
    offsets = rng.standard_normal((400, dimensions)) @ mixing.T * 0.6
    rng = np.random.default_rng(seed)
    vectors = centres[rng.integers(0, 40, count)] + offsets[rng.integers(0, 400, count)]
    vectors += rng.standard_normal((count, dimensions)) @ mixing.T * 0.6
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32)


def brute_force(vectors: F32Array, queries: F32Array) -> F32Array:
    """Cosine distances, float64 (m, n)."""
    vectors, queries = vectors.astype(np.float64), queries.astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1)
    products = queries @ vectors.T / np.linalg.norm(queries, axis=1, keepdims=True)
    return 1 - products / lengths
