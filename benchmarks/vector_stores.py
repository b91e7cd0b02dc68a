"""Indexes of the same vectors in several libraries, behind one small interface: make, search, bytes.

A library that is not installed is passed over. Each has the settings at which it is searched, from quick to
thorough, which is one line of the table each.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from audiomem_sql.connections import connect
from audiomem_sql.indexes.vectors import DECODED_LISTS
from audiomem_sql.indexes.vectors.index import VectorIndex
from audiomem_sql.indexes.vectors.index_writing import encode_index
from audiomem_sql.machine.block_cache import SHARED as BLOCKS
from audiomem_sql.table.table import Table

Array = np.ndarray[Any, Any]
K = 10


class VectorStore(ABC):
    """One index in a folder of its own."""

    name: str
    #: What it is searched with, from quick to thorough.
    settings: ClassVar[tuple[Any, ...]] = (None,)
    #: Rows above which making it takes hours, or a search seconds.
    most = 1 << 40
    #: How a setting is called in the table.
    told: ClassVar[str] = "{}"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)

    @abstractmethod
    def make(self, vectors: Array) -> None:
        """Index float32 (n, d) of length 1, whose ids are 0, 1, …. ImportError if the library is missing."""

    @abstractmethod
    def search(self, query: Array, setting: Any) -> list[int]:
        """The ids of the K nearest by cosine."""

    def size(self) -> int:
        """Bytes on the disk."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


class Codes(VectorStore):
    """What a SEMANTIC column keeps of the vectors of its texts."""

    name = "AudioMemory, vectors of texts"
    settings = (0.12, None)
    told = "{:.0%} of the lists"

    def make(self, vectors: Array) -> None:
        index = encode_index(vectors)
        DECODED_LISTS.clear()
        self._size = index.size
        self._reader = VectorIndex(index.header, len(vectors), index.lists.__getitem__)

    def search(self, query: Array, setting: Any) -> list[int]:
        probes = None if setting is None else max(1, int(setting * self._reader.lists))
        return self._reader.search(query[None], K, probes=probes)[0][0].tolist()  # type: ignore[no-any-return]

    def size(self) -> int:
        """Bytes of the index, all parts counted."""
        return self._size


class Indexed(VectorStore):
    """A column of vectors that gives them back as they are, searched in SQL."""

    name = "AudioMemory, FLOAT INDEXED"
    element = "FLOAT"
    indexed = "INDEXED"
    options = ""
    #: Further columns of the definition, and what they hold.
    more: ClassVar[tuple[str, ...]] = ()

    def make(self, vectors: Array) -> None:
        path = self.folder / "store.flac"
        width = vectors.shape[1]
        columns = [
            "id INTEGER PRIMARY KEY",
            f"v {self.element}[{width}] {self.indexed}{self.options}",
            *self.more,
        ]
        with Table.create(path, columns, {"protection": "none", "compression_level": 3}) as table:
            values = pa.FixedSizeListArray.from_arrays(self.stored(vectors).ravel(), width)
            table.append(pa.table({"id": np.arange(len(vectors)), "v": values, **self.others(len(vectors))}))
        BLOCKS.clear()
        self._sql = connect(path)

    def stored(self, vectors: Array) -> Array:
        """The vectors as the column has them."""
        return vectors

    def others(self, rows: int) -> dict[str, Array]:
        """The values of further columns."""
        return {}

    def search(self, query: Array, setting: Any) -> list[int]:
        condition = "" if setting is None else f" AND {setting}"
        sql = f"SELECT id FROM store WHERE v MATCH ? AND k = {K}{condition}"
        asked = query.astype("<f4", copy=False).tobytes()
        return [row[0] for row in self._sql.execute(sql, (asked,))]


class IndexedParts(Indexed):
    """The same beside a column ``part`` from 0 to 9,999 in no order, for filters."""

    more = ("part INTEGER",)

    def others(self, rows: int) -> dict[str, Array]:
        return {"part": self.parts(rows)}

    @staticmethod
    def parts(rows: int) -> Array:
        """The part of each row."""
        return np.random.default_rng(5).integers(0, 10_000, rows)


class IndexedSmall(Indexed):
    """The same with small codes."""

    name = "AudioMemory, FLOAT INDEXED(codes=small)"
    options = "(codes=small)"


