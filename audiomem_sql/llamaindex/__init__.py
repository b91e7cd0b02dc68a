"""The door for LlamaIndex: a vector store in a table."""

from __future__ import annotations

from audiomem_sql.errors import MissingExtraError

try:
    import llama_index.core  # noqa: F401
except ImportError:
    raise MissingExtraError(
        "llama-index-core is not installed", remedy="Run: pip install 'audiomem-sql[llamaindex]'"
    ) from None

from audiomem_sql.llamaindex.vector_store import AudioMemoryVectorStore

__all__ = ["AudioMemoryVectorStore"]
