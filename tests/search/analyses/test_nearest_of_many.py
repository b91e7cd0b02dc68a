"""The nearest of many queries at once are those that one query after another finds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from audiomem_sql.arrays import F32Array, I64Array
from audiomem_sql.indexes.vectors import distances_of
from audiomem_sql.search.analyses import nearest_of_many as module
from audiomem_sql.search.analyses.nearest_of_many import distances_of_pairs, nearest_of_many

METRICS = ("cosine", "l2", "ip")


def model(
    rowids: I64Array, vectors: F32Array, query: F32Array, k: int, metric: str
) -> tuple[list[int], list[float]]:
    away = distances_of(vectors, query, metric)
    order = np.lexsort((rowids, away))[:k]
    return rowids[order].tolist(), away[order].tolist()


def check(rowids: I64Array, vectors: F32Array, queries: F32Array, k: int, metric: str, cut: int) -> None:
    if metric == "cosine":
        queries = (queries / np.linalg.norm(queries, axis=1)[:, None]).astype(np.float32)

    def pieces() -> Iterator[tuple[I64Array, F32Array]]:
        for start in range(0, len(rowids), cut):
            yield rowids[start : start + cut], vectors[start : start + cut]

    found, distances = nearest_of_many(pieces, queries, k, metric)
    assert found.shape == distances.shape == (len(queries), k)
    for number, query in enumerate(queries):
        expected, away = model(rowids, vectors, query, k, metric)
        count = len(expected)
        assert found[number, :count].tolist() == expected
        assert np.allclose(distances[number, :count], away, rtol=1e-6, atol=1e-6)
        assert (found[number, count:] == -1).all()
        assert np.isinf(distances[number, count:]).all()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("cut", [3, 64, 5000])
def test_like_one_by_one(metric: str, cut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_QUERIES", 7)
    monkeypatch.setattr(module, "_VECTORS", 50)
    rng = np.random.default_rng(4)
    vectors = rng.standard_normal((300, 12)).astype(np.float32) * rng.uniform(0.1, 9, (300, 1)).astype("f4")
    rowids = rng.permutation(1000)[:300]
    queries = rng.standard_normal((20, 12)).astype(np.float32)
    for k in (1, 5, 300, 400):
        check(rowids, vectors, queries, k, metric, cut)


@pytest.mark.parametrize("metric", METRICS)
def test_many_equal_vectors(metric: str) -> None:
    """The first of equal vectors by rowid are found, however products are rounded."""
    rng = np.random.default_rng(4)
    vectors = np.repeat(rng.standard_normal((4, 16)).astype(np.float32), 50, axis=0)
    rowids = rng.permutation(200)
    check(rowids, vectors, vectors[::37], 6, metric, 30)
    nearly = vectors + rng.standard_normal(vectors.shape).astype(np.float32) * np.float32(1e-7)
    check(rowids, nearly, vectors[::37] + np.float32(0.01), 6, metric, 30)


@pytest.mark.parametrize("metric", METRICS)
def test_few_and_none(metric: str) -> None:
    queries = np.ones((2, 3), np.float32)
    check(np.array([5]), np.ones((1, 3), np.float32), queries, 3, metric, 9)
    check(np.empty(0, np.int64), np.empty((0, 3), np.float32), queries, 2, metric, 9)
    zeros = np.array([[0, 0, 0], [1, 0, 0], [-1, -1, -1]], np.float32)
    check(np.array([1, 2, 3]), zeros, queries, 3, metric, 9)
    found, _ = nearest_of_many(lambda: iter([]), np.empty((0, 3), np.float32), 2, metric)
    assert found.shape == (0, 2)


@pytest.mark.parametrize("metric", METRICS)
def test_distances_of_pairs(metric: str) -> None:
    rng = np.random.default_rng(4)
    vectors, queries = rng.standard_normal((2, 50, 33)).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1)[:, None]
    vectors[3] = 0
    found = distances_of_pairs(vectors, queries, metric)
    for number in range(50):
        single = distances_of(vectors[number : number + 1], queries[number], metric)
        assert found[number] == pytest.approx(single[0], rel=1e-6, abs=1e-6)


def test_long_vectors_and_short_queries() -> None:
    """By l2 the rounding of a score grows with the squares of the lengths, however short the query is."""
    rng = np.random.default_rng(5)
    directions = rng.standard_normal((300, 24))
    lengths = 1000 + rng.uniform(-2e-5, 2e-5, (300, 1))
    vectors = (directions / np.linalg.norm(directions, axis=1)[:, None] * lengths).astype(np.float32)
    queries = (rng.standard_normal((8, 24)) * 1e-3).astype(np.float32)
    check(np.arange(300), vectors, queries, 3, "l2", 70)
