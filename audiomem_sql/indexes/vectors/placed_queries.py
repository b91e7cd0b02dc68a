"""Queries in the units of an index, and as its codec rotates them."""

from __future__ import annotations

import numpy as np

from audiomem_sql.arrays import F32Array
from audiomem_sql.indexes.vectors.arrays import vectors_of
from audiomem_sql.indexes.vectors.codec import VectorCodec
from audiomem_sql.indexes.vectors.metrics import query_scale


class PlacedQueries:
    """Places queries, and knows the last one: a search of several indexes first asks each for its lists.

    Threads may share it.
    """

    def __init__(self, dimensions: int, metric: str, scale: float, codec: VectorCodec) -> None:
        self._dimensions, self._metric, self._scale = dimensions, metric, scale
        self._codec = codec
        self._last: tuple[F32Array, tuple[F32Array, F32Array]] | None = None

    def of(self, queries: F32Array) -> tuple[F32Array, F32Array]:
        """Queries float32 (m, d) in units of the index, and as its codec rotates them.

        DataTypeError for another d, and by cosine for what is no direction.
        """
        last = self._last
        if last is not None and np.array_equal(last[0], queries):
            return last[1]
        directions = query_scale(vectors_of(queries, self._dimensions), self._metric, self._scale)
        placed = directions, self._codec.rotated(directions)
        if len(directions) == 1:
            self._last = np.array(queries), placed
        return placed
