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


class Wrapper:
    """Tells of another embedder what an embedder tells; whoever inherits it embeds."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    @property
    def name(self) -> str:
        """The name of the model."""
        return self._embedder.name

    @property
    def dimensions(self) -> int:
        """Numbers of a vector."""
        return self._embedder.dimensions

    @property
    def digest(self) -> bytes:
        """The digest of the weights."""
        return self._embedder.digest

    @property
    def window(self) -> int | None:
        """Tokens that the model looks at; None if it does not tell."""
        return getattr(self._embedder, "window", None)

    def token_spans(self, text: str) -> list[tuple[int, int]] | None:
        """The tokens of a text; None without a tokenizer."""
        tokenize = getattr(self._embedder, "token_spans", None)
        return None if tokenize is None else tokenize(text)


def normalised(vectors: F32Array) -> F32Array:
    """Vectors of length 1, float32 (n, d); one of zeros becomes (1, 0, 0, …)."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions: F32Array = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    directions[lengths[:, 0] == 0, :1] = 1
    return directions
