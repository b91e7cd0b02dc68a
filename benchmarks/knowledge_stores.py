"""Knowledge bases of the same rows in several stores, behind one small interface.

It is: load, the nearest rows, the rows with some words.
"""

from __future__ import annotations

import datetime
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import pyarrow as pa

import audiomem_sql as am
from audiomem_sql.indexes.vectors import DECODED_LISTS
from audiomem_sql.machine.block_cache import SHARED as BLOCKS
from audiomem_sql.search.embedding import texts as table_texts
from audiomem_sql.storage.segment import DEFAULT_MODEL
from audiomem_sql.table.table import Table
from benchmarks.stores import COLUMNS
from benchmarks.vector_stores import extension_of_duckdb
from benchmarks.vectors import Array, K


class KnowledgeBase(ABC):
    """One store in a folder of its own."""

    name: str
    #: What it needs to be installed.
    needs: str | None = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)

    @abstractmethod
    def load(self, rows: pa.Table, vectors: Array) -> None:
        """Store all rows with their vectors, and make everything small and quick that can be made so."""

    @abstractmethod
    def open(self) -> None:
        """Open for reading, with nothing cached."""

    @abstractmethod
    def nearest(self, query: Array) -> list[int]:
        """The ids of the K nearest rows, whose bodies are read, too."""

    words: Callable[[Sequence[str]], list[int]] | None = None

    def close(self) -> None:  # noqa: B027
        """Let go of everything."""

    def size(self) -> int:
        """Bytes on the disk."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


class Given:
    """An embedder that knows the vectors of the rows."""

    name = DEFAULT_MODEL
    digest = b"vectors of a file"[:16]

    def __init__(self, texts: Sequence[str], vectors: Array) -> None:
        self.dimensions = vectors.shape[1]
        self._known: dict[str, Array] = {}
        for text, vector in zip(texts, vectors, strict=True):
            self._known.setdefault(text, vector)

    def embed(self, texts: Sequence[str], progress: Any = None) -> Array:
        """The vectors of ``texts``, float32 (len(texts), dimensions)."""
        return np.stack([self._known[text] for text in texts])


class Ours(KnowledgeBase):
    """AudioMemory SQL through SQLite, with FAISS."""

    name = "AudioMemory, protection=none"
    protection = "none"
    level = 19

    def load(self, rows: pa.Table, vectors: Array) -> None:
        embedder = Given(rows["body"].to_pylist(), vectors)
        table_texts.embedder_named = lambda name, backend="torch": embedder  # type: ignore[assignment]
        columns = (
            "id INTEGER PRIMARY KEY",
            "source TEXT",
            "title TEXT",
            "created_at TEXT",
            "body TEXT SEMANTIC INDEXED",
        )
        options = {"protection": self.protection, "passages": "off"}  # a row has the vector of the file
        with Table.create(self.folder / "kb.flac", columns, options) as table:
            table.append(rows)
            table.vacuum(level=self.level)

    def open(self) -> None:
        BLOCKS.clear()
        DECODED_LISTS.clear()
        self._connection = am.connect(self.folder / "kb.flac")

    def nearest(self, query: Array) -> list[int]:
        sql = "SELECT id, body FROM kb WHERE kb MATCH ? LIMIT 10"
        return [row[0] for row in self._connection.execute(sql, (query.tobytes(),))]

    def words(self, words: Sequence[str]) -> list[int]:
        """The ids of the ten best rows by BM25 that hold all the words."""
        sql = "SELECT id, body FROM kb WHERE kb MATCH ? ORDER BY rank LIMIT 10"
        query = "keyword: " + " ".join(f'"{word}"' for word in words)
        return [row[0] for row in self._connection.execute(sql, (query,))]

    def close(self) -> None:
        self._connection.close()


class OursArchived(Ours):
    """The same, protected against the loss of 15 % of its sectors."""

    name = "AudioMemory, protection=archive"
    protection = "archive"


class Sqlite(KnowledgeBase):
    """A table of SQLite, with FTS5 beside it; ``vectors``: how the vectors are kept."""

    def load(self, rows: pa.Table, vectors: Array) -> None:
        self.open()
        sql = self._connection
        sql.execute(
            "CREATE TABLE kb(id INTEGER PRIMARY KEY, source TEXT, title TEXT, created_at TEXT, body TEXT);"
            "CREATE VIRTUAL TABLE fts USING fts5(body, content='kb', content_rowid='id')"
        )
        with sql:
            values = zip(*(rows[name].to_pylist() for name in COLUMNS), strict=True)
            sql.executemany("INSERT INTO kb VALUES (?, ?, ?, ?, ?)", values)
            self.keep(rows["id"].to_pylist(), vectors)
        sql.execute("INSERT INTO fts(fts) VALUES ('rebuild'); INSERT INTO fts(fts) VALUES ('optimize')")
        sql.execute("VACUUM")
        self.close()

    @abstractmethod
    def keep(self, ids: list[int], vectors: Array) -> None:
        """Store the vectors."""

    def open(self) -> None:
        self._connection = apsw.Connection(str(self.folder / "kb.sqlite"))

    def words(self, words: Sequence[str]) -> list[int]:
        """The ids of the ten best rows by BM25 that hold all the words."""
        sql = (
            "SELECT id, body FROM fts JOIN kb ON id = fts.rowid WHERE fts MATCH ? ORDER BY fts.rank LIMIT 10"
        )
        query = " ".join(f'"{word}"' for word in words)
        return [row[0] for row in self._connection.execute(sql.replace("id, body", "id, kb.body"), (query,))]

    def close(self) -> None:
        self._connection.close()


class SqliteVec(Sqlite):
    """SQLite, FTS5 and sqlite-vec with float32 vectors: exact."""

    name = "SQLite + FTS5 + sqlite-vec"
    needs = "sqlite_vec"
    kind, given = "float[{0}]", "?"

    def open(self) -> None:
        import sqlite_vec

        super().open()
        self._connection.enable_load_extension(True)
        self._connection.load_extension(sqlite_vec.loadable_path())

    def keep(self, ids: list[int], vectors: Array) -> None:
        kind = self.kind.format(vectors.shape[1])
        self._connection.execute(
            f"CREATE VIRTUAL TABLE vec USING vec0(id INTEGER PRIMARY KEY, e {kind} distance_metric=cosine)"
        )
        rows = ((number, vector.tobytes()) for number, vector in zip(ids, vectors, strict=True))
        self._connection.executemany(f"INSERT INTO vec VALUES (?, {self.given})", rows)

    def nearest(self, query: Array) -> list[int]:
        sql = (
            "SELECT kb.id, body "
            f"FROM (SELECT id, distance FROM vec WHERE e MATCH {self.given} AND k = {K}) AS v "
            "JOIN kb ON kb.id = v.id ORDER BY distance"
        )
        return [row[0] for row in self._connection.execute(sql, (query.tobytes(),))]


class SqliteVecInt8(SqliteVec):
    """The same with vectors of int8."""

    name = "SQLite + FTS5 + sqlite-vec int8"
    kind, given = "int8[{0}]", "vec_quantize_int8(?, 'unit')"


class Faiss(Sqlite):
    """FAISS's flat index in a file beside SQLite: exact."""

    name = "FAISS flat + SQLite + FTS5"
    needs = "faiss"

    def keep(self, ids: list[int], vectors: Array) -> None:
        import faiss

        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(vectors)
        faiss.write_index(index, str(self.folder / "kb.faiss"))
        np.save(self.folder / "ids.npy", np.array(ids))

    def open(self) -> None:
        import faiss

        super().open()
        if (self.folder / "kb.faiss").exists():
            self._index = faiss.read_index(str(self.folder / "kb.faiss"))
            self._ids = np.load(self.folder / "ids.npy")

    def nearest(self, query: Array) -> list[int]:
        rowids = self._ids[self._index.search(query[np.newaxis], K)[1][0]].tolist()
        sql = f"SELECT id, body FROM kb WHERE id IN ({', '.join('?' * len(rowids))})"
        assert len(self._connection.execute(sql, rowids).fetchall()) == len(rowids)
        return list(rowids)


