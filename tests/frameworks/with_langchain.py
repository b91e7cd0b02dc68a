"""LangChain's own standard tests of a vector store and of a retriever, and what they do not ask."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore
from langchain_tests.integration_tests import RetrieversIntegrationTests, VectorStoreIntegrationTests

import audiomem_sql as am
from audiomem_sql.errors import OptionError, QueryError, UnsupportedError
from audiomem_sql.langchain import AudioMemoryRetriever, AudioMemoryVectorStore

for _suite in (VectorStoreIntegrationTests, RetrieversIntegrationTests):
    for _test in vars(_suite).values():
        if inspect.iscoroutinefunction(_test):
            pytest.mark.asyncio(_test)


class TestStandard(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, tmp_path: Path) -> Iterator[VectorStore]:  # type: ignore[override]
        store = AudioMemoryVectorStore(tmp_path / "kb.flac", self.get_embeddings())
        yield store
        store.close()


class TestStandardRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _store(self, tmp_path: Path) -> Iterator[None]:
        self._made = store_of(tmp_path, DeterministicFakeEmbedding(size=6))
        yield
        self._made.close()

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return AudioMemoryRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"store": self._made}

    @property
    def retriever_query_example(self) -> str:
        return "cats"


TEXTS = ["cats sleep", "cats and dogs", "frames hold samples", "the sea"]
METADATA = [
    {"year": 2020, "tags": ["pet"], "day": date(2024, 5, 1)},
    {"year": 2021, "tags": ["pet", "loud"], "kind": "note"},
    {"year": 2022.5, "kind": "Note", "a.b": True},
    {"kind": None},
]


def store_of(folder: Path, embedding: Embeddings | None, **options: Any) -> AudioMemoryVectorStore:
    return AudioMemoryVectorStore.from_texts(
        TEXTS, embedding, METADATA, ids=list("abcd"), path=folder / "kb.flac", **options
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AudioMemoryVectorStore]:
    made = store_of(tmp_path, DeterministicFakeEmbedding(size=6))
    yield made
    made.close()


FILTERS: list[tuple[Any, str]] = [
    ({"year": 2020}, "a"),
    ({"year": {"$gt": 2020, "$lte": 2022.5}}, "bc"),
    ({"year": {"$in": [2020, 2021]}}, "ab"),
    ({"year": {"$nin": [2020, 2021]}}, "cd"),
    ({"year": {"$ne": 2020}}, "bcd"),
    ({"year": {"$between": [2021, 2023]}}, "bc"),
    ({"year": {"$exists": False}}, "d"),
    ({"kind": {"$exists": True}}, "bc"),
    ({"kind": None}, "ad"),
    ({"kind": {"$like": "N_t%"}}, "c"),
    ({"kind": {"$ilike": "n_t%"}}, "bc"),
    ({"tags": {"$contains": "pet"}}, "ab"),
    ({"tags": ["pet"]}, "a"),
    ({"a.b": True}, "c"),
    ({"day": {"$gte": date(2024, 5, 1)}}, "a"),
    ({"$or": [{"year": 2020}, {"kind": "Note", "year": {"$gt": 1}}]}, "ac"),
    ({"$and": [{"year": {"$gt": 2020}}, {"kind": "note"}]}, "b"),
    ({"$not": {"year": {"$gt": 2020}}}, "ad"),
    ({"year": 2020, "kind": "note"}, ""),
    ({}, "abcd"),
    ("json_extract(metadata, '$.year') > 2020", "bc"),
]


@pytest.mark.parametrize(("given", "expected"), FILTERS, ids=str)
def test_filters_come_before_the_search(store: AudioMemoryVectorStore, given: Any, expected: str) -> None:
    found = store.similarity_search("cats", k=4, filter=given)
    assert sorted(str(each.id) for each in found) == list(expected)
    assert len(store.max_marginal_relevance_search("cats", k=4, filter=given)) == len(expected)
    assert len(store.similarity_search_by_vector([1.0] * 6, k=4, filter=given)) == len(expected)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"year": {"$grt": 1}}, r"Did you mean \$gt\?"),
        ({"$nor": []}, r"\$and, \$or or \$not"),
        ({"$or": {}}, "list of filters"),
        ({"year": {"$in": 3}}, "takes a list"),
        ({"year": {"$between": [1]}}, "two values"),
        ("no such column", "filter"),
    ],
)
def test_what_is_no_filter(store: AudioMemoryVectorStore, given: Any, said: str) -> None:
    with pytest.raises(QueryError, match=said):
        store.similarity_search("cats", filter=given)


def test_values_come_back(store: AudioMemoryVectorStore) -> None:
    found = store.get_by_ids(["c", "a"])
    assert [each.metadata for each in found] == [METADATA[2], METADATA[0]]
    assert type(found[1].metadata["year"]) is int
    assert found[1].metadata["day"] == date(2024, 5, 1)


def test_the_order_and_the_scores_are_those_of_an_exact_search(store: AudioMemoryVectorStore) -> None:
    peer = InMemoryVectorStore(DeterministicFakeEmbedding(size=6))
    peer.add_texts(TEXTS, METADATA, ids=list("abcd"))
    for query in TEXTS:
        ours = store.similarity_search_with_score(query, k=4)
        theirs = peer.similarity_search_with_score(query, k=4)
        assert [each.id for each, _ in ours] == [each.id for each, _ in theirs]
        assert [1 - distance for _, distance in ours] == pytest.approx(
            [score for _, score in theirs], abs=1e-5
        )
        relevant = store.similarity_search_with_relevance_scores(query, k=4, score_threshold=0.99)
        assert [each.page_content for each, _ in relevant] == [query]
        diverse = store.max_marginal_relevance_search(query, k=3, fetch_k=4, lambda_mult=0.3)
        expected = peer.max_marginal_relevance_search(query, k=3, fetch_k=4, lambda_mult=0.3)
        assert [each.id for each in diverse] == [each.id for each in expected]


def test_words_and_both(store: AudioMemoryVectorStore) -> None:
    hybrid = store.hybrid_search("frames", k=4, words=0.9)
    assert hybrid[0].id == "c"
    assert len(hybrid) == 4
    retriever = AudioMemoryRetriever(store=store, k=2, words=1.0, filter={"year": {"$gt": 2020}})
    assert [each.id for each in retriever.invoke("cats")] == ["b"]
    assert [each.id for each in retriever.invoke("cats", filter=None)] == ["a", "b"]
    plain = store.as_retriever(search_type="mmr", search_kwargs={"k": 2})
    assert len(plain.invoke("cats")) == 2


def test_a_table_that_is_searched_by_its_words(tmp_path: Path) -> None:
    store = store_of(tmp_path, None)
    assert store.embeddings is None
    assert [each.id for each in store.similarity_search("samples")] == ["c"]
    (_, relevance), *_ = store.similarity_search_with_relevance_scores("samples")
    assert 0 < relevance < 1
    store.close()


def test_a_table_that_embeds_itself(tmp_path: Path) -> None:
    store = store_of(tmp_path, None, model="hashing")
    assert store.similarity_search("cats sleep", k=1)[0].id == "a"
    assert store.hybrid_search("samples", k=1)[0].id == "c"
    assert asyncio.run(store.asimilarity_search("cats sleep", k=1))[0].id == "a"
    store.close()
    with pytest.raises(OptionError, match="exclude"):
        AudioMemoryVectorStore(tmp_path / "x.flac", DeterministicFakeEmbedding(size=6), model="hashing")
    with pytest.raises(OptionError, match="path"):
        AudioMemoryVectorStore.from_texts(["x"], DeterministicFakeEmbedding(size=6))


def test_versions(store: AudioMemoryVectorStore) -> None:
    assert store.store.table is not None
    store.store.table.tag("before")
    store.add_documents([Document(page_content="cats are gone", id="a")])
    store.delete(filter={"kind": "note"})
    assert [each.page_content for each in store.get_by_ids(["a", "b"])] == ["cats are gone"]
    old = store.at("before")
    assert [each.page_content for each in old.get_by_ids(["a", "b"])] == TEXTS[:2]
    assert old.similarity_search("cats and dogs", k=1)[0].id == "b"
    with pytest.raises(UnsupportedError):
        old.delete(["a"])
    old.close()
    store.delete()
    assert store.similarity_search("cats") == []


def test_a_wrong_number_of_anything(store: AudioMemoryVectorStore) -> None:
    with pytest.raises(ValueError, match="1 metadatas"):
        store.add_texts(["x", "y"], [{}])
    with pytest.raises(ValueError, match="3 ids"):
        store.add_texts(["x", "y"], ids=["1", "2", "3"])


def test_without_waiting(tmp_path: Path) -> None:
    async def work() -> None:
        store = await AudioMemoryVectorStore.afrom_texts(
            TEXTS, DeterministicFakeEmbedding(size=6), METADATA, ids=list("abcd"), path=tmp_path / "kb.flac"
        )
        found = await asyncio.gather(
            store.asimilarity_search_with_score("the sea", k=1),
            store.asimilarity_search_with_relevance_scores("the sea", k=1),
            store.amax_marginal_relevance_search("the sea", k=2),
            store.asimilarity_search_by_vector([1.0] * 6, k=2, filter={"year": 2020}),
            store.amax_marginal_relevance_search_by_vector([1.0] * 6, k=2),
            store.aadd_texts(["more"], ids=["e"]),
        )
        assert found[0][0][0].id == found[1][0][0].id == found[2][0].id == "d"
        assert [each.id for each in found[3]] == ["a"]
        assert len(found[4]) == 2
        assert [each.page_content for each in await store.aget_by_ids(["e"])] == ["more"]
        await store.adelete(["e"])
        assert len(await AudioMemoryRetriever(store=store, k=9).ainvoke("cats")) == 4
        store.close()

    asyncio.run(work())


def test_what_was_ingested(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "source": "a.md", "place": "line=3", "body": "cats sleep"},
        {"id": 2, "body": "the sea"},
    ]
    with am.create(
        tmp_path / "notes.flac",
        ["id INTEGER PRIMARY KEY", "source TEXT", "place TEXT", "body TEXT SEMANTIC INDEXED"],
        model="hashing",
    ) as table:
        table.append(rows)
    store = AudioMemoryVectorStore(tmp_path / "notes.flac")
    (found,) = AudioMemoryRetriever(store=store, k=1).invoke("cats")
    assert found == Document(
        id="1", page_content="cats sleep", metadata={"source": "a.md", "place": "line=3"}
    )
    assert store.similarity_search("cats", filter={"source": None})[0].id == "2"
    store.close()
