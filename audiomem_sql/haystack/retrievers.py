"""Components of Haystack's pipelines that search an :class:`AudioMemoryDocumentStore`.

Haystack reads the types of a component from its annotations, and makes its class anew, without ``super``.
"""

import asyncio
from typing import Any, Self

from haystack import Document, component, default_from_dict, default_to_dict
from haystack.document_stores.types import FilterPolicy, apply_filter_policy

from audiomem_sql.haystack.document_store import AudioMemoryDocumentStore, Filters


class _Retriever:
    """What retrievers have in common.

    filters, top_k: where a run gives none. filter_policy: whether filters of a run replace these, or are
    merged with them.
    """

    def __init__(
        self,
        document_store: AudioMemoryDocumentStore,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        filter_policy: str | FilterPolicy = FilterPolicy.REPLACE,
    ) -> None:
        if not isinstance(document_store, AudioMemoryDocumentStore):
            raise ValueError("document_store must be an AudioMemoryDocumentStore")
        if top_k < 1:
            raise ValueError(f"top_k must be greater than 0, but got {top_k}")
        self.document_store = document_store
        self.filters = filters
        self.top_k = top_k
        self.filter_policy = (
            filter_policy if isinstance(filter_policy, FilterPolicy) else FilterPolicy.from_str(filter_policy)
        )

    def _asked(self, filters: Filters | None, top_k: int | None) -> tuple[Filters | None, int]:
        chosen = apply_filter_policy(self.filter_policy, self.filters, filters)
        return chosen, self.top_k if top_k is None else top_k

    def to_dict(self) -> dict[str, Any]:
        """How to make it again."""
        return self._described()

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The inverse."""
        parameters = dict(data["init_parameters"])
        if isinstance(parameters["document_store"], dict):
            parameters["document_store"] = AudioMemoryDocumentStore.from_dict(parameters["document_store"])
        made: Self = default_from_dict(cls, {**data, "init_parameters": parameters})
        return made

    def _described(self, **more: Any) -> dict[str, Any]:
        made: dict[str, Any] = default_to_dict(
            self,
            document_store=self.document_store.to_dict(),
            filters=self.filters,
            top_k=self.top_k,
            filter_policy=self.filter_policy.value,
            **more,
        )
        return made


@component
class AudioMemoryEmbeddingRetriever(_Retriever):
    """The documents with the embeddings nearest to that of a query."""

    @component.output_types(documents=list[Document])
    def run(
        self,
        query_embedding: list[float],
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
    ) -> dict[str, list[Document]]:
        """The documents, best first."""
        chosen, count = self._asked(filters, top_k)
        return {"documents": self.document_store.embedding_retrieval(query_embedding, chosen, count)}

    @component.output_types(documents=list[Document])
    async def run_async(
        self,
        query_embedding: list[float],
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
    ) -> dict[str, list[Document]]:
        """:meth:`run` in a thread."""
        return await asyncio.to_thread(self.run, query_embedding, filters, top_k)


@component
class AudioMemoryKeywordRetriever(_Retriever):
    """The documents that answer a query best by their words (BM25)."""

    @component.output_types(documents=list[Document])
    def run(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """The documents, best first."""
        chosen, count = self._asked(filters, top_k)
        return {"documents": self.document_store.keyword_retrieval(query, chosen, count)}

    @component.output_types(documents=list[Document])
    async def run_async(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """:meth:`run` in a thread."""
        return await asyncio.to_thread(self.run, query, filters, top_k)


@component
class AudioMemoryHybridRetriever(_Retriever):
    """The documents that answer a query best by words and embeddings. words: their share, 0 to 1, 0.35."""

    def __init__(
        self,
        document_store: AudioMemoryDocumentStore,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        filter_policy: str | FilterPolicy = FilterPolicy.REPLACE,
        words: float | None = None,
    ) -> None:
        _Retriever.__init__(self, document_store, filters, top_k, filter_policy)
        self.words = words

    def to_dict(self) -> dict[str, Any]:
        """How to make it again."""
        return self._described(words=self.words)

    @component.output_types(documents=list[Document])
    def run(
        self,
        query: str,
        query_embedding: list[float] | None = None,
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
    ) -> dict[str, list[Document]]:
        """The documents, best first."""
        chosen, count = self._asked(filters, top_k)
        found = self.document_store.hybrid_retrieval(query, query_embedding, chosen, count, self.words)
        return {"documents": found}

    @component.output_types(documents=list[Document])
    async def run_async(
        self,
        query: str,
        query_embedding: list[float] | None = None,
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
    ) -> dict[str, list[Document]]:
        """:meth:`run` in a thread."""
        return await asyncio.to_thread(self.run, query, query_embedding, filters, top_k)
