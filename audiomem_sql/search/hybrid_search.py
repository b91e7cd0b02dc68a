"""Hybrid search: by meaning and by words, fused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from audiomem_sql.arrays import F32Array
from audiomem_sql.indexes.words import Expression
from audiomem_sql.scan import Filter, Readable, RowFilter
from audiomem_sql.search.fusion import reciprocal_rank_fusion
from audiomem_sql.search.keyword_search import keyword_ranking
from audiomem_sql.search.neighbours import Neighbours, in_steps
from audiomem_sql.search.vector_search import nearest

#: The best rows by meaning, and by words, that are fused.
FUSED_ROWS = 1000


def fused(
    readable: Readable,
    vector_column: int,
    vector: F32Array,
    text_columns: Mapping[str, int],
    expression: Expression,
    filters: Sequence[Filter] = (),
    *,
    row_filter: RowFilter | None = None,
    k: int | None = None,
) -> Iterator[Neighbours]:
    """Reciprocal-rank fusion of the best rows by meaning and by words.

    Then all others by meaning, then by words.

    Words weigh as much as the square of their coverage in the best row. A code or a name that stands in a row
    counts in full. A question of which the best row has half the words counts a quarter (docs/VECTORS.md has
    the figures).
    """
    depth = max(FUSED_ROWS, k or 0)
    by_meaning = nearest(readable, vector_column, vector, filters, row_filter=row_filter, first=depth)
    near = next(by_meaning, Neighbours(np.empty(0, np.int64), np.empty(0, np.float32)))
    by_words = keyword_ranking(readable, text_columns, expression, filters, row_filter=row_filter)
    rowids, scores = reciprocal_rank_fusion(
        [near.rowids, by_words.rowids[:depth]], weights=[1.0, by_words.coverage**2], limit=k
    )
    distance_of = dict(zip(near.rowids.tolist(), near.distances.tolist(), strict=True))
    distances = np.array([distance_of.get(rowid, np.nan) for rowid in rowids.tolist()], np.float32)
    yield from in_steps(Neighbours(rowids, distances, -scores))
    if k is not None:
        return
    yielded = [rowids]
    for rows in by_meaning:  # which gives no row twice
        new = ~np.isin(rows.rowids, rowids)
        if new.any():
            yield Neighbours(rows.rowids[new], rows.distances[new], np.zeros(int(new.sum())))
            yielded.append(rows.rowids)
    rest = by_words.rowids[depth:]
    rest = rest[~np.isin(rest, np.concatenate(yielded))]
    yield from in_steps(Neighbours(rest, np.full(len(rest), np.nan, np.float32), np.zeros(len(rest))))