class Lance(KnowledgeBase):
    """LanceDB with an FTS index and no index of the vectors: exact."""

    name = "LanceDB + FTS"
    needs = "lancedb"
    index: Any = None

    def load(self, rows: pa.Table, vectors: Array) -> None:
        import lancedb
        from lancedb.index import FTS, BTree, IvfPq

        flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
        table = lancedb.connect(str(self.folder)).create_table("kb", data=rows.append_column("vec", flat))
        table.create_index("id", config=BTree())
        table.create_index("body", config=FTS())
        if self.index is not None:
            table.create_index("vec", config=IvfPq(distance_type="cosine"))
        table.optimize(cleanup_older_than=datetime.timedelta(0), delete_unverified=True)

    def open(self) -> None:
        import lancedb

        self._table = lancedb.connect(str(self.folder)).open_table("kb")

    def nearest(self, query: Array) -> list[int]:
        search = self._table.search(query).distance_type("cosine").limit(K)
        if self.index is not None:
            search = search.refine_factor(self.index)
        rowids: list[int] = search.select(["id", "body", "_distance"]).to_arrow()["id"].to_pylist()
        return rowids

    def words(self, words: Sequence[str]) -> list[int]:
        """The ids of the ten best rows by BM25 that hold all the words."""
        from lancedb.query import FullTextOperator, MatchQuery

        match_query = MatchQuery(" ".join(words), "body", operator=FullTextOperator.AND)
        search = self._table.search(match_query, query_type="fts").limit(10).select(["id", "body", "_score"])
        rowids: list[int] = search.to_arrow()["id"].to_pylist()
        return rowids


