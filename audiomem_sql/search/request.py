"""What a search asks for: by meaning, by words or by both, and in which columns.

``semantic: …``, ``words: …``, ``hybrid: …`` and ``keyword: …`` before a text say which; without, it is by
meaning and words where both are possible. Of plain words every one counts that is there, and whatever a
person types is a query; a ``keyword:`` query is written as in FTS5, and so is one of a MATCH by words
alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from audiomem_sql.arrays import F32Array, F64Array, I64Array
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import Kind
from audiomem_sql.errors import QueryError
from audiomem_sql.indexes.words import Expression, Words, parse_query, plain_query
from audiomem_sql.scan import Filter, Readable, RowFilter
from audiomem_sql.search.column_words import column_words
from audiomem_sql.search.embedding import query_vector
from audiomem_sql.search.found_passages import FoundPassages
from audiomem_sql.search.hybrid_search import Candidates, candidates, fused_rows
from audiomem_sql.search.keyword_search import ranked_by_keywords
from audiomem_sql.search.neighbours import Neighbours, first_of
from audiomem_sql.search.ranking import Ranking
from audiomem_sql.search.reranking import reranked
from audiomem_sql.search.vector_search import nearest
from audiomem_sql.storage.segment import TableOptions

#: Most rows that may be asked for at once.
MOST_WANTED = 1_000_000
DEFAULT_RANKING = Ranking()
#: Stands for the table as a whole where a column is named.
WHOLE = -1
_MODE = re.compile(r"\s*(semantic|keyword|words|hybrid)\s*:\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SearchTarget:
    """What is searched.

    vector_column: the index of a column of vectors, or None. text_columns: indices by name.
    """

    vector_column: int | None
    text_columns: dict[str, int]


def check_wanted(k: int | None, path: str) -> None:
    """QueryError if ``k`` is no number of rows that a search gives."""
    if k is not None and k < 1:
        raise QueryError(f"k = {k} is no number of rows", file=path, remedy="Write k = 10, or LIMIT 10.")
    if k is not None and k > MOST_WANTED:
        raise QueryError(
            f"k = {k} is over the limit of {MOST_WANTED:,} rows",
            file=path,
            remedy="Leave k out and write LIMIT, or read the table without a search.",
        )


def search_target(schema: Schema, column: int, path: str) -> SearchTarget:
    """What a search of ``column`` (WHOLE: of the table) looks at.

    QueryError where there is nothing, or too much.
    """
    if column != WHOLE:
        return _column_target(schema, column, path)
    text_columns = {schema.columns[index].name: index for index in schema.indexed_columns}
    if not schema.vectors and not text_columns and len(schema.vector_indexes) == 1:
        return SearchTarget(next(iter(schema.vector_indexes)), {})
    if not schema.vectors and not text_columns:
        raise QueryError(
            "no column is searched by meaning, or by its words",
            file=path,
            remedy="Declare one as TEXT SEMANTIC or TEXT INDEXED, or name a column of vectors: "
            "WHERE vec MATCH :query.",
        )
    if len(schema.vectors) > 1:
        several = ", ".join(schema.columns[index].name for index in schema.vectors)
        raise QueryError(
            f"several columns are searched by meaning: {several}",
            file=path,
            remedy="Name one of them: WHERE body MATCH :query.",
        )
    return SearchTarget(next(iter(schema.vectors.values()), None), text_columns)


def keyword_columns(schema: Schema, name: str | None, path: str) -> dict[str, int]:
    """The columns that are searched by their words, by name; name: only this one. QueryError without any."""
    column = WHOLE if name is None else schema.index(name)
    columns = search_target(schema, column, path).text_columns if name else {}
    if name is None:
        columns = {schema.columns[index].name: index for index in schema.indexed_columns}
    if not columns:
        raise QueryError(
            "no column is searched by its words" if name is None else f"column {name} has no words to search",
            file=path,
            remedy="Declare a column TEXT INDEXED.",
        )
    return columns


def _column_target(schema: Schema, column: int, path: str) -> SearchTarget:
    declared = schema.columns[column]
    if declared.type.kind is Kind.FLOAT:
        return SearchTarget(column, {})
    target = SearchTarget(schema.vectors.get(column), {declared.name: column} if declared.indexed else {})
    if target.vector_column is None and not target.text_columns:
        raise QueryError(
            f"column {declared.name} is not searched by meaning, nor by its words",
            file=path,
            remedy="MATCH needs a column that was declared SEMANTIC or INDEXED, or one of type FLOAT[n]; "
            "LIKE and GLOB need neither.",
        )
    return target


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
    if ranking.rerank is None:
        return _found(asked, k)
    found = _found(asked, None if k is None else max(k, ranking.rerank_rows))
    return first_of(reranked(readable, found, asked.text_places, asked.text, ranking, path), k)


@dataclass(frozen=True, slots=True)
class Asked:
    """A search that is possible.

    mode: ``semantic``, ``keyword``, ``words`` or ``hybrid``. text: the query without the word for it, or a
    vector.
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

    def expression(self) -> Expression:
        """The words that are looked for, for a search by words or by both."""
        if self.mode == "keyword":
            return _parsed(self.text, self.target, self.path)
        return _any_word(self.text, self.target, self.readable)

    @property
    def text_places(self) -> list[int]:
        """The columns of texts that are searched, ascending: what a reranker reads."""
        places = set(self.target.text_columns.values())
        places |= {
            text for text, vector in self.schema.vectors.items() if vector == self.target.vector_column
        }
        return sorted(places)

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
    target = search_target(schema, column, path)
    mode, text = _mode(query, target, path, plain)
    return Asked(readable, schema, target, mode, text, options, path, filters, row_filter, ranking)


