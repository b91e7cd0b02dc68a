"""Rows of several passages, found by indexes, beside all of them compared in plain numpy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from indexes.vectors.clustered import clustered

from audiomem_sql.arrays import BoolArray, F32Array, F64Array, I64Array
from audiomem_sql.indexes.vectors import PassageIndex, PassageMap, VectorIndex
from audiomem_sql.indexes.vectors.index_writing import encode_index
from audiomem_sql.search.ranking import text_ranking
from audiomem_sql.search.ranking.text_ranking import TextRanking

ROWS, WIDTH = 120, 16


class Texts:
    """Rows of 1 to 20 passages, some without any, in indexes of several lists."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.counts = rng.choice([0, 0, 2, 3, 8, 20], ROWS)
        spans = np.cumsum(rng.integers(0, 200, (int(self.counts.sum()), 2)), axis=1)
        self.map = PassageMap(self.counts, spans)
        firsts = clustered(ROWS, WIDTH, seed)
        around = firsts[self.map.entry_rows]
        further = around + rng.normal(0, 0.6, (self.map.entries, WIDTH)).astype(np.float32)
        self.present = np.arange(ROWS) % 20 != 7
        self.present[self.counts > 0] = True
        written = encode_index(firsts, self.present, embed=True, lists=4)
        self.firsts = VectorIndex(written.header, ROWS, written.lists.__getitem__)
        entries = encode_index(further, embed=True, lists=5)
        self.further = PassageIndex(self.map.to_bytes() + entries.header, ROWS, entries.lists.__getitem__)

    def distances(self, query: F32Array) -> F64Array:
        """Those of all rows, by everything that the indexes hold; infinite for a row without a vector."""
        first, further = (
            vectors / np.linalg.norm(vectors, axis=1, keepdims=True) @ query
            for vectors in (
                self.firsts.vectors(np.arange(ROWS)),
                self.further.vectors(np.arange(self.map.entries)),
            )
        )
        found = np.where(self.present, 1.0 - first, np.inf).astype(np.float64)
        for row in np.flatnonzero(self.counts).tolist():
            own = further[self.map.entry_starts[row] : self.map.entry_starts[row + 1]]
            cosines = np.append(first[row], own).astype(np.float64)
            lengths = np.diff(self.map.spans[self.map.starts[row] : self.map.starts[row + 1]])[:, 0]
            weights = np.maximum(lengths / max(1, lengths.sum()), 1 / 12)
            score = np.log(np.sum(weights * np.exp(20 * cosines))) / 20
            found[row] = 1 - min(score, cosines.max())
        return found


@pytest.fixture(scope="module", params=[1, 2])
def texts(request: pytest.FixtureRequest) -> Texts:
    return Texts(request.param)


def query_of(number: int) -> F32Array:
    query = clustered(9, WIDTH, 77)[number]
    unit: F32Array = query / np.linalg.norm(query)
    return unit


def check(texts: Texts, query: F32Array, k: int, allowed: BoolArray | None) -> None:
    expected = texts.distances(query)
    if allowed is not None:
        expected[~allowed] = np.inf
    there = np.isfinite(expected)
    rows, distances = TextRanking(texts.firsts, texts.further, query, allowed).nearest(k)
    assert len(rows) == len(set(rows.tolist())) == min(k, int(there.sum()))
    assert distances.dtype == np.float32
    assert (np.diff(distances) >= 0).all()
    assert distances.tolist() == pytest.approx(expected[rows].tolist(), abs=1e-5)
    assert distances.tolist() == pytest.approx(np.sort(expected)[: len(rows)].tolist(), abs=1e-5)


FILTERS: list[I64Array | None] = [None, np.arange(0, ROWS, 2), np.arange(3), np.arange(0)]


