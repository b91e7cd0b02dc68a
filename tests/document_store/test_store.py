"""Documents in a table: ids, commits, versions, several handles, and tables that were made otherwise."""

from __future__ import annotations

import multiprocessing
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import audiomem_sql as am
from audiomem_sql.document_store import Condition, DocumentStore, Stored, compare
from audiomem_sql.errors import (
    ConstraintError,
    DataTypeError,
    QueryError,
    SchemaError,
    StorageError,
    UnsupportedError,
)


def documents(*names: str, **metadata: Any) -> list[Stored]:
    """Documents with vectors of two numbers."""
    return [
        Stored(name, f"text of {name}", {"name": name, **metadata}, np.array([1, place], np.float32))
        for place, name in enumerate(names)
    ]


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with DocumentStore(tmp_path / "kb.flac") as made:
        yield made


def ids(found: list[Stored]) -> list[str | None]:
    return [each.id for each in found]


def test_there_is_no_table_before_the_first_documents(store: DocumentStore, tmp_path: Path) -> None:
    assert store.count() == 0
    assert store.find() == []
    assert store.get(["a"]) == []
    assert store.search("words", [1.0, 2.0]) == []
    assert store.delete(None) == 0
    assert store.add([]) == []
    assert list(tmp_path.iterdir()) == []
    assert store.table is None
    with pytest.raises(StorageError):
        store.at(version=1)


def test_each_call_is_one_commit(store: DocumentStore) -> None:
    store.add(documents("a", "b", "c"))
    table = store.table
    assert table is not None
    first = table.version
    store.add(documents("b", "d"))
    assert table.version == first + 1
    assert ids(store.find()) == ["a", "c", "b", "d"]
    assert store.delete_ids(["a", "d", "nothing"]) == 2
    assert table.version == first + 2
    assert store.delete_ids(["nothing"]) == 0
    assert store.delete_ids([]) == 0
    assert store.delete(compare(store.layout.field(["name"]), "==", "c")) == 1
    assert ids(store.find()) == ["b"]
    assert table.version == first + 3
    assert ids(store.at(version=first).find()) == ["a", "b", "c"]
    with pytest.raises(UnsupportedError, match="version"):
        store.at(version=first).add(documents("e"))


def test_ids_are_kept_and_given(store: DocumentStore) -> None:
    given = store.add([Stored(None, "x"), Stored("b", "y"), Stored(None, "x")])
    assert len(set(given)) == 3
    assert given[1] == "b"
    assert [each.text for each in store.get([given[2], "b", "b", "?"])] == ["x", "y"]
    assert store.add([Stored("b", "first"), Stored("b", "last")]) == ["b", "b"]
    assert [each.text for each in store.get(["b"])] == ["last"]
    with pytest.raises(DataTypeError, match="an id is a text"):
        store.add([Stored(7, "x")])  # type: ignore[arg-type]


def test_conflicts(store: DocumentStore) -> None:
    store.add(documents("a", "b"))
    before = store.table.version  # type: ignore[union-attr]
    with pytest.raises(ConstraintError):
        store.add(documents("c", "a"), on_conflict="fail")
    with pytest.raises(ConstraintError, match="same id"):
        store.add([Stored("e", "1"), Stored("e", "2")], on_conflict="fail")
    assert store.table.version == before
    assert ids(store.find()) == ["a", "b"]
    new = [*documents("b", "c", seen=True), Stored("c", "second")]
    assert store.add(new, on_conflict="skip") == ["c"]
    assert [each.metadata.get("seen") for each in store.find()] == [None, None, True]
    assert store.add(new, on_conflict="skip") == []
    assert store.add(documents("d"), on_conflict="fail") == ["d"]


def test_nothing_is_written_of_documents_that_cannot_be(store: DocumentStore) -> None:
    store.add(documents("a"))
    before = store.table.version  # type: ignore[union-attr]
    for bad, said in (
        (Stored("b", "x", {"k": object()}), r"document 'b', metadata\['k'\]"),
        (Stored("b", "\udc80"), "document 'b'.*surrogate"),
        (Stored("b", "x", {}, np.zeros(3, np.float32)), "have 2, 3 numbers|the vector has 3 numbers"),
    ):
        with pytest.raises(DataTypeError, match=said):
            store.add([*documents("new"), bad])
    with pytest.raises(DataTypeError, match="the vector has 3 numbers, those of the table have 2"):
        store.add([Stored("b", "x", {}, np.ones(3, np.float32))])
    assert store.table.version == before
    assert ids(store.find()) == ["a"]