class LanceIvf(Lance):
    """The same with its index of vectors: IVF_PQ with the defaults, and ten times K exact distances."""

    name = "LanceDB IVF_PQ, refined + FTS"
    index = 10


class Chroma(KnowledgeBase):
    """Chroma with its defaults, HNSW; it has no ranking of words."""

    name = "Chroma"
    needs = "chromadb"

    def _client(self) -> Any:
        import chromadb

        return chromadb.PersistentClient(
            str(self.folder), settings=chromadb.Settings(anonymized_telemetry=False)
        )

    def load(self, rows: pa.Table, vectors: Array) -> None:
        collection = self._client().create_collection(
            "knowledge", embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
        )
        for start in range(0, len(rows), 5000):
            part = rows.slice(start, 5000)
            collection.add(
                ids=[str(number) for number in part["id"].to_pylist()],
                embeddings=vectors[start : start + 5000],
                documents=part["body"].to_pylist(),
                metadatas=part.select(["source", "title", "created_at"]).to_pylist(),
            )
        tool = "import sys; from chromadb.cli.cli import app; sys.argv[0] = 'chroma'; app()"
        subprocess.run(
            [sys.executable, "-c", tool, "vacuum", "--path", self.folder, "--force"],
            check=True,
            capture_output=True,
        )

    def open(self) -> None:
        self._collection = self._client().get_collection("knowledge", embedding_function=None)

    def nearest(self, query: Array) -> list[int]:
        answer = self._collection.query(
            query_embeddings=[query], n_results=K, include=["documents", "distances"]
        )
        return [int(number) for number in answer["ids"][0]]


class DuckDb(KnowledgeBase):
    """DuckDB with its extensions for graphs of vectors and for words."""

    name = "DuckDB vss + fts"
    needs = "duckdb_extension_fts"

    def load(self, rows: pa.Table, vectors: Array) -> None:
        self.open()
        width = vectors.shape[1]
        flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), width)
        loaded = rows.append_column("vec", flat)
        sql = self._connection
        sql.execute(f"CREATE TABLE kb AS SELECT * REPLACE (vec::FLOAT[{width}] AS vec) FROM loaded")
        sql.execute("CREATE INDEX graph ON kb USING HNSW (vec) WITH (metric = 'cosine')")
        sql.execute("PRAGMA create_fts_index('kb', 'id', 'body')")
        sql.execute("CHECKPOINT")
        del loaded
        self.close()

    def open(self) -> None:
        import duckdb

        self._connection = duckdb.connect()
        for name in ("vss", "fts"):
            self._connection.execute(f"LOAD {extension_of_duckdb(name)}")
        self._connection.execute("SET hnsw_enable_experimental_persistence = true")
        self._connection.execute(f"ATTACH '{self.folder / 'kb.duckdb'}' AS file; USE file")

    def nearest(self, query: Array) -> list[int]:
        order = f"array_cosine_distance(vec, ?::FLOAT[{len(query)}])"
        sql = f"SELECT id, body FROM kb ORDER BY {order} LIMIT {K}"
        return [row[0] for row in self._connection.execute(sql, [str(query.tolist())]).fetchall()]

    def words(self, words: Sequence[str]) -> list[int]:
        """The ids of the ten best rows by BM25 that hold all the words."""
        score = "fts_main_kb.match_bm25(id, ?, conjunctive := 1)"
        sql = f"SELECT id, body FROM (SELECT id, body, {score} AS score FROM kb) WHERE score IS NOT NULL "
        sql += "ORDER BY score DESC LIMIT 10"
        return [row[0] for row in self._connection.execute(sql, [" ".join(words)]).fetchall()]

    def close(self) -> None:
        self._connection.close()


STORES: dict[str, type[KnowledgeBase]] = {
    "audiomem": Ours,
    "archive": OursArchived,
    "sqlite-vec": SqliteVec,
    "sqlite-vec-int8": SqliteVecInt8,
    "faiss": Faiss,
    "lancedb": Lance,
    "lancedb-ivf": LanceIvf,
    "chroma": Chroma,
    "duckdb": DuckDb,
}
