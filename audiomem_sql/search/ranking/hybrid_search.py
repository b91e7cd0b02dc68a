"""Hybrid search: by meaning and by words, fused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from audiomem_sql.arrays import F32Array, F64Array
from audiomem_sql.indexes.words import Expression
from audiomem_sql.scan import Filter, Readable, RowFilter
from audiomem_sql.search.ranking.fusion import FUSED_ROWS, FusedRows, ScoredRows, fuse, weights_of
from audiomem_sql.search.ranking.keyword_search import KeywordRanking, keyword_ranking
from audiomem_sql.search.ranking.neighbours import Neighbours, in_steps
from audiomem_sql.search.ranking.options import Ranking
from audiomem_sql.search.ranking.vector_search import nearest


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The rows that are fused: ``fused``, with the kinds meaning and words.

    distances: float32 (n,) of these, NaN for a row that words alone brought. by_meaning: what meaning hands
    over behind its part of them. by_words: all rows that hold the words.
    """

    fused: FusedRows
    distances: F32Array
    by_meaning: Iterator[Neighbours]
    by_words: KeywordRanking


def candidates(
    readable: Readable,
    vector_column: int,
    vector: F32Array,
    text_columns: Mapping[str, int],
    expression: Expression,
    filters: Sequence[Filter] = (),
    *,
    row_filter: RowFilter | None = None,
    ranking: Ranking,
) -> Candidates:
    """The best rows by meaning and by words, fused."""
    by_meaning = nearest(readable, vector_column, vector, filters, row_filter=row_filter, first=FUSED_ROWS)
    near = next(by_meaning, Neighbours(np.empty(0, np.int64), np.empty(0, np.float32)))
    by_words = keyword_ranking(readable, text_columns, expression, filters, row_filter=row_filter)
    fused = fuse(
        [
            ScoredRows(near.rowids, cosines(near.distances), len(near)),
            ScoredRows(by_words.rowids, -by_words.scores, by_words.rows),
        ],
        weights_of(ranking),
        ranking,
    )
    ranks = fused.shares[0].ranks
    distances = np.full(len(ranks), np.nan, np.float32)
    distances[ranks > 0] = near.distances[ranks[ranks > 0] - 1]
    return Candidates(fused, distances, by_meaning, by_words)


def cosines(distances: F32Array) -> F64Array:
    """1 - distance, float64 (n,)."""
    return 1.0 - distances.astype(np.float64)


def fused_rows(found: Candidates) -> Iterator[Neighbours]:
    """The candidates, best first; then all others.

    Behind the candidates come the other rows that have a vector, the nearest first: they count as if they had
    the last score of the words that were fused. Those without one come last, by their words. Ranks never
    fall, so rows that come last share the rank of the row before them; reciprocal ranks say 0 of all others.
    """
    fused = found.fused
    yield from in_steps(Neighbours(fused.rowids, found.distances, -fused.scores))
    lowest = float(fused.scores[-1]) if len(fused.scores) else 0.0
    yielded = [fused.rowids]
    for rows in found.by_meaning:  # which gives no row twice
        new = ~np.isin(rows.rowids, fused.rowids)
        yielded.append(rows.rowids)
        if not new.any():
            continue
        scores = np.minimum.accumulate(np.minimum(_scores_behind(fused, rows.distances[new]), lowest))
        lowest = float(scores[-1])
        yield Neighbours(rows.rowids[new], rows.distances[new], -scores)
    rest = found.by_words.rowids[FUSED_ROWS:]
    rest = rest[~np.isin(rest, np.concatenate(yielded))]
    yield from in_steps(Neighbours(rest, np.full(len(rest), np.nan, np.float32), np.full(len(rest), -lowest)))


def _scores_behind(fused: FusedRows, distances: F32Array) -> F64Array:
    """The scores, float64 (n,), of rows behind the candidates that have a vector at these distances."""
    meaning, words = fused.shares
    if meaning.scale is None or words.scale is None:
        return np.zeros(len(distances))
    parts = meaning.scale.standardised(cosines(distances))
    return meaning.weight * parts + words.weight * words.scale.floor
