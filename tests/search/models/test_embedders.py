"""Embedders: vectors of length 1 that depend on the text alone, remembered, and of one model only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from audiomem_sql.errors import DataTypeError, MissingExtraError
from audiomem_sql.machine.progress import Progress
from audiomem_sql.search.models import embedders
from audiomem_sql.search.models.embedders import (
    CachedEmbedder,
    F32Array,
    HashingEmbedder,
    SentenceTransformer,
    embedder_named,
    normalised,
)

TEXTS = ["How do I reset a password?", "", "Resetting passwords", "The cat sat on the mat.", "naïve café 🎼"]


def test_the_hashing_embedder_knows_words() -> None:
    vectors = HashingEmbedder().embed([*TEXTS, "how do i RESET a password"])
    assert vectors.shape == (6, 256)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert vectors[0] @ vectors[5] > 0.99 > 0.3 > vectors[0] @ vectors[3]
    assert np.array_equal(vectors[:5], HashingEmbedder().embed(TEXTS))


class Counting(HashingEmbedder):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> F32Array:
        self.seen += texts
        return super().embed(texts, progress)


def test_the_same_text_is_embedded_once() -> None:
    counting = Counting()
    cached = CachedEmbedder(counting, limit=4 * 256 * 3)
    first = cached.embed(["a", "b", "a"])
    assert counting.seen == ["a", "b"]
    assert np.array_equal(first, HashingEmbedder().embed(["a", "b", "a"]))
    cached.embed(["b", "c", "d"])
    assert counting.seen == ["a", "b", "c", "d"]
    cached.embed(["a"])  # three are remembered, a was the oldest
    assert counting.seen[-1] == "a"
    assert cached.embed([]).shape == (0, 256)
    with pytest.raises(DataTypeError, match="no text"):
        cached.embed([5])  # type: ignore[list-item]


def test_lengths() -> None:
    vectors = normalised(np.array([[3, 4], [0, 0]], np.float32))
    assert np.allclose(vectors, [[0.6, 0.8], [1, 0]])


def test_names() -> None:
    assert embedder_named("hashing") is embedder_named("hashing")
    assert embedder_named("hashing").digest == HashingEmbedder.digest
    assert isinstance(embedder_named("some/model"), CachedEmbedder)  # nothing is loaded yet


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sentence_transformers", None)
    with pytest.raises(MissingExtraError, match=r"audiomem-sql\[semantic\]"):
        SentenceTransformer("all-MiniLM-L6-v2").embed(["a"])
    assert embedders.PACKAGED["all-MiniLM-L6-v2"]
