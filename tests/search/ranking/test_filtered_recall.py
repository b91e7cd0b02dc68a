"""Conditions that leave all rows, some or a few: the nearest of those are found, by each metric."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from indexes.vectors.clustered import clustered

import audiomem_sql as am
from audiomem_sql.arrays import F32Array

ROWS = 12_000
METRICS = ("cosine", "l2", "ip")
#: Rows of 12,000: 0.01 %, 0.1 %, 1 %, 10 %, 50 %, 100 %.
ALLOWED = (1, 12, 120, 1200, 6000, ROWS)
#: Each row's place in no order.
PLACES = np.random.default_rng(11).permutation(ROWS)


@pytest.fixture(scope="module")
def stored() -> F32Array:
    vectors: F32Array = clustered(ROWS) * np.random.default_rng(2).uniform(0.5, 1.5, (ROWS, 1))
    return vectors.astype(np.float32)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, stored: F32Array) -> Iterator[am.Table]:
    width = stored.shape[1]
    columns = ["id INTEGER PRIMARY KEY", "place INTEGER"]
    columns += [f"{metric} FLOAT[{width}] INDEXED(metric={metric})" for metric in METRICS]
    path = tmp_path_factory.mktemp("filtered") / "t.flac"
    with am.Table.create(path, columns, {"protection": "none", "compression_level": 3}) as made:
        values = pa.FixedSizeListArray.from_arrays(stored.ravel(), width)
        made.append(pa.table({"id": np.arange(ROWS), "place": PLACES, **dict.fromkeys(METRICS, values)}))
        yield made


def exact(stored: F32Array, query: F32Array, metric: str, rows: int) -> list[int]:
    """The ids of the ten nearest of those that are allowed."""
    allowed = np.flatnonzero(rows > PLACES)
    vectors, asked = stored[allowed].astype(np.float64), query.astype(np.float64)
    if metric == "l2":
        distances = np.linalg.norm(vectors - asked, axis=1)
    else:
        distances = -(vectors @ asked)
        if metric == "cosine":
            distances /= np.linalg.norm(vectors, axis=1)
    return allowed[np.argsort(distances, kind="stable")[:10]].tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("rows", ALLOWED)
def test_recall(table: am.Table, stored: F32Array, metric: str, rows: int) -> None:
    queries = clustered(20, seed=5)
    found, wanted = 0, 0
    for query in queries:
        expected = exact(stored, query, metric, rows)
        answer = table.search(vector=query, column=metric, where=f"place < {rows}", columns=["id", "place"])
        ids = answer["id"].to_pylist()
        assert len(ids) == min(rows, 10)
        assert max(answer["place"].to_pylist()) < rows
        assert answer["distance"].to_pylist() == sorted(answer["distance"].to_pylist())
        found += len({*ids} & {*expected})
        wanted += len(expected)
    assert found >= 0.985 * wanted
    if rows <= 12:  # so few are compared one by one
        assert found == wanted


def test_numbers_that_matter_most_come_first(tmp_path: Path) -> None:
    """Vectors as models make them that were trained to be cut: the index has 32 of 128 numbers."""
    rng = np.random.default_rng(4)
    scale = (1 + np.arange(128)) ** -0.9
    vectors = (rng.standard_normal((3000, 128)) * scale).astype(np.float32)
    queries = (rng.standard_normal((30, 128)) * scale).astype(np.float32)
    columns = ["id INTEGER PRIMARY KEY"]
    columns += [f"{metric} FLOAT[128] INDEXED(metric={metric}, dimensions=32)" for metric in ("cosine", "l2")]
    with am.Table.create(tmp_path / "cut.flac", columns, {"protection": "none"}) as table:
        values = pa.FixedSizeListArray.from_arrays(vectors.ravel(), 128)
        table.append(pa.table({"id": np.arange(3000), "cosine": values, "l2": values}))
        for metric in ("cosine", "l2"):
            found = 0
            for query in queries:
                if metric == "l2":
                    distances = np.linalg.norm(vectors - query, axis=1)
                else:
                    distances = 1 - vectors @ query / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query)
                answer = table.search(vector=query, column=metric)
                ids = answer["id"].to_pylist()
                assert np.allclose(
                    answer["distance"].to_pylist(), distances[ids], atol=1e-5
                )  # by all numbers
                found += len({*ids} & {*np.argsort(distances)[:10].tolist()})
            assert found >= 0.97 * 300
