"""``highlight(text, query, open, close)`` and ``snippet(text, query, open, close, ellipsis, tokens)``: where words stand in a text.

What FTS5's functions of these names show of a column, for any text: the query is an argument, as SQL tells a function nothing
of the row that it is called for.
"""

from __future__ import annotations

from audiomem_sql.errors import DataTypeError
from audiomem_sql.semantic import highlight as shown
from audiomem_sql.semantic.keyword_query import parse_query
from audiomem_sql.udfs.function import Function


def highlight(text: object, query: object, open_: object = "[", close: object = "]") -> str | None:
    """``text`` with ``open_`` and ``close`` around what the query finds; as it is if it finds nothing."""
    if text is None or query is None:
        return None
    given = _texts(text, query, open_, close)
    return shown.highlight(given[0], parse_query(given[1], ["text"]), given[2], given[3])


def snippet(
    text: object,
    query: object,
    open_: object = "[",
    close: object = "]",
    ellipsis: object = "…",
    tokens: object = 16,
) -> str | None:
    """The part of ``text``, of at most ``tokens`` words, that shows most of what the query finds."""
    if text is None or query is None:
        return None
    if not isinstance(tokens, int) or not 1 <= tokens <= 64:
        raise DataTypeError("a snippet has 1 to 64 words")
    given = _texts(text, query, open_, close, ellipsis)
    return shown.snippet(given[0], parse_query(given[1], ["text"]), given[2], given[3], given[4], tokens)


def _texts(*values: object) -> list[str]:
    if not all(isinstance(value, str) for value in values):
        raise DataTypeError("highlight and snippet take texts")
    return [str(value) for value in values]


FUNCTIONS = (Function(highlight, (2, 3, 4)), Function(snippet, (2, 3, 4, 5, 6)))
