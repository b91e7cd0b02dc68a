"""The door for Haystack: a document store in a table, and retrievers by vectors, by words and by both."""

from __future__ import annotations

from audiomem_sql.errors import MissingExtraError

try:
    import haystack  # noqa: F401
except ImportError:
    raise MissingExtraError(
        "haystack-ai is not installed", remedy="Run: pip install 'audiomem-sql[haystack]'"
    ) from None

from audiomem_sql.haystack.document_store import AudioMemoryDocumentStore
from audiomem_sql.haystack.retrievers import (
    AudioMemoryEmbeddingRetriever,
    AudioMemoryHybridRetriever,
    AudioMemoryKeywordRetriever,
)

__all__ = [
    "AudioMemoryDocumentStore",
    "AudioMemoryEmbeddingRetriever",
    "AudioMemoryHybridRetriever",
    "AudioMemoryKeywordRetriever",
]
