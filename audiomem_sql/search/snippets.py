"""What ``highlight`` and ``snippet`` show: of any text, for a query that is an argument, and of a row that a search found.

The second form is FTS5's: the first argument is the table, which inside a query stands for the row that it is at, and the second a column,
counted from 0. What the search asked for is highlighted: the words of a keyword query as they match, any word of a hybrid one,
and none of a search by meaning alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from audiomem_sql.errors import DataTypeError, QueryError
from audiomem_sql.indexes.words import highlight as shown
from audiomem_sql.indexes.words.fts_query import Expression, parse_query


class Row(Protocol):
    """The row that a cursor is at."""

    def value(self, column: int) -> Any:
        """What a column holds, as SQL has it."""


@dataclass(frozen=True, slots=True)
class FoundRow:
    """A row of a search. names: of all columns. words: places of those that ``expression`` speaks of; both None without one."""

    row: Row
    names: Sequence[str]
    expression: Expression | None
    words: dict[str, int]

    def texts(self) -> dict[str, str | None]:
        """What the columns hold that are searched by their words."""
        found = ((name, self.row.value(place)) for name, place in self.words.items())
        return {name: value if isinstance(value, str) else None for name, value in found}

    def text(self, column: object) -> tuple[str, str | None]:
        """Name and text of column number ``column``. QueryError if there is none."""
        if not isinstance(column, int) or not 0 <= column < len(self.names):
            raise QueryError(
                f"the table has no column {column!r}",
                remedy=f"Columns are counted from 0 to {len(self.names) - 1}.",
            )
        value = self.row.value(column)
        if isinstance(value, bytes):
            raise DataTypeError(f"column {self.names[column]} holds bytes, no text")
        return self.names[column], None if value is None else str(value)


def highlight(text: object, query: object, open_: object = "[", close: object = "]") -> str | None:
    """``text`` with ``open_`` and ``close`` around what the query finds; as it is if it finds nothing.

    text: a text, or a FoundRow; then ``query`` is the number of a column.
    """
    if isinstance(text, FoundRow):
        marks = _texts(open_, close)
        name, value = text.text(query)
        if value is None or text.expression is None or name not in text.words:
            return value
        return shown.highlight(value, text.expression, *marks, row=text.texts(), column=name)
    if text is None or query is None:
        return None
    given = _texts(text, _query(query, "highlight"), open_, close)
    return shown.highlight(given[0], parse_query(given[1], ["text"]), given[2], given[3])


def snippet(
    text: object,
    query: object,
    open_: object = "[",
    close: object = "]",
    ellipsis: object = "…",
    tokens: object = 16,
) -> str | None:
    """The part of ``text``, of at most ``tokens`` words, that shows most of what the query finds.

    text: a text, or a FoundRow; then ``query`` is the number of a column, or below 0 for the one that shows most.
    """
    if isinstance(text, FoundRow):
        return _snippet_of_row(text, query, _texts(open_, close, ellipsis), _tokens(tokens))
    if text is None or query is None:
        return None
    size = _tokens(tokens)
    given = _texts(text, _query(query, "snippet"), open_, close, ellipsis)
    return shown.snippet(given[0], parse_query(given[1], ["text"]), given[2], given[3], given[4], size)


def _snippet_of_row(found: FoundRow, column: object, marks: list[str], size: int) -> str | None:
    expression, row = found.expression, found.texts()
    if isinstance(column, int) and column < 0:
        best = None if expression is None else shown.best_column(row, expression, size)
        column = found.words[best] if best is not None else min(found.words.values(), default=0)
    name, value = found.text(column)
    if value is None:
        return None
    if expression is None or name not in found.words:
        expression, name, row = parse_query('""', ["text"]), "text", {"text": value}
    open_, close, ellipsis = marks
    return shown.snippet(value, expression, open_, close, ellipsis, size, row=row, column=name)


def _query(query: object, function: str) -> object:
    if isinstance(query, int):  # FTS5's form, where SQLite does not know the row any more, or there is none
        raise QueryError(
            f"unable to use function {function} in the requested context",
            remedy="Its first argument is the table, in the SELECT that has the table in its FROM; not behind GROUP BY.",
        )
    return query


def _tokens(tokens: object) -> int:
    if not isinstance(tokens, int) or not 1 <= tokens <= 64:
        raise DataTypeError("a snippet has 1 to 64 words")
    return tokens


def _texts(*values: object) -> list[str]:
    if not all(isinstance(value, str) for value in values):
        raise DataTypeError("highlight and snippet take texts")
    return [str(value) for value in values]
