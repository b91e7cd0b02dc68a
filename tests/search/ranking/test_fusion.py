"""Fusion of rankings, by scores and by ranks, against the formulas in plain Python."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from audiomem_sql.errors import QueryError
from audiomem_sql.search.ranking.fusion import FUSED_ROWS, Scale, ScoredRows, fuse, weights_of
from audiomem_sql.search.ranking.options import NAMES, Ranking

Kind = tuple[dict[int, float], int]


def scored(kind: Kind) -> ScoredRows:
    """Scores by rowid, and how many rows there are, as a kind hands them over."""
    scores, rows = kind
    best = sorted(scores, key=lambda rowid: (-scores[rowid], rowid))
    return ScoredRows(np.array(best, np.int64), np.array([scores[r] for r in best], np.float64), rows)


def all_best(kinds: list[Kind]) -> set[int]:
    """The best of each kind."""
    return {
        rowid
        for scores, _ in kinds
        for rowid in sorted(scores, key=lambda rowid: (-scores[rowid], rowid))[:FUSED_ROWS]
    }


def by_hand(kinds: list[Kind], weights: Sequence[float], ranking: Ranking) -> list[tuple[int, float]]:
    """(rowid, score), best first, as the documentation of the fusion says."""
    totals: dict[int, float] = {}
    for (scores, rows), weight in zip(kinds, weights, strict=True):
        best = sorted(scores, key=lambda rowid: (-scores[rowid], rowid))[:FUSED_ROWS]
        values = [scores[rowid] for rowid in best] + [0.0] * (min(rows, FUSED_ROWS) - len(best)) or [0.0]
        ranks = {rowid: rank for rank, rowid in enumerate(best, 1)}
        mean = statistics.fmean(values)
        deviation = math.sqrt(statistics.fmean([(value - mean) ** 2 for value in values]))
        deviation = 0.0 if min(values) == max(values) else deviation
        for rowid in all_best(kinds):
            part = 0.0
            if ranking.fusion == "rrf" and rowid in ranks:
                part = 1 / (ranking.rank_constant + ranks[rowid])
            elif ranking.fusion != "rrf" and deviation:
                part = ((scores[rowid] if rowid in ranks else values[-1]) - mean) / deviation
            totals[rowid] = totals.get(rowid, 0.0) + weight * part
    return sorted(totals.items(), key=lambda pair: (-pair[1], pair[0]))


@pytest.mark.parametrize("seed", range(30))
def test_it_equals_the_formula(seed: int) -> None:
    rng = random.Random(seed)
    kinds: list[Kind] = []
    for _ in range(rng.choice([1, 2, 2, 2, 3])):
        rows = rng.choice([0, 1, 3, 50, 999, 1000, 1001, 2500])
        held = rng.sample(range(3000), rng.randint(0, rows))
        scores = {rowid: rng.choice([rng.uniform(0, 9), float(rng.randint(1, 4))]) for rowid in held}
        kinds.append((scores, rows))
    shares = [rng.random() for _ in kinds]
    weights = [share / sum(shares) for share in shares]
    ranking = Ranking.of(rng.choice(["standardised", "rrf"]))
    fused = fuse([scored(kind) for kind in kinds], weights, ranking)
    wanted = by_hand(kinds, weights, ranking)
    assert fused.scores.tolist() == pytest.approx([score for _, score in wanted], abs=1e-9)
    expected = dict(wanted)
    assert sorted(fused.rowids.tolist()) == sorted(expected)
    for rowid, score in zip(fused.rowids.tolist(), fused.scores.tolist(), strict=True):
        assert expected[rowid] == pytest.approx(score, abs=1e-9)
    total = np.zeros(len(fused.rowids))
    for share in fused.shares:
        total = total + share.weight * share.parts
    assert total.tolist() == fused.scores.tolist()  # to the last bit


def test_the_ranks_and_scores_that_were_handed_over() -> None:
    meaning = ScoredRows(np.array([7, 3, 9]), np.array([0.9, 0.5, 0.1]), 3)
    words = ScoredRows(np.array([3, 5]), np.array([4.0, 2.0]), 10)
    fused = fuse([meaning, words], [0.5, 0.5], Ranking())
    by_rowid = {rowid: place for place, rowid in enumerate(fused.rowids.tolist())}
    assert [fused.shares[0].ranks[by_rowid[rowid]] for rowid in (3, 5, 7, 9)] == [2, 0, 1, 3]
    assert [fused.shares[1].ranks[by_rowid[rowid]] for rowid in (3, 5, 7, 9)] == [1, 2, 0, 0]
    assert math.isnan(fused.shares[0].scores[by_rowid[5]])
    assert fused.shares[1].scores[by_rowid[5]] == 2
    assert fused.shares[0].scale is not None
    assert fused.shares[0].scale.last == 0.1
    assert fused.shares[1].scale == Scale(0.6, pytest.approx(1.28062484), 0.0)


@pytest.mark.parametrize("value", [0.1, 1 / 3, 7e-9])
def test_equal_scores_count_nothing(value: float) -> None:
    """Whatever rounding makes of their mean."""
    same = ScoredRows(np.arange(997), np.full(997, value), 997)
    other = ScoredRows(np.array([5, 6]), np.array([2.0, 1.0]), 997)
    fused = fuse([same, other], [0.65, 0.35], Ranking())
    assert fused.rowids[:4].tolist() == [5, 6, 0, 1]
    assert not fused.shares[0].parts.any()
    assert Scale.of(same).deviation == 0 == Scale.of(same).floor


def test_reciprocal_ranks() -> None:
    first = ScoredRows(np.array([7, 3, 9]), np.array([3.0, 2, 1]), 3)
    second = ScoredRows(np.array([3, 5]), np.array([2.0, 1]), 2)
    fused = fuse([first, second], weights_of(Ranking.of("rrf")), Ranking.of("rrf"))
    assert fused.rowids.tolist() == [3, 7, 5, 9]
    assert fused.scores.tolist() == [1 / 62 + 1 / 61, 1 / 61, 1 / 62, 1 / 63]  # the plain sum, exactly
    fused = fuse([first, second], [1.6, 0.4], Ranking.of("rrf", rank_constant=1))
    assert fused.rowids.tolist() == [7, 3, 9, 5]
    assert fused.scores.tolist() == pytest.approx([1.6 / 2, 1.6 / 3 + 0.4 / 2, 1.6 / 4, 0.4 / 3])


def test_nothing() -> None:
    none = ScoredRows(np.empty(0, np.int64), np.empty(0), 0)
    for fusion in ("rrf", "standardised"):
        fused = fuse([none, none], [0.5, 0.5], Ranking.of(fusion))
        assert fused.rowids.tolist() == [] == fused.scores.tolist()


def test_defaults() -> None:
    assert Ranking.of() == Ranking() == Ranking.parse(None) == Ranking.parse("")
    assert (Ranking().fusion, Ranking().weight) == ("standardised", 0.65)
    rrf = Ranking.of("RRF ")
    assert (rrf.fusion, rrf.weight, rrf.rank_constant) == ("rrf", 0.5, 60)
    assert Ranking.of(weight=0).weight == 0
    assert Ranking.of(weight=1).weight == 1
    assert Ranking.of(rerank=len).rerank_rows == 100


def test_options_as_text() -> None:
    assert Ranking.parse("fusion=rrf, rank_constant=20") == Ranking.of("rrf", rank_constant=20)
    assert Ranking.parse(" WEIGHT = '0.3' ") == Ranking.of(weight=0.3)
    assert Ranking.parse("rerank='a, b''c', rerank_rows=7") == Ranking.of(rerank="a, b'c", rerank_rows=7)
    assert Ranking.parse("rerank=org/model-1.5").rerank == "org/model-1.5"
    assert NAMES == ("fusion", "weight", "rank_constant", "rerank", "rerank_rows", "column_weights")
    for ranking in (
        Ranking.of("rrf", 0.1, 3),
        Ranking.of(rerank="m", rerank_rows=1, weight=0.2),
        Ranking(),
    ):
        assert Ranking.of(**ranking.options) == ranking


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fusion": "rff"}, "there is no fusion 'rff'. Did you mean rrf"),
        ({"fusion": "standardized"}, "Did you mean standardised"),
        ({"fusion": 3}, "there is no fusion 3"),
        ({"fusion": ""}, "there is no fusion ''"),
        ({"weight": 1.5}, "weight = 1.5 is no share"),
        ({"weight": -0.1}, "weight = -0.1 is no share"),
        ({"weight": math.nan}, "weight = nan is no share"),
        ({"weight": "much"}, "weight = 'much' is no share"),
        ({"weight": True}, "weight = True is no share"),
        ({"weight": [1]}, "is no share"),
        ({"rank_constant": 5}, "rank_constant is of reciprocal ranks only"),
        ({"fusion": "rrf", "rank_constant": 0}, "rank_constant = 0 is no number from 1"),
        ({"fusion": "rrf", "rank_constant": 1.5}, "rank_constant = 1.5 is no number"),
        ({"fusion": "rrf", "rank_constant": math.inf}, "rank_constant = inf is no number"),
        ({"fusion": "rrf", "rank_constant": 1_000_001}, "from 1 to 1,000,000"),
        ({"rerank_rows": 5}, "rerank_rows is of a reranker only"),
        ({"rerank": len, "rerank_rows": 0}, "rerank_rows = 0 is no number from 1 to 10,000"),
        ({"rerank": len, "rerank_rows": 10_001}, "from 1 to 10,000"),
        ({"rerank": " "}, "is no reranker"),
        ({"rerank": 7}, "rerank = 7 is no reranker"),
    ],
)
def test_what_no_option_can_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(QueryError) as refused:
        Ranking.of(**options)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fusoin=rrf", "no option 'fusoin'. Did you mean fusion"),
        ("rrf", "'rrf' is not an option"),
        ("fusion=rrf, fusion=rrf", "given twice"),
        ("fusion='rrf", "cannot be read"),
        ("weight=", "cannot be read"),
        (60, "60 says no ranking"),
        (b"fusion=rrf", "says no ranking"),
    ],
)
def test_what_no_text_can_be(text: Any, message: str) -> None:
    with pytest.raises(QueryError) as refused:
        Ranking.parse(text)
    assert message in str(refused.value)
