"""`make convert-check`: stores made by Chroma, LanceDB, Qdrant, LangChain and llm, and what these say."""

from __future__ import annotations

import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_docs import ROOT, _commands, blocks

from audiomem_sql.conversion.convert import convert
from audiomem_sql.errors import DamagedFileError

from .sources import WIDTH, column, converted, rows_of, vectors

COUNT = 1_500  # more than Chroma writes to its index at a time
IDS = [f"n{row}" for row in range(COUNT)]
TEXTS = [f"note {row}" for row in range(COUNT)]
METADATA: list[dict[str, Any]] = [
    {"year": 2000 + row, "odd": bool(row % 2), "share": row / 7} for row in range(COUNT)
]


@pytest.mark.parametrize("space", ["l2", "ip", "cosine"])
def test_chroma(tmp_path: Path, space: str) -> None:
    import chromadb

    client = chromadb.PersistentClient(str(tmp_path / "chroma"))
    collection = client.create_collection(
        "notes", embedding_function=None, configuration={"hnsw": {"space": space}}
    )
    for start in range(0, COUNT, 500):
        some = slice(start, start + 500)
        collection.add(IDS[some], vectors(COUNT)[some], METADATA[some], TEXTS[some])
    collection.delete([IDS[3]])
    collection.update([IDS[4]], vectors(COUNT)[4:5], [{"year": 1}], ["changed"])
    collection.upsert([IDS[5]], embeddings=vectors(COUNT)[:1])
    client.create_collection("empty", embedding_function=None)
    truth = collection.get(include=["embeddings", "documents", "metadatas"])
    client.clear_system_cache()

    done = converted(tmp_path / "chroma", tmp_path / "kb.flac", "notes")
    assert (done.kind, done.rows) == ("Chroma", COUNT - 1)
    assert done.columns == (
        "id TEXT PRIMARY KEY, body TEXT INDEXED, odd BOOLEAN, share REAL, year INTEGER, "
        f"vec FLOAT[{WIDTH}] INDEXED(metric={space})"
    )
    found = {row["id"]: row for row in rows_of(tmp_path / "kb.flac")}
    assert len(found) == COUNT - 1
    for number, identity in enumerate(truth["ids"]):
        row = found[identity]
        assert row["body"] == truth["documents"][number]
        assert np.array_equal(np.asarray(row["vec"], "<f4"), truth["embeddings"][number])
        assert {key: row[key] for key in truth["metadatas"][number]} == truth["metadatas"][number]
    if space != "cosine":
        assert np.array_equal(np.asarray(found["n7"]["vec"], "<f4"), vectors(COUNT)[7])
    assert found["n4"]["body"] == "changed"
    assert {each.collection for each in convert(tmp_path / "chroma", tmp_path)} == {"notes", "empty"}
    with open(tmp_path / "chroma" / "chroma.sqlite3", "r+b") as stream:
        stream.write(b"x" * 5000)
    with pytest.raises(DamagedFileError):
        list(convert(tmp_path / "chroma", tmp_path / "new.flac", collection="notes"))


