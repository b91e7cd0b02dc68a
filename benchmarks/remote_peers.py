"""A knowledge base in an object store, asked by ours and by others: trips, requests, bytes, milliseconds.

    python -m benchmarks.remote_peers --data rows.parquet --vectors emb.npy --queries queries.npy \
        [--rows 100000] [--stores ours duckdb lance sqlite]

The store is SeaweedFS behind a proxy that adds 60 ms to each request and counts them. Trips are the most
requests that came one after another. Each line but "next" is of a table that was not open. The vectors of the
rows are those of the file, and the texts of the rows that have one are the second table. DuckDB reads Parquet
through its extension httpfs (the package duckdb-extension-httpfs, of one release of DuckDB), SQLite its
database through a VFS that reads ranges. Stores that are not installed are left out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import apsw
import duckdb
import numpy as np
import obstore
import pyarrow as pa
import pyarrow.parquet as pq
from obstore.store import S3Store

import audiomem_sql as am
from audiomem_sql.indexes.vectors import DECODED_LISTS, KNOWN_INDEXES
from audiomem_sql.machine.block_cache import SHARED as BLOCKS
from audiomem_sql.search.embedding import texts as table_texts
from audiomem_sql.table.table import Table
from benchmarks.knowledge import word_queries
from benchmarks.knowledge_stores import Given
from benchmarks.range_vfs import opened
from benchmarks.remote import BUCKET, store
from benchmarks.vector_stores import extension_of_duckdb
from benchmarks.vectors import Array, exact, normal, recall
from benchmarks.watched_proxy import serve

#: Of each store, in turn.
SCANS = 7
#: Questions of each kind to a warm disk tier.
WARM = 20
COLUMNS = ("id", "source", "title", "created_at", "body")
K = 10


class Peer:
    """One store. Each question gives ids."""

    name: str
    #: Questions for the nearest ten, at most.
    queries = 200

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder

    def load(self, rows: pa.Table, vectors: Array, direct: S3Store, upstream: str) -> None:
        raise NotImplementedError

    def row(self, number: int) -> Any:
        raise NotImplementedError

    def words(self, words: Sequence[str]) -> Any:
        raise NotImplementedError

    def nearest(self, query: Array) -> list[int]:
        raise NotImplementedError

    def ten_rows(self, ids: Sequence[int]) -> Any:
        """Of the table that answered last."""
        raise NotImplementedError

    def scan(self) -> int:
        raise NotImplementedError


class Ours(Peer):
    name = "AudioMemory"

    def load(self, rows: pa.Table, vectors: Array, direct: S3Store, upstream: str) -> None:
        embedder = Given(rows["body"][: len(vectors)].to_pylist(), vectors)
        table_texts.embedder_named = lambda name, backend="torch": embedder  # type: ignore[assignment]
        columns = ["id INTEGER PRIMARY KEY", "source TEXT", "title TEXT", "created_at TEXT"]
        for name, kind, own in (("texts", "", rows), ("meaning", " SEMANTIC", rows[: len(vectors)])):
            path = self.folder / f"{name}.flac"
            made = [*columns, f"body TEXT{kind} INDEXED"]
            with Table.create(path, made, {"passages": "off"}) as table:
                table.append(own)
                table.vacuum(layout="remote")
            print(f"{path.name}: {len(own):,} rows, {path.stat().st_size:,} bytes")
            obstore.put(direct, path.name, path.read_bytes())

    def _open(self, name: str, cache: Any = None) -> Table:
        forget()
        self.table = am.open(f"s3://{BUCKET}/{name}.flac", cache=cache)
        return self.table

    def row(self, number: int) -> Any:
        return self._open("texts").get(number)

    def words(self, words: Sequence[str]) -> Any:
        return self._open("texts").search("words: " + " ".join(words), columns=["id"])["id"].to_pylist()

    def nearest(self, query: Array) -> list[int]:
        return self._open("meaning").search(vector=query, columns=["id"])["id"].to_pylist()

    def ten_rows(self, ids: Sequence[int]) -> Any:
        return self.table.to_arrow(where=f"id IN ({', '.join(map(str, ids))})")

    def scan(self) -> int:
        BLOCKS.clear()
        sql = duckdb.connect()
        am.attach(sql, f"s3://{BUCKET}/texts.flac", "kb")
        return int(sql.execute("SELECT sum(length(body)) FROM kb").fetchall()[0][0])


class DuckDb(Peer):
    name = "DuckDB over Parquet"
    queries = 5

    def load(self, rows: pa.Table, vectors: Array, direct: S3Store, upstream: str) -> None:
        with_vectors = rows[: len(vectors)].append_column(
            "vec", pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
        )
        for name, own in (("texts", rows), ("meaning", with_vectors)):
            path = self.folder / f"{name}.parquet"
            pq.write_table(own, path, compression="zstd", compression_level=9, row_group_size=20_000)
            print(f"{path.name}: {path.stat().st_size:,} bytes")
            obstore.put(direct, path.name, path.read_bytes())

    def _open(self) -> duckdb.DuckDBPyConnection:
        self._sql = duckdb.connect(config={"allow_unsigned_extensions": True})
        host = self.url.removeprefix("http://")
        self._sql.execute(
            f"LOAD {extension_of_duckdb('httpfs')}; SET s3_endpoint = '{host}'; SET s3_use_ssl = false; "
            "SET s3_url_style = 'path'; SET s3_access_key_id = 'benchmark'; "
            "SET s3_secret_access_key = 'benchmark'; SET enable_http_metadata_cache = true"
        )
        return self._sql

    def row(self, number: int) -> Any:
        return self._open().execute(f"FROM 's3://{BUCKET}/texts.parquet' WHERE id = {number}").fetchall()

    def words(self, words: Sequence[str]) -> Any:
        held = " AND ".join(f"contains(lower(body), '{word}')" for word in words)
        return self._open().execute(f"SELECT id FROM 's3://{BUCKET}/texts.parquet' WHERE {held}").fetchall()

    def nearest(self, query: Array) -> list[int]:
        distance = f"array_cosine_distance(vec::FLOAT[{len(query)}], {query.tolist()}::FLOAT[{len(query)}])"
        sql = f"SELECT id FROM 's3://{BUCKET}/meaning.parquet' ORDER BY {distance} LIMIT {K}"
        return [row[0] for row in self._open().execute(sql).fetchall()]

    def ten_rows(self, ids: Sequence[int]) -> Any:
        chosen = ", ".join(map(str, ids))
        return self._sql.execute(f"FROM 's3://{BUCKET}/texts.parquet' WHERE id IN ({chosen})").fetchall()

    def scan(self) -> int:
        sql = f"SELECT sum(length(body)) FROM 's3://{BUCKET}/texts.parquet'"
        return int(self._open().execute(sql).fetchall()[0][0])


class Lance(Peer):
    name = "LanceDB"

    def _connect(self, url: str) -> Any:
        import lancedb

        options = {"aws_endpoint": url, "allow_http": "true", "aws_region": "us-east-1"}
        options |= {"aws_access_key_id": "benchmark", "aws_secret_access_key": "benchmark"}
        return lancedb.connect(f"s3://{BUCKET}/lance", storage_options=options)

    def load(self, rows: pa.Table, vectors: Array, direct: S3Store, upstream: str) -> None:
        database = self._connect(upstream)
        vec = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
        texts = database.create_table("texts", rows)
        texts.create_scalar_index("id")
        texts.create_fts_index("body")
        meaning = database.create_table("meaning", rows[: len(vectors)].append_column("vec", vec))
        meaning.create_index(metric="cosine", vector_column_name="vec")

    def _open(self, name: str) -> Any:
        self._table = self._connect(self.url).open_table(name)
        return self._table

    def row(self, number: int) -> Any:
        return self._open("texts").search().where(f"id = {number}").limit(1).to_list()

    def words(self, words: Sequence[str]) -> Any:
        found = self._open("texts").search(" ".join(words), query_type="fts").limit(K)
        return found.select(["id"]).to_list()

    def nearest(self, query: Array) -> list[int]:
        found = self._open("meaning").search(query).distance_type("cosine").refine_factor(4).limit(K)
        return [row["id"] for row in found.select(["id"]).to_list()]

    def ten_rows(self, ids: Sequence[int]) -> Any:
        chosen = ", ".join(map(str, ids))
        found = self._table.search().where(f"id IN ({chosen})").limit(K)
        return found.select(list(COLUMNS)).to_list()

    def scan(self) -> int:
        batches = self._open("texts").search().select(["body"]).limit(10**9).to_batches()
        return sum(sum(map(len, batch["body"].to_pylist())) for batch in batches)


class Sqlite(Peer):
    name = "SQLite through ranges"

    def load(self, rows: pa.Table, vectors: Array, direct: S3Store, upstream: str) -> None:
        path = self.folder / "kb.db"
        sql = apsw.Connection(str(path))
        sql.execute(
            "CREATE TABLE kb(id INTEGER PRIMARY KEY, source TEXT, title TEXT, created_at TEXT, body TEXT);"
            "CREATE VIRTUAL TABLE fts USING fts5(body, content='kb', content_rowid='id')"
        )
        with sql:
            values = zip(*(rows[name].to_pylist() for name in COLUMNS), strict=True)
            sql.executemany("INSERT INTO kb VALUES (?, ?, ?, ?, ?)", values)
            sql.execute("INSERT INTO fts(fts) VALUES ('rebuild'); INSERT INTO fts(fts) VALUES ('optimize')")
        sql.execute("VACUUM")
        sql.close()
        print(f"{path.name}: {path.stat().st_size:,} bytes")
        obstore.put(direct, path.name, path.read_bytes())

    def _open(self) -> apsw.Connection:
        self._vfs, self._sql = opened(f"{self.url}/{BUCKET}/kb.db")
        return self._sql

    def row(self, number: int) -> Any:
        return self._open().execute("SELECT * FROM kb WHERE id = ?", (number,)).fetchall()

    def words(self, words: Sequence[str]) -> Any:
        match = " ".join(f'"{word}"' for word in words)
        sql = "SELECT rowid FROM fts WHERE fts MATCH ? ORDER BY rank LIMIT 10"
        return self._open().execute(sql, (match,)).fetchall()

    def ten_rows(self, ids: Sequence[int]) -> Any:
        return self._sql.execute(f"SELECT * FROM kb WHERE id IN ({', '.join(map(str, ids))})").fetchall()

    def scan(self) -> int:
        return int(self._open().execute("SELECT sum(length(body)) FROM kb").fetchall()[0][0])


PEERS = {"ours": Ours, "duckdb": DuckDb, "lance": Lance, "sqlite": Sqlite}


def forget() -> None:
    """Forget what this process has decoded: the next query finds what a new process does."""
    BLOCKS.clear()
    DECODED_LISTS.clear()
    KNOWN_INDEXES.clear()


def asked(proxy: Connection, ask: Callable[..., Any], *question: Any) -> tuple[float, float, float, float]:
    """Trips, requests, KB and milliseconds of a question."""
    proxy.send(True)
    proxy.recv()
    began = time.perf_counter()
    ask(*question)
    seconds = time.perf_counter() - began
    proxy.send(True)
    return *proxy.recv(), seconds * 1000


def line(
    peer: Peer, what: str, measured: Sequence[tuple[float, float, float, float]], note: str = ""
) -> None:
    """Print the means of several, and the median of the milliseconds."""
    trips, requests, kilobytes, times = zip(*measured, strict=True)
    means = f"{statistics.fmean(trips):.1f} | {statistics.fmean(requests):.1f}"
    cells = f"{means} | {statistics.fmean(kilobytes):,.0f}"
    print(f"| {what} | {peer.name} | {cells} | {statistics.median(times):,.1f} | {note} |", flush=True)


def questions(
    peer: Peer, proxy: Connection, rows: pa.Table, vectors: Array, queries: Array, count: int
) -> None:
    """Print the lines of one store."""
    rng = np.random.default_rng(5)
    ids = rows["id"].to_numpy()
    numbers = rng.choice(ids, count, replace=False).tolist()
    line(peer, "open + row", [asked(proxy, peer.row, each) for each in numbers])
    pairs = word_queries(rows)[:count]
    line(peer, "open + two words, ids", [asked(proxy, peer.words, each) for each in pairs])
    tens = [np.sort(rng.choice(ids, K, replace=False)).tolist() for _ in range(count)]
    later = []
    for pair, ten in zip(pairs, tens, strict=True):
        peer.words(pair)
        later.append(asked(proxy, peer.ten_rows, ten))
    line(peer, "ten rows to it", later)
    if type(peer).nearest is not Peer.nearest:
        queries = queries[: peer.queries]
        truth, found, measured = exact(vectors, queries), [], []
        for query in queries:
            measured.append(asked(proxy, lambda query: found.append(peer.nearest(query)), query))
        first = int(ids[0])
        note = f"recall@10 {recall(truth, np.array(found) - first):.3f}"
        line(peer, "open + nearest ten, ids", measured, note)


def warm(peer: Ours, proxy: Connection, rows: pa.Table, queries: Array, folder: Path) -> None:
    """Lines of second queries, by a process whose cache on the disk has what the first ones read.

    As in a new process, whose imports are not counted; of a table that was closed and opened again; and other
    questions to one that stays open. Opening is not counted. The note is the time of the processor.
    """
    cache = [f"disk:{folder}/tier:1GB"]
    pairs = word_queries(rows)
    spent: list[float] = []

    def timed(ask: Callable[[Table, int], Any], table: Table, number: int) -> None:
        began = time.process_time()
        ask(table, number)
        spent.append((time.process_time() - began) * 1000)

    for what, name, ask in (
        ("a row", "texts", lambda table, n: table.get(777 + n)),
        ("two words", "texts", lambda table, n: table.search("words: " + " ".join(pairs[n]), columns=["id"])),
        ("nearest ten", "meaning", lambda table, n: table.search(vector=queries[n], columns=["id"])),
    ):
        for n in range(WARM):  # so that the disk has what they read
            ask(peer._open(name, cache), n)
            peer.table.close()
        kinds: dict[str, Callable[[], None]] = {"as a new process": forget, "opened again": lambda: None}
        for kind, before in kinds.items():
            spent.clear()
            measured = []
            for n in range(WARM):
                before()
                table = am.open(f"s3://{BUCKET}/{name}.flac", cache=cache)
                measured.append(asked(proxy, timed, ask, table, n))
                table.close()
            note = f"{statistics.median(spent):.1f} of the processor"
            line(peer, f"{what}, disk tier warm, {kind}", measured, note)
        forget()
        table = am.open(f"s3://{BUCKET}/{name}.flac", cache=cache)
        spent.clear()
        measured = [asked(proxy, timed, ask, table, n) for n in range(WARM)]
        table.close()
        note = f"{statistics.median(spent):.1f} of the processor"
        line(peer, f"{what}, disk tier warm, one after another", measured, note)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="a Parquet file with the columns " + ", ".join(COLUMNS))
    parser.add_argument("--vectors", type=Path, required=True, help="of its first rows, (n, d)")
    parser.add_argument("--queries", type=Path, required=True, help="vectors, (m, d)")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--count", type=int, default=20, help="questions of each kind")
    parser.add_argument("--stores", nargs="*", choices=list(PEERS), default=list(PEERS))
    arguments = parser.parse_args()
    rows = pq.read_table(arguments.data, columns=list(COLUMNS)).slice(0, arguments.rows).combine_chunks()
    rows = rows.set_column(3, "created_at", rows["created_at"].cast(pa.string()))
    rows = rows.set_column(0, "id", pa.array(range(1, len(rows) + 1), pa.int64()))
    vectors, queries = normal(np.load(arguments.vectors))[: len(rows)], normal(np.load(arguments.queries))
    with tempfile.TemporaryDirectory() as folder, store() as port:
        upstream = f"http://127.0.0.1:{port}"
        proxy, end = Pipe()
        process = get_context("spawn").Process(target=serve, args=(port, end), daemon=True)
        process.start()
        url = proxy.recv()
        os.environ |= {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "benchmark",
            "AWS_SECRET_ACCESS_KEY": "benchmark",
            "AUDIOMEM_REMOTE_HEDGE": "0",
        }
        options: dict[str, Any] = {"access_key_id": "benchmark", "secret_access_key": "benchmark"}
        direct = S3Store(BUCKET, endpoint=upstream, client_options={"allow_http": True}, **options)
        peers = [PEERS[name](url, Path(folder)) for name in arguments.stores]
        for peer in peers:
            peer.load(rows, vectors, direct, upstream)
        print("\n| query | store | trips | requests | KB | ms | |\n|---|---|---|---|---|---|---|")
        for peer in peers:
            questions(peer, proxy, rows, vectors, queries, arguments.count)
            if isinstance(peer, Ours):
                warm(peer, proxy, rows, queries, Path(folder))
        scans: list[list[tuple[float, float, float, float]]] = [[] for _ in peers]
        for _ in range(SCANS):
            for peer, measured in zip(peers, scans, strict=True):
                measured.append(asked(proxy, peer.scan))
        for peer, measured in zip(peers, scans, strict=True):
            line(peer, "full scan of the texts", measured)
        proxy.send(False)
        process.join(10)


if __name__ == "__main__":
    main()
