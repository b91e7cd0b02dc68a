"""How near vectors are, by each metric: exact distances, and scores of what an index decodes.

A distance is what a user sees, smaller is nearer: 1 - cosine, the Euclidean distance, or the inner product
with its sign turned. A score is what searches rank by, greater is nearer. Of a query q, with p the product of
q with a decoded vector x of size s, and x standing for the vector ``length`` · x:

    cosine: p / s
    l2:     2 · length · p - (length · s)², which is |q|² less the squared distance
    ip:     length · p
"""

from __future__ import annotations

import numpy as np

from audiomem_sql.arrays import F32Array, I64Array
from audiomem_sql.columns.vector_index import COSINE, L2
from audiomem_sql.indexes.vectors.arrays import directions_of
from audiomem_sql.indexes.vectors.scanning import cosine_distances, products_of
from audiomem_sql.machine.device import Device, device_for


def distances_of(vectors: F32Array, query: F32Array, metric: str) -> F32Array:
    """Exact distances of float32 (n, d) from a query, float32 (d,): float32 (n,).

    By cosine 2 where a vector has no length. Raises DataTypeError for a query without one.
    """
    if (device := device_for(vectors.size)) is not None:
        return _distances_on(device, vectors, query, metric)
    if metric == COSINE:
        return cosine_distances(vectors, directions_of(query[np.newaxis])[0])
    if metric == L2:
        differences = vectors - query
        squares = np.einsum("ij,ij->i", differences, differences, dtype=np.float64)
        distances: F32Array = np.sqrt(squares).astype(np.float32)
        return distances
    products: F32Array = -np.einsum("ij,j->i", vectors, query, dtype=np.float64).astype(np.float32)
    return products


def _distances_on(device: Device, vectors: F32Array, query: F32Array, metric: str) -> F32Array:
    """The same on a device, but for what rounding makes of the last digit."""
    distances: F32Array
    if metric == L2:
        distances = np.sqrt(device.square_distances(vectors, query)).astype(np.float32)
        return distances
    if metric == COSINE:
        query = directions_of(query[np.newaxis])[0]
    products, squares = device.sums(vectors, query)
    if metric != COSINE:
        return (-products).astype(np.float32)
    cosines = np.divide(products, np.sqrt(squares), out=np.full(len(vectors), -1.0), where=squares > 0)
    distances = np.maximum(1 - cosines, 0).astype(np.float32)
    return distances


class Scores:
    """Scores of the vectors of one list by their products with queries.

    sizes: float32 (n,), the lengths of the decoded codes. lengths: float32 (n,), times which these are the
    vectors; None: all 1.
    """

    def __init__(self, metric: str, sizes: F32Array, lengths: F32Array | None) -> None:
        own = np.ones(len(sizes), np.float32) if lengths is None else lengths
        self._metric = metric
        if metric == COSINE:
            self._sizes, self._shortest, self._longest = sizes, float(sizes.min()), float(sizes.max())
        elif metric == L2:
            self._gains, self._losses = 2 * own, np.square(own * sizes)
        else:
            self._gains, self._losses = own, np.zeros(1, np.float32)

    def of(self, products: F32Array, positions: I64Array) -> F32Array:
        """Scores float32 (m, k) of ``products`` with the vectors at int64 (m, k) ``positions``."""
        if self._metric == COSINE:
            cosines: F32Array = products / self._sizes[positions]
            return cosines
        losses = self._losses[positions] if self._metric == L2 else self._losses
        scores: F32Array = self._gains[positions] * products - losses
        return scores

    def bound(self, products: F32Array) -> F32Array:
        """The greatest score that a vector can have whose product is at most float32 (m,): float32 (m,)."""
        if self._metric == COSINE:
            bounds: F32Array = np.where(
                products > 0, products / self._shortest, products / self._longest
            ).astype(np.float32)
            return bounds
        greatest: F32Array = (products[:, None] * self._gains - self._losses).max(axis=1)
        return greatest


def query_scale(queries: F32Array, metric: str, scale: float) -> F32Array:
    """Queries float32 (m, d) as an index compares them: by cosine with length 1, else in units of its scale.

    Raises DataTypeError for a query without a direction, by cosine.
    """
    return directions_of(queries) if metric == COSINE else queries / np.float32(scale)


def distances_of_scores(scores: F32Array, queries: F32Array, metric: str, scale: float) -> F32Array:
    """Distances float32 (m, k) of scores float32 (m, k), minus infinity for none.

    queries: as :func:`query_scale` makes them.
    """
    if metric == COSINE:
        distances = np.clip(1 - scores, 0, 2)
    elif metric == L2:
        squares = np.einsum("ij,ij->i", queries, queries)[:, None] - scores
        distances = np.sqrt(np.maximum(squares, 0)) * np.float32(scale)
    else:
        distances = -scores * np.float32(scale) * np.float32(scale)
    found: F32Array = np.where(scores > -np.inf, distances, np.inf).astype(np.float32)
    return found


def centre_scores(queries: F32Array, centres: F32Array, metric: str) -> F32Array:
    """How near centres float32 (n, d) are to queries float32 (m, d): float32 (m, n), greater is nearer."""
    products = products_of(queries, centres)
    if metric == L2:
        products = 2 * products - np.einsum("ij,ij->i", centres, centres)
    return products
