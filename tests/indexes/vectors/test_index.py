"""The index: as near as asked for, filtered before and not after, and never quietly wrong."""

from __future__ import annotations

import sys
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audiomem_sql.errors import AudioMemError, DamagedFileError, DataTypeError, MissingExtraError
from audiomem_sql.indexes.vectors import scanning
from audiomem_sql.indexes.vectors.codec import VectorCodec
from audiomem_sql.indexes.vectors.coded import CodedVectors
from audiomem_sql.indexes.vectors.index import VectorIndex
from audiomem_sql.indexes.vectors.index_writing import EncodedIndex, encode_index
from audiomem_sql.machine.block_cache import BlockCache
from indexes.vectors.clustered import brute_force, clustered
from indexes.vectors.exact import merged, search_array

K = 10
QUERIES = clustered(40, seed=8)


@cache
def large() -> tuple[np.ndarray, EncodedIndex]:
    vectors = clustered(21_000)
    return vectors, encode_index(vectors)


def opened(index: EncodedIndex, rows: int) -> VectorIndex:
    return VectorIndex(index.header, rows, index.lists.__getitem__, lambda _: index.codec, BlockCache())


def recall(truth: np.ndarray, rows: np.ndarray) -> float:
    return float(np.mean([len(set(a) & set(b)) / len(a) for a, b in zip(truth, rows, strict=True)]))


def test_recall() -> None:
    vectors, index = large()
    reader = opened(index, len(vectors))
    assert reader.lists > 10
    assert index.size < 0.6 * vectors.size
    truth = np.argsort(brute_force(vectors, QUERIES), axis=1)[:, :K]
    exhaustive, distances = reader.search(QUERIES, K, probes=reader.lists)
    assert recall(truth, exhaustive) > 0.93
    assert (np.diff(distances, axis=1) >= 0).all()
    default, _ = reader.search(QUERIES, K)
    assert recall(truth, default) > 0.92
    few, _ = reader.search(QUERIES, K, probes=2)
    assert recall(truth, few) < recall(truth, default)


def test_exhaustive_search_is_brute_force_over_the_decoded() -> None:
    vectors, index = large()
    reader = opened(index, len(vectors))
    decoded = reader.vectors(np.arange(len(vectors)))
    truth = np.sort(brute_force(decoded, QUERIES), axis=1)
    for k in (1, 10, 500):
        rows, distances = reader.search(QUERIES, k, probes=reader.lists)
        assert np.allclose(distances, truth[:, :k], atol=2e-6)
        assert np.allclose(
            np.take_along_axis(brute_force(decoded, QUERIES), rows, axis=1), distances, atol=2e-6
        )
    together, _ = reader.search(QUERIES, K)
    alone = np.concatenate([reader.search(query, K)[0] for query in QUERIES])
    assert (together == alone).all()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([0.0, 0.0003, 0.01, 0.4, 1.0]), st.integers(0, 2**32), st.integers(1, 30))
def test_filters_come_first(share: float, seed: int, k: int) -> None:
    vectors, index = large()
    reader = opened(index, len(vectors))
    allowed = np.random.default_rng(seed).random(len(vectors)) < share
    decoded = reader.vectors(np.arange(len(vectors)))
    distances = brute_force(decoded, QUERIES[:3])
    distances[:, ~allowed] = np.inf
    count = min(k, int(allowed.sum()))
    for probes in (None, 1, reader.lists):
        rows, nearness = reader.search(QUERIES[:3], k, allowed, probes)
        assert ((rows >= 0).sum(axis=1) == count).all()
        assert allowed[rows[rows >= 0]].all()
        assert (np.isinf(nearness) == (rows < 0)).all()
        assert all(len(set(row[:count])) == count for row in rows)
        if probes == reader.lists:
            assert np.allclose(nearness[:, :count], np.sort(distances, axis=1)[:, :count], atol=2e-6)


@pytest.mark.parametrize("count", [0, 1, 7, 300, 5000])
def test_small_indexes(count: int) -> None:
    vectors = clustered(max(count, 1))[:count]
    reader = opened(encode_index(vectors), count)
    assert reader.count == count
    rows, distances = reader.search(QUERIES, 12)
    assert ((rows >= 0).sum(axis=1) == min(12, count)).all()
    if count:
        truth = np.sort(brute_force(vectors, QUERIES), axis=1)[:, :12]
        assert np.allclose(distances[:, : truth.shape[1]], truth, atol=0.03)
        assert np.allclose(reader.vectors(np.arange(count)), vectors, atol=0.1)


