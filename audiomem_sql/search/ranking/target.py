"""What is searched: the columns of a table that a text or a vector is looked for in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import Kind
from audiomem_sql.errors import QueryError
from audiomem_sql.indexes.words import Expression, parse_query, plain_query
from audiomem_sql.scan import Readable
from audiomem_sql.search.ranking.column_words import column_words

#: Most rows that may be asked for at once.
MOST_WANTED = 1_000_000
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
        if len(vector_columns(schema)) > 1:
            return SearchTarget(None, {})  # which of them a combined query says
        raise _nothing_searched(path)
    if len(schema.vectors) > 1:
        several = ", ".join(schema.columns[index].name for index in schema.vectors)
        raise QueryError(
            f"several columns are searched by meaning: {several}",
            file=path,
            remedy="Name one of them: WHERE body MATCH :query.",
        )
    return SearchTarget(next(iter(schema.vectors.values()), None), text_columns)


def vector_columns(schema: Schema) -> list[str]:
    """The names of the columns of vectors that the user brings."""
    return [column.name for column in schema.visible.columns if column.type.kind is Kind.FLOAT]


def _nothing_searched(path: str) -> QueryError:
    return QueryError(
        "no column is searched by meaning, or by its words",
        file=path,
        remedy="Declare one as TEXT SEMANTIC or TEXT INDEXED, or name a column of vectors: "
        "WHERE vec MATCH :query.",
    )


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


def mode_of(query: Any, target: SearchTarget, path: str, plain: bool = False) -> tuple[str, Any]:
    """``semantic``, ``keyword``, ``words`` or ``hybrid``, and the query without the word for it."""
    if target.vector_column is None and not target.text_columns:
        raise _nothing_searched(path)
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


def parsed(text: str, target: SearchTarget, path: str) -> Expression:
    """A query in FTS5's syntax; QueryError for what is none."""
    try:
        return parse_query(text, list(target.text_columns))
    except QueryError as error:
        error.at(file=path)
        raise


def any_word(text: str, target: SearchTarget, readable: Readable) -> Expression:
    """Rows that hold any of the words."""
    return plain_query(text, column_words(readable, target.text_columns))
