"""Maximal marginal relevance (Carbonell and Goldstein 1998): near to the query, and unlike each other."""

from __future__ import annotations

import numpy as np

from audiomem_sql.arrays import F32Array, F64Array


def directions(vectors: F32Array) -> F32Array:
    """Vectors, float32 (…, d), as long as 1; those of zeros stay as they are."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)


def diverse(near: F64Array, vectors: F32Array, k: int, weight: float) -> tuple[list[int], list[float]]:
    """(places of at most ``k`` rows, best first, and their scores).

    Each next one has the greatest ``weight · near − (1 − weight) · its greatest cosine with one chosen``.
    near: (n,), how near each is to the query. vectors: float32 (n, d). weight: 1 for nearness alone, 0 for
    difference alone.
    """
    if k <= 0 or not len(vectors):
        return [], []
    unit = directions(vectors)
    chosen = [int(np.argmax(near))]
    scores = [float(weight * near[chosen[0]])]
    alike = np.full(len(unit), -np.inf)
    while len(chosen) < min(k, len(unit)):
        alike = np.maximum(alike, unit @ unit[chosen[-1]])
        gain = weight * near - (1.0 - weight) * alike
        gain[chosen] = -np.inf
        chosen.append(int(np.argmax(gain)))
        scores.append(float(gain[chosen[-1]]))
    return chosen, scores