def test_rows_without_vectors_and_vectors_without_direction() -> None:
    vectors = clustered(300)
    present = np.ones(300, bool)
    present[::3] = False
    vectors[::3] = np.nan
    vectors[1] = 0
    reader = opened(encode_index(vectors, present), 300)
    assert (reader.present == present).all()
    assert reader.count == 199
    rows, _ = reader.search(QUERIES, 300)
    assert set(rows[0].tolist()) == set(np.flatnonzero(present).tolist()) - {1} | {-1}
    decoded = reader.vectors(np.arange(300))
    assert np.isnan(decoded[~present]).all()
    assert (decoded[1] == 0).all()
    nothing = opened(encode_index(vectors, np.zeros(300, bool)), 300)
    assert (nothing.search(QUERIES, 2)[0] == -1).all()


def test_vectors_of_any_length() -> None:
    rng = np.random.default_rng(1)
    lengths = np.exp(rng.uniform(-30, 30, 5000)).astype(np.float32)
    vectors = clustered(5000) * lengths[:, None]
    reader = opened(encode_index(vectors), 5000)
    _, distances = reader.search(QUERIES * 1e6, K)
    assert np.allclose(distances, np.sort(brute_force(vectors, QUERIES), axis=1)[:, :K], atol=0.03)
    assert np.allclose(
        reader.vectors(np.arange(5000)) / lengths[:, None], vectors / lengths[:, None], atol=0.1
    )


def test_merging_loses_nothing() -> None:
    vectors, base = large()
    reader = opened(base, len(vectors))
    delta = encode_index(clustered(50, seed=9), codec=reader.codec)
    assert delta.borrowed
    assert len(delta.header) < 400, "a delta does not pay for a rotation"
    newer = opened(delta, 50)
    both = np.concatenate([reader.vectors(np.arange(len(vectors))), newer.vectors(np.arange(50))])
    joined = encode_index(both, codec=reader.codec, embed=True)
    assert not joined.borrowed
    last = opened(joined, len(both)).coded(np.arange(len(both))).codes
    assert (last[: len(vectors)] == reader.coded(np.arange(len(vectors))).codes).all()
    assert (last[len(vectors) :] == newer.coded(np.arange(50)).codes).all()


def test_coded_vectors_stay_the_same_at_any_length() -> None:
    vectors = clustered(3000) * np.linspace(0, 50, 3000, dtype=np.float32)[:, None]
    reader = opened(encode_index(vectors), 3000)
    coded = reader.coded(np.arange(3000))
    for codec, embed in ((None, False), (reader.codec, False), (reader.codec, True)):
        index = encode_index(coded, codec=codec, embed=embed)
        assert index.borrowed == (codec is not None and not embed)
        again = opened(index, 3000).coded(np.arange(3000))
        assert (again.codes == coded.codes).all()
        assert (again.lengths == coded.lengths).all()
    other = VectorCodec.plain(clustered(10))
    assert isinstance(coded, CodedVectors)
    assert encode_index(coded, codec=other).codec.digest in (
        other.digest,
        encode_index(coded.decoded()).codec.digest,
    )


def test_a_codec_that_does_not_fit_is_not_borrowed() -> None:
    narrow = VectorCodec.plain(clustered(10) / 4)
    index = encode_index(clustered(100), codec=narrow)
    assert not index.borrowed
    assert opened(index, 100).codec.digest != narrow.digest


def test_equal_vectors() -> None:
    vectors = np.tile(clustered(1), (20_500, 1))
    reader = opened(encode_index(vectors), len(vectors))
    rows, distances = reader.search(QUERIES[:2], 5)
    assert (rows >= 0).all()
    assert (distances == distances[:, :1]).all()


def test_the_cache_keeps_what_it_may() -> None:
    vectors, index = large()
    reads: list[int] = []

    def read(number: int) -> bytes:
        reads.append(number)
        return index.lists[number]

    cache = BlockCache(1 << 30)
    reader = VectorIndex(index.header, len(vectors), read, cache=cache)
    reader.search(QUERIES[:1], K, probes=3)
    assert len(reads) == 3
    reader.search(QUERIES[:1], K, probes=3)
    assert len(reads) == 3
    del reader
    assert cache.bytes == 0
    small = BlockCache(1 << 19)
    reader = VectorIndex(index.header, len(vectors), read, cache=small)
    reader.search(QUERIES, K)
    assert small.bytes <= small.capacity


