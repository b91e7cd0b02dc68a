"""The door for LangChain: a vector store in a table, and a retriever by words and meaning."""

from __future__ import annotations

from audiomem_sql.errors import MissingExtraError

try:
    import langchain_core  # noqa: F401
except ImportError:
    raise MissingExtraError(
        "langchain-core is not installed", remedy="Run: pip install 'audiomem-sql[langchain]'"
    ) from None

from audiomem_sql.langchain.retriever import AudioMemoryRetriever
from audiomem_sql.langchain.vector_store import AudioMemoryVectorStore

__all__ = ["AudioMemoryRetriever", "AudioMemoryVectorStore"]