def test_a_column_of_vectors_comes_with_the_first_vector(store: DocumentStore) -> None:
    store.add([Stored("words", "plain words")])
    assert store.layout.vector is None
    with pytest.raises(QueryError, match="no vectors"):
        store.search(vector=[1.0, 0.0])
    store.add(documents("a", "b"))
    assert store.layout.dimensions == 2
    assert ids(store.search(vector=[1.0, 0.9])) == ["b", "a"]
    assert store.get(["words"], vectors=True)[0].vector is None
    assert store.get(["b"], vectors=True)[0].vector.tolist() == [1.0, 1.0]  # type: ignore[union-attr]


def test_searches(store: DocumentStore) -> None:
    store.add(documents("apple", "pear", "plum"))
    store.add([Stored("both", "an apple tree", {"name": "tree"}, np.array([1, 2], np.float32))])
    assert ids(store.search("apple")) == ["apple", "both"]
    assert ids(store.search("keyword: apple")) == ["apple", "both"]  # plain words, no language of queries
    assert ids(store.search(vector=[1.0, 2.0], k=2)) in (["plum", "both"], ["both", "plum"])
    hybrid = store.search("apple", [1.0, 2.0], k=3)
    assert hybrid[0].id == "both"
    assert hybrid[0].score > hybrid[1].score
    assert ids(store.search("apple", [1.0, 2.0], k=1, words=1.0)) == ["apple"]
    assert ids(store.search("pear", [1.0, 0.0], k=1, words=0.0)) == ["apple"]
    assert ids(store.search("pear", [1.0, 0.0], k=1, words=0.9)) == ["pear"]
    only = compare(store.layout.field(["name"]), "!=", "tree")
    found = store.search("apple", [1.0, 2.0], k=4, condition=only)
    assert "both" not in ids(found)
    assert len(found) == 3
    assert store.search("  ") == []
    assert store.search("apple", k=0) == []
    nearest = store.search(vector=[2.0, 0.0], k=1)[0]
    assert nearest.score == pytest.approx(1.0)
    assert nearest.distance == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(QueryError, match="no share"):
        store.search("apple", words=2.0)


@pytest.mark.parametrize(("metric", "best", "score"), [("l2", "near", 0.5), ("ip", "long", 30.0)])
def test_metrics(tmp_path: Path, metric: str, best: str, score: float) -> None:
    with DocumentStore(tmp_path / "m.flac", metric=metric) as store:
        vectors = {"near": [1, 1], "long": [10, 10]}
        store.add([Stored(name, "", {}, np.array(v, np.float32)) for name, v in vectors.items()])
    with DocumentStore(tmp_path / "m.flac") as store:  # the table knows its metric
        found = store.search(vector=[1.0, 2.0], k=1)[0]
        assert (found.id, found.score) == (best, pytest.approx(score))


def test_different_documents(store: DocumentStore) -> None:
    vectors = {"a": [1, 0, 0], "a again": [1, 0.01, 0], "b": [0.8, 0.6, 0], "c": [0, 0, 1]}
    store.add([Stored(name, "", {}, np.array(v, np.float32)) for name, v in vectors.items()])
    store.add([Stored("no vector", "a")])
    assert ids(store.diverse_search(vector=[1, 0, 0], k=2, weight=0.3)) == ["a", "c"]
    assert ids(store.diverse_search(vector=[1, 0, 0], k=2, candidates=3, weight=0.3)) == ["a", "b"]
    assert ids(store.diverse_search(vector=[1, 0, 0], k=2, weight=1.0)) == ["a", "a again"]
    assert len(store.diverse_search(vector=[1, 0, 0], k=9)) == 4


def test_a_table_that_embeds_itself(tmp_path: Path) -> None:
    with DocumentStore(tmp_path / "own.flac", model="hashing") as store:
        store.add([Stored("cat", "cats sleep on sofas"), Stored("frame", "frames hold samples")])
        assert store.search("cats on sofas", words=0.0)[0].id == "cat"
        assert store.search("frames", k=1)[0].id == "frame"
        found = store.diverse_search("cats sleep", k=2)
        assert ids(found) == ["cat", "frame"]
        assert found[0].vector is not None
        again = store.search(vector=found[0].vector, k=1)[0]
        assert again.id == "cat"
        assert again.score == pytest.approx(1.0, abs=0.05)


def test_updates(store: DocumentStore) -> None:
    store.add(documents("a", "b"))

    def seen(found: Stored) -> Stored:
        found.metadata["seen"] = True
        return found

    assert store.update(Condition("id = 'b'"), seen) == 1
    assert [each.metadata.get("seen") for each in store.get(["a", "b"])] == [None, True]
    assert store.get(["b"], vectors=True)[0].vector.tolist() == [1.0, 1.0]  # type: ignore[union-attr]
    assert store.update(Condition("id = 'z'"), seen) == 0


