"""What makes vectors of texts, as everything else sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from audiomem_sql.arrays import F32Array
from audiomem_sql.machine.progress import Progress


class Embedder(Protocol):
    """Makes vectors of texts. ``digest``: 16 bytes that tell its weights from all others."""

    @property
    def name(self) -> str:
        """The name of the model."""

    @property
    def dimensions(self) -> int:
        """Numbers of a vector."""

    @property
    def digest(self) -> bytes:
        """The digest of the weights."""

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> F32Array:
        """Vectors of length 1, float32 (len(texts), dimensions).

        progress: called with texts done and texts in all.
        """


def normalised(vectors: F32Array) -> F32Array:
    """Vectors of length 1, float32 (n, d); one of zeros becomes (1, 0, 0, …)."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions: F32Array = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    directions[lengths[:, 0] == 0, :1] = 1
    return directions