@pytest.mark.parametrize("few", [False, True])
def test_the_nearest_rows_are_those_of_all(texts: Texts, few: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the indexes propose so few at first that they must be asked again."""
    if few:
        monkeypatch.setattr(text_ranking, "PROPOSED", 1)
        monkeypatch.setattr(text_ranking, "MORE_PROPOSED", 0)
        monkeypatch.setattr(text_ranking, "SCORED_ROWS", 1)
        monkeypatch.setattr(text_ranking, "SCORED_PASSAGES", 7)
    for number, k, rows in itertools.product(range(3), (1, 2, 10, 50, 2 * ROWS), FILTERS):
        allowed = None
        if rows is not None:
            allowed = np.zeros(ROWS, np.bool_)
            allowed[rows] = True
        check(texts, query_of(number), k, allowed)


def test_more_rows_begin_with_the_same_ones(texts: Texts) -> None:
    ranking = TextRanking(texts.firsts, texts.further, query_of(5), None)
    all_rows, all_distances = ranking.nearest(ROWS)
    for k in (1, 7, 64, 65, 100):
        rows, distances = ranking.nearest(k)
        assert rows.tolist() == all_rows[:k].tolist()
        assert distances.tolist() == all_distances[:k].tolist()


def test_few_rows_are_scored(texts: Texts, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a search costs is a matter of the rows near it, not of all."""
    scored: list[int] = []
    cosines_of = TextRanking._cosines_of

    def counted(self: TextRanking, rows: I64Array) -> F64Array:
        scored.extend(rows.tolist())
        return cosines_of(self, rows)

    monkeypatch.setattr(TextRanking, "_cosines_of", counted)
    monkeypatch.setattr(text_ranking, "SCORED_ROWS", 1)
    total = 0
    for number in range(5):
        scored.clear()
        TextRanking(texts.firsts, texts.further, query_of(number), None).nearest(1)
        assert len(scored) == len(set(scored)) < np.count_nonzero(texts.counts) // 4
        total += len(scored)
    assert total


def at(cosines: list[float]) -> F32Array:
    """Vectors of length 1 with these cosines with the first axis."""
    vectors = np.zeros((len(cosines), 8), np.float32)
    vectors[:, 0] = cosines
    vectors[np.arange(len(cosines)), 1 + np.arange(len(cosines)) % 7] = np.sqrt(1 - np.square(cosines))
    return vectors


@pytest.mark.parametrize(
    ("first", "further", "lengths"),
    [(0.5, [0.65, *[0.5] * 10], [100] * 12), (0.5, [0.65, 0.1], [900, 100, 1])],
)
def test_passages_that_were_not_proposed_count_for_what_they_may_be(
    first: float, further: list[float], lengths: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text whose best passage alone would leave it behind a short one is looked at."""
    monkeypatch.setattr(text_ranking, "PROPOSED", 2)
    monkeypatch.setattr(text_ranking, "MORE_PROPOSED", 0)
    monkeypatch.setattr(text_ranking, "SCORED_ROWS", 1)
    counts = np.array([1 + len(further), 0, 0, 0])
    ends = np.cumsum(lengths[: 1 + len(further)])
    places = PassageMap(counts, np.stack([ends - lengths[: len(ends)], ends], axis=1))
    written = encode_index(at([first, 0.54, 0.53, 0.0]), embed=True)
    entries = encode_index(at(further), embed=True)
    firsts = VectorIndex(written.header, 4, written.lists.__getitem__)
    index = PassageIndex(places.to_bytes() + entries.header, 4, entries.lists.__getitem__)
    rows, distances = TextRanking(firsts, index, at([1.0])[0], None).nearest(1)
    assert rows.tolist() == [0]
    assert distances[0] < 0.455


def segment(firsts: F32Array, further: F32Array, counts: list[int]) -> tuple[VectorIndex, PassageIndex]:
    """Indexes of rows whose passages are 100 characters each."""
    written, entries = encode_index(firsts, embed=True), encode_index(further, embed=True)
    ends = 100 * np.arange(1, sum(counts) + 1)
    places = PassageMap(np.array(counts), np.stack([ends - 100, ends], axis=1))
    return (
        VectorIndex(written.header, len(counts), written.lists.__getitem__),
        PassageIndex(places.to_bytes() + entries.header, len(counts), entries.lists.__getitem__),
    )


def test_rows_of_one_passage_that_were_not_proposed_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """All further passages are proposed, and of the first ones only that of a text that is about more."""
    monkeypatch.setattr(text_ranking, "PROPOSED", 1)
    monkeypatch.setattr(text_ranking, "MORE_PROPOSED", 0)
    indexes = segment(at([0.1, 0.2, 0.95, 0.93]), at([-0.9]), [0, 0, 2, 0])
    query, allowed = at([1.0])[0], np.ones(4, np.bool_)
    for k in (1, 2, 3, 4):
        rows, _ = TextRanking(*indexes, query, allowed).nearest(k)
        assert rows.tolist() == [3, 2, 1, 0][:k]


def test_no_distance_is_below_0() -> None:
    """Also where a query that is rounded is longer than 1."""
    indexes = segment(at([1.0, 0.5]), at([1.0]), [2, 0])
    query = at([1.0])[0] * np.float32(1.00001)
    rows, distances = TextRanking(*indexes, query, None).nearest(2)
    assert rows.tolist() == [0, 1]
    assert distances[0] == 0
