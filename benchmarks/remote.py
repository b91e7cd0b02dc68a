"""What queries ask an object store for: trips, requests and bytes, before and after the planner of reads.

A table lies in SeaweedFS on this machine, behind a proxy that adds 60 ms to each request and counts them. A
trip is what is asked for at the same time. "Pages" reads whole pages, one after the other, and keeps nothing,
as a local file is read; "cells" is what the package does.

    python -m benchmarks.remote [--rows 100000] [--vectors 30000] [--layout remote] [--embeddings FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import obstore
from obstore.store import S3Store

from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.remote import RemoteFile
from audiomem_sql.table.table import Table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from remote.proxy import FaultyProxy

BUCKET = "tables"
DIMENSIONS = 384


def texts(count: int, words: int, seed: int) -> list[str]:
    """Texts of so many words, which are as frequent as in a language (Zipf)."""
    rng = np.random.default_rng(seed)
    vocabulary = np.array(["".join(rng.choice(list("etaoinshrdlu"), 3 + n % 7)) for n in range(40_000)])
    ranks = np.minimum(rng.zipf(1.3, (count, words)), len(vocabulary)) - 1
    return [" ".join(vocabulary[row]) for row in ranks]


def make_texts(path: Path, rows: int, layout: str) -> None:
    """A table of texts that are searched by their words."""
    columns = [
        "id INTEGER PRIMARY KEY",
        "source TEXT",
        "title TEXT",
        "body TEXT INDEXED",
        "created_at TIMESTAMP",
    ]
    titles, bodies = texts(rows, 6, 1), texts(rows, 70, 2)
    with Table.create(path, columns) as table:
        for start in range(0, rows, 20_000):
            table.append(
                [
                    {
                        "id": n + 1,
                        "source": f"source {n % 50}",
                        "title": titles[n],
                        "body": bodies[n],
                        "created_at": f"2026-01-{n % 28 + 1:02d} 10:{n % 60:02d}:00",
                    }
                    for n in range(start, min(start + 20_000, rows))
                ]
            )
        table.vacuum(layout=layout)


def made_vectors(rows: int) -> Any:
    """float32 (rows, DIMENSIONS) around centres."""
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(300, DIMENSIONS))
    return (centres[rng.integers(0, 300, rows)] + rng.normal(size=(rows, DIMENSIONS))).astype("f4")


def make_vectors(path: Path, rows: int, vectors: Any, layout: str) -> None:
    """A table of vectors with short texts."""
    names = texts(rows, 12, 4)
    with Table.create(
        path, ["id INTEGER PRIMARY KEY", "body TEXT", f"vec FLOAT[{DIMENSIONS}] INDEXED"]
    ) as table:
        for start in range(0, rows, 10_000):
            table.append(
                [
                    {"id": n + 1, "body": names[n], "vec": vectors[n].tolist()}
                    for n in range(start, min(start + 10_000, rows))
                ]
            )
        table.vacuum(layout=layout)


@contextlib.contextmanager
def store() -> Iterator[int]:
    """SeaweedFS; the port at which it speaks S3."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        options = [f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.port={port}"]
        options += [f"-bucket={BUCKET}", "-admin.ui=false", "-webdav=false"]
        program = Path(sys.executable).with_name("weed")
        server = subprocess.Popen(
            [program, "mini", *options], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            for _ in range(300):
                with contextlib.suppress(urllib.error.URLError, OSError):
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/{BUCKET}/", timeout=1).close()
                    break
                time.sleep(0.1)
            yield port
        finally:
            server.kill()
            server.wait()


class Measured:
    """A table in the store, and what its queries ask for; short: as the package reads."""

    def __init__(self, proxy: FaultyProxy, name: str, delay: float, *, short: bool) -> None:
        RemoteFile.prefers_short_reads = short
        os.environ["AUDIOMEM_REMOTE_HEAD"] = str(80 << 10 if short else 1024)
        os.environ["AUDIOMEM_REMOTE_KEPT"] = str(32 << 20 if short else 0)
        self.proxy, self.delay = proxy, delay
        self.table: Table
        self._steps = 0
        self.kind = "cells" if short else "pages"
        self._url = f"s3://{BUCKET}/{name}"

    def open(self) -> None:
        """Open the table, with nothing in any cache."""
        self.table = Table(self._url, cache=BlockCache(256 << 20))

    def of(self, what: str, query: Callable[[Table], Any] | None) -> None:
        """Print a row of the table for a query, or for opening."""
        self.proxy.reset()
        self.proxy.delay = self.delay
        began = time.perf_counter()
        if query is None:
            self.open()
            self._steps = 0
        else:
            query(self.table)
        seconds = time.perf_counter() - began
        source = self.table.snapshot.segments[0].file.source.file
        assert isinstance(source, RemoteFile)
        trips, self._steps = source.counts.steps - self._steps, source.counts.steps
        requests, kilobytes = len(self.proxy.gets()), f"{self.proxy.sent / 1000:,.0f}"
        cells = (what, self.kind, trips, requests, kilobytes, f"{seconds * 1000:.0f}")
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--vectors", type=int, default=30_000)
    parser.add_argument("--embeddings", type=Path, help="a NumPy file of vectors in the place of made ones")
    parser.add_argument("--layout", choices=("local", "remote"), default="local")
    parser.add_argument("--cells-only", action="store_true", help="leave out the reads of whole pages")
    parser.add_argument("--delay", type=float, default=0.06)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, store() as port:
        proxy = FaultyProxy(port)
        os.environ |= {
            "AWS_ENDPOINT_URL": proxy.url,
            "AWS_ACCESS_KEY_ID": "benchmark",
            "AWS_SECRET_ACCESS_KEY": "benchmark",
            "AUDIOMEM_REMOTE_HEDGE": "0",
        }
        direct = S3Store(
            BUCKET,
            endpoint=f"http://127.0.0.1:{port}",
            access_key_id="benchmark",
            secret_access_key="benchmark",
            client_options={"allow_http": True},
        )
        count = arguments.vectors
        if arguments.embeddings is None:
            vectors = made_vectors(count + 1)
        else:
            vectors = np.load(arguments.embeddings, mmap_mode="r")[: count + 1].astype("f4")
        vector, count = vectors[-1], min(count, len(vectors) - 1)
        make_texts(Path(folder, "texts.flac"), arguments.rows, arguments.layout)
        make_vectors(Path(folder, "vectors.flac"), count, vectors, arguments.layout)
        for name, rows in (("texts.flac", arguments.rows), ("vectors.flac", count)):
            print(f"{name}: {rows:,} rows, {os.path.getsize(Path(folder, name)):,} bytes")
            obstore.put(direct, name, Path(folder, name).read_bytes())
        with Table(Path(folder, "texts.flac")) as local:
            row = local.get(1)
            assert row is not None
            words = " ".join(sorted(set(row["body"].split()), key=len)[-2:])
        nearest: dict[str, Any] = {"vector": vector, "column": "vec"}
        print("| query | read by | trips | requests | KB | ms |\n|---|---|---|---|---|---|")
        for short in (True,) if arguments.cells_only else (False, True):
            measured = Measured(proxy, "texts.flac", arguments.delay, short=short)
            measured.of("open", None)
            measured.of("row by id", lambda table: table.get(arguments.rows // 2))
            measured.of("next row", lambda table: table.get(arguments.rows // 3))
            measured.open()
            measured.of("open", None)
            measured.of("two words, ids", lambda table: table.search(f"words: {words}", columns=["id"]))
            measured.of("ten rows to it", lambda table: table.search(f"words: {words}"))
            measured = Measured(proxy, "vectors.flac", arguments.delay, short=short)
            measured.of("open", None)
            measured.of("nearest ten, ids", lambda table: table.search(**nearest, columns=["id"]))
            measured.of("ten rows to it", lambda table: table.search(**nearest, columns=["id", "body"]))
        proxy.close()


if __name__ == "__main__":
    main()
