"""A Haystack document store in a table."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from datetime import datetime
from typing import Any

from haystack import default_from_dict, default_to_dict
from haystack.dataclasses import Document
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy

from audiomem_sql.columns.vector_index import COSINE
from audiomem_sql.document_store import Condition, DocumentStore, Stored
from audiomem_sql.errors import ConstraintError
from audiomem_sql.haystack.documents import document_of, stored
from audiomem_sql.haystack.filters import condition_of
from audiomem_sql.haystack.metadata_fields import MetadataFields

#: The filters of Haystack, nested dicts.
Filters = dict[str, Any]
_CONFLICTS = {DuplicatePolicy.SKIP: "skip", DuplicatePolicy.OVERWRITE: "replace"}


class AudioMemoryDocumentStore(MetadataFields):
    """A document store in the table at ``path``, which is made when the first documents are written.

    embedding_dim: of the embeddings, by default that of the first one. metric: ``cosine``, ``l2`` or ``ip``.
    text_column, vector_column: of a table that was made otherwise, such as one that files were ingested into,
    which is then read. version, as_of: the documents as they were, to read only. table_options: of a new
    table, such as ``{"profile": "server"}``.

    Embeddings are stored as float32. Several stores, threads and processes may use one table.
    """

    def __init__(
        self,
        path: str,
        *,
        embedding_dim: int | None = None,
        metric: str = COSINE,
        text_column: str | None = None,
        vector_column: str | None = None,
        version: int | str | None = None,
        as_of: str | datetime | None = None,
        table_options: dict[str, Any] | None = None,
    ) -> None:
        self.path = os.fspath(path)
        self._given = {
            "embedding_dim": embedding_dim,
            "metric": metric,
            "text_column": text_column,
            "vector_column": vector_column,
            "version": version,
            "as_of": as_of.isoformat() if isinstance(as_of, datetime) else as_of,
            "table_options": table_options,
        }
        self._store = DocumentStore(
            self.path,
            dimensions=embedding_dim,
            metric=metric,
            text_column=text_column,
            vector_column=vector_column,
            version=version,
            as_of=as_of,
            options=table_options,
        )

    def to_dict(self) -> dict[str, Any]:
        """How to make it again."""
        made: dict[str, Any] = default_to_dict(self, path=self.path, **self._given)
        return made

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> AudioMemoryDocumentStore:
        """The inverse."""
        made: AudioMemoryDocumentStore = default_from_dict(cls, data)
        return made

    def at(
        self, version: int | str | None = None, as_of: str | datetime | None = None
    ) -> AudioMemoryDocumentStore:
        """The store at a version (number or tag) or at a time, to read only."""
        names = ("metric", "text_column", "vector_column")
        given: dict[str, Any] = {name: self._given[name] for name in names}
        return AudioMemoryDocumentStore(self.path, **given, version=version, as_of=as_of)

    def close(self) -> None:
        """Close the table."""
        self._store.close()

    # -- the protocol ----------------------------------------------------------------------------------------

    def count_documents(self) -> int:
        """How many documents there are."""
        return self._store.count()

    def filter_documents(self, filters: Filters | None = None) -> list[Document]:
        """The documents that pass, in the order in which they were written. FilterError for no filter."""
        found = self._store.find(self._condition(filters), vectors=True)
        return [document_of(each) for each in found]

    def write_documents(
        self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE
    ) -> int:
        """Write documents in one commit, all or none; how many were written.

        policy: NONE is FAIL: DuplicateDocumentError if an id is there. ValueError for what are no documents.
        """
        if not isinstance(documents, list) or not all(isinstance(each, Document) for each in documents):
            raise ValueError("write_documents() takes a list of Documents")
        conflict = _CONFLICTS.get(policy, "fail")
        try:
            written = self._store.add([stored(each) for each in documents], on_conflict=conflict)
        except ConstraintError as error:
            raise DuplicateDocumentError(str(error)) from error
        return len(written)

    def delete_documents(self, document_ids: list[str]) -> None:
        """Delete documents by their ids, in one commit; those that are not there are passed over."""
        self._store.delete_ids(document_ids)

    # -- what many stores have -------------------------------------------------------------------------------

    def delete_all_documents(self) -> None:
        """Delete all documents, in one commit; older versions keep theirs."""
        self._store.delete(None)

    def delete_by_filter(self, filters: Filters) -> int:
        """Delete the documents that pass, in one commit; how many they were."""
        return self._store.delete(self._condition(filters))

    def update_by_filter(self, filters: Filters, meta: dict[str, Any]) -> int:
        """Set metadata of the documents that pass, in one commit; how many they were."""

        def changed(found: Stored) -> Stored:
            return replace(found, metadata={**found.metadata, **meta})

        return self._store.update(self._condition(filters) or Condition("1 = 1"), changed)

    def embedding_retrieval(
        self, query_embedding: list[float], filters: Filters | None = None, top_k: int = 10
    ) -> list[Document]:
        """The ``top_k`` documents with the nearest embeddings, best first. score: the cosine."""
        return self._found(None, query_embedding, filters, top_k, 0.0)

    def keyword_retrieval(
        self, query: str, filters: Filters | None = None, top_k: int = 10
    ) -> list[Document]:
        """The ``top_k`` documents that answer best by their words, best first. score: BM25."""
        return self._found(query, None, filters, top_k, 1.0)

    def hybrid_retrieval(
        self,
        query: str,
        query_embedding: list[float] | None,
        filters: Filters | None = None,
        top_k: int = 10,
        words: float | None = None,
    ) -> list[Document]:
        """The ``top_k`` documents that answer best by words and embeddings. words: their share, 0.35."""
        return self._found(query, query_embedding, filters, top_k, words)

    def _found(
        self,
        query: str | None,
        vector: list[float] | None,
        filters: Filters | None,
        top_k: int,
        words: float | None,
    ) -> list[Document]:
        condition = self._condition(filters)
        found = self._store.search(query, vector, top_k, condition, words=words, vectors=True)
        return [document_of(each) for each in found]

    def _condition(self, filters: Filters | None) -> Condition | None:
        return condition_of(filters, self._store.layout)

    # -- without waiting -------------------------------------------------------------------------------------

    async def count_documents_async(self) -> int:
        """:meth:`count_documents` in a thread."""
        return await asyncio.to_thread(self.count_documents)

    async def filter_documents_async(self, filters: Filters | None = None) -> list[Document]:
        """:meth:`filter_documents` in a thread."""
        return await asyncio.to_thread(self.filter_documents, filters)

    async def write_documents_async(
        self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE
    ) -> int:
        """:meth:`write_documents` in a thread."""
        return await asyncio.to_thread(self.write_documents, documents, policy)

    async def delete_documents_async(self, document_ids: list[str]) -> None:
        """:meth:`delete_documents` in a thread."""
        await asyncio.to_thread(self.delete_documents, document_ids)
