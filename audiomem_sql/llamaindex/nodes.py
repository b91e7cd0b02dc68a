"""LlamaIndex's nodes as documents: metadata as they are, and all else of a node under the key ``_node``."""

from __future__ import annotations

import json
from typing import Any

from llama_index.core.schema import BaseNode, MetadataMode, TextNode
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict

from audiomem_sql.document_store import Stored
from audiomem_sql.errors import SchemaError

NODE, REF_DOC_ID = "_node", "ref_doc_id"


def stored(node: BaseNode) -> Stored:
    """A node as it is stored. SchemaError if its metadata has the key ``_node``."""
    if NODE in node.metadata:
        raise SchemaError(
            f"metadata has the key {NODE}, which the store needs",
            place=f"node {node.node_id!r}",
            remedy="Rename the key.",
        )
    packed = node_to_metadata_dict(node, remove_text=True)
    content: dict[str, Any] = json.loads(packed["_node_content"])
    for name in ("metadata", "embedding", "id_"):
        content.pop(name, None)
    own = {"type": packed["_node_type"], REF_DOC_ID: node.ref_doc_id, "content": content}
    return Stored(
        id=node.node_id,
        text=node.get_content(metadata_mode=MetadataMode.NONE),
        metadata={**node.metadata, NODE: own},
        vector=node.embedding,
    )


def node_of(found: Stored) -> BaseNode:
    """The inverse; a row that was no node becomes a node of text."""
    metadata = dict(found.metadata)
    own = metadata.pop(NODE, None)
    vector = None if found.vector is None else [float(number) for number in found.vector]
    if not isinstance(own, dict):
        identity = {} if found.id is None else {"id_": found.id}
        return TextNode(text=found.text or "", metadata=metadata, embedding=vector, **identity)
    content = {**own["content"], "id_": found.id, "metadata": {}}
    node = metadata_dict_to_node(
        {"_node_content": json.dumps(content), "_node_type": own["type"]}, found.text or ""
    )
    node.metadata, node.embedding = metadata, vector
    return node