@pytest.mark.parametrize("door", ["lance", "lancedb"])
def test_lancedb(tmp_path: Path, door: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import lancedb
    import pyarrow as pa

    table = pa.table(
        {
            "id": pa.array(range(COUNT)),
            "text": TEXTS,
            "vector": pa.FixedSizeListArray.from_arrays(vectors(COUNT).reshape(-1), WIDTH),
            "half": pa.FixedSizeListArray.from_arrays(vectors(COUNT).reshape(-1).astype("f2"), WIDTH),
            "when": pa.array([1_700_000_000_000_000 + row for row in range(COUNT)], pa.timestamp("us")),
            "tags": [["a", "b"]] * COUNT,
            "where": [{"page": row} for row in range(COUNT)],
        }
    )
    made = lancedb.connect(tmp_path / "db").create_table("notes", table)
    made.create_index(metric="cosine", vector_column_name="vector", index_type="IVF_FLAT", num_partitions=2)
    made.delete("id = 3")
    made.add(table.slice(0, 1).set_column(0, "id", pa.array([COUNT])))
    if door == "lancedb":
        monkeypatch.setitem(sys.modules, "lance", None)
    done = converted(tmp_path / "db", tmp_path / "kb.flac", key="id")
    assert (done.kind, done.rows) == ("LanceDB", COUNT)
    assert done.columns == (
        f"id INTEGER PRIMARY KEY, text TEXT INDEXED, vector FLOAT[{WIDTH}] INDEXED(metric=cosine), "
        f"half FLOAT[{WIDTH}] INDEXED(metric=l2), when TIMESTAMP, tags JSON, where JSON"
    ).replace("when", '"when"').replace("where", '"where"')
    assert any("tags, where" in note for note in done.notes)
    truth = np.delete(vectors(COUNT), 3, 0)
    assert np.array_equal(column(tmp_path / "kb.flac", "vector")[:-1], truth)
    assert np.array_equal(column(tmp_path / "kb.flac", "half")[:-1], truth.astype("f2").astype("f4"))
    last = rows_of(tmp_path / "kb.flac")[-1]
    assert (last["id"], last["text"], last["tags"], last["where"]) == (
        COUNT,
        "note 0",
        '["a", "b"]',
        '{"page": 0}',
    )
    one = converted(tmp_path / "db" / "notes.lance", tmp_path / "one.flac")
    assert one.rows == COUNT


def test_qdrant(tmp_path: Path) -> None:
    from qdrant_client import QdrantClient, models

    folder = tmp_path / "qdrant"
    client = QdrantClient(path=str(folder))
    client.create_collection(
        "notes", vectors_config=models.VectorParams(size=WIDTH, distance=models.Distance.DOT)
    )
    points = [
        models.PointStruct(
            id=row,
            vector=vectors(300)[row].tolist(),
            payload={"text": TEXTS[row], **METADATA[row], "tags": ["a"]},
        )
        for row in range(300)
    ]
    client.upsert("notes", points)
    client.delete("notes", points_selector=models.PointIdsList(points=[3]))
    client.set_payload("notes", {"year": 1}, points=[4])
    client.create_collection(
        "named",
        vectors_config={
            "image": models.VectorParams(size=WIDTH, distance=models.Distance.EUCLID),
            "words": models.VectorParams(size=4, distance=models.Distance.MANHATTAN),
        },
        sparse_vectors_config={"terms": models.SparseVectorParams()},
    )
    identity = str(uuid.uuid5(uuid.NAMESPACE_DNS, "a"))
    sparse = models.SparseVector(indices=[1, 5], values=[0.5, 0.25])
    client.upsert(
        "named",
        [
            models.PointStruct(
                id=identity, vector={"image": vectors(1)[0].tolist(), "terms": sparse}, payload=None
            ),
            models.PointStruct(id=7, vector={"words": [1.0, 2.0, 3.0, 4.0]}, payload={"a": None}),
        ],
    )
    truth, _ = client.scroll("notes", limit=1000, with_vectors=True)
    client.close()

    done = converted(folder, tmp_path / "kb.flac", "notes")
    assert done.columns == (
        "id INTEGER PRIMARY KEY, text TEXT INDEXED, year INTEGER, odd BOOLEAN, share REAL, metadata JSON, "
        f"vec FLOAT[{WIDTH}] INDEXED(metric=ip)"
    )
    found = {row["id"]: row for row in rows_of(tmp_path / "kb.flac")}
    assert len(found) == len(truth) == 299
    for point in truth:
        row = found[point.id]
        assert np.array_equal(np.asarray(row["vec"], "<f4"), np.asarray(point.vector, "<f4"))
        assert (row["text"], row["year"], row["share"]) == tuple(
            point.payload[k] for k in ("text", "year", "share")
        )

    done = converted(folder, tmp_path / "named.flac", "named")
    assert len(done.notes) == 2
    first, second = sorted(rows_of(tmp_path / "named.flac"), key=lambda row: len(row["id"]))
    assert (first["id"], first["image"], first["words"]) == ("7", None, [1.0, 2.0, 3.0, 4.0])
    assert (second["id"], second["words"]) == (identity, None)
    assert second["metadata"] == '{"terms": {"indices": [1, 5], "values": [0.5, 0.25]}}'


def test_langchain(tmp_path: Path) -> None:
    from langchain_community.vectorstores import FAISS
    from langchain_core.embeddings import DeterministicFakeEmbedding

    store = FAISS.from_texts(
        TEXTS[:50], DeterministicFakeEmbedding(size=WIDTH), metadatas=METADATA[:50], ids=IDS[:50]
    )
    store.delete(["n3"])
    store.save_local(str(tmp_path / "faiss"))
    done = converted(tmp_path / "faiss", tmp_path / "kb.flac")
    assert done.columns.startswith(
        "id TEXT PRIMARY KEY, body TEXT INDEXED, year INTEGER, odd BOOLEAN, share REAL"
    )
    rows = rows_of(tmp_path / "kb.flac")
    assert [row["id"] for row in rows] == [*IDS[:3], *IDS[4:50]]
    for number, row in enumerate(rows):
        document = store.docstore.search(row["id"])
        assert (row["body"], row["year"]) == (document.page_content, document.metadata["year"])
        assert np.array_equal(np.asarray(row["vec"], "<f4"), store.index.reconstruct(number))


def test_llm(tmp_path: Path) -> None:
    import llm
    import sqlite_utils

    class Model(llm.EmbeddingModel):  # type: ignore[misc]
        model_id = "fake"

        def embed_batch(self, items: Any) -> Any:
            for item in items:
                yield vectors(COUNT)[len(item)].tolist()

    database = sqlite_utils.Database(tmp_path / "embeddings.db")
    notes = llm.Collection("notes", database, model=Model())
    entries = [(f"n{row}", "x" * row, {"year": row} if row else None) for row in range(50)]
    notes.embed_multi_with_metadata(entries, store=True)
    llm.Collection("others", database, model=Model()).embed("a", "not kept")
    database.close()
    done = converted(tmp_path / "embeddings.db", tmp_path / "kb.flac", "notes")
    assert any("fake" in note for note in done.notes)
    assert done.columns == (
        f"id TEXT PRIMARY KEY, content TEXT INDEXED, updated INTEGER, year INTEGER, vec FLOAT[{WIDTH}] "
        "INDEXED(metric=cosine)"
    )
    for row in rows_of(tmp_path / "kb.flac"):
        number = int(row["id"][1:])
        assert (row["content"], row["year"]) == ("x" * number, number or None)
        assert np.array_equal(np.asarray(row["vec"], "<f4"), vectors(COUNT)[number])
    assert {each.collection: each.rows for each in convert(tmp_path / "embeddings.db", tmp_path)} == {
        "notes": 50,
        "others": 1,
    }


def test_transcripts(tmp_path: Path) -> None:
    """Those of docs/MOVING.md that need these packages."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
    }
    ran = 0
    for how, code in blocks(ROOT / "docs" / "MOVING.md"):
        for command, expected in _commands(code) if how == "stores" else ():
            done = subprocess.run(
                ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, env=environment
            )
            assert done.returncode == 0, done.stderr
            for line in expected:
                assert line in done.stdout.splitlines(), (command, done.stdout)
            ran += 1
    assert ran == 10
