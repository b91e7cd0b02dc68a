"""Documents in a table, as frameworks for retrieval have them (docs/FRAMEWORKS.md): text, vector, metadata.

:class:`~audiomem_sql.document_store.store.DocumentStore` is what the doors for LangChain, LlamaIndex and
Haystack share; :mod:`~audiomem_sql.document_store.conditions` makes filters on metadata, which SQLite decides
before the rows are ranked.
"""

from __future__ import annotations

from audiomem_sql.document_store.conditions import (
    Condition,
    Field,
    all_of,
    any_of,
    compare,
    contains,
    is_empty,
    is_missing,
    matches_text,
    negated,
)
from audiomem_sql.document_store.layout import Layout
from audiomem_sql.document_store.store import DocumentStore
from audiomem_sql.document_store.stored import Stored

__all__ = [
    "Condition",
    "DocumentStore",
    "Field",
    "Layout",
    "Stored",
    "all_of",
    "any_of",
    "compare",
    "contains",
    "is_empty",
    "is_missing",
    "matches_text",
    "negated",
]