class NotIndexed(Indexed):
    """The same, all vectors compared."""

    name = "AudioMemory, FLOAT"
    indexed = ""


class IndexedInt8Codes(Indexed):
    """The same with a byte a number in the index."""

    name = "AudioMemory, FLOAT INDEXED(codes=int8)"
    options = "(codes=int8)"


class IndexedInt8(Indexed):
    """A byte a number, as the vectors come."""

    name = "AudioMemory, INT8 INDEXED"
    element = "INT8"

    def stored(self, vectors: Array) -> Array:
        return np.clip(np.rint(vectors * 127 / np.abs(vectors).max()), -127, 127).astype(np.int8)


class Faiss(VectorStore):
    """An index of FAISS by its factory's text."""

    factory: str
    told = "{} lists"

    def make(self, vectors: Array) -> None:
        import faiss

        faiss.omp_set_num_threads(2)
        lists = max(16, int(2 * np.sqrt(len(vectors))))
        factory = self.factory.format(lists=lists)
        self._index = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
        self._index.train(vectors[:: max(1, len(vectors) // 100_000)])
        self._index.add(vectors)
        self._size = len(faiss.serialize_index(self._index))
        faiss.omp_set_num_threads(1)

    def search(self, query: Array, setting: Any) -> list[int]:
        self.set(setting)
        return self._index.search(query[None], K)[1][0].tolist()  # type: ignore[no-any-return]

    def set(self, setting: Any) -> None:
        """Look through so many lists."""
        self._index.nprobe = setting

    def size(self) -> int:
        """Bytes of the index as FAISS writes it."""
        return self._size


class FaissIvf(Faiss):
    """Inverted lists of float32."""

    name = "FAISS IVF, float32"
    factory = "IVF{lists},Flat"
    settings = (8, 32, 128)


class FaissIvfSq8(Faiss):
    """Inverted lists of bytes."""

    name = "FAISS IVF, SQ8"
    factory = "IVF{lists},SQ8"
    settings = (8, 32, 128)


class FaissRaBitQ(Faiss):
    """Inverted lists of one bit a number."""

    name = "FAISS IVF, RaBitQ"
    factory = "IVF{lists},RaBitQ"
    settings = (32, 128)


class FaissHnsw(Faiss):
    """A graph over float32."""

    name = "FAISS HNSW32"
    factory = "HNSW32,Flat"
    settings = (32, 128)
    most = 200_000
    told = "{} candidates"

    def set(self, setting: Any) -> None:
        """Follow so many candidates."""
        self._index.hnsw.efSearch = setting


class SqliteVec(VectorStore):
    """A vec0 table, which compares all vectors."""

    name = "sqlite-vec, float32"
    type = "float"

    def make(self, vectors: Array) -> None:
        import apsw
        import sqlite_vec

        self._sql = apsw.Connection(str(self.folder / "v.sqlite"))
        self._sql.enable_load_extension(True)
        self._sql.load_extension(sqlite_vec.loadable_path())
        self._sql.execute(
            f"CREATE VIRTUAL TABLE v USING vec0(v {self.type}[{vectors.shape[1]}] distance_metric=cosine)"
        )
        with self._sql:
            self._sql.executemany(
                f"INSERT INTO v(rowid, v) VALUES (?, {self.value})",
                ((n, row.tobytes()) for n, row in enumerate(vectors)),
            )

    value = "?"

    def search(self, query: Array, setting: Any) -> list[int]:
        sql = f"SELECT rowid FROM v WHERE v MATCH {self.value} AND k = {K} ORDER BY distance"
        return [row[0] for row in self._sql.execute(sql, (query.tobytes(),))]


class SqliteVecInt8(SqliteVec):
    """The same with a byte a number."""

    name = "sqlite-vec, int8"
    type = "int8"
    value = "vec_quantize_int8(?, 'unit')"


class USearch(VectorStore):
    """A graph over float16."""

    name = "USearch HNSW, f16"
    settings = (32, 128)
    told = "{} candidates"
    most = 200_000

    def make(self, vectors: Array) -> None:
        from usearch.index import Index

        self._index = Index(ndim=vectors.shape[1], metric="cos", dtype="f16")
        self._index.add(np.arange(len(vectors)), vectors, threads=2)
        self._index.save(str(self.folder / "v.usearch"))

    def search(self, query: Array, setting: Any) -> list[int]:
        self._index.expansion_search = setting
        return self._index.search(query, K, threads=1).keys.tolist()  # type: ignore[no-any-return]


class LanceDb(VectorStore):
    """IVF_PQ with the vectors read again."""

    name = "LanceDB IVF_PQ, refined"
    settings = ((20, 4), (40, 10))
    told = "{0[0]} lists, {0[1]} times as many refined"

    def make(self, vectors: Array) -> None:
        import lancedb

        width = vectors.shape[1]
        values = pa.FixedSizeListArray.from_arrays(vectors.ravel(), width)
        database = lancedb.connect(str(self.folder))
        self._table = database.create_table("v", pa.table({"id": np.arange(len(vectors)), "v": values}))
        self._table.create_index(metric="cosine", vector_column_name="v", num_sub_vectors=width // 4)

    def search(self, query: Array, setting: Any) -> list[int]:
        probes, refine = setting
        found = self._table.search(query).distance_type("cosine").nprobes(probes).refine_factor(refine)
        return found.select(["id", "_distance"]).limit(K).to_arrow()["id"].to_pylist()  # type: ignore[no-any-return]


class Chroma(VectorStore):
    """A collection, with its graph."""

    name = "Chroma"
    most = 200_000

    def make(self, vectors: Array) -> None:
        import chromadb

        client = chromadb.PersistentClient(str(self.folder))
        self._rows = client.create_collection("vectors", metadata={"hnsw:space": "cosine"})
        for start in range(0, len(vectors), 5000):
            part = vectors[start : start + 5000]
            self._rows.add([str(n) for n in range(start, start + len(part))], embeddings=part.tolist())

    def search(self, query: Array, setting: Any) -> list[int]:
        return [int(n) for n in self._rows.query(query[None].tolist(), n_results=K, include=[])["ids"][0]]


class DuckDbVss(VectorStore):
    """DuckDB's graph, with the extension of the package, or one that is installed already."""

    name = "DuckDB vss"
    most = 200_000

    def make(self, vectors: Array) -> None:
        import duckdb

        self._sql = duckdb.connect(str(self.folder / "v.duckdb"))
        try:
            self._sql.execute(
                f"LOAD {extension_of_duckdb('vss')}; SET hnsw_enable_experimental_persistence = true"
            )
        except duckdb.Error as error:
            raise ImportError(str(error)) from None
        width = vectors.shape[1]
        values = pa.FixedSizeListArray.from_arrays(vectors.ravel(), width)
        rows = pa.table({"id": np.arange(len(vectors)), "v": values})
        self._sql.execute(f"CREATE TABLE v AS SELECT id, v::FLOAT[{width}] AS v FROM rows")
        self._sql.execute("CREATE INDEX i ON v USING HNSW (v) WITH (metric = 'cosine'); CHECKPOINT")
        self._width = width
        del rows

    def search(self, query: Array, setting: Any) -> list[int]:
        order = f"array_cosine_distance(v, ?::FLOAT[{self._width}])"
        sql = f"SELECT id FROM v ORDER BY {order} LIMIT {K}"
        asked = str(query.tolist())  # a parameter that is a list takes tens of milliseconds
        return [row[0] for row in self._sql.execute(sql, [asked]).fetchall()]


def extension_of_duckdb(name: str) -> str:
    """What LOAD takes: the file of the package that has the extension, or else its name.

    The packages duckdb-extension-vss and duckdb-extension-fts are of one release of DuckDB each.
    """
    try:
        package = importlib.import_module(f"duckdb_extension_{name}")
    except ImportError:
        return name
    folder = Path(next(iter(package.__path__)))
    return f"'{next(folder.rglob(f'{name}.duckdb_extension'))}'"


STORES: tuple[type[VectorStore], ...] = (
    Codes,
    Indexed,
    IndexedSmall,
    IndexedInt8,
    SqliteVec,
    SqliteVecInt8,
    FaissIvf,
    FaissIvfSq8,
    FaissRaBitQ,
    FaissHnsw,
    USearch,
    LanceDb,
    Chroma,
    DuckDbVss,
)
