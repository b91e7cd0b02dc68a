"""A LlamaIndex vector store in a table."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import BaseNode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)

from audiomem_sql.columns.vector_index import COSINE
from audiomem_sql.document_store import Condition, DocumentStore, Layout, Stored, all_of
from audiomem_sql.errors import OptionError, UnsupportedError
from audiomem_sql.llamaindex.filters import condition_of, of_documents
from audiomem_sql.llamaindex.nodes import node_of, stored

_WORDS = (VectorStoreQueryMode.TEXT_SEARCH, VectorStoreQueryMode.SPARSE)
_HYBRID = (VectorStoreQueryMode.HYBRID, VectorStoreQueryMode.SEMANTIC_HYBRID)
#: Candidates of maximal marginal relevance for each node that is wanted.
_CANDIDATES = 4


class AudioMemoryVectorStore(BasePydanticVectorStore):
    """A vector store in the table at ``path``, which is made when the first nodes are added.

    metric: ``cosine``, ``l2`` or ``ip``. text_column, vector_column: of a table that was made otherwise, such
    as one that files were ingested into, which is then read. version, as_of: the nodes as they were, to read
    only. table_options: of a new table, such as ``{"profile": "server"}``.

    Query modes: ``default``, ``text_search`` and ``sparse`` (words), ``hybrid`` (``alpha`` is the share of
    vectors), ``mmr``. Filters are applied before the search.
    """

    stores_text: bool = True
    is_embedding_query: bool = True
    path: str
    metric: str = COSINE
    text_column: str | None = None
    vector_column: str | None = None
    version: int | str | None = None
    as_of: str | None = None
    table_options: dict[str, Any] = {}  # noqa: RUF012  # pydantic copies it

    _store: DocumentStore = PrivateAttr()

    def __init__(self, path: str, **fields: Any) -> None:
        if isinstance(fields.get("as_of"), datetime):
            fields["as_of"] = fields["as_of"].isoformat()
        super().__init__(path=str(path), **fields)
        self._store = DocumentStore(
            self.path,
            metric=self.metric,
            text_column=self.text_column,
            vector_column=self.vector_column,
            version=self.version,
            as_of=self.as_of,
            options=self.table_options,
        )
        layout = self._store.layout
        if layout.semantic and layout.vector is None:
            self.is_embedding_query = False  # the table embeds queries itself

    @classmethod
    def class_name(cls) -> str:
        """What LlamaIndex calls it."""
        return "AudioMemoryVectorStore"

    @property
    def client(self) -> Any:
        """The table; None as long as there is none."""
        return self._store.table

    def at(
        self, version: int | str | None = None, as_of: str | datetime | None = None
    ) -> AudioMemoryVectorStore:
        """The store at a version (number or tag) or at a time, to read only."""
        fields = self.model_dump(include={"path", "metric", "text_column", "vector_column"})
        return AudioMemoryVectorStore(**fields, version=version, as_of=as_of)

    def close(self) -> None:
        """Close the table."""
        self._store.close()

    # -- writing ---------------------------------------------------------------------------------------------

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Add nodes in one commit; their ids. A node takes the place of the one that has its id."""
        return self._store.add([stored(node) for node in nodes])

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Delete the nodes of a document, in one commit."""
        self._store.delete(of_documents([ref_doc_id], self._store.layout))

    def delete_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **delete_kwargs: Any,
    ) -> None:
        """Delete the nodes that have one of the ids and pass the filters, in one commit."""
        condition = self._condition(self._store.layout, node_ids, filters)
        if condition is None:
            raise OptionError("delete_nodes needs node_ids or filters", remedy="Call clear() for all nodes.")
        self._store.delete(condition)

    def clear(self) -> None:
        """Delete all nodes, in one commit; older versions keep theirs."""
        self._store.delete(None)

    def persist(self, persist_path: str = "", fs: Any = None) -> None:
        """Make the table one file, without its log. Nodes are durable as soon as they are added.

        persist_path is where LlamaIndex keeps stores that live in memory, and is not used: the next program
        opens ``AudioMemoryVectorStore(path)``.
        """
        table = self._store.table
        if table is not None and self.version is None and self.as_of is None:
            table.checkpoint()

    # -- reading ---------------------------------------------------------------------------------------------

    def get_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """The nodes that have one of the ids and pass the filters, with their embeddings."""
        condition = self._condition(self._store.layout, node_ids, filters)
        return [node_of(found) for found in self._store.find(condition, vectors=True)]

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """The nodes that answer, best first, with scores that are higher for better ones.

        UnsupportedError for a mode that learns, such as ``svm``.
        """
        found = self._found(query, kwargs)
        return VectorStoreQueryResult(
            nodes=[node_of(each) for each in found],
            similarities=[float(each.score or 0.0) for each in found],
            ids=[each.id or "" for each in found],
        )

    def _found(self, query: VectorStoreQuery, more: dict[str, Any]) -> list[Stored]:
        layout = self._store.layout
        parts = [
            self._condition(layout, query.node_ids or None, query.filters),  # an index passes [] for all
            of_documents(query.doc_ids, layout) if query.doc_ids else None,
        ]
        conditions = [part for part in parts if part is not None]
        condition = all_of(conditions) if conditions else None
        text, vector, k, mode = query.query_str, query.query_embedding, query.similarity_top_k, query.mode
        words: float | None
        if mode == VectorStoreQueryMode.DEFAULT:
            words = 0.0 if vector is not None or layout.semantic else 1.0
            return self._store.search(text, vector, k, condition, words=words)
        if mode in _WORDS:
            k = query.sparse_top_k or k
            return self._store.search(text, None, k, condition, words=1.0)
        if mode in _HYBRID:
            words = None if query.alpha is None else 1.0 - query.alpha
            return self._store.search(text, vector, query.hybrid_top_k or k, condition, words=words)
        if mode == VectorStoreQueryMode.MMR:
            threshold = more.get("mmr_threshold", query.mmr_threshold)
            candidates = more.get("mmr_prefetch_k") or _CANDIDATES * k
            weight = 0.5 if threshold is None else threshold
            return self._store.diverse_search(
                text, vector, k, condition, candidates=candidates, weight=weight
            )
        raise UnsupportedError(
            f"query mode {mode.value}", remedy="Use default, text_search, hybrid or mmr.", file=self.path
        )

    def _condition(
        self, layout: Layout, node_ids: list[str] | None, filters: MetadataFilters | None
    ) -> Condition | None:
        parts = [
            None if node_ids is None else self._store.with_ids(node_ids),
            condition_of(filters, layout),
        ]
        conditions = [part for part in parts if part is not None]
        return all_of(conditions) if conditions else None

    # -- without waiting -------------------------------------------------------------------------------------

    async def async_add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """:meth:`add` in a thread."""
        return await asyncio.to_thread(self.add, nodes, **kwargs)

    async def adelete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """:meth:`delete` in a thread."""
        await asyncio.to_thread(self.delete, ref_doc_id, **delete_kwargs)

    async def adelete_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **delete_kwargs: Any,
    ) -> None:
        """:meth:`delete_nodes` in a thread."""
        await asyncio.to_thread(self.delete_nodes, node_ids, filters, **delete_kwargs)

    async def aclear(self) -> None:
        """:meth:`clear` in a thread."""
        await asyncio.to_thread(self.clear)

    async def aget_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """:meth:`get_nodes` in a thread."""
        return await asyncio.to_thread(self.get_nodes, node_ids, filters)

    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """:meth:`query` in a thread."""
        return await asyncio.to_thread(self.query, query, **kwargs)
