"""What a search asks for: by meaning, by words or by both, and of which columns.

``semantic: …``, ``keyword: …`` and ``hybrid: …`` before a text say which; without, it is both where both can be had. A keyword
query is written as FTS5 has it; of a hybrid one every word counts that is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import Kind
from audiomem_sql.errors import QueryError
from audiomem_sql.indexes.words.fts_query import Expression, parse_query, quoted
from audiomem_sql.indexes.words.tokenizer import spans
from audiomem_sql.scan.scan import Filter, Readable, RowFilter
from audiomem_sql.search.embedding import query_vector
from audiomem_sql.search.ranking import Neighbours, fused, nearest, ranked_by_words
from audiomem_sql.storage.segment.options import TableOptions

#: Stands for the table as a whole where a column is named.
WHOLE = -1
#: Different words of a hybrid query that are looked for: those of a page or two. Models read no more of a text, either.
MOST_WORDS = 512
_MODE = re.compile(r"\s*(semantic|keyword|hybrid)\s*:\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Searched:
    """What can be searched: ``vectors``, the place of a column of vectors, or None; ``words``: places by name."""

    vectors: int | None
    words: dict[str, int]


def searched(schema: Schema, column: int, path: str) -> Searched:
    """What a search of ``column`` (WHOLE: of the table) looks at. QueryError where there is nothing, or too much."""
    if column != WHOLE:
        declared = schema.columns[column]
        if declared.type.kind is Kind.FLOAT:
            return Searched(column, {})
        found = Searched(schema.vectors.get(column), {declared.name: column} if declared.indexed else {})
        if found.vectors is None and not found.words:
            raise QueryError(
                f"column {declared.name} is not searched by meaning, nor by its words",
                file=path,
                remedy="MATCH needs a column that was declared SEMANTIC or INDEXED, or one of type FLOAT[n]; LIKE and GLOB "
                "need neither.",
            )
        return found
    words = {schema.columns[place].name: place for place in schema.indexed_columns}
    if not schema.vectors and not words:
        raise QueryError(
            "no column is searched by meaning, or by its words",
            file=path,
            remedy="Declare one as TEXT SEMANTIC or TEXT INDEXED, or name a column of vectors: WHERE vec MATCH :query.",
        )
    if len(schema.vectors) > 1:
        several = ", ".join(schema.columns[place].name for place in schema.vectors)
        raise QueryError(
            f"several columns are searched by meaning: {several}",
            file=path,
            remedy="Name one of them: WHERE body MATCH :query.",
        )
    return Searched(next(iter(schema.vectors.values()), None), words)


def results(
    readable: Readable,
    schema: Schema,
    column: int,
    asked: Any,
    options: TableOptions,
    path: str,
    filters: Sequence[Filter] = (),
    *,
    row_filter: RowFilter | None = None,
    k: int | None = None,
) -> Iterator[Neighbours]:
    """The rows that answer ``asked``, best first. QueryError for what cannot be asked."""
    place = searched(schema, column, path)
    mode, text = _mode(asked, place, path)
    if mode == "semantic":
        assert place.vectors is not None
        vector = query_vector(text, schema, place.vectors, options, path)
        return nearest(readable, place.vectors, vector, filters, row_filter=row_filter, k=k)
    if mode == "keyword":
        expression = _parsed(text, place, path)
        return ranked_by_words(readable, place.words, expression, filters, row_filter=row_filter, k=k)
    assert place.vectors is not None
    vector = query_vector(text, schema, place.vectors, options, path)
    return fused(
        readable,
        place.vectors,
        vector,
        place.words,
        _any_word(text, place),
        filters,
        row_filter=row_filter,
        k=k,
    )


def words_of(schema: Schema, column: int, asked: Any, path: str) -> tuple[Expression | None, dict[str, int]]:
    """The words that a search looks for, None if it has none to do with words; and the places of the columns it looks in."""
    place = searched(schema, column, path)
    mode, text = _mode(asked, place, path)
    if mode == "semantic":
        return None, place.words
    return _parsed(text, place, path) if mode == "keyword" else _any_word(text, place), place.words


def _mode(asked: Any, place: Searched, path: str) -> tuple[str, Any]:
    """``semantic``, ``keyword`` or ``hybrid``, and what is asked without the word for it."""
    if not isinstance(asked, str):
        if place.vectors is None:
            raise QueryError("words are searched for, not vectors", file=path, remedy="Pass a text.")
        return "semantic", asked
    named = _MODE.match(asked)
    if named is None:
        return "semantic" if not place.words else "keyword" if place.vectors is None else "hybrid", asked
    mode = named[1].lower()
    if mode != "keyword" and place.vectors is None:
        raise QueryError(f"{mode}: nothing here is searched by meaning", file=path, remedy="Use keyword:.")
    if mode != "semantic" and not place.words:
        raise QueryError(
            f"{mode}: nothing here is searched by its words",
            file=path,
            remedy="Declare a column TEXT INDEXED.",
        )
    return mode, asked[named.end() :]


def _parsed(text: str, place: Searched, path: str) -> Expression:
    try:
        return parse_query(text, list(place.words))
    except QueryError as error:
        error.at(file=path)
        raise


def _any_word(text: str, place: Searched) -> Expression:
    """Rows that hold any of the words, of a very long text any of the first ones."""
    words = dict.fromkeys(token.term.decode() for token in spans(text))
    chosen = islice(words, MOST_WORDS)
    return parse_query(" OR ".join(map(quoted, chosen)) or '""', list(place.words))
