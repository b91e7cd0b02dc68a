"""What a search asks for: by meaning, by words or by both, and in which columns.

``semantic: …``, ``words: …``, ``hybrid: …`` and ``keyword: …`` before a text say which; without, it is by
meaning and words where both are possible. Of plain words every one counts that is there, and whatever a
person types is a query; a ``keyword:`` query is written as in FTS5, and so is one of a MATCH by words
alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from audiomem_sql.arrays import F32Array
from audiomem_sql.columns.schema import Schema
from audiomem_sql.indexes.words import Expression, plain_query
from audiomem_sql.observe import hooks
from audiomem_sql.scan import Filter, Readable, RowFilter
from audiomem_sql.search.combined_query import MEANING
from audiomem_sql.search.combined_request import Combination, combination, combined_query
from audiomem_sql.search.embedding.found_passages import FoundPassages
from audiomem_sql.search.embedding.texts import query_vector
from audiomem_sql.search.found_row import SearchedWords
from audiomem_sql.search.ranking.column_weights import searched_weights
from audiomem_sql.search.ranking.column_words import column_words
from audiomem_sql.search.ranking.combined_search import Combined, combined, combined_rows
from audiomem_sql.search.ranking.hybrid_search import Candidates, candidates, fused_rows
from audiomem_sql.search.ranking.keyword_search import ranked_by_keywords
from audiomem_sql.search.ranking.neighbours import Neighbours, first_of
from audiomem_sql.search.ranking.options import DEFAULT_RANKING, Ranking
from audiomem_sql.search.ranking.reranking import reranked
from audiomem_sql.search.ranking.target import (
    SearchTarget,
    any_word,
    check_wanted,
    mode_of,
    parsed,
    search_target,
)
from audiomem_sql.search.ranking.vector_search import nearest
from audiomem_sql.storage.segment import TableOptions


def results(
    readable: Readable,
    schema: Schema,
    column: int,
    query: Any,
    options: TableOptions,
    path: str,
    filters: Sequence[Filter] = (),
    *,
    row_filter: RowFilter | None = None,
    k: int | None = None,
    plain: bool = False,
    ranking: Ranking = DEFAULT_RANKING,
) -> Iterator[Neighbours]:
    """The rows that answer ``query``, best first. QueryError for a query that is not possible.

    plain: a query by words alone that does not say so itself is one of plain words, not of FTS5's syntax.
    ranking: how both are fused, where both count, and what orders the best rows anew.
    """
    asked = asked_for(
        readable,
        schema,
        column,
        query,
        options,
        path,
        filters,
        row_filter=row_filter,
        k=k,
        plain=plain,
        ranking=ranking,
    )
    return hooks.each("search", lambda: _results(asked, k), path)


def _results(asked: Asked, k: int | None) -> Iterator[Neighbours]:
    ranking = asked.ranking
    if ranking.rerank is None:
        return _found(asked, k)
    found = _found(asked, None if k is None else max(k, ranking.rerank_rows))
    best = reranked(asked.readable, found, asked.text_places, asked.text, ranking, asked.path)
    return first_of(best, k)


@dataclass(frozen=True, slots=True)
class Asked:
    """A search that is possible.

    mode: ``semantic``, ``keyword``, ``words`` or ``hybrid``; ``combined`` for several things at once, which
    ``combination`` says. text: the query without the word for it, or a vector.
    """

    readable: Readable
    schema: Schema
    target: SearchTarget
    mode: str
    text: Any
    options: TableOptions
    path: str
    filters: Sequence[Filter]
    row_filter: RowFilter | None
    ranking: Ranking
    combination: Combination | None = None

    def by_meaning(self, k: int | None) -> Iterator[Neighbours]:
        """The rows that are nearest, for a search by meaning alone."""
        assert self.target.vector_column is not None
        return nearest(
            self.readable,
            self.target.vector_column,
            self._vector(self.target.vector_column),
            self.filters,
            row_filter=self.row_filter,
            k=k,
        )

    def candidates(self) -> Candidates:
        """The best rows of both kinds, fused, for a search by both."""
        assert self.target.vector_column is not None
        return candidates(
            self.readable,
            self.target.vector_column,
            self._vector(self.target.vector_column),
            self.target.text_columns,
            self.expression(),
            self.filters,
            row_filter=self.row_filter,
            ranking=self.ranking,
        )

    def combined(self, k: int | None) -> Combined:
        """The best rows of all rankings, fused, for a search for several things at once."""
        assert self.combination is not None
        return combined(self.combination.searched, self.ranking, k)

    @property
    def has_words(self) -> bool:
        """Whether words count."""
        if self.combination is not None:
            return self.combination.expression is not None
        return self.mode != "semantic"

    def expression(self) -> Expression:
        """The words that are looked for, where words count, with the weights of columns."""
        if self.combination is not None:
            assert self.combination.expression is not None
            return self.combination.expression
        if self.mode == "keyword":
            said = parsed(self.text, self.target, self.path)
        else:
            said = any_word(self.text, self.target, self.readable)
        weights = searched_weights(self.ranking.column_weights, self.target.text_columns, self.path)
        return replace(said, column_weights=weights)

    @property
    def text_places(self) -> list[int]:
        """The columns of texts that are searched, ascending: what a reranker reads."""
        places = set(self.target.text_columns.values())
        places |= {
            text for text, vector in self.schema.vectors.items() if vector == self.target.vector_column
        }
        return sorted(places)

    @property
    def passages(self) -> FoundPassages | None:
        """Tells the passages that are found; None where no text is cut, or meaning does not count."""
        by_meaning = self.mode in ("semantic", "hybrid")
        if self.combination is not None:
            by_meaning = any(each.name == MEANING for each in self.combination.searched)
        vectors = self.target.vector_column
        if not by_meaning or vectors is None or vectors not in self.schema.passages:
            return None
        return _finder(self.schema, vectors, self._vector(vectors))

    def _vector(self, column: int) -> F32Array:
        return query_vector(self.text, self.schema, column, self.options, self.path)


def asked_for(
    readable: Readable,
    schema: Schema,
    column: int,
    query: Any,
    options: TableOptions,
    path: str,
    filters: Sequence[Filter] = (),
    *,
    row_filter: RowFilter | None = None,
    k: int | None = None,
    plain: bool = False,
    ranking: Ranking = DEFAULT_RANKING,
) -> Asked:
    """The search of ``results`` with these arguments. QueryError for one that is not possible."""
    check_wanted(k, path)
    several = combined_query(query, path)
    if several is not None:
        both = combination(
            readable, schema, column, several, options, path, filters, row_filter=row_filter, ranking=ranking
        )
        target, mode, text = both.target, "combined", both.text
    else:
        both = None
        target = search_target(schema, column, path)
        mode, text = mode_of(query, target, path, plain)
        searched_weights(ranking.column_weights, target.text_columns, path)  # wrong ones are refused at once
    return Asked(readable, schema, target, mode, text, options, path, filters, row_filter, ranking, both)


def _found(asked: Asked, k: int | None) -> Iterator[Neighbours]:
    """The rows by the kinds that count."""
    if asked.mode == "semantic":
        return asked.by_meaning(k)
    if asked.mode == "combined":
        return combined_rows(asked.combined(k), k)
    if asked.mode == "hybrid":
        return first_of(fused_rows(asked.candidates()), k)
    return ranked_by_keywords(
        asked.readable,
        asked.target.text_columns,
        asked.expression(),
        asked.filters,
        row_filter=asked.row_filter,
        k=k,
    )


def searched_words(
    readable: Readable, schema: Schema, column: int, query: Any, options: TableOptions, path: str
) -> SearchedWords:
    """The words that ``results`` looks for."""
    several = combined_query(query, path)
    if several is not None:
        if several.text is None:
            return SearchedWords(None, {})
        query = several.text
    target = search_target(schema, column, path)
    mode, text = mode_of(query, target, path, plain=several is not None)
    passages = passage_finder(schema, column, query, options, path)
    if mode == "semantic":
        return SearchedWords(None, target.text_columns, passages=passages)
    words = column_words(readable, target.text_columns)
    expression = parsed(text, target, path) if mode == "keyword" else plain_query(text, words)
    return SearchedWords(expression, target.text_columns, words, passages)


def passage_finder(
    schema: Schema, column: int, query: Any, options: TableOptions, path: str
) -> FoundPassages | None:
    """The passages of a search of ``column``; None where no text is cut, or words alone count.

    schema: with the columns of vectors.
    """
    several = combined_query(query, path)
    if several is not None:
        if several.text is None:
            return None
        query = several.text
    target = search_target(schema, column, path)
    vectors = target.vector_column
    if vectors is None or vectors not in schema.passages:
        return None
    mode, text = mode_of(query, target, path)
    if mode in ("keyword", "words"):
        return None
    return _finder(schema, vectors, query_vector(text, schema, vectors, options, path))


def _finder(schema: Schema, vectors: int, vector: F32Array) -> FoundPassages:
    """The passages of a search for ``vector``; vectors: the column of vectors of texts that are cut."""
    texts = next(place for place, own in schema.vectors.items() if own == vectors)
    return FoundPassages(texts, vectors, schema.passages[vectors], vector)
