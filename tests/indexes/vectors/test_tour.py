"""Lists stand in an order in which neighbours are near each other."""

from __future__ import annotations

import numpy as np
import pytest

from audiomem_sql.arrays import F32Array, I64Array
from audiomem_sql.indexes.vectors import encoded_parts
from audiomem_sql.indexes.vectors import tour as module
from audiomem_sql.indexes.vectors.index import VectorIndex
from audiomem_sql.indexes.vectors.tour import tour
from audiomem_sql.machine.spooled_arrays import ArrayRows
from indexes.vectors.clustered import clustered


def length(points: F32Array, order: I64Array) -> float:
    return float(np.linalg.norm(np.diff(points[order], axis=0), axis=1).sum())


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 9, 300])
def test_every_centre_once(count: int) -> None:
    points = np.random.default_rng(count).normal(size=(count, 6)).astype("f4")
    assert np.sort(tour(points)).tolist() == list(range(count))
    assert tour(np.zeros((count, 3), np.float32)).tolist() == list(range(count))


def test_points_on_a_line_and_on_a_circle_are_gone_along() -> None:
    rng = np.random.default_rng(3)
    places = rng.permutation(60)
    line = np.stack([places, 3 * places], axis=1).astype("f4")
    assert abs(np.diff(places[tour(line)])).tolist() == [1] * 59
    angles = 2 * np.pi * places / 60
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype("f4")
    steps = np.diff(places[tour(circle)]) % 60
    assert set(steps.tolist()) in ({1}, {59})


def test_turning_parts_around_makes_a_way_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a twentieth at least, of points anywhere; no two parts are left that would be better turned."""
    points = np.random.default_rng(5).normal(size=(120, 2)).astype("f4")
    turned = tour(points)
    monkeypatch.setattr(module, "_MOST_TURNED", 0)
    assert length(points, turned) < 0.95 * length(points, tour(points))
    for low in range(1, 119):
        for high in range(low + 2, 121):
            other = np.concatenate([turned[:low], turned[low:high][::-1], turned[high:]])
            assert length(points, other) > length(points, turned) - 1e-4


def test_the_lists_of_an_index_follow_it() -> None:
    """Each row is where its vector is near; a list is nearer to the next one than to others."""
    vectors = clustered(3000)
    parts = encoded_parts(ArrayRows(vectors), lists=40)
    reader = VectorIndex(parts.header, 3000, [*parts.lists].__getitem__)
    found, _ = reader.search(vectors[::100], 1, probes=3)
    assert (found[:, 0] == np.arange(0, 3000, 100)).mean() > 0.9
    centres = reader._visits._centres
    distances = np.linalg.norm(centres[:, None] - centres, axis=2)
    following = np.diagonal(distances, 1).mean()
    assert following < 0.8 * distances[np.triu_indices(40, 1)].mean()
