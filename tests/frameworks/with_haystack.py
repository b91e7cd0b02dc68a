"""Haystack's own tests of a document store, its in-memory store as a peer, and retrievers in a pipeline."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from haystack import Document, Pipeline, component
from haystack.dataclasses import ByteStream, SparseEmbedding
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy, FilterPolicy
from haystack.errors import FilterError
from haystack.testing.document_store import (
    CountDocumentsByFilterTest,
    CountUniqueMetadataByFilterTest,
    DocumentStoreBaseExtendedTests,
    GetMetadataFieldMinMaxTest,
    GetMetadataFieldsInfoTest,
    GetMetadataFieldUniqueValuesTest,
)
from haystack.utils.filters import document_matches_filter

from audiomem_sql.errors import SchemaError, UnsupportedError
from audiomem_sql.haystack import (
    AudioMemoryDocumentStore,
    AudioMemoryEmbeddingRetriever,
    AudioMemoryHybridRetriever,
    AudioMemoryKeywordRetriever,
)


def as_stored(document: Document) -> Document:
    """A document with its embedding as float32."""
    if document.embedding is None:
        return document
    return replace(document, embedding=np.asarray(document.embedding, np.float32).astype(float).tolist())


class TestStandard(
    DocumentStoreBaseExtendedTests,
    CountDocumentsByFilterTest,
    CountUniqueMetadataByFilterTest,
    GetMetadataFieldsInfoTest,
    GetMetadataFieldMinMaxTest,
    GetMetadataFieldUniqueValuesTest,
):
    @pytest.fixture
    def document_store(self, tmp_path: Path) -> Iterator[AudioMemoryDocumentStore]:  # type: ignore[override]
        store = AudioMemoryDocumentStore(str(tmp_path / "kb.flac"))
        yield store
        store.close()

    @staticmethod
    def assert_documents_are_equal(received: list[Document], expected: list[Document]) -> None:
        assert received == [as_stored(each) for each in expected]

    def test_write_documents(self, document_store: Any) -> None:
        """Haystack leaves open what is done without a policy: an id that is there is refused."""
        document = Document(content="test doc")
        assert document_store.write_documents([document]) == 1
        with pytest.raises(DuplicateDocumentError):
            document_store.write_documents([Document(content="new"), document])
        assert document_store.filter_documents() == [document]

    # the parameter that these ask for is not there
    test_delete_all_documents_without_recreate_index = None
    test_delete_all_documents_with_recreate_index = None


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AudioMemoryDocumentStore]:
    made = AudioMemoryDocumentStore(str(tmp_path / "kb.flac"), embedding_dim=3)
    made.write_documents(DOCUMENTS)
    yield made
    made.close()


DOCUMENTS = [
    Document(id="a", content="cats sleep", meta={"year": 2020, "in": {"x": 1}}, embedding=[1.0, 0.0, 0.0]),
    Document(
        id="b",
        content="cats and dogs",
        meta={"year": 2021.5, "when": "2024-05-01"},
        embedding=[0.5, 0.5, 0.0],
    ),
    Document(id="c", content="frames", meta={"when": "2024-05-01T12:00:00.000001+02:00", "year": "x"}),
    Document(id="d", content=None, meta={"year": True, "list": [1, 2]}, embedding=[0.0, 0.0, 1.0]),
]

FILTERS: list[dict[str, Any]] = [
    {"field": "meta.year", "operator": "==", "value": 1},
    {"field": "meta.year", "operator": "!=", "value": "x"},
    {"field": "year", "operator": "in", "value": [2020, "x"]},
    {"field": "meta.year", "operator": "not in", "value": [2020, None]},
    {"field": "meta.in.x", "operator": "==", "value": 1},
    {"field": "meta.in.y", "operator": "==", "value": None},
    {"field": "meta.list", "operator": "==", "value": [1, 2]},
    {"field": "id", "operator": "in", "value": ["a", "d"]},
    {"field": "content", "operator": "==", "value": None},
    {"field": "embedding", "operator": "==", "value": None},
    {"field": "meta.when", "operator": "==", "value": "2024-05-01T00:00:00"},
    {"field": "meta.when", "operator": ">", "value": "2024-05-01T10:00:00Z"},
    {"field": "meta.when", "operator": ">=", "value": datetime(2024, 5, 1, 12)},
    {"field": "meta.when", "operator": "<", "value": "2024-05-01T12:00:00.000002"},
    {
        "operator": "NOT",
        "conditions": [
            {"field": "id", "operator": "!=", "value": "a"},
            {"operator": "OR", "conditions": [{"field": "content", "operator": "!=", "value": "frames"}]},
        ],
    },
]


@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_filters_are_decided_as_haystack_does(
    store: AudioMemoryDocumentStore, filters: dict[str, Any]
) -> None:
    expected = [each.id for each in DOCUMENTS if document_matches_filter(filters, each)]
    assert [each.id for each in store.filter_documents(filters)] == expected
    found = store.embedding_retrieval([1.0, 1.0, 1.0], filters)
    assert sorted(each.id for each in found) == [each for each in expected if each != "c"]


@pytest.mark.parametrize(
    "filters",
    [
        {"field": "meta.year", "operator": "~", "value": 1},
        {"operator": "XOR", "conditions": []},
        {"field": "meta.when", "operator": ">", "value": "tomorrow"},
        {"field": "meta.year", "operator": "==", "value": 1 << 70},
        {"operator": "AND", "conditions": ["x"]},
    ],
    ids=str,
)
def test_what_is_no_filter(store: AudioMemoryDocumentStore, filters: dict[str, Any]) -> None:
    with pytest.raises(FilterError):
        store.filter_documents(filters)


def test_documents_come_back_whole(store: AudioMemoryDocumentStore) -> None:
    whole = Document(
        id="whole",
        content="text",
        blob=ByteStream(b"\x00\xff", {"n": 1}, "image/png"),
        meta={"n": 1, "x": 1.0, "when": datetime(2024, 5, 1)},
        sparse_embedding=SparseEmbedding([1, 5], [0.5, 0.25]),
        embedding=[0.5, 0.25, 0.125],
    )
    store.write_documents([whole])
    (found,) = store.filter_documents({"field": "id", "operator": "==", "value": "whole"})
    assert found == whole
    assert type(found.meta["n"]) is int
    assert type(found.meta["x"]) is float
    with pytest.raises(SchemaError, match="_document"):
        store.write_documents([Document(content="x", meta={"_document": 1})])


@component
class Embedder:
    """Stands for a model."""

    @component.output_types(embedding=list[float])
    def run(self, text: str):  # type: ignore[no-untyped-def]
        return {"embedding": [1.0, 0.1, 0.0]}


def test_retrievers_in_a_pipeline(store: AudioMemoryDocumentStore) -> None:
    only = {"field": "meta.year", "operator": "!=", "value": 2020}
    pipeline = Pipeline()
    pipeline.add_component("embedder", Embedder())
    pipeline.add_component("near", AudioMemoryEmbeddingRetriever(store, top_k=2))
    pipeline.add_component(
        "words", AudioMemoryKeywordRetriever(store, only, filter_policy=FilterPolicy.MERGE)
    )
    pipeline.add_component("both", AudioMemoryHybridRetriever(store, words=0.9))
    pipeline.connect("embedder.embedding", "near.query_embedding")
    again = Pipeline.loads(pipeline.dumps(), allowed_modules=["audiomem_sql.haystack", Embedder.__module__])
    for each in (pipeline, again):
        found = each.run(
            {
                "embedder": {"text": "a"},
                "words": {"query": "cats", "filters": {"field": "id", "operator": "!=", "value": "z"}},
                "both": {"query": "frames", "query_embedding": [0.0, 0.0, 1.0], "top_k": 2},
            }
        )
        assert [each.id for each in found["near"]["documents"]] == ["a", "b"]
        assert found["near"]["documents"][0].score == pytest.approx(1 / np.sqrt(1.01))
        assert [each.id for each in found["words"]["documents"]] == ["b"]
        assert [each.id for each in found["both"]["documents"]] == ["c", "d"]
    with pytest.raises(ValueError, match="top_k"):
        AudioMemoryKeywordRetriever(store, top_k=0)
    with pytest.raises(ValueError, match="document_store"):
        AudioMemoryKeywordRetriever(DOCUMENTS)  # type: ignore[arg-type]


def test_the_store_as_a_dict(store: AudioMemoryDocumentStore) -> None:
    again = AudioMemoryDocumentStore.from_dict(store.to_dict())
    assert again.to_dict() == store.to_dict()
    assert again.count_documents() == 4
    again.close()


def test_policies_of_a_batch(store: AudioMemoryDocumentStore) -> None:
    given = [Document(id="a", content="new"), Document(id="e", content="1"), Document(id="e", content="2")]
    assert store.write_documents(given, DuplicatePolicy.SKIP) == 1
    with pytest.raises(DuplicateDocumentError):
        store.write_documents([Document(id="f", content="1"), Document(id="f", content="2")])
    assert [each.content for each in store.filter_documents()][-1] == "1"
    assert store.write_documents(given, DuplicatePolicy.OVERWRITE) == 3
    assert store.write_documents([], DuplicatePolicy.OVERWRITE) == 0
    assert [each.content for each in store.filter_documents()] == [
        "cats and dogs",
        "frames",
        None,
        "new",
        "2",
    ]


def test_versions(store: AudioMemoryDocumentStore) -> None:
    store.delete_all_documents()
    old = store.at(version=2)
    assert old.count_documents() == 4
    assert store.count_documents() == 0
    assert [each.id for each in old.keyword_retrieval("cats", top_k=1)] == ["a"]
    with pytest.raises(UnsupportedError):
        old.write_documents([Document(content="x")])
    old.close()


def test_without_waiting(store: AudioMemoryDocumentStore) -> None:
    async def work() -> None:
        assert await store.write_documents_async([Document(id="e", content="more")]) == 1
        only = {"field": "id", "operator": "==", "value": "e"}
        assert [each.content for each in await store.filter_documents_async(only)] == ["more"]
        await store.delete_documents_async(["e"])
        assert await store.count_documents_async() == 4
        retriever = AudioMemoryEmbeddingRetriever(store, top_k=1)
        assert (await retriever.run_async([0.0, 0.0, 1.0]))["documents"][0].id == "d"
        words = AudioMemoryKeywordRetriever(store)
        assert len((await words.run_async("cats"))["documents"]) == 2

    asyncio.run(work())
