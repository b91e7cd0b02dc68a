"""What runs on a device, on torch with the processors: the same code as on a GPU, and the results of numpy.

``make test-model`` runs it, beside ``with_the_model.py``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from audiomem_sql.arrays import F32Array
from audiomem_sql.errors import UnsupportedError
from audiomem_sql.indexes.vectors import distances_of
from audiomem_sql.indexes.vectors.clusters import cluster
from audiomem_sql.indexes.vectors.clusters import nearest as nearest_lists
from audiomem_sql.machine import device
from audiomem_sql.machine.device import ENVIRONMENT, Device, use_device
from audiomem_sql.machine.spooled_arrays import ArrayRows
from audiomem_sql.search.analyses.kmeans import centres_of, nearest_centres
from audiomem_sql.search.analyses.nearest_of_many import nearest_of_many
from audiomem_sql.search.models.embedders import SentenceTransformer
from audiomem_sql.storage.segment import default_backend
from audiomem_sql.table.table import Table

NAME = "all-MiniLM-L6-v2"
METRICS = ("cosine", "l2", "ip")


@pytest.fixture(autouse=True)
def chosen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    monkeypatch.setattr(device, "_chosen", None)
    monkeypatch.setattr(device, "LEAST_NUMBERS", 1)
    yield
    device._opened.cache_clear()


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the device was asked to do, as it does it."""
    asked: list[str] = []
    for owner, name in ((device.Vectors, "greatest"), (Device, "sums"), (Device, "square_distances")):
        does = getattr(owner, name)

        def recorded(*arguments: object, does: object = does, name: str = name) -> object:
            asked.append(name)
            return does(*arguments)  # type: ignore[operator]

        monkeypatch.setattr(owner, name, recorded)
    return asked


