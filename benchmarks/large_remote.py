"""A table of a million rows in an object store, its catalog in two levels: sizes, trips, requests, bytes.

    python -m benchmarks.large_remote --data rows.parquet --vectors emb.npy --queries queries.npy \
        --folder FOLDER [--rows 1000000] [--near]

Makes two tables in FOLDER, or takes those that are there: ``texts``, real texts with an index of their words,
and ``meaning``, vectors with short texts. A text is the first half of one that was given and the second half
of another, so that none is there twice; a vector is one that was given with noise of half its length. With
``--near`` the same tables are also written for local disks, which takes the longest, for the sizes alone.
The store is SeaweedFS behind a proxy that adds 60 ms to each request. Each question is of a table that was
just opened.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
import zlib
from collections.abc import Iterator
from multiprocessing import Pipe, get_context
from pathlib import Path
from typing import Any

import numpy as np
import obstore
import pyarrow as pa
import pyarrow.parquet as pq
from obstore.store import S3Store

from audiomem_sql.search.embedding import texts as table_texts
from audiomem_sql.storage.segment import DEFAULT_MODEL
from audiomem_sql.table.table import Table
from benchmarks.knowledge import word_queries
from benchmarks.remote import BUCKET, store
from benchmarks.remote_peers import COLUMNS, Ours, asked, line
from benchmarks.vectors import Array, normal
from benchmarks.watched_proxy import serve

AT_ONCE = 50_000
#: Fast to write; the dictionaries and blocks are what is compared, both with this level.
LEVEL = 3
TABLES = ("texts", "meaning")
WORD_COLUMNS = ["id INTEGER PRIMARY KEY", "source TEXT", "title TEXT", "created_at TEXT", "body TEXT INDEXED"]
VECTOR_COLUMNS = ["id INTEGER PRIMARY KEY", "body TEXT SEMANTIC"]


class Varied:
    """An embedder that gives each text a vector near one of those that it has."""

    name = DEFAULT_MODEL
    digest = b"vectors of a file"[:16]

    def __init__(self, vectors: Array) -> None:
        self._vectors, self.dimensions = vectors, vectors.shape[1]

    def embed(self, texts: Any, progress: Any = None) -> Array:
        """float32 (len(texts), dimensions): the same for the same list of texts."""
        numbers = np.array([zlib.crc32(text.encode()) for text in texts])
        noise = np.random.default_rng(int(numbers[0])).normal(size=(len(texts), self.dimensions))
        own = self._vectors[numbers % len(self._vectors)]
        return normal((own + 0.5 * noise / np.sqrt(self.dimensions)).astype(np.float32))


def texts_of(data: pa.Table, rows: int) -> Iterator[pa.Table]:
    """``rows`` rows, some at a time, whose texts are halves of two of ``data``."""
    bodies = data["body"].to_pylist()
    for start in range(0, rows, AT_ONCE):
        ids = range(start, min(start + AT_ONCE, rows))
        body = []
        for number in ids:
            first = bodies[number % len(bodies)]
            # Another partner each time around.
            second = bodies[(number + 7919 * (1 + number // len(bodies))) % len(bodies)]
            body.append(first[: len(first) // 2] + second[len(second) // 2 :])
        own = data.take([number % len(data) for number in ids])
        own = own.set_column(0, "id", pa.array(ids, pa.int64()))
        yield own.set_column(own.schema.get_field_index("body"), "body", pa.array(body))


def titles_of(data: pa.Table, rows: int) -> Iterator[pa.Table]:
    """``rows`` short texts, no two of them alike."""
    titles = data["title"].to_pylist()
    for start in range(0, rows, AT_ONCE):
        ids = range(start, min(start + AT_ONCE, rows))
        body = [f"{titles[number % len(titles)]} {number}" for number in ids]
        yield pa.table({"id": pa.array(ids, pa.int64()), "body": body})


def make(folder: Path, name: str, columns: list[str], parts: Iterator[pa.Table], *, near: bool) -> None:
    """The table ``name`` with ``layout=remote``, and, if ``near``, as it is locally; not if it is there."""
    for path, layout in ((folder / f"{name}.flac", "remote"), (folder / f"{name}-near.flac", "local")):
        if path.exists() or (layout == "local" and not near):
            continue
        began, first = time.perf_counter(), folder / f"{name}-appended.flac"
        if not first.exists():
            new = first.with_suffix(".new")
            new.unlink(missing_ok=True)
            with Table.create(new, columns, {"passages": "off", "compression_level": LEVEL}) as table:
                for part in parts:
                    table.append(part)
            new.rename(first)
        made = path.with_suffix(".made")
        shutil.copyfile(first, made)
        with Table(made) as table:
            table.vacuum(layout=layout)
        made.rename(path)
        print(f"{path.name}: {path.stat().st_size:,} bytes, {time.perf_counter() - began:,.0f} s", flush=True)


def words(peer: Ours, proxy: Any, data: pa.Table, rows: int, count: int) -> None:
    """Print a line for each kind of question to the texts."""
    rng = np.random.default_rng(5)
    numbers = rng.choice(rows, count, replace=False).tolist()
    line(peer, "open + row", [asked(proxy, peer.row, each) for each in numbers])
    pairs = word_queries(data)[:count]
    line(peer, "open + two words, ids", [asked(proxy, peer.words, each) for each in pairs])
    later = []
    for pair in pairs:
        found = peer.words(pair)
        later.append(asked(proxy, peer.ten_rows, found))
    line(peer, "ten rows to it", later)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="a Parquet file with the columns " + ", ".join(COLUMNS))
    parser.add_argument("--vectors", type=Path, required=True, help="of its first rows, (n, d)")
    parser.add_argument("--queries", type=Path, required=True, help="vectors, (m, d)")
    parser.add_argument("--folder", type=Path, required=True, help="where the tables are kept")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--count", type=int, default=20, help="questions of each kind")
    parser.add_argument("--near", action="store_true", help="write the tables for local disks, too")
    parser.add_argument("--tables", nargs="*", choices=TABLES, default=TABLES)
    parser.add_argument("--only-make", action="store_true", help="make the tables, and ask nothing")
    arguments = parser.parse_args()
    folder, rows = arguments.folder, arguments.rows
    data = pq.read_table(arguments.data, columns=list(COLUMNS)).combine_chunks()
    data = data.set_column(3, "created_at", data["created_at"].cast(pa.string()))
    embedder = Varied(normal(np.load(arguments.vectors)))
    table_texts.embedder_named = lambda name, backend="torch": embedder  # type: ignore[assignment]
    tables = arguments.tables
    if "texts" in tables:
        make(folder, "texts", WORD_COLUMNS, texts_of(data, rows), near=arguments.near)
    if "meaning" in tables:
        make(folder, "meaning", VECTOR_COLUMNS, titles_of(data, rows), near=arguments.near)
    if arguments.only_make:
        return
    with store() as port:
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
        upstream = f"http://127.0.0.1:{port}"
        direct = S3Store(BUCKET, endpoint=upstream, client_options={"allow_http": True}, **options)
        for name in tables:
            obstore.put(direct, f"{name}.flac", folder / f"{name}.flac")
        print("\n| query | store | trips | requests | KB | ms | |\n|---|---|---|---|---|---|---|")
        queries = normal(np.load(arguments.queries))
        peer = Ours(url, folder)
        if "texts" in tables:
            words(peer, proxy, data, rows, arguments.count)
        if "meaning" in tables:
            near = [asked(proxy, peer.nearest, query) for query in queries[: arguments.count]]
            line(peer, "open + nearest ten, ids", near)
        proxy.send(False)
        process.join(10)


if __name__ == "__main__":
    main()
