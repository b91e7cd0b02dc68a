"""A LangChain vector store in a table."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Self, TypeAlias

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

from audiomem_sql.columns.vector_index import COSINE
from audiomem_sql.document_store import Condition, DocumentStore, Stored
from audiomem_sql.errors import OptionError
from audiomem_sql.langchain.filters import condition_of

#: A filter on metadata, or SQL on the row.
Filter: TypeAlias = Mapping[Any, Any] | str | None
_K = 4


class AudioMemoryVectorStore(VectorStore):
    """A vector store in the table at ``path``, which is made when the first documents are added.

    embedding: what embeds texts and queries. Without one, ``model`` names the model that the table itself
    embeds with (``all-MiniLM-L6-v2``), and without either the table is searched by its words. metric:
    ``cosine``, ``l2`` or ``ip``. text_column, vector_column: of a table that was made otherwise, such as one
    that files were ingested into, which is then read. version, as_of: the documents as they were, to read
    only. options: of a new table, such as ``profile``.

    Filters are applied before the search, so ``k`` documents come back if so many pass. A search shows the
    newest version; several stores, threads and processes may use one table.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        embedding: Embeddings | None = None,
        *,
        model: str | None = None,
        metric: str = COSINE,
        text_column: str | None = None,
        vector_column: str | None = None,
        version: int | str | None = None,
        as_of: str | datetime | None = None,
        **options: Any,
    ) -> None:
        if embedding is not None and model is not None:
            raise OptionError("embedding and model exclude each other", remedy="Leave one out.")
        self._embedding = embedding
        self.store = DocumentStore(
            path,
            metric=metric,
            model=model,
            text_column=text_column,
            vector_column=vector_column,
            version=version,
            as_of=as_of,
            options=options,
        )

    @property
    def embeddings(self) -> Embeddings | None:
        """What embeds texts and queries."""
        return self._embedding

    def at(self, version: int | str | None = None, as_of: str | datetime | None = None) -> Self:
        """The store at a version (number or tag) or at a time, to read only."""
        other = type(self).__new__(type(self))
        other._embedding = self._embedding
        other.store = self.store.at(version, as_of)
        return other

    def close(self) -> None:
        """Close the table."""
        self.store.close()

    # -- writing ---------------------------------------------------------------------------------------------

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Add texts in one commit; their ids. A text takes the place of the one that has its id."""
        listed = list(texts)
        vectors = None if self._embedding is None else self._embedding.embed_documents(listed)
        return self.store.add(_stored(listed, metadatas, ids, vectors))

    async def aadd_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """:meth:`add_texts`, embedding them by ``aembed_documents``."""
        listed = list(texts)
        vectors = None if self._embedding is None else await self._embedding.aembed_documents(listed)
        documents = _stored(listed, metadatas, ids, vectors)
        return await asyncio.to_thread(self.store.add, documents)

    def delete(self, ids: list[str] | None = None, *, filter: Filter = None, **kwargs: Any) -> bool:
        """Delete documents in one commit, by ids, by a filter, or, with neither, all of them."""
        if ids is not None:
            self.store.delete_ids([str(each) for each in ids])
        else:
            self.store.delete(self._condition(filter))
        return True

    # -- reading ---------------------------------------------------------------------------------------------

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The documents with these ids, in their order; those that are not there are left out."""
        return [_document(each) for each in self.store.get(list(ids))]

    def similarity_search(
        self, query: str, k: int = _K, filter: Filter = None, **kwargs: Any
    ) -> list[Document]:
        """The ``k`` documents nearest to ``query``, best first."""
        return [_document(each) for each in self._found(query, k, filter, **kwargs)]

    def similarity_search_with_score(
        self, query: str, k: int = _K, filter: Filter = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """The same with their distances, less is nearer; with BM25 where words alone are searched."""
        return [_scored(each) for each in self._found(query, k, filter, **kwargs)]

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = _K, filter: Filter = None, **kwargs: Any
    ) -> list[Document]:
        """The ``k`` documents whose vectors are nearest to ``embedding``, best first."""
        found = self.store.search(vector=embedding, k=k, condition=self._condition(filter))
        return [_document(each) for each in found]

    def similarity_search_by_vector_with_score(
        self, embedding: list[float], k: int = _K, filter: Filter = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """The same with their distances."""
        found = self.store.search(vector=embedding, k=k, condition=self._condition(filter))
        return [_scored(each) for each in found]

    def hybrid_search(
        self, query: str, k: int = _K, filter: Filter = None, *, words: float | None = None, **kwargs: Any
    ) -> list[Document]:
        """The ``k`` documents that answer best by their words and by their vectors.

        words: how much words count, 0 to 1, by default 0.35.
        """
        return [_document(each) for each in self.hybrid(query, self._vector(query), k, filter, words)]

    def hybrid(
        self, query: str, vector: list[float] | None, k: int, filter: Filter, words: float | None
    ) -> list[Stored]:
        """What :meth:`hybrid_search` finds, with the query's vector."""
        return self.store.search(query, vector, k, self._condition(filter), words=words)

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = _K,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Filter = None,
        **kwargs: Any,
    ) -> list[Document]:
        """Of the ``fetch_k`` nearest documents ``k`` that are near and unlike each other."""
        return self._diverse(query, self._vector(query), k, fetch_k, lambda_mult, filter)

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = _K,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Filter = None,
        **kwargs: Any,
    ) -> list[Document]:
        """The same for a vector."""
        return self._diverse(None, embedding, k, fetch_k, lambda_mult, filter)

    async def asimilarity_search(
        self, query: str, k: int = _K, filter: Filter = None, **kwargs: Any
    ) -> list[Document]:
        """:meth:`similarity_search`, embedding the query by ``aembed_query``."""
        return [document for document, _ in await self.asimilarity_search_with_score(query, k, filter)]

    async def asimilarity_search_with_score(
        self, query: str, k: int = _K, filter: Filter = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """:meth:`similarity_search_with_score`, embedding the query by ``aembed_query``."""
        if self._embedding is None:
            return await asyncio.to_thread(self.similarity_search_with_score, query, k, filter)
        vector = await self._embedding.aembed_query(query)
        return await asyncio.to_thread(self.similarity_search_by_vector_with_score, vector, k, filter)

    async def amax_marginal_relevance_search(
        self,
        query: str,
        k: int = _K,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Filter = None,
        **kwargs: Any,
    ) -> list[Document]:
        """:meth:`max_marginal_relevance_search`, embedding the query by ``aembed_query``."""
        vector = None if self._embedding is None else await self._embedding.aembed_query(query)
        return await asyncio.to_thread(self._diverse, query, vector, k, fetch_k, lambda_mult, filter)

    async def amax_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = _K,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Filter = None,
        **kwargs: Any,
    ) -> list[Document]:
        """:meth:`max_marginal_relevance_search_by_vector`."""
        return await asyncio.to_thread(self._diverse, None, embedding, k, fetch_k, lambda_mult, filter)

    # -- making one ------------------------------------------------------------------------------------------

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings | None,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        path: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """A store at ``path`` with texts added to it; kwargs as those of the class."""
        store = cls._at(path, embedding, kwargs)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    @classmethod
    async def afrom_texts(
        cls,
        texts: list[str],
        embedding: Embeddings | None,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        path: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """:meth:`from_texts`, embedding them by ``aembed_documents``."""
        store = cls._at(path, embedding, kwargs)
        await store.aadd_texts(texts, metadatas, ids=ids)
        return store

    @classmethod
    def _at(
        cls, path: str | os.PathLike[str] | None, embedding: Embeddings | None, options: dict[str, Any]
    ) -> Self:
        if path is None:
            raise OptionError("a store needs a path", remedy="Pass path='kb.flac'.")
        return cls(path, embedding, **options)

    # -- within ----------------------------------------------------------------------------------------------

    def _condition(self, filter: Filter) -> Condition | None:
        return condition_of(filter, self.store.layout) if filter else None

    def _vector(self, query: str) -> list[float] | None:
        return None if self._embedding is None else self._embedding.embed_query(query)

    def _found(self, query: str, k: int, filter: Filter, words: float = 0.0, **_: Any) -> list[Stored]:
        return self.hybrid(query, self._vector(query), k, filter, words)

    def _diverse(
        self,
        query: str | None,
        vector: list[float] | None,
        k: int,
        fetch_k: int,
        lambda_mult: float,
        filter: Filter,
    ) -> list[Document]:
        condition = self._condition(filter)
        found = self.store.diverse_search(query, vector, k, condition, candidates=fetch_k, weight=lambda_mult)
        return [_document(each) for each in found]

    def _similarity_search_with_relevance_scores(
        self, query: str, k: int = _K, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        return [(_document(each), _relevance(each)) for each in self._found(query, k, **_filtered(kwargs))]

    async def _asimilarity_search_with_relevance_scores(
        self, query: str, k: int = _K, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        return await asyncio.to_thread(self._similarity_search_with_relevance_scores, query, k, **kwargs)


def _filtered(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"filter": None, **arguments}


def _relevance(found: Stored) -> float:
    """How alike a document and the query are, 0 to 1; of words BM25 ÷ (1 + BM25)."""
    score = found.score or 0.0
    return min(max(score, 0.0), 1.0) if found.distance is not None else score / (1.0 + score)


def _document(found: Stored) -> Document:
    return Document(id=found.id, page_content=found.text or "", metadata=found.metadata)


def _scored(found: Stored) -> tuple[Document, float]:
    score = found.score if found.distance is None else found.distance
    return _document(found), float(score or 0.0)


def _stored(
    texts: Sequence[str],
    metadatas: Sequence[dict[str, Any]] | None,
    ids: Sequence[str | None] | None,
    vectors: Sequence[Sequence[float]] | None,
) -> list[Stored]:
    """Texts with what belongs to each. ValueError, as LangChain has it, for another number of those."""
    for name, given in (("metadatas", metadatas), ("ids", ids), ("vectors", vectors)):
        if given is not None and len(given) != len(texts):
            raise ValueError(f"{len(texts)} texts came with {len(given)} {name}")
    return [
        Stored(
            id=ids[place] if ids else None,
            text=text,
            metadata=dict(metadatas[place] or {}) if metadatas else {},
            vector=None if vectors is None else vectors[place],  # type: ignore[arg-type]
        )
        for place, text in enumerate(texts)
    ]
