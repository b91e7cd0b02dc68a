"""The terms of a table as rows for DuckDB, and the words that are written like one."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from audiomem_sql.search import checked_kind, checked_word, keyword_columns, suggestions, vocabulary
from audiomem_sql.vtab.duckdb.source import NamedTable, Source, source_of_rows
from audiomem_sql.vtab.rows import rows_wanted

_VOCABULARY = pa.schema(
    [
        ("term", pa.string()),
        ("col", pa.string()),
        ("doc", pa.int64()),
        ("cnt", pa.int64()),
        ("offset", pa.int64()),
    ]
)
_SUGGESTIONS = pa.schema([("word", pa.string()), ("edits", pa.int64()), ("doc", pa.int64())])


def audiomem_vocabulary(path: Any, kind: Any) -> Source:
    """The terms of a table; kind: ``row``, each once, ``col``, once a column, ``instance``, each place."""
    table = NamedTable(path)
    asked = checked_kind(kind, path)
    columns = keyword_columns(table.bound.snapshot.schema, None, path)
    return source_of_rows(_VOCABULARY, lambda: list(vocabulary(table.now().readable, columns, asked)))


def audiomem_suggest(path: Any, word: Any, k: Any) -> Source:
    """The words of a table that are written like ``word``."""
    table = NamedTable(path)
    asked = checked_word(word, path)
    count = 5 if k is None else rows_wanted(k, path)
    columns = keyword_columns(table.bound.snapshot.schema, None, path)
    return source_of_rows(
        _SUGGESTIONS, lambda: list(suggestions(table.now().readable, columns, asked, count))
    )
