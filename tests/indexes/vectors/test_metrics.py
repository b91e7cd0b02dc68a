"""Indexes by Euclidean distance and by inner product: the same as comparing all decoded vectors."""

from __future__ import annotations

import struct
from itertools import product

import numpy as np
import pytest

from audiomem_sql.arrays import F32Array
from audiomem_sql.columns.vector_index import VectorIndexOptions
from audiomem_sql.errors import DamagedFileError, DataTypeError
from audiomem_sql.indexes.vectors import VectorIndex, encoded_parts
from audiomem_sql.indexes.vectors.index_format import INDEX_HEADER, IndexHeader
from audiomem_sql.indexes.vectors.metrics import distances_of
from audiomem_sql.machine.spooled_arrays import ArrayRows
from indexes.vectors.clustered import clustered


def scattered(count: int, dimensions: int = 64) -> F32Array:
    """Vectors of many lengths around a point that is not zero, some far out, and one of zeros."""
    rng = np.random.default_rng(3)
    vectors = clustered(count, dimensions) * rng.lognormal(1, 0.4, (count, 1)) + 0.3
    vectors[::97] *= 50
    vectors[5] = 0
    return vectors.astype(np.float32)


def index_of(vectors: F32Array, metric: str, lists: int | None = None, codes: str = "compact") -> VectorIndex:
    present = np.arange(len(vectors)) != 7
    options = VectorIndexOptions(metric, codes=codes)
    parts = encoded_parts(ArrayRows(vectors), present, options=options, lists=lists)
    pieces = list(parts.lists)
    return VectorIndex(parts.header, len(vectors), pieces.__getitem__)


def expected(vectors: F32Array, queries: F32Array, metric: str) -> F32Array:
    """Distances, float64 (m, n)."""
    vectors, queries = vectors.astype(np.float64), queries.astype(np.float64)
    if metric == "ip":
        return -queries @ vectors.T
    return np.linalg.norm(queries[:, None] - vectors[None], axis=2)


@pytest.mark.parametrize(("metric", "count"), [*product(("l2", "ip"), (600, 6000))])
def test_an_exhaustive_search_compares_what_is_decoded(metric: str, count: int) -> None:
    vectors = scattered(count)
    index = index_of(vectors, metric, lists=5)
    assert (index.metric, index.count, index.lists) == (metric, count - 1, 5)
    decoded = index.vectors(np.arange(count))
    assert np.isnan(decoded[7]).all()
    kept = np.delete(np.arange(count), 7)
    queries = scattered(count + 40)[count:]
    queries[3] = 0
    rows, distances = index.search(queries, 10, probes=index.lists)
    distance = expected(decoded[kept], queries, metric)
    order = np.argsort(distance, axis=1, kind="stable")[:, :10]
    size = np.abs(distance).max()
    assert np.allclose(distances, np.take_along_axis(distance, order, axis=1), atol=2e-3 * size)
    for query, own in enumerate(rows):  # ties of float32 may stand the other way round
        found = distance[query, np.searchsorted(kept, own)]
        assert np.allclose(found, distance[query, order[query]], rtol=1e-5, atol=1e-6 * size)


@pytest.mark.parametrize("metric", ["cosine", "l2", "ip"])
def test_what_is_decoded_is_near_what_was_stored(metric: str) -> None:
    vectors = scattered(4000)
    sizes = np.linalg.norm(vectors, axis=1)
    usual = np.median(sizes)
    for codes, most in (("int8", 0.05), ("compact", 0.35), ("small", 1.0)):
        index = index_of(vectors, metric, codes=codes)
        rows = np.flatnonzero((sizes > 0) & index.present)
        errors = np.linalg.norm(index.vectors(rows) - vectors[rows], axis=1)
        assert np.median(errors / np.maximum(sizes[rows], usual)) < most, codes


@pytest.mark.parametrize("metric", ["cosine", "l2", "ip"])
def test_filters_hold(metric: str) -> None:
    vectors = scattered(3000)
    index = index_of(vectors, metric, lists=8)
    queries = scattered(3010)[3000:]
    allowed = np.arange(3000) % 300 == 7
    rows, distances = index.search(queries, 20, allowed)
    assert (np.sort(rows, axis=1)[:, 11:] == np.flatnonzero(allowed)[1:]).all()  # row 7 has no vector
    assert (rows[:, 9:] == -1).all()
    assert np.isinf(distances[:, 9:]).all()


def test_few_lists_find_most() -> None:
    vectors = scattered(6000)
    queries = scattered(6050)[6000:]
    for metric in ("l2", "ip"):
        index = index_of(vectors, metric, lists=20)
        all_rows, _ = index.search(queries, 10, probes=20)
        rows, _ = index.search(queries, 10, probes=10)
        shared = [len({*a} & {*b}) for a, b in zip(rows.tolist(), all_rows.tolist(), strict=True)]
        assert np.mean(shared) > 8, metric


def test_exact_distances() -> None:
    vectors = np.array([[3, 4], [0, 0], [-1, 0]], np.float32)
    query = np.array([3, 0], np.float32)
    assert distances_of(vectors, query, "l2").tolist() == [4, 3, 4]
    assert distances_of(vectors, query, "ip").tolist() == [-9, 0, 3]
    assert np.allclose(distances_of(vectors, query, "cosine"), [0.4, 2, 2])
    with pytest.raises(DataTypeError, match="no direction"):
        distances_of(vectors, np.zeros(2, np.float32), "cosine")


def test_all_zeros_can_be_compared_by_l2() -> None:
    index = index_of(np.zeros((300, 16), np.float32), "l2")
    rows, distances = index.search(np.full((1, 16), 0.25, np.float32), 3)
    assert rows.tolist() == [[0, 1, 2]]
    assert distances.tolist() == [[1.0, 1.0, 1.0]]


def test_a_header_that_contradicts_itself() -> None:
    vectors = scattered(300)
    parts = encoded_parts(ArrayRows(vectors), options=VectorIndexOptions("l2"))
    header, _ = parts.header, list(parts.lists)
    assert IndexHeader.from_bytes(header, 300).metric == "l2"
    end = INDEX_HEADER.size
    for at, value in ((6, b"\0\0"), (6, b"\x03\0"), (4, b"\1"), (5, b"\2")):
        with pytest.raises(DamagedFileError):
            IndexHeader.from_bytes(header[:at] + value + header[at + len(value) :], 300)
    for scale in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(DamagedFileError, match="scale"):
            IndexHeader.from_bytes(header[:end] + struct.pack("<f", scale) + header[end + 4 :], 300)
    for length in (end, end + 3, len(header) - 1):
        with pytest.raises(DamagedFileError):
            IndexHeader.from_bytes(header[:length], 300)
