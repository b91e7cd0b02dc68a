"""A LangChain retriever that searches by words and by vectors at once."""

from __future__ import annotations

import asyncio
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict

from audiomem_sql.langchain.vector_store import AudioMemoryVectorStore


class AudioMemoryRetriever(BaseRetriever):
    """The documents of a store that answer a query by their words and by their vectors.

    k: how many. words: how much words count, 0 to 1, by default 0.35. filter: on metadata, applied before
    the search. Each can be given to ``invoke``, too.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    store: AudioMemoryVectorStore
    k: int = 4
    words: float | None = None
    filter: Any = None

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **given: Any
    ) -> list[Document]:
        return self.store.hybrid_search(query, **self._asked(given))

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **given: Any
    ) -> list[Document]:
        return await asyncio.to_thread(self.store.hybrid_search, query, **self._asked(given))

    def _asked(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"k": self.k, "filter": self.filter, "words": self.words} | given
