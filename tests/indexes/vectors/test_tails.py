"""Large indexes look at the first coordinates of all vectors and at the last ones of the best."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from audiomem_sql.arrays import F32Array
from audiomem_sql.columns.vector_index import VectorIndexOptions
from audiomem_sql.indexes.vectors import encoded_parts, tails
from audiomem_sql.indexes.vectors.index import VectorIndex
from audiomem_sql.indexes.vectors.tails import Tails, first_fetch, head_of
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.spooled_arrays import ArrayRows
from indexes.vectors.clustered import clustered

ROWS = 8000
METRICS = ("cosine", "ip", "l2")


@cache
def made(metric: str) -> tuple[bytes, list[bytes]]:
    vectors = clustered(ROWS)
    if metric != "cosine":
        vectors *= np.random.default_rng(9).uniform(0.7, 1.3, (ROWS, 1)).astype(np.float32)
        vectors[::100] *= 6
    present = np.arange(ROWS) % 13 != 5
    parts = encoded_parts(ArrayRows(vectors), present, options=VectorIndexOptions(metric), lists=20)
    return parts.header, list(parts.lists)


def opened(metric: str) -> VectorIndex:
    header, lists = made(metric)
    return VectorIndex(header, ROWS, lists.__getitem__, cache=BlockCache(64 << 20))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Indexes of this size have tails, and few of them are looked at at first."""
    monkeypatch.setattr(tails, "LEAST_VECTORS", 5000)
    monkeypatch.setattr(tails, "_MORE", 30)
    monkeypatch.setattr(tails, "_TIMES", 2)


def both(metric: str, queries: F32Array, monkeypatch: pytest.MonkeyPatch, *options: object) -> list[object]:
    """Rows and distances with tails, and without."""
    results: list[object] = []
    for least in (5000, 1 << 40):
        monkeypatch.setattr(tails, "LEAST_VECTORS", least)
        reader = opened(metric)
        results.extend(reader.search(queries, *options))  # type: ignore[arg-type]
        lists = reader.opened.lists_together()
        assert lists is not None
        assert (lists.tails is not None) == (least == 5000)
    return results


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("share", [1, 0.5, 0.03])
@pytest.mark.usefixtures("small")
def test_what_reading_all_finds(metric: str, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    queries = clustered(40, seed=3)
    allowed = None if share == 1 else np.random.default_rng(4).random(ROWS) < share
    for k, probes in ((1, 20), (10, 20), (10, 4), (150, None)):
        rows, distances, expected, exact = both(metric, queries, monkeypatch, k, allowed, probes)
        assert isinstance(rows, np.ndarray)
        assert isinstance(expected, np.ndarray)
        found = [len({*a} & {*b}) for a, b in zip(rows.tolist(), expected.tolist(), strict=True)]
        assert sum(found) >= 0.985 * sum(len({*b}) for b in expected.tolist())
        same = rows == expected
        assert same.mean() > 0.9
        assert np.allclose(np.asarray(distances)[same], np.asarray(exact)[same], atol=2e-4)
        if allowed is not None:
            assert allowed[rows[rows >= 0]].all()


@pytest.mark.usefixtures("small")
def test_all_rows_are_found_when_all_are_wanted() -> None:
    reader = opened("cosine")
    rows, distances = reader.search(clustered(2, seed=3), ROWS, probes=20)
    assert (np.sort(rows[:, : reader.count], axis=1) == np.flatnonzero(reader.present)).all()
    assert (rows[:, reader.count :] == -1).all()
    assert (np.diff(distances[:, : reader.count], axis=1) >= 0).all()


@pytest.mark.usefixtures("small")
def test_lists_that_come_later_change_nothing() -> None:
    query = clustered(1, seed=11)
    cold, warm = opened("cosine"), opened("cosine")
    for other in clustered(6, seed=12):
        warm.search(other[None], 10, probes=3)
    for probes in (3, 20):
        for one, another in zip(
            cold.search(query, 10, probes=probes), warm.search(query, 10, probes=probes), strict=True
        ):
            assert (one == another).all()


def test_estimates_and_what_they_leave_out() -> None:
    rng = np.random.default_rng(2)
    codes = rng.integers(-90, 90, (200, 24)).astype(np.int8)
    membership = np.repeat([0, 1], 100).astype(np.uint16)
    centres = np.stack([codes[:100].mean(axis=0), codes[100:].mean(axis=0)]).astype(np.int8)
    own = Tails(16, membership, centres)
    assert own.bytes == 4 * 200 + 2 * 4 * 2 * 8
    for number in (1, 0):
        rows = np.flatnonzero(membership == number)
        own.add(number, rows, codes[rows])
    queries = rng.standard_normal((3, 24)).astype(np.float32)
    nearness = own.nearness(queries)
    assert np.allclose(nearness, queries[:, 16:] @ centres[:, 16:].T.astype(np.float32), rtol=1e-5)
    rows = np.array([[3, 150, 199], [0, 100, -1], [77, 5, 120]])
    heads = np.einsum("qd,qkd->qk", queries[:, :16], codes[rows][..., :16].astype(np.float32))
    estimates = (heads + np.take_along_axis(nearness, membership[rows].astype(int), axis=1)).astype(
        np.float32
    )
    products = own.products(queries, nearness, estimates, rows)
    assert np.allclose(products, np.einsum("qd,qkd->qk", queries, codes[rows].astype(np.float32)), atol=1e-3)
    visits = np.array([[True, True], [True, False], [False, True]])
    rest = [codes[membership == n, 16:] - centres[n, 16:].astype(float) for n in (0, 1)]
    for query, visited in enumerate(visits):
        spread = np.mean([np.square(rest[n][::2]).mean(axis=0) for n in np.flatnonzero(visited)], axis=0)
        deviation = np.sqrt(np.square(queries[query, 16:]) @ spread)
        assert np.isclose(own.doubt(queries, visits)[query], tails.SURE * deviation, rtol=1e-4)


def test_which_indexes_have_them() -> None:
    assert head_of(384, 50_000, rotated=True) == 160
    assert head_of(384, 49_999, rotated=True) == 384
    assert head_of(384, 50_000, rotated=False) == 384
    assert head_of(95, 50_000, rotated=True) == 95
    assert head_of(96, 50_000, rotated=True) == 48
    assert head_of(768, 10**6, rotated=True) == 320
    assert first_fetch(10) == 376
