"""``highlight`` and ``snippet``: where words stand in a text.

``highlight(text, query, open, close)`` and ``snippet(text, query, open, close, ellipsis, tokens)`` show what
FTS5's functions of these names show of a column, for any text. With a table and the number of a column in
place of text and query they are FTS5's own, see :mod:`audiomem_sql.search.snippets`: SQLite then asks the
table for them.
"""

from __future__ import annotations

from audiomem_sql.search import highlight, snippet
from audiomem_sql.udfs.function import INTEGER, TEXT, Function

FUNCTIONS = (
    Function(highlight, (TEXT,) * 4, TEXT, (2, 3, 4)),
    Function(snippet, (*(TEXT,) * 5, INTEGER), TEXT, (2, 3, 4, 5, 6)),
)
