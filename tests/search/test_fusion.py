"""Reciprocal-rank fusion."""

from __future__ import annotations

import numpy as np
import pytest

from audiomem_sql.indexes.words.bm25 import Statistics, bm25, coverage
from audiomem_sql.search.fusion import reciprocal_rank_fusion


def test_two_rankings() -> None:
    rows, scores = reciprocal_rank_fusion([np.array([7, 3, 9]), np.array([3, 5])])
    assert rows.tolist() == [3, 7, 5, 9]
    assert scores.tolist() == pytest.approx([1 / 62 + 1 / 61, 1 / 61, 1 / 62, 1 / 63])


def test_equal_scores_go_by_rowid() -> None:
    rows, scores = reciprocal_rank_fusion([np.array([9, -2]), np.array([-2, 9]), np.array([4])])
    assert rows.tolist() == [-2, 9, 4]
    assert scores[0] == scores[1]
    assert reciprocal_rank_fusion([np.array([5]), np.array([1])], limit=1)[0].tolist() == [1]


def test_nothing_and_repeats() -> None:
    assert reciprocal_rank_fusion([])[0].tolist() == []
    assert reciprocal_rank_fusion([np.array([], np.int64)])[0].tolist() == []
    rows, scores = reciprocal_rank_fusion([np.array([1, 2, 1])], k=0)
    assert rows.tolist() == [1, 2]
    assert scores.tolist() == [1, 0.5]


def test_weights() -> None:
    rankings = [np.array([7, 3]), np.array([3, 5])]
    rows, scores = reciprocal_rank_fusion(rankings, weights=[1, 0.5])
    assert rows.tolist() == [3, 7, 5]
    assert scores.tolist() == pytest.approx([1 / 62 + 0.5 / 61, 1 / 61, 0.5 / 62])
    assert reciprocal_rank_fusion(rankings, weights=[1, 0])[0].tolist() == [7, 3, 5]


def test_how_much_of_a_query_a_row_holds() -> None:
    statistics = Statistics(100, 1000, np.array([1, 1, 50]))
    counts = np.array([[1.0, 0, 1], [1, 0, 0], [1, 1, 0]])
    all_of_it, common, half = bm25(statistics, counts, np.array([10, 10, 10])).tolist()
    assert coverage(statistics, all_of_it) == pytest.approx(1)
    assert coverage(statistics, half) == pytest.approx(0.5, abs=1e-3)
    assert coverage(statistics, common) < 1e-3
    assert coverage(statistics, 5 * all_of_it) == 1
    assert coverage(statistics, 0.0) == 0 == coverage(Statistics(0, 0, np.array([], np.int64)), 0.0)
