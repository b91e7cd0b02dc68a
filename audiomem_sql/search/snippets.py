"""``highlight`` and ``snippet``: of any text with a query, and of a row that a search found.

The second form is FTS5's. Its first argument is the table, which inside a query stands for the row that it is
at; its second one is a column, counted from 0. The words of a keyword query are marked as they match, any
word of a hybrid one, and none of a search by meaning alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from audiomem_sql.errors import DataTypeError, QueryError
from audiomem_sql.indexes import words
from audiomem_sql.search.found_row import FoundRow

if TYPE_CHECKING:
    from audiomem_sql.indexes.words import Expression
    from audiomem_sql.search.embedding.found_passages import Passage


def highlight(text: object, query: object, open_: object = "[", close: object = "]") -> str | None:
    """``text`` with ``open_`` and ``close`` around the words that match the query; as it is if none does.

    text: a text, or a FoundRow; then ``query`` is the number of a column.
    """
    if isinstance(text, FoundRow):
        marks = _texts(open_, close)
        name, value = text.text(query)
        if value is None or text.expression is None or name not in text.text_columns:
            return value
        return words.highlight(
            value, text.expression, *marks, row=text.texts(), column=name, words=text.searched.words
        )
    if text is None or query is None or isinstance(query, FoundRow):  # which SQL takes for NULL
        return None
    value, query_text, before, behind = _texts(text, _query(query, "highlight"), open_, close)
    return words.highlight(value, words.parse_query(query_text, ["text"]), before, behind)


def snippet(
    text: object,
    query: object,
    open_: object = "[",
    close: object = "]",
    ellipsis: object = "…",
    tokens: object = 16,
) -> str | None:
    """The part of ``text``, of at most ``tokens`` words, that has most of the words that match the query.

    text: a text, or a FoundRow; then ``query`` is the number of a column, or below 0 for the one that has
    most.
    """
    if isinstance(text, FoundRow):
        return _snippet_of_row(text, query, _texts(open_, close, ellipsis), _tokens(tokens))
    if text is None or query is None or isinstance(query, FoundRow):  # which SQL takes for NULL
        return None
    size = _tokens(tokens)
    value, query_text, before, behind, omitted = _texts(
        text, _query(query, "snippet"), open_, close, ellipsis
    )
    return words.snippet(value, words.parse_query(query_text, ["text"]), before, behind, omitted, size)


def _snippet_of_row(found_row: FoundRow, column: object, marks: list[str], size: int) -> str | None:
    expression, texts = found_row.expression, found_row.texts()
    known = found_row.searched.words
    if isinstance(column, int) and column < 0:
        best = None if expression is None else words.best_column(texts, expression, size, known)
        columns = found_row.text_columns
        column = columns[best] if best is not None else min(columns.values(), default=0)
    name, value = found_row.text(column)
    if value is None:
        return None
    open_, close, ellipsis = marks
    passage = found_row.passage()
    if passage is not None and passage.column == column:
        shown = _snippet_of_passage(value, passage, expression, marks, size, (name, texts, known))
        if shown is not None:
            return shown
    if expression is None or name not in found_row.text_columns:
        expression, name, texts = words.parse_query('""', ["text"]), "text", {"text": value}
    return words.snippet(value, expression, open_, close, ellipsis, size, row=texts, column=name, words=known)


def _snippet_of_passage(
    text: str,
    passage: Passage,
    expression: Expression | None,
    marks: list[str],
    size: int,
    row: tuple[str, dict[str, str | None], Mapping[str, words.Words]],
) -> str | None:
    """The snippet of a passage; None where its words stand elsewhere in the text, and none in it.

    row: name of the column, texts of all columns, and how they become words.
    """
    column, texts, known = row
    part = text[passage.start : passage.end]
    if expression is None or column not in texts:
        expression, column, texts = words.parse_query('""', ["text"]), "text", {}
    open_, close, ellipsis = marks
    texts = texts | {column: part}
    there = words.instances(expression, texts, column, known)
    if not there and words.instances(expression, texts | {column: text}, column, known):
        return None
    shown = words.snippet(
        part, expression, open_, close, ellipsis, size, row=texts, column=column, words=known
    )
    before = ellipsis if passage.start and not shown.startswith(ellipsis) else ""
    behind = ellipsis if passage.end < len(text) and not shown.endswith(ellipsis) else ""
    return before + shown.strip() + behind


def _query(query: object, function: str) -> object:
    if isinstance(query, int):
        raise without_row(function)
    return query


def without_row(function: str) -> QueryError:
    """The error of FTS5's form where SQLite does not know the row any more, or there is none."""
    return QueryError(
        f"unable to use function {function} in the requested context",
        remedy="Its first argument is the table, in the SELECT that has the table in its FROM; "
        "not behind GROUP BY.",
    )


def _tokens(tokens: object) -> int:
    if not isinstance(tokens, int) or not 1 <= tokens <= 64:
        raise DataTypeError("a snippet has 1 to 64 words")
    return tokens


def _texts(*values: object) -> list[str]:
    if not all(isinstance(value, str) for value in values):
        raise DataTypeError("highlight and snippet take texts")
    return [str(value) for value in values]
