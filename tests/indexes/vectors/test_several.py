"""Of several indexes as many vectors are searched as of one that has all of them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from audiomem_sql.arrays import BoolArray, F32Array
from audiomem_sql.columns.vector_index import VectorIndexOptions
from audiomem_sql.indexes.vectors import distances_of, encoded_parts, lists_of_several, visits
from audiomem_sql.indexes.vectors.index import VectorIndex
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.spooled_arrays import ArrayRows
from indexes.vectors.clustered import clustered

ROWS, PARTS, LISTS, LONGEST_LIST = 4000, 4, 10, 400
SEEN = 1000


class Far:
    """Lists that are far away; what is asked for is noted."""

    def __init__(self, reach: float) -> None:
        self.reach = reach
        self.asked: list[int] = []

    def prefetch(self, numbers: list[int]) -> None:
        self.asked += numbers

    def along(self, visited: BoolArray) -> BoolArray:
        return visited


@cache
def _made(metric: str) -> tuple[F32Array, list[tuple[bytes, list[bytes], int]]]:
    """All vectors, those of each part of a length of its own unless that makes no difference."""
    vectors = clustered(ROWS)
    parts = []
    for number in range(PARTS):
        own = vectors[number::PARTS]
        own *= np.float32(1 if metric == "cosine" else 1 + number / 4)
        made = encoded_parts(
            ArrayRows(own.copy()), np.ones(len(own), bool), options=VectorIndexOptions(metric), lists=LISTS
        )
        parts.append((made.header, list(made.lists), len(own)))
    return vectors, parts


def _opened(metric: str, far: Far | None = None) -> tuple[F32Array, list[VectorIndex]]:
    vectors, parts = _made(metric)
    return vectors, [
        VectorIndex(header, rows, lists.__getitem__, cache=BlockCache(64 << 20), far=far)
        for header, lists, rows in parts
    ]


def _found(
    indexes: list[VectorIndex],
    query: F32Array,
    k: int,
    allowed: list[BoolArray | None],
    chosen: list[BoolArray],
) -> set[int]:
    rows, distances = [], []
    for number, index in enumerate(indexes):
        found = index.search(query[np.newaxis], k, allowed[number], lists=chosen[number])
        filled = found[0][0] >= 0
        rows.append(PARTS * found[0][0][filled] + number)
        distances.append(found[1][0][filled])
    all_rows, order = np.concatenate(rows), np.argsort(np.concatenate(distances), kind="stable")
    return set(all_rows[order[:k]].tolist())


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few vectors are seen, so that lists are left out of so few."""
    monkeypatch.setattr(visits, "LEAST_SEEN", SEEN)
    monkeypatch.setattr(visits, "LEAST_ALLOWED", 50)


@pytest.mark.parametrize("metric", ["cosine", "l2", "ip"])
def test_as_many_as_of_one_are_seen(metric: str) -> None:
    vectors, indexes = _opened(metric)
    every: list[BoolArray | None] = [None] * PARTS
    queries, hits = clustered(20, seed=3), 0
    for query in queries:
        chosen = lists_of_several(indexes, query, 10, every)
        seen = sum(int(index.counts[lists].sum()) for index, lists in zip(indexes, chosen, strict=True))
        assert SEEN <= seen < SEEN + LONGEST_LIST
        nearness = np.concatenate([index.nearness(query) for index in indexes])
        assert nearness[np.concatenate(chosen)].min() >= nearness[~np.concatenate(chosen)].max()
        exact = np.argsort(distances_of(vectors, query, metric), kind="stable")[:10]
        hits += len(_found(indexes, query, 10, every, chosen) & set(exact.tolist()))
    assert hits > 180, hits


def test_nearness_is_that_of_the_vectors_themselves() -> None:
    """Indexes whose vectors have other lengths are compared in the same units."""
    vectors, indexes = _opened("l2")
    query = vectors[0] * np.float32(0.9)
    for index in indexes:
        centres = index._visits._centres
        scale = index.scale
        placed = index.codec.rotated((query / np.float32(scale))[np.newaxis])[0]
        exact = np.square(placed - centres).sum(axis=1) * scale**2
        assert np.allclose(np.square(query).sum() - index.nearness(query), exact, rtol=1e-3, atol=1e-3)


def test_enough_rows_that_are_allowed() -> None:
    """A filter that leaves few rows has all of them found, wherever they are."""
    vectors, indexes = _opened("cosine")
    query = clustered(1, seed=3)[0]
    far_away = np.argsort(distances_of(vectors, query, "cosine"))[-60:]
    mask = np.zeros(ROWS, bool)
    mask[far_away] = True
    allowed: list[BoolArray | None] = [mask[number::PARTS] for number in range(PARTS)]
    for k in (10, 60, 100):
        found = _found(indexes, query, k, allowed, lists_of_several(indexes, query, k, allowed))
        assert found <= set(far_away.tolist())
        assert len(found) == min(k, 60)
    none: list[BoolArray | None] = [np.zeros(ROWS // PARTS, bool)] * PARTS
    chosen = lists_of_several(indexes, query, 10, none)
    assert not np.concatenate(chosen).any()
    assert not _found(indexes, query, 10, none, chosen)
    every: list[BoolArray | None] = [None] * PARTS
    assert len(_found(indexes, query, ROWS, every, lists_of_several(indexes, query, ROWS, every))) == ROWS


def test_lists_that_are_far_are_asked_for_before_any_is_read() -> None:
    far = Far(0.7)
    _, indexes = _opened("cosine", far)
    query = clustered(1, seed=3)[0]
    chosen = lists_of_several(indexes, query, 10, [None] * PARTS)
    assert sorted(far.asked) == sorted(
        number for lists in chosen for number in np.flatnonzero(lists).tolist()
    )
    nearness = np.concatenate([index.nearness(query) for index in indexes])
    seen = sum(int(index.counts[lists].sum()) for index, lists in zip(indexes, chosen, strict=True))
    assert 300 <= seen < ROWS / 2
    assert nearness[np.concatenate(chosen)].min() >= nearness[~np.concatenate(chosen)].max()
    filtered = lists_of_several(indexes, query, 10, [np.ones(ROWS // PARTS, bool)] * PARTS)
    near = lists_of_several(_opened("cosine")[1], query, 10, [None] * PARTS)
    assert [lists.tolist() for lists in filtered] == [lists.tolist() for lists in near]
