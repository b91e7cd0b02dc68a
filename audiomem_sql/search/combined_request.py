"""The rows that answer a text and vectors, or vectors of several columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from audiomem_sql.arrays import F32Array, F64Array
from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import DataTypeError, QueryError
from audiomem_sql.indexes.words import Expression
from audiomem_sql.scan import Filter, Readable, RowFilter
from audiomem_sql.search.combined_query import MEANING, WORDS, CombinedQuery
from audiomem_sql.search.embedding.texts import query_vector
from audiomem_sql.search.ranking.column_weights import searched_weights
from audiomem_sql.search.ranking.combined_search import Searched
from audiomem_sql.search.ranking.fusion import weights_of
from audiomem_sql.search.ranking.keyword_search import ranked_by_keywords
from audiomem_sql.search.ranking.neighbours import Neighbours
from audiomem_sql.search.ranking.options import WEIGHTS, Ranking
from audiomem_sql.search.ranking.target import SearchTarget, any_word, mode_of, parsed, search_target
from audiomem_sql.search.ranking.vector_search import nearest, vector_scores
from audiomem_sql.storage.segment import TableOptions


@dataclass(frozen=True, slots=True)
class Combination:
    """A search for several things at once that is possible.

    target: what the text is asked of; of no column without one. text: without the word for its mode; None
    without a text. expression: the words that count; None without any. searched: the rankings, meaning and
    words first.
    """

    target: SearchTarget
    text: str | None
    expression: Expression | None
    searched: tuple[Searched, ...]


def combined_query(query: Any, path: str) -> CombinedQuery | None:
    """A query for several things at once; None for any other. QueryError where its JSON says nothing."""
    try:
        return CombinedQuery.of(query)
    except (QueryError, DataTypeError) as error:
        raise error.at(file=path) from None


def combination(
    readable: Readable,
    schema: Schema,
    column: int,
    query: CombinedQuery,
    options: TableOptions,
    path: str,
    filters: Sequence[Filter],
    *,
    row_filter: RowFilter | None,
    ranking: Ranking,
) -> Combination:
    """The search for the text of ``query`` in ``column``, and its vectors in theirs.

    QueryError for one that is not possible.
    """
    searched: dict[str, Searched] = {}
    near = partial(_near, readable, schema, filters, row_filter)
    by_meaning, by_words = weights_of(ranking)
    target, text, expression = SearchTarget(None, {}), query.text, None
    if query.text is None:
        searched_weights(ranking.column_weights, (), path)  # refuses any
    else:
        target = search_target(schema, column, path)
        weights = searched_weights(ranking.column_weights, target.text_columns, path)
        mode, text = mode_of(query.text, target, path, plain=True)
        if mode in ("semantic", "hybrid"):
            assert target.vector_column is not None
            vector = query_vector(text, schema, target.vector_column, options, path)
            searched[MEANING] = near(MEANING, target.vector_column, vector, by_meaning, is_column=False)
        if mode != "semantic":
            expression = parsed(text, target, path) if mode == "keyword" else any_word(text, target, readable)
            expression = replace(expression, column_weights=weights)
            rows = _by_words(readable, target, expression, filters, row_filter)
            searched[WORDS] = Searched(WORDS, by_words, rows, _bm25, is_near=False)
    # a column of vectors counts as much as meaning usually does
    usual = weights_of(Ranking(ranking.fusion, WEIGHTS[ranking.fusion]))[0]
    for name, value in query.vectors.items():
        vector_column = search_target(schema, schema.index(name), path).vector_column
        if vector_column is None:
            raise QueryError(
                f"column {name} has no vectors", file=path, remedy="Name a column of type FLOAT[n]."
            )
        vector = query_vector(value, schema, vector_column, options, path)
        if name in searched:
            raise QueryError(f"{name} is searched twice", file=path, remedy="Rename the column.")
        searched[name] = near(name, vector_column, vector, usual, is_column=True)
    return Combination(target, text, expression, _weighted(query, searched, path))


def _near(
    readable: Readable,
    schema: Schema,
    filters: Sequence[Filter],
    row_filter: RowFilter | None,
    name: str,
    column: int,
    vector: F32Array,
    weight: float,
    *,
    is_column: bool,
) -> Searched:
    """The ranking by the vectors of a column."""

    def rows(first: int) -> Iterator[Neighbours]:
        return nearest(readable, column, vector, filters, row_filter=row_filter, first=first)

    def scores(found: Neighbours) -> F64Array:
        return vector_scores(schema, column, found.distances)

    return Searched(name, weight, rows, scores, True, is_column)


def _weighted(query: CombinedQuery, searched: Mapping[str, Searched], path: str) -> tuple[Searched, ...]:
    """What is searched, with the weights of the query. QueryError where there is nothing, or no such name."""
    if not searched:
        raise QueryError("there is nothing to search for", file=path, remedy="Pass a text, or a vector.")
    try:
        query.check_weights(tuple(searched))
    except QueryError as error:
        raise error.at(file=path) from None
    return tuple(replace(each, weight=query.weight(name, each.weight)) for name, each in searched.items())


def _by_words(
    readable: Readable,
    target: SearchTarget,
    expression: Expression,
    filters: Sequence[Filter],
    row_filter: RowFilter | None,
) -> Callable[[int], Iterator[Neighbours]]:
    return lambda _: ranked_by_keywords(
        readable, target.text_columns, expression, filters, row_filter=row_filter
    )


def _bm25(found: Neighbours) -> F64Array:
    """BM25 as a positive number, float64 (n,)."""
    return np.empty(0) if found.ranks is None else -found.ranks