def test_merged_answers() -> None:
    vectors = clustered(900)
    parts = [opened(encode_index(vectors[:400]), 400), opened(encode_index(vectors[400:403]), 3)]
    answers = [part.search(QUERIES, K) for part in parts]
    answers.append(search_array(vectors[403:], QUERIES, K))
    part, rows, distances = merged(answers, K)
    numbers = rows + np.array([0, 400, 403])[part]
    truth = brute_force(vectors, QUERIES)
    assert recall(np.argsort(truth, axis=1)[:, :K], numbers) > 0.97
    assert np.allclose(np.take_along_axis(truth, numbers, axis=1), distances, atol=0.01)
    part, rows, distances = merged([parts[1].search(QUERIES, 5)], 5)
    assert (part[:, 3:] == -1).all()
    assert (rows[:, 3:] == -1).all()
    allowed = np.arange(497) < 2
    assert ((search_array(vectors[403:], QUERIES, 4, allowed)[0] >= 0).sum(axis=1) == 2).all()


def test_questions_that_make_no_sense() -> None:
    reader = opened(encode_index(clustered(50)), 50)
    for query in (np.zeros(96), np.full(96, np.nan), np.ones(95), np.ones((1, 1, 96))):
        with pytest.raises(DataTypeError):
            reader.search(query.astype(np.float32), K)
    with pytest.raises(DataTypeError):
        reader.search(QUERIES, 0)
    with pytest.raises(DataTypeError):
        reader.search(QUERIES, 1, np.ones(49, bool))
    with pytest.raises(IndexError):
        reader.vectors(np.array([50]))
    with pytest.raises(IndexError):
        reader.vectors(np.array([-1]))
    with pytest.raises(DataTypeError):
        encode_index(np.full((3, 4), np.inf, np.float32))
    with pytest.raises(DataTypeError):
        encode_index(clustered(3), np.ones(4, bool))
    with pytest.raises(DataTypeError):
        merged([], 3)


def test_without_faiss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    scanning.faiss.cache_clear()
    try:
        vectors, index = large()
        with pytest.raises(MissingExtraError, match="semantic"):
            opened(index, len(vectors)).search(QUERIES, K)
        assert (opened(encode_index(vectors[:4000]), 4000).search(QUERIES, K)[0] >= 0).all()
    finally:
        scanning.faiss.cache_clear()


def test_hostile_bytes() -> None:
    """Every answer to damaged bytes is an error of ours, or rows that exist, each once."""
    vectors = clustered(600) * np.linspace(0.2, 9, 600, dtype=np.float32)[:, None]
    index = encode_index(vectors, lists=4)
    assert len(index.lists) == 4
    rng = np.random.default_rng(2)
    parts = [index.header, *index.lists]
    outcomes = {"error": 0, "answer": 0}
    for _ in range(600):
        damaged = list(parts)
        which = int(rng.integers(0, len(parts)))
        data = bytearray(damaged[which])
        if rng.random() < 0.3:
            data = data[: rng.integers(0, len(data))]
        else:
            data[rng.integers(0, len(data))] ^= 1 << rng.integers(0, 8)
        damaged[which] = bytes(data)
        try:
            reader = VectorIndex(damaged[0], 600, lambda number, damaged=damaged: damaged[number + 1])
            rows, _ = reader.search(QUERIES[:2], K)
            reader.vectors(np.arange(600))
            assert ((rows >= -1) & (rows < 600)).all()
            outcomes["answer"] += 1
        except AudioMemError:
            outcomes["error"] += 1
    assert outcomes["error"] > 200


def test_contradictions() -> None:
    vectors = clustered(600)
    index = encode_index(vectors, lists=4)
    with pytest.raises(DamagedFileError, match="rows"):
        opened(index, 601)
    swapped = VectorIndex(index.header, 600, lambda number: index.lists[(number + 1) % 4])
    with pytest.raises(DamagedFileError, match="is expected where"):
        swapped.search(QUERIES, K)
    borrowed = encode_index(vectors, codec=VectorCodec.plain(vectors))
    for codec in (None, VectorCodec.plain(vectors * 2)):
        with pytest.raises(DamagedFileError, match="codec"):
            VectorIndex(borrowed.header, 600, borrowed.lists.__getitem__, lambda _, codec=codec: codec)