def made(count: int, width: int = 24, seed: int = 1) -> F32Array:
    """Vectors with groups, equal ones and one of zeros among them."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, width)) + 3 * rng.normal(size=(7, width))[rng.integers(7, size=count)]
    vectors[count // 2 : count // 2 + 20] = vectors[3]
    vectors[5] = 0
    return vectors.astype(np.float32)


def test_the_devices_of_torch() -> None:
    assert use_device("torch:cpu") == "torch:cpu"
    assert use_device() == "torch:cpu"
    assert use_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    none = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    code = (
        "import audiomem_sql as am\nfor name in ('auto', 'cuda:3'):\n"
        "    try: print(am.use_device(name))\n    except am.AudioMemError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=none, capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first == "cpu"
    assert second.startswith("torch finds no GPU here, so there is no device cuda:3. Use AUDIOMEM_DEVICE=cpu")


@pytest.mark.parametrize("metric", METRICS)
def test_distances(metric: str, used: list[str]) -> None:
    vectors = made(9000)  # two pieces and a part
    query = made(9, seed=2)[0] + 1
    expected = distances_of(vectors, query, metric)
    assert used == []
    use_device("torch:cpu")
    found = distances_of(vectors, query, metric)
    assert used == ["square_distances" if metric == "l2" else "sums"]
    assert found.dtype == np.float32
    assert np.allclose(found, expected, rtol=2e-6, atol=2e-6)
    assert len(set(found[4500:4520].tolist()) | {float(found[3])}) == 1  # equal ones stay equal
    if metric == "cosine":
        assert found[5] == 2


@pytest.mark.parametrize("metric", METRICS)
def test_a_search_of_a_table(metric: str, tmp_path: Path, used: list[str]) -> None:
    vectors = made(600)
    vectors[5] = 1  # one of zeros has no direction to be indexed by
    path = tmp_path / "t.flac"
    with Table.create(path, ["id INTEGER PRIMARY KEY", f"v FLOAT[24] INDEXED(metric={metric})"], {}) as table:
        table.append([{"id": row, "v": vector} for row, vector in enumerate(vectors)])
        ranked = []
        for name in ("cpu", "torch:cpu"):
            use_device(name)
            ranked.append(table.search(vectors[3], column="v", k=40).to_pydict())
        assert used
    assert ranked[0]["id"] == ranked[1]["id"]  # equally near ones by their number
    assert np.allclose(ranked[0]["distance"], ranked[1]["distance"], atol=2e-6, rtol=2e-6)
    assert b"torch:cpu" not in path.read_bytes()


@pytest.mark.parametrize("metric", METRICS)
def test_many_queries_have_the_same_neighbours(metric: str, used: list[str]) -> None:
    vectors, queries = made(5000), made(1100, seed=3)
    queries = queries[np.any(queries != 0, axis=1)]
    queries[:3] = vectors[3]  # with 21 that are equally near

    def pieces() -> Iterator[tuple[np.ndarray, F32Array]]:
        for start in range(0, len(vectors), 1500):
            yield np.arange(start, min(start + 1500, len(vectors))), vectors[start : start + 1500]

    expected = nearest_of_many(pieces, queries, 5, metric)
    assert used == []
    use_device("torch:cpu")
    found = nearest_of_many(pieces, queries, 5, metric)
    assert used.count("greatest") == 8
    assert np.array_equal(found[0], expected[0])
    assert np.allclose(found[1], expected[1], rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("spherical", [True, False])
def test_lists_and_clusters(spherical: bool, used: list[str]) -> None:
    vectors = made(6000)
    vectors[5] = 1
    if spherical:
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    results = []
    for name in ("cpu", "torch:cpu"):
        use_device(name)
        centres = centres_of(vectors, 7, spherical=spherical)
        results.append(
            (
                cluster(ArrayRows(vectors), 12, spherical=spherical),
                centres,
                nearest_centres(vectors, centres, count=3, spherical=spherical),
            )
        )
    assert "greatest" in used
    assert np.mean(results[0][0] == results[1][0]) > 0.999
    assert np.allclose(results[0][1], results[1][1], atol=1e-4)
    assert np.mean(results[0][2] == results[1][2]) > 0.999
    equal = np.repeat(vectors[:4], 2, axis=0)  # of equal centres the first
    assert (nearest_lists(vectors[:9], equal, spherical=spherical) % 2 == 0).all()
    assert (nearest_centres(vectors[:9], equal, spherical=spherical) % 2 == 0).all()


def test_products_are_whole_whatever_torch_was_told() -> None:
    use_device("torch:cpu")
    place = device.device()
    assert place is not None
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        with place.working():
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


def test_what_torch_cannot_do_is_one_error() -> None:
    use_device("torch:cpu")
    place = device.device()
    assert place is not None
    with pytest.raises(UnsupportedError, match=r"the device torch:cpu failed .*AUDIOMEM_DEVICE=cpu"):
        place.vectors(made(10)).greatest(made(10, width=25), 1)
    broken = Device(torch, "cuda:7", "meta")  # a device without memory
    with pytest.raises(UnsupportedError, match="the device cuda:7 failed"):
        broken.sums(made(10), made(6)[0])


def test_a_model_goes_where_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["How do I reset a password?", "The cat sat on the mat.", "naïve café 🎼"]
    model = SentenceTransformer(NAME)
    expected = model.embed(texts)
    digest = model.digest
    use_device("torch:cpu")
    assert np.array_equal(model.embed(texts), expected)
    assert default_backend(NAME) == "onnx"  # the processors are no GPU
    gpu = Device(torch, "cuda", "meta")  # has no numbers, as a GPU has none where there is none
    monkeypatch.setattr(device, "device", lambda: gpu)
    assert default_backend(NAME) == "torch"
    with pytest.raises(UnsupportedError, match="the device cuda failed"):
        model.embed(texts)
    monkeypatch.undo()
    again = SentenceTransformer(NAME)
    assert again.digest == digest  # the weights are the same, wherever they are
