"""Vectors as they are stored, handed from one index to the next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audiomem_sql.arrays import F32Array, F64Array, I8Array
from audiomem_sql.indexes.vectors.codec import VectorCodec


@dataclass(frozen=True, slots=True, eq=False)
class CodedVectors:
    """Vectors as they are stored: int8 (n, d) in the codes of ``codec``, times float32 (n,) ``lengths``.

    A length of 1 means that the codes hold the length, too; 0 is a vector of zeros, whatever its codes.
    Handed from one index to the next, they stay the same bit by bit.
    """

    codec: VectorCodec
    codes: I8Array
    lengths: F32Array

    def decoded(self) -> F32Array:
        """float32 (n, d)."""
        return self.codec.decode(self.codes) * self.lengths[:, None]

    def cosines(self, query: F32Array) -> F64Array:
        """Those with float32 (d,), float64 (n,); -1 for a vector of zeros. Nothing is turned back for it."""
        placed = self.codec.placed(self.codes)
        products = placed @ self.codec.rotated(query[np.newaxis])[0]
        sizes = np.sqrt(np.einsum("ij,ij->i", placed, placed))
        there = (sizes > 0) & (self.lengths > 0)
        cosines = np.full(len(sizes), -1.0)
        np.divide(products, sizes, out=cosines, where=there)
        return cosines
