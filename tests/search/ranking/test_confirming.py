"""Proposals are read until no other can be among the nearest."""

from __future__ import annotations

import numpy as np
import pytest

from audiomem_sql.arrays import F32Array, I64Array
from audiomem_sql.search.ranking.confirming import LEAST_MORE, SURE, Several, confirmed


class Exact:
    """Distances of rows, and which were asked for."""

    def __init__(self, distances: F32Array) -> None:
        self.distances, self.read = distances, np.empty(0, np.int64)

    def __call__(self, rows: I64Array) -> F32Array:
        self.read = np.concatenate([self.read, rows])
        return self.distances[rows]


NONE = np.empty(0, np.int64)


def proposals(exact: F32Array, error: float) -> tuple[I64Array, F32Array]:
    stated = (exact + np.random.default_rng(3).normal(0, error, len(exact))).astype(np.float32)
    order = np.argsort(stated)
    return order, stated[order]


@pytest.mark.parametrize("k", [1, 10, 30])
def test_the_nearest_and_no_more_than_they_need(k: int) -> None:
    distances = np.random.default_rng(1).permutation(np.linspace(0.2, 0.8, 80)).astype(np.float32)
    exact = Exact(distances)
    rows, found = confirmed(*proposals(distances, 0.003), NONE, k, exact)
    assert rows.tolist() == np.argsort(distances)[:k].tolist()
    assert found.tolist() == np.sort(distances)[:k].tolist()
    assert len(exact.read) == len({*exact.read}) == k + max(LEAST_MORE, k // 4)


def test_more_at_first() -> None:
    """In a store so many are compared at once that a second look is seldom wanted."""
    exact = Exact(np.arange(60, dtype=np.float32))
    confirmed(np.arange(60), exact.distances, NONE, 10, exact, least_more=20)
    assert exact.read.tolist() == list(range(30))


def test_an_index_that_errs_more_has_more_rows_read() -> None:
    distances = np.random.default_rng(1).permutation(np.linspace(0.2, 0.8, 80)).astype(np.float32)
    read = []
    for error in (0.003, 0.03, 0.1):
        exact = Exact(distances)
        rows, _ = confirmed(*proposals(distances, error), NONE, 10, exact)
        assert rows.tolist() == np.argsort(distances)[:10].tolist()
        assert len(exact.read) == len({*exact.read})
        read.append(len(exact.read))
    assert read[0] == 16 < read[1] < read[2]


def test_where_reading_ends() -> None:
    """Each is one unit off: so up to ``SURE`` units more than the k-th are read, and that one too."""
    stated = np.arange(60, dtype=np.float32)
    exact = Exact(stated + 1)
    rows, found = confirmed(np.arange(60), stated, NONE, 40, exact)
    assert rows.tolist() == list(range(40))
    assert found.tolist() == list(range(1, 41))
    assert len(exact.read) == 50  # 40 and a quarter
    exact = Exact(stated + 3)
    confirmed(np.arange(60), stated, NONE, 40, exact)
    assert len(exact.read) == 39 + 3 + SURE * 3 + 1


def test_others_are_compared_in_any_case() -> None:
    distances = np.linspace(0.2, 0.8, 80).astype(np.float32)
    exact = Exact(distances)
    others = np.array([70, 2])
    proposed = np.setdiff1d(np.arange(60), others)
    rows, _ = confirmed(proposed, distances[proposed], others, 5, exact)
    assert rows.tolist() == [0, 1, 2, 3, 4]
    assert {70, 2} <= {*exact.read}
    distances[70] = 0.1
    rows, found = confirmed(proposed, distances[proposed], others, 5, Exact(distances))
    assert rows.tolist() == [70, 0, 1, 2, 3]
    assert found[0] == np.float32(0.1)


def test_what_is_no_result_and_too_few() -> None:
    distances = np.linspace(0.2, 0.8, 40).astype(np.float32)
    stated = distances.copy()
    distances[:12] = np.inf
    exact = Exact(distances)
    rows, _ = confirmed(np.arange(40), stated, NONE, 10, exact)
    assert rows.tolist() == list(range(12, 22))
    rows, _ = confirmed(np.arange(40), stated, NONE, 100, exact)
    assert rows.tolist() == list(range(12, 40))
    distances[:] = np.inf
    assert not len(confirmed(np.arange(40), stated, NONE, 10, exact)[0])
    assert not len(confirmed(NONE, stated[:0], NONE, 10, exact)[0])
    rows, _ = confirmed(NONE, stated[:0], np.array([3]), 10, Exact(stated))
    assert rows.tolist() == [3]


def test_equally_near_rows_by_their_number() -> None:
    stated = np.zeros(30, np.float32)
    rows, _ = confirmed(np.arange(29, -1, -1), stated, NONE, 4, Exact(stated))
    assert rows.tolist() == [0, 1, 2, 3]


def _several(sources: list[int] | I64Array, scales: list[float], others: tuple[float, ...] = ()) -> Several:
    return Several(np.asarray(sources, np.int64), np.array(scales), np.array(others, np.float32))


def test_proposals_of_several_indexes_are_compared_once() -> None:
    distances = np.random.default_rng(1).permutation(np.linspace(0.2, 0.8, 320)).astype(np.float32)
    exact = Exact(distances)
    rows, stated = proposals(distances, 0.0001)
    found, _ = confirmed(rows, stated, NONE, 10, exact, _several(rows % 16, [1.0] * 16))
    assert found.tolist() == np.argsort(distances)[:10].tolist()
    assert len(exact.read) == 16


def test_an_index_of_longer_vectors_errs_more() -> None:
    """The rows from 20 on are of an index that says 3 more than it is; nothing of it is compared at first."""
    stated = np.concatenate([np.arange(20), np.arange(20, 24)]).astype(np.float32)
    distances = np.concatenate([np.arange(20) + 0.1, [0.05, 1.05, 30, 30]]).astype(np.float32)
    rows = np.arange(24)
    alike = _several([0] * 20 + [1] * 4, [1.0, 1.0])
    assert confirmed(rows, stated, NONE, 10, Exact(distances), alike)[0].tolist() == list(range(10))
    longer = _several([0] * 20 + [1] * 4, [1.0, 40.0])
    found = confirmed(rows, stated, NONE, 10, Exact(distances), longer)[0]
    assert found.tolist() == [20, 0, 21, *range(1, 8)]
    # one that two rows are known of says so itself
    mixed = _several([0] * 5 + [1] * 2 + [0] * 13 + [1] * 4, [1.0, 1.0])
    distances[5:7] += 20
    found = confirmed(rows, stated, NONE, 10, Exact(distances), mixed)[0]
    assert found.tolist()[:3] == [20, 0, 21]


def test_what_is_known_without_the_indexes_counts() -> None:
    stated = np.arange(60, dtype=np.float32)
    exact = Exact(stated + 3)
    rows, _ = confirmed(np.arange(60), stated, NONE, 10, exact, _several([0] * 60, [1.0]))
    assert len(exact.read) == 9 + 3 + SURE * 3 + 1
    exact = Exact(stated + 3)
    known = (0.5,) * 7
    rows, _ = confirmed(np.arange(60), stated, NONE, 10, exact, _several([0] * 60, [1.0], known))
    assert len(exact.read) == 2 + 3 + SURE * 3 + 1
    assert rows.tolist()[:3] == [0, 1, 2]


def test_equally_near_rows_by_what_is_said() -> None:
    stated = np.zeros(30, np.float32)
    rows, _ = confirmed(np.arange(30), stated, NONE, 4, Exact(stated), ties=lambda rows: -rows)
    assert rows.tolist() == [29, 28, 27, 26]