def _found(asked: Asked, k: int | None) -> Iterator[Neighbours]:
    """The rows by the kinds that count."""
    if asked.mode == "semantic":
        return asked.by_meaning(k)
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


@dataclass(frozen=True, slots=True)
class SearchedWords:
    """The words that a search looks for.

    expression: None for one by meaning alone. text_columns: the indices of the columns, by name; words: how
    their texts become words. passages: tells which passages of long texts are found; None where none is
    cut, or words alone count. scores: what ``bm25`` found, by the weights of columns.
    """

    expression: Expression | None = None
    text_columns: Mapping[str, int] = field(default_factory=dict)
    words: Mapping[str, Words] = field(default_factory=dict)
    passages: FoundPassages | None = None
    scores: dict[tuple[float, ...], tuple[I64Array, F64Array]] = field(default_factory=dict)


def searched_words(
    readable: Readable, schema: Schema, column: int, query: Any, options: TableOptions, path: str
) -> SearchedWords:
    """The words that ``results`` looks for."""
    target = search_target(schema, column, path)
    mode, text = _mode(query, target, path)
    passages = passage_finder(schema, column, query, options, path)
    if mode == "semantic":
        return SearchedWords(None, target.text_columns, passages=passages)
    words = column_words(readable, target.text_columns)
    expression = _parsed(text, target, path) if mode == "keyword" else plain_query(text, words)
    return SearchedWords(expression, target.text_columns, words, passages)


def passage_finder(
    schema: Schema, column: int, query: Any, options: TableOptions, path: str
) -> FoundPassages | None:
    """The passages of a search of ``column``; None where no text is cut, or words alone count.

    schema: with the columns of vectors.
    """
    target = search_target(schema, column, path)
    vectors = target.vector_column
    if vectors is None or vectors not in schema.passages:
        return None
    mode, text = _mode(query, target, path)
    if mode in ("keyword", "words"):
        return None
    texts = next(place for place, own in schema.vectors.items() if own == vectors)
    vector = query_vector(text, schema, vectors, options, path)
    return FoundPassages(texts, vectors, schema.passages[vectors], vector)


def _mode(query: Any, target: SearchTarget, path: str, plain: bool = False) -> tuple[str, Any]:
    """``semantic``, ``keyword``, ``words`` or ``hybrid``, and the query without the word for it."""
    if not isinstance(query, str):
        if target.vector_column is None:
            raise QueryError("words are searched for, not vectors", file=path, remedy="Pass a text.")
        return "semantic", query
    prefix = _MODE.match(query)
    if prefix is None:
        if not target.text_columns:
            return "semantic", query
        by_words = "words" if plain else "keyword"
        return by_words if target.vector_column is None else "hybrid", query
    mode = prefix[1].lower()
    if mode not in ("keyword", "words") and target.vector_column is None:
        raise QueryError(
            f"{mode}: nothing here is searched by meaning", file=path, remedy="Use words:, or keyword:."
        )
    if mode != "semantic" and not target.text_columns:
        raise QueryError(
            f"{mode}: nothing here is searched by its words",
            file=path,
            remedy="Declare a column TEXT INDEXED.",
        )
    return mode, query[prefix.end() :]


def _parsed(text: str, target: SearchTarget, path: str) -> Expression:
    try:
        return parse_query(text, list(target.text_columns))
    except QueryError as error:
        error.at(file=path)
        raise


def _any_word(text: str, target: SearchTarget, readable: Readable) -> Expression:
    """Rows that hold any of the words."""
    return plain_query(text, column_words(readable, target.text_columns))
