"""Lists side by side find what lists one by one find, and take no more room than they may."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest

from audiomem_sql.arrays import BoolArray, F32Array
from audiomem_sql.columns.vector_index import VectorIndexOptions
from audiomem_sql.errors import DamagedFileError, DataTypeError
from audiomem_sql.indexes.vectors import encoded_parts, index, lists_together, opened_index
from audiomem_sql.indexes.vectors.index import VectorIndex
from audiomem_sql.indexes.vectors.lists_together import LONGEST, STEP, ListsTogether, Room
from audiomem_sql.indexes.vectors.scanning import faiss
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.spooled_arrays import ArrayRows
from indexes.vectors.clustered import clustered

ROWS = 5000


@cache
def made(metric: str, repeated: bool = False) -> tuple[bytes, list[bytes]]:
    vectors = clustered(ROWS)
    vectors[:7] = 0
    if repeated:
        vectors[100:4000] = vectors[99]
    present = np.arange(ROWS) % 11 != 3
    parts = encoded_parts(ArrayRows(vectors), present, options=VectorIndexOptions(metric), lists=30)
    return parts.header, list(parts.lists)


def opened(metric: str = "cosine", repeated: bool = False) -> VectorIndex:
    header, lists = made(metric, repeated)
    return VectorIndex(header, ROWS, lists.__getitem__, cache=BlockCache(64 << 20))


@pytest.fixture(autouse=True)
def room(monkeypatch: pytest.MonkeyPatch) -> Room:
    """Room for the lists of this test alone."""
    own = Room(64 << 20)
    monkeypatch.setattr(opened_index, "TOGETHER", own)
    return own


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
@pytest.mark.parametrize("repeated", [False, True])
def test_the_same_as_one_by_one(room: Room, metric: str, repeated: bool) -> None:
    queries = clustered(12, seed=3)
    if repeated:
        queries[0] = clustered(ROWS)[99]
    reader = opened(metric, repeated)
    for k, share, probes in (
        (10, 1, None),
        (1, 1, 3),
        (300, 1, 30),
        (10, 0.02, None),
        (10, 0.5, 2),
        (50, 0.004, 30),
    ):
        allowed = None if share == 1 else np.random.default_rng(4).random(ROWS) < share
        room.most = 64 << 20
        together = reader.search(queries, k, allowed, probes)
        assert room.bytes > 0
        room.most = 0
        room.clear()
        one_by_one = reader.search(queries, k, allowed, probes)
        assert room.bytes == 0
        # a root makes much of what float32 rounds away near 0
        found, expected = (
            np.square(each) if metric == "l2" else each for each in (together[1], one_by_one[1])
        )
        assert np.allclose(found, expected, atol=1e-5)
        different = together[0] != one_by_one[0]
        assert np.allclose(found[different], expected[different], atol=4e-6)  # ties of float32
        assert different.mean() < 0.05


def test_products_less_half_the_squared_length() -> None:
    rng = np.random.default_rng(8)
    codes = rng.integers(-128, 128, (300, 5)).astype(np.int8)
    sizes = np.concatenate([rng.uniform(0, LONGEST, 298), [0, LONGEST]]).astype(np.float32)
    lists = ListsTogether(2, 300, 5, faiss(), metric="l2")
    for number, rows in enumerate((np.arange(0, 300, 2), np.arange(1, 300, 2))):
        lists.add(number, rows, codes[rows], sizes[rows])
    queries = rng.standard_normal((3, 5)).astype(np.float32) / 100
    products, found, least = lists.greatest(queries, np.ones((3, 2), bool), 300, None)
    exact = queries.astype(np.float64) @ codes.T - np.square(sizes.astype(np.float64)) / 2 + 0.5
    assert (np.sort(found, axis=1) == np.arange(300)).all()
    assert np.allclose(products, np.take_along_axis(exact, found, axis=1), atol=3e-6)
    assert np.allclose(lists.losses, np.square(sizes, dtype=np.float64) / 2 - 0.5, atol=STEP)
    assert (np.diff(products, axis=1) <= 0).all()
    assert (least == products[:, -1]).all()


def uneven() -> F32Array:
    """Vectors of which each fifth is up to nine times as long as the others."""
    vectors = clustered(ROWS)
    vectors[::5] *= np.random.default_rng(6).uniform(2, 9, (ROWS // 5, 1)).astype(np.float32)
    return vectors


@pytest.mark.parametrize("metric", ["ip", "l2"])
def test_lengths_of_their_own(room: Room, metric: str) -> None:
    vectors = uneven()
    present = np.arange(ROWS) % 11 != 3
    parts = encoded_parts(ArrayRows(vectors), present, options=VectorIndexOptions(metric), lists=9)
    reader = VectorIndex(parts.header, ROWS, [*parts.lists].__getitem__, cache=BlockCache(64 << 20))
    assert reader._header.has_lengths
    queries = np.concatenate([vectors[50:53], clustered(9, seed=3)])
    for k, share, probes in ((10, 1, 9), (1, 1, 2), (1200, 1, 9), (10, 0.5, 3), (40, 0.004, 9), (5000, 1, 9)):
        allowed = None if share == 1 else np.random.default_rng(4).random(ROWS) < share
        room.most = 64 << 20
        together = reader.search(queries, k, allowed, probes)
        assert room.bytes > 0
        room.most = 0
        room.clear()
        one_by_one = reader.search(queries, k, allowed, probes)
        found, expected = (
            np.square(each) if metric == "l2" else each for each in (together[1], one_by_one[1])
        )
        assert (np.isinf(found) == np.isinf(expected)).all()
        assert np.allclose(found, expected, rtol=1e-5, atol=2e-5)
        assert (together[0] != one_by_one[0]).mean() < 0.01
    assert reader.search(vectors[50:51], 1)[0][0] == [50] or metric == "ip"


def test_a_list_of_long_vectors_alone(room: Room) -> None:
    """FAISS has nothing of one list, and of the first search nothing at all."""
    vectors = clustered(ROWS)
    vectors[:40] = 30 * vectors[0]
    parts = encoded_parts(ArrayRows(vectors), None, options=VectorIndexOptions("l2"), lists=20)
    reader = VectorIndex(parts.header, ROWS, [*parts.lists].__getitem__, cache=BlockCache(64 << 20))
    rows, distances = reader.search(vectors[:1], 45, probes=1)
    assert rows[0, :40].tolist() == list(range(40))
    assert np.isinf(distances[0, 40:]).all() == (rows[0, 40:] == -1).all()
    assert room.bytes > 0
    assert reader.search(vectors[:1], 45)[0][0, :40].tolist() == list(range(40))
    assert (reader.search(vectors[60:61], 45, np.arange(ROWS) > 39)[0] > 39).all()


def test_a_vector_too_long_to_be_said_is_found(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists_together, "LONGEST", 1.0)
    reader = opened("l2")
    for _ in range(2):
        rows, _ = reader.search(clustered(ROWS)[60:61], 1, probes=30)
        assert rows[0] == [60]
        lists = room.lists_of(reader.opened)
        assert lists is not None
        assert len(lists.apart._joined()[1]) > 100


def test_only_the_lists_that_are_wanted_are_read() -> None:
    header, lists = made("cosine")
    read: list[int] = []

    def read_list(number: int) -> bytes:
        read.append(number)
        return lists[number]

    reader = VectorIndex(header, ROWS, read_list)
    reader.search(clustered(1, seed=3), 5, probes=4)
    assert len(read) == 4
    reader.search(clustered(1, seed=3), 5, probes=4)
    assert len(read) == 4
    reader.search(clustered(1, seed=3), 5, probes=30)
    assert sorted(read) == list(range(30))


def test_a_reach_reads_what_is_nearly_as_near_as_the_nearest() -> None:
    header, lists = made("cosine")
    read: list[int] = []

    def read_list(number: int) -> bytes:
        read.append(number)
        return lists[number]

    queries = clustered(30, seed=3)
    counts = []
    for reach in (1.0, 0.9, 0.7, 0.4, 0.0):
        read.clear()
        reader = VectorIndex(header, ROWS, read_list)
        visits = reader._visits.of(reader.codec.rotated(queries), 1, reach=reach)
        rows, _ = reader.search(queries, 10, reach=reach)
        assert (rows >= 0).all()
        assert sorted(read) == np.flatnonzero(visits.any(axis=0)).tolist()
        nearness = queries @ reader.codec.decode(reader._header.centres).T
        nearness += 0.3 * np.sqrt(1 - np.square(reader.codec.placed(reader._header.centres)).sum(axis=1))
        expected = nearness >= reach * nearness.max(axis=1, keepdims=True)
        assert (visits == expected).mean() > 0.999
        counts.append(visits.sum(axis=1))
    assert (counts[0] == 1).all()
    assert np.ptp(counts[2]) > 0
    assert (np.diff(counts, axis=0) >= 0).all()
    assert reader.search(queries, 3000, reach=1.0)[0].min() >= 0


class Far:
    """Lists that are far away, of which one is read along with two that it is between."""

    reach = 1.0

    def __init__(self, read_list: Callable[[int], bytes]) -> None:
        self._read_list = read_list
        self.told: list[int] = []
        #: How many lists were asked for at the same time, each time.
        self.read_together: list[int] = []
        #: Those of the last question, and how many were read along with them in all.
        self.visited = np.empty(0, bool)
        self.added = 0

    def prefetch(self, numbers: Sequence[int]) -> None:
        self.told += numbers

    def read(self, numbers: Sequence[int]) -> list[bytes]:
        self.read_together.append(len(numbers))
        return [self._read_list(number) for number in numbers]

    def along(self, visited: BoolArray) -> BoolArray:
        between = np.zeros(len(visited), bool)
        between[1:-1] = visited[:-2] & visited[2:]
        self.visited, self.added = visited, self.added + int((between & ~visited).sum())
        return visited | between


def test_what_lists_that_are_far_away_are_told() -> None:
    """All lists of a search are asked for at once, and none that is decoded; those between are read."""
    header, lists = made("cosine")
    read: list[int] = []

    def read_list(number: int) -> bytes:
        read.append(number)
        return lists[number]

    far = Far(read_list)
    far.reach = 0.5
    reader = VectorIndex(header, ROWS, read_list, cache=BlockCache(64 << 20), far=far)
    for query in clustered(40, seed=3):
        visits = reader._visits.of(reader.codec.rotated(query[None]), 1)
        assert (visits[0] == far.along(far.visited)).all()
        reader.search(query[None], 1)
    assert far.added > 0
    assert not far.told
    assert sum(far.read_together) == len(read) == len(set(read)) <= reader.lists
    assert len(far.read_together) <= 40  # one for each question that needs any
    read.clear()
    reader.vectors(np.arange(ROWS))
    assert set(far.told) == set(read) == set(range(reader.lists))


def test_many_lists_are_told_before_the_first_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it is still one step; in which groups they are decoded changes nothing."""
    header, lists = made("cosine")
    query = clustered(1, seed=3)
    expected = opened().search(query, 20, probes=30)
    for at_once in (1, 700, ROWS):
        monkeypatch.setattr(index, "_READ_TOGETHER", at_once)
        monkeypatch.setattr(index, "_DECODED_TOGETHER", max(1, at_once // 2))
        far = Far(lists.__getitem__)
        reader = VectorIndex(header, ROWS, lists.__getitem__, cache=BlockCache(64 << 20), far=far)
        for found, known in zip(reader.search(query, 20, probes=30), expected, strict=True):
            np.testing.assert_array_equal(found, known)
        assert sum(far.read_together) == reader.lists
        assert far.told == ([] if at_once == ROWS else list(range(reader.lists)))
        assert (len(far.read_together) == 1) == (at_once == ROWS)


def test_who_opens_the_same_bytes_again_reads_nothing(room: Room) -> None:
    header, lists = made("cosine")
    first = VectorIndex(header, ROWS, lists.__getitem__)
    queries = clustered(3, seed=3)
    expected = first.search(queries, 9, probes=30)

    def read_list(number: int) -> bytes:
        raise AssertionError(number)

    second = VectorIndex(b"", ROWS, read_list, opened=first.opened)
    del first
    for found, known in zip(second.search(queries, 9, probes=30), expected, strict=True):
        np.testing.assert_array_equal(found, known)
    assert room.bytes > 0
    del second
    assert room.bytes == 0


def test_what_is_kept_for_the_next_is_bounded(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what was decoded, too; what somebody uses is known beyond that."""
    known = opened_index._Known()
    monkeypatch.setattr(index, "KNOWN_INDEXES", known)
    made_of = {key: known.keep(key, opened().opened) for key in range(opened_index.KEPT_INDEXES + 2)}
    in_use = made_of[0]
    del made_of
    gc.collect()  # what measures lines may hold frames until then
    assert known.get(1) is None
    assert known.get(0) is in_use
    assert known.keep(0, opened().opened) is in_use
    reader = VectorIndex(b"", ROWS, made("cosine")[1].__getitem__, opened=in_use)
    reader.search(clustered(1, seed=3), 9, probes=30)
    assert known.get(17) is not None
    monkeypatch.setattr(opened_index, "KEPT_BYTES", in_use.bytes - 1)
    held = room.bytes
    assert in_use.bytes > held > 0
    del reader  # whoever closes an index looks
    assert known.get(0) is in_use
    del in_use
    known.trim()
    gc.collect()
    assert known.get(0) is None
    assert room.bytes == 0


def test_a_query_that_is_near_nothing_reaches_a_quarter() -> None:
    """And lists for 30 vectors a row; with a reach of 0 nearly all."""
    header, lists = made("cosine")
    query, far = clustered(1, seed=3), Far(lists.__getitem__)
    reader = VectorIndex(header, ROWS, lists.__getitem__, cache=BlockCache(0), far=far)
    rotated, counts = reader.codec.rotated(query), reader.counts
    near = np.flatnonzero(reader._visits.of(rotated, 1)[0])
    far.reach = 0.01
    visited = reader._visits.of(rotated, 1)[0]
    assert visited[near].all()
    assert 0.2 * counts.sum() <= counts[visited].sum() <= 0.5 * counts.sum()
    wanted = ROWS // 50
    assert counts[reader._visits.of(rotated, wanted)[0]].sum() >= 30 * wanted
    far.reach = 0.0
    assert reader._visits.of(rotated, 1).sum() > 2 * visited.sum()
    far.reach = 0.01
    assert reader._visits.of(rotated, 1, reach=0.01).sum() > visited.sum()  # who says a reach has it


def test_a_reach_by_default_is_of_one_query_among_all_rows() -> None:
    """And of cosine; lists for 30 vectors a row are read at least. What is told to search goes first."""
    read: list[int] = []

    def lists_read(index: VectorIndex, queries: F32Array, k: int, *more: Any, **options: Any) -> int:
        read.clear()
        index.search(queries, k, *more, **options)
        return len(read)

    def opened_far(metric: str = "cosine") -> VectorIndex:
        header, lists = made(metric)

        def read_list(number: int) -> bytes:
            read.append(number)
            return lists[number]

        return VectorIndex(header, ROWS, read_list, cache=BlockCache(0), far=Far(read_list))

    query, several = clustered(1, seed=3), clustered(2, seed=3)
    counts = opened().counts
    near = lists_read(opened_far(), query, 1)
    assert 1 <= near <= 3
    assert near < len(counts) / 2
    many = lists_read(opened_far(), query, ROWS // 60)
    assert near < many < len(counts)
    everything = lists_read(opened_far(), several, 1)
    assert everything == len(counts)
    assert lists_read(opened_far(), query, 1, np.arange(ROWS) % 2 == 0) == len(counts)
    assert lists_read(opened_far(), query, 1, probes=7) == 7
    assert lists_read(opened_far(), query, 1, reach=0.0) > near
    for metric in ("l2", "ip"):
        assert lists_read(opened_far(metric), query, 1) == len(counts)


def test_a_reach_goes_with_cosine_alone() -> None:
    queries = clustered(30, seed=3)
    for metric, probes, reach in (("l2", None, 0.5), ("cosine", 3, 0.5), ("cosine", None, 1.5)):
        with pytest.raises(DataTypeError, match="reach"):
            opened(metric).search(queries, 1, probes=probes, reach=reach)


def test_what_was_used_longest_ago_goes_first(room: Room) -> None:
    query = clustered(1, seed=3)
    first, second, third = opened(), opened(), opened("ip")
    for reader in (first, second):
        reader.search(query, 5, probes=30)
    one = room.bytes // 2
    room.most = 2 * one + one // 2
    first.search(query, 5)
    third.search(query, 5, probes=30)
    assert room.lists_of(second.opened) is None
    assert room.lists_of(first.opened) is not None
    assert room.lists_of(third.opened) is not None
    assert room.bytes <= room.most
    del third
    assert 0 < room.bytes <= one
    room.clear()
    gc.collect()
    assert room.bytes == 0
    room.most = one // 2
    assert len(first.search(query, 5, probes=30)[0]) == 1  # lists one by one
    assert room.bytes == 0
    first.search(query, 5, probes=4)
    assert 0 < room.bytes <= room.most
    room.clear()
    assert room.bytes == 0


def test_a_list_that_is_damaged_is_an_error_each_time() -> None:
    header, lists = made("cosine")
    pieces = list(lists)
    pieces[4] = pieces[4][:-3]
    reader = VectorIndex(header, ROWS, pieces.__getitem__)
    for _ in range(2):
        with pytest.raises(DamagedFileError):
            reader.search(clustered(3, seed=3), 5, probes=30)


def test_an_address_that_is_used_again_is_not_the_owner(room: Room) -> None:
    lists = ListsTogether(2, 10, 4, faiss())
    reader = opened()
    assert room.keep(reader, lists, 0)
    assert room.lists_of(reader) is lists
    room._holders[id(reader)] = room._holders[id(reader)][0], lists
    other = opened("ip")
    room._holders[id(other)] = room._holders[id(reader)]
    assert room.lists_of(other) is None
