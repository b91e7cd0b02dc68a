"""The rows that answer a text and vectors, or vectors of several columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from audiomem_sql.arrays import F32Array
from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import DataTypeError, QueryError
from audiomem_sql.indexes.words import Expression
from audiomem_sql.scan import Filter, Readable, RowFilter
from audiomem_sql.search.combined_query import MEANING, WORDS, CombinedQuery
from audiomem_sql.search.embedding.texts import query_vector
from audiomem_sql.search.ranking.column_weights import searched_weights
from audiomem_sql.search.ranking.combined_search import Searched, combined
from audiomem_sql.search.ranking.keyword_search import ranked_by_keywords
from audiomem_sql.search.ranking.neighbours import Neighbours
from audiomem_sql.search.ranking.target import SearchTarget, any_word, mode_of, parsed, search_target
from audiomem_sql.search.ranking.vector_search import nearest
from audiomem_sql.storage.segment import TableOptions


def combined_query(query: Any, path: str) -> CombinedQuery | None:
    """A query for several things at once; None for any other. QueryError where its JSON says nothing."""
    try:
        return CombinedQuery.of(query)
    except (QueryError, DataTypeError) as error:
        raise error.at(file=path) from None


def combined_results(
    readable: Readable,
    schema: Schema,
    column: int,
    query: CombinedQuery,
    options: TableOptions,
    path: str,
    filters: Sequence[Filter],
    *,
    row_filter: RowFilter | None,
    k: int | None,
    column_weights: Mapping[str, float],
) -> Iterator[Neighbours]:
    """The rows that answer the text of ``query`` in ``column``, and its vectors in theirs."""
    parts: dict[str, tuple[float, Callable[[int], Iterator[Neighbours]], bool]] = {}

    def near(vector_column: int, vector: F32Array) -> Callable[[int], Iterator[Neighbours]]:
        return lambda first: nearest(
            readable, vector_column, vector, filters, row_filter=row_filter, first=first
        )

    if query.text is None:
        searched_weights(column_weights, (), path)
    else:
        target = search_target(schema, column, path)
        weights = searched_weights(column_weights, target.text_columns, path)
        mode, text = mode_of(query.text, target, path, plain=True)
        if mode in ("semantic", "hybrid"):
            assert target.vector_column is not None
            vector = query_vector(text, schema, target.vector_column, options, path)
            parts[MEANING] = 0.65, near(target.vector_column, vector), True
        if mode != "semantic":
            expression = parsed(text, target, path) if mode == "keyword" else any_word(text, target, readable)
            expression = replace(expression, column_weights=weights)
            parts[WORDS] = 0.35, partial(_by_words, readable, target, expression, filters, row_filter), False
    for name, value in query.vectors.items():
        searched = search_target(schema, schema.index(name), path).vector_column
        if searched is None:
            raise QueryError(
                f"column {name} has no vectors", file=path, remedy="Name a column of type FLOAT[n]."
            )
        vector = query_vector(value, schema, searched, options, path)
        if name in parts:
            raise QueryError(f"{name} is searched twice", file=path, remedy="Rename the column.")
        parts[name] = 0.65, near(searched, vector), True
    if not parts:
        raise QueryError("there is nothing to search for", file=path, remedy="Pass a text, or a vector.")
    try:
        query.check_weights(tuple(parts))
    except QueryError as error:
        raise error.at(file=path) from None
    searches = [
        Searched(query.weight(name, usual), rows, is_near) for name, (usual, rows, is_near) in parts.items()
    ]
    return combined(searches, k)


def _by_words(
    readable: Readable,
    target: SearchTarget,
    expression: Expression,
    filters: Sequence[Filter],
    row_filter: RowFilter | None,
    first: int,
) -> Iterator[Neighbours]:
    return ranked_by_keywords(readable, target.text_columns, expression, filters, row_filter=row_filter)
