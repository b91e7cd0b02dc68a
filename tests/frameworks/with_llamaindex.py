"""LlamaIndex: its own filter function judges filters, its simple store searches, its index both."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.schema import (
    Document,
    ImageNode,
    IndexNode,
    NodeRelationship,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.vector_stores import SimpleVectorStore
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)
from llama_index.core.vector_stores.utils import build_metadata_filter_fn

import audiomem_sql as am
from audiomem_sql.errors import OptionError, QueryError, SchemaError, UnsupportedError
from audiomem_sql.llamaindex import AudioMemoryVectorStore

METADATA: list[dict[str, Any]] = [
    {"year": 2020, "kind": "note", "tags": ["pet", "Loud"]},
    {"year": 2021, "kind": "Note", "tags": []},
    {"year": 2022.5, "kind": "letter to ÄNNE", "empty": ""},
    {"kind": None, "tags": ["pet"], "names": [1, 2]},
]
VECTORS = [[1.0, 0.0, 0.0], [0.9, 0.1, 0.0], [0.0, 1.0, 0.0], [0.0, 0.5, 0.8]]


def nodes() -> list[TextNode]:
    """Nodes a to d, of documents x and y."""
    made = []
    for name, text, metadata, vector in zip(
        "abcd", ["cats sleep", "cats and dogs", "frames", "the sea"], METADATA, VECTORS, strict=True
    ):
        source = RelatedNodeInfo(node_id="x" if name in "ab" else "y")
        made.append(
            TextNode(
                id_=name,
                text=text,
                metadata=dict(metadata),
                embedding=vector,
                relationships={NodeRelationship.SOURCE: source},
                excluded_embed_metadata_keys=["year"],
                start_char_idx=3,
            )
        )
    return made


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AudioMemoryVectorStore]:
    made = AudioMemoryVectorStore(str(tmp_path / "kb.flac"))
    assert made.add(nodes()) == list("abcd")
    yield made
    made.close()


def one(key: str, operator: FilterOperator, value: Any) -> MetadataFilters:
    return MetadataFilters(filters=[MetadataFilter(key=key, value=value, operator=operator)])


OP = FilterOperator
SINGLE = [
    *(one("year", op, 2021) for op in (OP.EQ, OP.NE, OP.GT, OP.GTE, OP.LT, OP.LTE)),
    *(one("kind", op, "note") for op in (OP.EQ, OP.NE)),
    *(one("kind", op, ["note", "letter"]) for op in (OP.IN, OP.NIN)),
    *(one("year", op, [2020, 2021]) for op in (OP.IN, OP.NIN)),
    *(one("tags", op, ["pet", "Loud"]) for op in (OP.ANY, OP.ALL)),
    *(one("tags", OP.CONTAINS, value) for value in ("pet", "nothing")),
    one("names", OP.CONTAINS, 1),
    one("kind", OP.CONTAINS, "ote"),
    *(
        one("kind", op, part)
        for op in (OP.TEXT_MATCH, OP.TEXT_MATCH_INSENSITIVE)
        for part in ("note", "änne")
    ),
    *(one(key, OP.IS_EMPTY, None) for key in ("tags", "kind", "empty", "nothing")),
]


@pytest.mark.parametrize(
    "filters", SINGLE, ids=lambda each: f"{each.filters[0].key} {each.filters[0].operator}"
)
def test_each_operator_is_decided_as_llamaindex_does(
    store: AudioMemoryVectorStore, filters: MetadataFilters
) -> None:
    for condition in FilterCondition:
        given = MetadataFilters(filters=[*filters.filters, *SINGLE[0].filters], condition=condition)
        decide = build_metadata_filter_fn(lambda name: METADATA["abcd".index(name)], given)
        expected = [name for name in "abcd" if decide(name)]
        assert [each.node_id for each in store.get_nodes(filters=given)] == expected
        query = VectorStoreQuery(query_embedding=VECTORS[0], similarity_top_k=4, filters=given)
        assert sorted(store.query(query).ids or []) == expected


def test_filters_inside_filters(store: AudioMemoryVectorStore) -> None:
    old, note = SINGLE[4], SINGLE[6]
    either = MetadataFilters(filters=[old, note, SINGLE[2]], condition=FilterCondition.OR)
    neither = MetadataFilters(filters=[either, one("kind", OP.EQ, "x")], condition=FilterCondition.NOT)
    assert [each.node_id for each in store.get_nodes(filters=either)] == ["a", "c"]
    assert [each.node_id for each in store.get_nodes(filters=neither)] == ["b", "d"]
    assert len(store.get_nodes(filters=MetadataFilters(filters=[]))) == 4
    with pytest.raises(QueryError, match="takes a list"):
        store.get_nodes(filters=one("kind", OP.ANY, "x"))
    with pytest.raises(QueryError, match="takes a text"):
        store.get_nodes(filters=one("kind", OP.TEXT_MATCH, 3))


@pytest.mark.parametrize("mode", [VectorStoreQueryMode.DEFAULT, VectorStoreQueryMode.MMR])
@pytest.mark.parametrize("asked", [[1.0, 0.2, 0.1], [0.0, 0.3, 0.9]])
def test_searches_are_those_of_the_simple_store(
    store: AudioMemoryVectorStore, mode: VectorStoreQueryMode, asked: list[float]
) -> None:
    peer = SimpleVectorStore()
    peer.add(nodes())
    query = VectorStoreQuery(query_embedding=asked, similarity_top_k=3, mode=mode)
    ours, theirs = store.query(query), peer.query(query)
    assert ours.ids == theirs.ids
    if mode == VectorStoreQueryMode.DEFAULT:
        assert ours.similarities == pytest.approx(theirs.similarities, abs=1e-6)
        assert store.query(VectorStoreQuery(asked, 4, node_ids=["a", "d"])).ids == [
            each for each in (peer.query(VectorStoreQuery(asked, 4)).ids or []) if each in "ad"
        ]


def test_modes(store: AudioMemoryVectorStore) -> None:
    def found(mode: str, **asked: Any) -> list[str] | None:
        asked.setdefault("similarity_top_k", 4)
        return store.query(VectorStoreQuery(mode=VectorStoreQueryMode(mode), query_str="dogs", **asked)).ids

    assert found("text_search") == found("sparse") == ["b"]
    assert found("hybrid", query_embedding=VECTORS[3], alpha=0.0) == ["b"]
    assert found("hybrid", query_embedding=VECTORS[3], alpha=1.0)[0] == "d"  # type: ignore[index]
    assert found("hybrid", query_embedding=VECTORS[3], alpha=0.1, hybrid_top_k=1) == ["b"]
    assert found("text_search", doc_ids=["y"]) == []
    assert sorted(found("default", query_embedding=VECTORS[0], doc_ids=["y"]) or []) == ["c", "d"]
    assert found("default") == ["b"]  # there is no vector
    with pytest.raises(UnsupportedError, match="svm"):
        found("svm", query_embedding=VECTORS[0])


def test_nodes_come_back_whole(tmp_path: Path) -> None:
    store = AudioMemoryVectorStore(str(tmp_path / "kb.flac"))
    image = ImageNode(id_="image", image_url="http://host/a.png", metadata={"seen": datetime(2024, 5, 1)})
    index = IndexNode(id_="index", text="about", index_id="other", metadata={"n": 1})
    given = [*nodes(), image, index]
    store.add(given)
    found = store.get_nodes()
    assert [type(each) for each in found] == [type(each) for each in given]
    for ours, theirs in zip(found, given, strict=True):
        assert ours.metadata == theirs.metadata
        assert ours.hash == theirs.hash
        if theirs.embedding is not None:
            assert ours.embedding == pytest.approx(theirs.embedding)
        ours.embedding = theirs.embedding
        assert ours.to_dict() == theirs.to_dict()
    with pytest.raises(SchemaError, match="_node"):
        store.add([TextNode(text="x", metadata={"_node": 1})])
    store.close()


def test_deleting(store: AudioMemoryVectorStore) -> None:
    table = store.client
    version = table.version
    store.delete("x")
    assert [each.node_id for each in store.get_nodes()] == ["c", "d"]
    assert table.version == version + 1
    store.delete_nodes(["c", "d"], one("kind", OP.CONTAINS, "letter"))
    assert [each.node_id for each in store.get_nodes()] == ["d"]
    store.add([TextNode(id_="d", text="again")])
    assert [each.get_content() for each in store.get_nodes(["d", "?"])] == ["again"]
    with pytest.raises(OptionError, match="clear"):
        store.delete_nodes()
    store.clear()
    assert store.get_nodes() == []
    assert table.version == version + 4
    old = store.at(version=version)
    assert len(old.get_nodes()) == 4
    assert old.query(VectorStoreQuery(VECTORS[2], 1)).ids == ["c"]
    old.close()


def test_an_index_that_is_opened_again(tmp_path: Path) -> None:
    path, model = str(tmp_path / "kb.flac"), MockEmbedding(embed_dim=4)
    store = AudioMemoryVectorStore(path)
    context = StorageContext.from_defaults(vector_store=store)
    texts = [
        Document(text="cats sleep", id_="one", metadata={"year": 2020}),
        Document(text="the sea", id_="two"),
    ]
    index = VectorStoreIndex.from_documents(texts, context, embed_model=model)
    index.storage_context.persist(str(tmp_path / "storage"))
    index.delete_ref_doc("two")
    store.close()
    assert sorted(each.name for each in tmp_path.glob("kb*")) == ["kb.flac"]  # no log

    again = AudioMemoryVectorStore.from_dict(store.to_dict())
    retriever = VectorStoreIndex.from_vector_store(again, embed_model=model).as_retriever(
        similarity_top_k=3, filters=one("year", OP.LT, 2021)
    )
    (found,) = retriever.retrieve("anything")
    assert found.node.get_content() == "cats sleep"
    assert found.node.ref_doc_id == "one"
    again.close()


def test_what_was_ingested(tmp_path: Path) -> None:
    columns = ["id INTEGER PRIMARY KEY", "source TEXT", "body TEXT SEMANTIC INDEXED"]
    with am.create(tmp_path / "notes.flac", columns, model="hashing") as table:
        table.append([{"source": "a.md", "body": "cats sleep"}, {"source": "b.md", "body": "the sea"}])
    store = AudioMemoryVectorStore(str(tmp_path / "notes.flac"))
    assert not store.is_embedding_query
    index = VectorStoreIndex.from_vector_store(store, embed_model=MockEmbedding(embed_dim=4))
    (found,) = index.as_retriever(similarity_top_k=1).retrieve("cats")
    assert (found.node.node_id, found.node.metadata) == ("1", {"source": "a.md"})
    store.close()


def test_without_waiting(store: AudioMemoryVectorStore) -> None:
    async def work() -> None:
        await store.async_add([TextNode(id_="e", text="more", embedding=VECTORS[0])])
        query = VectorStoreQuery(VECTORS[3], 1)
        found, got = await asyncio.gather(store.aquery(query), store.aget_nodes(["e"]))
        assert found.ids == ["d"]
        assert len(got) == 1
        await store.adelete_nodes(["e"])
        await store.adelete("y")
        assert len(await store.aget_nodes()) == 2
        await store.aclear()

    asyncio.run(work())
    assert store.get_nodes() == []
