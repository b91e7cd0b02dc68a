"""``highlight`` and ``snippet``: where words stand in a text, and ``bm25``: how much they count in a row.

``highlight(text, query, open, close)`` and ``snippet(text, query, open, close, ellipsis, tokens)`` show what
FTS5's functions of these names show of a column, for any text. With a table and the number of a column in
place of text and query they are FTS5's own, see :mod:`audiomem_sql.search.snippets`: SQLite then asks the
table for them. ``bm25(table, weight, …)`` is of rows alone, see :mod:`audiomem_sql.search.row_scores`.
"""

from __future__ import annotations

from audiomem_sql.search import bm25, highlight, snippet
from audiomem_sql.udfs.function import INTEGER, REAL, TEXT, Function

FUNCTIONS = (
    Function(highlight, (TEXT,) * 4, TEXT, (2, 3, 4)),
    Function(snippet, (*(TEXT,) * 5, INTEGER), TEXT, (2, 3, 4, 5, 6)),
)
#: The most arguments of ``bm25``: the table, and weights of so many columns but one.
MOST_WEIGHED = 65
#: Of the row of a cursor, which DuckDB has none of. Every number of arguments is a function of its own:
#: SQLite refuses to replace FTS5's, which takes any number, while a statement runs.
ROW_FUNCTIONS = (Function(bm25, (), REAL, tuple(range(MOST_WEIGHED + 1))),)