def test_several_handles_and_threads(tmp_path: Path) -> None:
    """Counters in one document, raised by threads with handles of their own: no raise is lost."""
    with DocumentStore(tmp_path / "kb.flac") as first:
        first.add([Stored("counter", "", {"n": 0})])

    def work(number: int) -> None:
        with DocumentStore(tmp_path / "kb.flac") as store:
            for turn in range(3):
                store.update(Condition("id = 'counter'"), raised)
                store.add([Stored("shared", f"{number} {turn}")])
                new = [Stored("once", str(number)), Stored(f"{number} {turn}", "own")]
                store.add(new, on_conflict="skip")

    def raised(found: Stored) -> Stored:
        found.metadata["n"] += 1
        return found

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with DocumentStore(tmp_path / "kb.flac") as store:
        assert store.get(["counter"])[0].metadata == {"n": 9}
        assert store.count() == 3 + 9
        assert store.table.version == 2 + 3 * 3 * 3  # type: ignore[union-attr]  # a commit for each call


def _add_from_process(path: str, number: int) -> None:
    with DocumentStore(path) as store:
        store.add(
            [Stored(f"{number}", "x", {}, np.array([number, 1], np.float32)), Stored("same", str(number))]
        )


def test_processes_make_one_table(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    path = str(tmp_path / "kb.flac")
    children = [context.Process(target=_add_from_process, args=(path, number)) for number in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0, 0]
    with DocumentStore(path) as store:
        assert sorted(str(each.id) for each in store.find()) == ["0", "1", "2", "same"]


def test_a_commit_of_another_handle_shows(tmp_path: Path) -> None:
    with DocumentStore(tmp_path / "kb.flac") as one, DocumentStore(tmp_path / "kb.flac") as other:
        one.add(documents("a"))
        assert ids(other.find()) == ["a"]
        other.add(documents("b"))
        assert ids(one.search(vector=[1.0, 0.0])) == ["a", "b"]
        assert one.count() == 2


def test_tables_that_were_made_otherwise(tmp_path: Path) -> None:
    columns = ["id INTEGER PRIMARY KEY", "source TEXT", "title TEXT", "body TEXT INDEXED", "seen TIMESTAMP"]
    with am.create(tmp_path / "ingested.flac", columns) as table:
        table.append(
            [
                {
                    "source": "a.md",
                    "title": "One",
                    "body": "the first chapter",
                    "seen": "2024-05-01 12:00:00",
                },
                {"source": "b.md", "title": None, "body": "the second chapter"},
            ]
        )
    with DocumentStore(tmp_path / "ingested.flac") as store:
        found = store.search("first")[0]
        assert (found.id, found.text) == ("1", "the first chapter")
        assert found.metadata["source"] == "a.md"
        assert found.metadata["seen"].year == 2024
        assert ids(store.find(compare(store.layout.field(["source"]), "==", "b.md"))) == ["2"]
        assert ids(store.find(compare(store.layout.field(["title"]), "==", None))) == ["2"]
        assert ids(store.find(compare(store.layout.field(["nothing"]), "==", None))) == ["1", "2"]
        assert ids(store.get(["2", "x", "1"])) == ["2", "1"]
        with pytest.raises(UnsupportedError, match="metadata_types"):
            store.add(documents("x"))
        assert store.delete_ids(["1"]) == 1
    with am.create(tmp_path / "numbers.flac", ["n INTEGER"]):
        pass
    with pytest.raises(SchemaError, match="which column holds the text"):
        DocumentStore(tmp_path / "numbers.flac")
    with am.create(tmp_path / "plain.flac", ["a TEXT", "b TEXT"]) as table:
        table.append([{"a": "x", "b": "y"}])
    with DocumentStore(tmp_path / "plain.flac", text_column="b") as store:
        assert [(each.id, each.text, each.metadata) for each in store.find()] == [(None, "y", {"a": "x"})]
        with pytest.raises(UnsupportedError, match="no ids"):
            store.get(["1"])


def test_many_documents_and_ids(store: DocumentStore) -> None:
    many = [Stored(str(n), f"text {n}", {"n": n}, np.array([1, n / 1200], np.float32)) for n in range(1200)]
    store.add(many)
    store.add(many[:800])
    assert store.count() == 1200
    assert store.delete_ids([str(n) for n in range(0, 1200, 2)]) == 600
    few = compare(store.layout.field(["n"]), ">", 1190)
    found = store.search(vector=[1.0, 1.0], k=10, condition=few)
    assert ids(found) == ["1199", "1197", "1195", "1193", "1191"]
