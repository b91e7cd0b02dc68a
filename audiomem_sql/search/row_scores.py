"""``bm25``: the score of a row that a search found, with weights of columns.

The function is FTS5's. Its first argument is the table, which inside a query stands for the row that it is
at; the others are the weights of the columns of the table, from the first on, and 1 for the rest. A word in
a column counts as often as its weight says.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from audiomem_sql.arrays import F64Array, I64Array
from audiomem_sql.errors import DataTypeError
from audiomem_sql.search.found_row import FoundRow
from audiomem_sql.search.snippets import without_row


def bm25(row: object = None, *weights: object) -> float:
    """The score of a row for the words that the search looks for; better rows have lower ones.

    row: a FoundRow; of a search by meaning alone, or of none, it scores 0, and so does one without the words.
    weights: of its columns. QueryError for anything else than a row, DataTypeError for what is no weight.
    """
    if not isinstance(row, FoundRow):
        raise without_row("bm25")
    by_column = _weights(weights)
    searched = row.searched
    if searched.expression is None:
        return 0.0
    if by_column not in searched.scores:
        searched.scores[by_column] = _scores(row, by_column)
    rowids, scores = searched.scores[by_column]
    place = int(np.searchsorted(rowids, row.row.rowid))
    is_there = place < len(rowids) and int(rowids[place]) == row.row.rowid
    return float(scores[place]) if is_there else 0.0


def _scores(row: FoundRow, weights: tuple[float, ...]) -> tuple[I64Array, F64Array]:
    """All rows that hold the words, ascending int64 (n,), and their scores, float64 (n,)."""
    searched = row.searched
    assert searched.expression is not None
    named = {name: weights[column] for name, column in searched.text_columns.items() if column < len(weights)}
    expression = replace(searched.expression, column_weights=named)
    from audiomem_sql.search.ranking.keyword_search import keyword_ranking

    ranking = keyword_ranking(row.row.readable, searched.text_columns, expression)
    order = np.argsort(ranking.rowids)
    return ranking.rowids[order], ranking.scores[order]


def _weights(values: tuple[object, ...]) -> tuple[float, ...]:
    weights = []
    for value in values:
        if not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
            raise DataTypeError(
                f"{value!r:.60} is no weight of a column",
                remedy="Write a number of 0 or more for each column, from the first on: bm25(t, 10.0, 5.0).",
            )
        weights.append(float(value))
    return tuple(weights)
