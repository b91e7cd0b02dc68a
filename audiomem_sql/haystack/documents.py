"""Haystack's documents as they are stored: metadata as they are, and what few have under ``_document``."""

from __future__ import annotations

from typing import Any

from haystack.dataclasses import ByteStream, Document, SparseEmbedding

from audiomem_sql.document_store import Stored
from audiomem_sql.errors import SchemaError

_MORE = "_document"


def stored(document: Document) -> Stored:
    """A document as it is stored. SchemaError if its metadata has the key ``_document``."""
    if _MORE in document.meta:
        raise SchemaError(
            f"metadata has the key {_MORE}, which the store needs",
            place=f"document {document.id!r}",
            remedy="Rename the key.",
        )
    more: dict[str, Any] = {}
    if document.blob is not None:
        blob = document.blob
        more["blob"] = {"data": blob.data, "meta": blob.meta, "mime_type": blob.mime_type}
    if document.sparse_embedding is not None:
        more["sparse_embedding"] = document.sparse_embedding.to_dict()
    return Stored(
        id=document.id,
        text=document.content,
        metadata={**document.meta, _MORE: more} if more else document.meta,
        vector=document.embedding,
    )


def document_of(found: Stored) -> Document:
    """The inverse, with the score of a search."""
    meta = dict(found.metadata)
    more = meta.pop(_MORE, None) or {}
    blob, sparse = more.get("blob"), more.get("sparse_embedding")
    return Document(
        id=found.id or "",
        content=found.text,
        meta=meta,
        score=None if found.score is None else float(found.score),
        embedding=None if found.vector is None else [float(number) for number in found.vector],
        blob=None if blob is None else ByteStream(**blob),
        sparse_embedding=None if sparse is None else SparseEmbedding.from_dict(sparse),
    )
