"""``highlight`` and ``snippet``: where words stand in a text.

``highlight(text, query, open, close)`` and ``snippet(text, query, open, close, ellipsis, tokens)`` show what FTS5's functions of these names
show of a column, for any text. With a table and the number of a column in place of text and query they are FTS5's own, see
:mod:`audiomem_sql.shown`: SQLite then asks the table for them.
"""

from __future__ import annotations

from typing import Any, cast

import apsw

from audiomem_sql.shown import highlight, snippet


def register(connection: apsw.Connection) -> None:
    """Make the functions known to ``connection``."""
    for arguments in (2, 3, 4):
        connection.create_scalar_function("highlight", cast(Any, highlight), arguments, deterministic=True)
    for arguments in (2, 3, 4, 5, 6):
        connection.create_scalar_function("snippet", cast(Any, snippet), arguments, deterministic=True)
